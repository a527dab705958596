"""The table of chat.md 1.1: what is no genuine, fresh, new and readable request of Slack's never gets past the edge."""

import hashlib
import hmac
import json
from urllib.parse import urlencode

import pytest
from slack_sdk.signature import SignatureVerifier

from bots.slack.edge import MAX_SKEW, REPLAY_SECONDS, Edge, Refused
from tests.fakes.clock import Clock

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
NOW = 1_531_420_618.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def sign(raw: bytes, timestamp: object, secret: str = SECRET) -> dict[str, str]:
    said = f"v0:{timestamp}:".encode() + raw
    signature = "v0=" + hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(timestamp), "X-Slack-Signature": signature, **FORM}


def edge() -> Edge:
    return Edge(SECRET, lambda: NOW)


def test_slacks_own_known_answer() -> None:
    """The worked example of Slack's page Verifying requests from Slack."""
    raw = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
        b"%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "X-Slack-Request-Timestamp": "1531420618",
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        **FORM,
    }
    assert edge().check(headers, raw) == raw.decode()


@pytest.mark.parametrize("age", [0, 299, -299])
def test_genuine_requests_pass(age: int) -> None:
    raw = urlencode({"command": "/hoop", "text": "é"}).encode()
    assert edge().check(sign(raw, int(NOW) - age), raw) == raw.decode()


def test_a_forms_payload_is_taken_out() -> None:
    raw = urlencode({"payload": ' {"type": "block_actions", "text": "é"} '}).encode()
    assert edge().check(sign(raw, int(NOW)), raw) == '{"type": "block_actions", "text": "é"}'


def test_the_sdk_agrees_on_signatures() -> None:
    raw = "text=é".encode()
    headers = sign(raw, int(NOW))
    made = SignatureVerifier(SECRET).generate_signature(timestamp=str(int(NOW)), body=raw.decode())
    assert headers["X-Slack-Signature"] == made


@pytest.mark.parametrize(
    "headers",
    [
        {},
        sign(b"a=b", int(NOW), "another secret"),
        sign(b"a=b", int(NOW) - MAX_SKEW - 1),
        sign(b"a=b", int(NOW) + MAX_SKEW + 1),
        sign(b"a=b", "abc"),
        sign(b"a=b", ""),
        sign(b"a=b", "-5"),
        sign(b"a=b", "1e9"),
        sign(b"a=b", "١٢٣"),
        sign(b"a=b", "9" * 5000),
        sign(b"a=b", int(NOW)) | {"X-Slack-Signature": "v0=é"},
        sign(b"a=b", int(NOW)) | {"X-Slack-Signature": "v0=\udcff"},
        sign(b"a=b", int(NOW)) | {"X-Slack-Signature": ""},
        sign(b"a=c", int(NOW)),
    ],
)
def test_what_is_not_signed_is_401(headers: dict[str, str]) -> None:
    refused = edge().check(headers, b"a=b")
    assert isinstance(refused, Refused)
    assert refused.status == 401


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"a=\xff\xfe", FORM),
        (b"payload=", FORM),
        (b"payload=nonsense", FORM),
        (b"payload=%5B1%5D", FORM),
        (b"{not json", {"Content-Type": "application/json"}),
        (b"[1]", {"Content-Type": "application/json; charset=utf-8"}),
        (b"", {"Content-Type": "application/json"}),
        (b"payload=" + b"%5B" * 50_000, FORM),
    ],
)
def test_what_is_signed_but_unreadable_is_400(raw: bytes, kind: dict[str, str]) -> None:
    refused = edge().check(sign(raw, int(NOW)) | kind, raw)
    assert isinstance(refused, Refused)
    assert refused.status == 400


@pytest.mark.parametrize("raw", [b"a=\xff", b"payload=nonsense", b"{not json"])
def test_what_is_unsigned_and_unreadable_is_401(raw: bytes) -> None:
    refused = edge().check({"X-Slack-Request-Timestamp": str(int(NOW)), **FORM}, raw)
    assert isinstance(refused, Refused)
    assert refused.status == 401


def test_a_signature_counts_once() -> None:
    clock = Clock(NOW)
    guard = Edge(SECRET, clock)
    raw = json.dumps({"type": "event_callback"}).encode()
    headers = sign(raw, int(NOW)) | {"Content-Type": "application/json"}
    assert guard.check(headers, raw) == raw.decode()
    again = guard.check(headers, raw)
    assert isinstance(again, Refused)
    assert again.status == 401


def test_a_forged_request_does_not_use_up_a_signature() -> None:
    guard = edge()
    headers = sign(b"a=b", int(NOW))
    assert isinstance(guard.check(headers, b"a=c"), Refused)
    assert guard.check(headers, b"a=b") == "a=b"


def test_signatures_are_forgotten_after_ten_minutes() -> None:
    clock = Clock(NOW)
    guard = Edge(SECRET, clock)
    assert guard.check(sign(b"a=b", int(NOW)), b"a=b") == "a=b"
    clock.now += REPLAY_SECONDS + 1
    assert guard.check(sign(b"a=c", int(clock.now)), b"a=c") == "a=c"
    assert len(guard._seen) == 1
