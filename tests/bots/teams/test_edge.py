"""The table of chat.md 2.2: what is not of the Bot Connector, for our bot, of our tenant gets its 401, and runs nothing.

Each bad request carries a click that would approve; the request must still be pending after it.
"""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from bots.teams.edge import LEEWAY, MAX_BODY, Edge
from gateway.approvals.request import State
from gateway.identity.documents import Documents
from gateway.identity.issuers import COOLDOWN
from tests.bots.teams.office import Office, Parts
from tests.fakes.clock import Clock
from tests.fakes.microsoft import ISSUER, Microsoft
from tests.fakes.teams import APP_ID, TENANT, Json, Message, Teams, text_of

ID = "01J9Z3K7Q8"
Bend = Callable[[Json], None]


async def approving(office: Office) -> tuple[Message, Json]:
    """A pending request, and the activity by which Bob approves it."""
    message = await office.hold()
    view = await office.teams.click(office.bob, message, "Review")
    action = {key: view["actions"][0][key] for key in ("type", "title", "verb", "data")}
    activity = office.teams._activity(
        "invoke", office.channel, office.bob, name="adaptiveCard/action", value={"action": action}
    )
    return message, activity


async def refused(office: Office) -> None:
    """Nothing ran: no second look-up of a member, no decision, no message, nothing under way."""
    assert (await office.stored()).state is State.PENDING
    assert office.teams.calls.count("member") == 1
    assert len(office.teams.messages) == 1
    assert not office.front._tasks


async def test_a_genuine_click_decides(office: Office) -> None:
    """The control of all others."""
    _, activity = await approving(office)
    status, answer = await office.teams.deliver(activity)
    assert status == 200
    assert "You approved it" in text_of(answer["value"])
    assert (await office.stored()).state is State.APPROVED


# The token -----------------------------------------------------------------------------------------------------------

HEADERS: dict[str, dict[str, str]] = {
    "no header": {},
    "empty": {"Authorization": ""},
    "no token": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": "Basic Ym9iOnNlY3JldA=="},
    "garbage": {"Authorization": "Bearer garbage"},
    "three parts of garbage": {"Authorization": "Bearer a.b.c"},
    "no ASCII": {"Authorization": "Bearer \u00e9.\u00e9.\u00e9"},
    "long": {"Authorization": "Bearer " + "a" * 7_000},
}


@pytest.mark.parametrize("name", HEADERS)
async def test_a_header_that_is_none_is_401(office: Office, name: str) -> None:
    _, activity = await approving(office)
    status, _ = await office.teams.post(json.dumps(activity).encode(), HEADERS[name])
    assert status == 401
    await refused(office)


NOW = time.time


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def hs256(microsoft: Microsoft, url: str) -> str:
    """The public key as an HMAC secret: joserfc would not sign with it, so by hand."""
    parts = ({"alg": "HS256", "kid": microsoft.key.kid}, claims(url))
    signed = ".".join(encoded(json.dumps(each).encode()) for each in parts)
    secret = microsoft.key.as_pem(private=False)
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def unsigned(microsoft: Microsoft, url: str) -> str:
    parts = ({"alg": "none", "kid": microsoft.key.kid}, claims(url))
    return ".".join(encoded(json.dumps(each).encode()) for each in parts) + "."


def own_key(microsoft: Microsoft, url: str) -> str:
    key = RSAKey.generate_key(2048, {"kid": str(microsoft.key.kid)})
    return microsoft.sign(url, key=key, header={"jwk": key.as_dict(private=False)})


def changed(token: str) -> str:
    head, payload, signature = token.split(".")
    body = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{head}.{encoded(json.dumps({**body, 'exp': body['exp'] + 1}).encode())}.{signature}"


def claims(url: str) -> Json:
    return {"iss": ISSUER, "aud": APP_ID, "serviceurl": url, "exp": int(NOW()) + 600}


TOKENS: dict[str, Callable[[Microsoft, str], str]] = {
    "another audience": lambda m, url: m.sign(url, aud="22222222-2222-4333-8444-555555555555"),
    "two audiences": lambda m, url: m.sign(url, aud=[APP_ID, "22222222-2222-4333-8444-555555555555"]),
    "no audience": lambda m, url: m.sign(url, aud=None),
    "another issuer": lambda m, url: m.sign(url, iss="https://sts.windows.net/f8cdef31-a31e-4b4a-93e4-5f571e91255a/"),
    "no issuer": lambda m, url: m.sign(url, iss=None),
    "expired": lambda m, url: m.sign(url, nbf=int(NOW()) - 4000, exp=int(NOW()) - int(LEEWAY) - 1),
    "not valid yet": lambda m, url: m.sign(url, nbf=int(NOW()) + int(LEEWAY) + 60, exp=int(NOW()) + 4000),
    "no expiry": lambda m, url: m.sign(url, exp=None),
    "expiry is true": lambda m, url: m.sign(url, exp=True),
    "expiry is never": lambda m, url: m.sign(url, exp=1e300),
    "expiry is a text": lambda m, url: m.sign(url, exp="never"),
    "another service URL": lambda m, _: m.sign("https://evil.example/"),
    "no service URL": lambda m, url: m.sign(url, serviceurl=None),
    "service URL is no text": lambda m, url: m.sign(url, serviceurl=[url]),
    "another key by the same name": lambda m, url: m.sign(url, key=RSAKey.generate_key(2048, {"kid": str(m.key.kid)})),
    "an unknown key": lambda m, url: m.sign(url, key=RSAKey.generate_key(2048, {"kid": "mine"})),
    "a critical extension": lambda m, url: m.sign(url, header={"crit": ["b64"], "b64": True}),
    "RS512": lambda m, url: m.sign(url, header={"alg": "RS512"}),
    "HS256 with the public key": hs256,
    "none": unsigned,
    "its key in its header": own_key,
    "signature cut off": lambda m, url: m.sign(url).rpartition(".")[0] + ".",
    "payload changed": lambda m, url: changed(m.sign(url)),
}


@pytest.mark.parametrize("name", TOKENS)
async def test_a_bad_token_is_401(office: Office, name: str) -> None:
    _, activity = await approving(office)
    status, answer = await office.teams.deliver(
        activity, TOKENS[name](office.teams.microsoft, office.teams.service_url)
    )
    assert status == 401, answer
    await refused(office)


async def test_a_key_that_does_not_sign_for_teams_is_401(office: Office) -> None:
    _, activity = await approving(office)
    office.teams.microsoft.rotate(endorsements=("webchat", "directline"))
    office.front._edge._keys._tried_at = 0.0
    assert (await office.teams.deliver(activity))[0] == 401
    await refused(office)


@pytest.mark.parametrize("seconds", [-int(LEEWAY) + 60, 0, 60])
async def test_a_clock_that_is_a_little_off_is_no_reason(office: Office, seconds: int) -> None:
    now = int(time.time())
    token = office.teams.microsoft.sign(office.teams.service_url, nbf=now + seconds, exp=now + seconds + 600)
    activity = office.teams._activity("message", office.channel, office.bob, text="")
    assert (await office.teams.deliver(activity, token))[0] == 200
    await office.front.settle()


# The body ------------------------------------------------------------------------------------------------------------


def bend(path: str, value: Any) -> Bend:
    def act(activity: Json) -> None:
        *way, last = path.split(".")
        for key in way:
            activity = activity[key]
        if value is None:
            del activity[last]
        else:
            activity[last] = value

    return act


BODIES: dict[str, Bend] = {
    "another service URL": bend("serviceUrl", "https://evil.example/"),
    "no service URL": bend("serviceUrl", None),
    "another channel": bend("channelId", "webchat"),
    "no channel": bend("channelId", None),
    "another tenant": bend("channelData.tenant.id", "00000000-0000-4000-8000-000000000000"),
    "no tenant": bend("channelData.tenant", None),
    "a tenant that is no text": bend("channelData.tenant.id", [TENANT]),
    "no channel data": bend("channelData", None),
    "a conversation of another tenant": bend("conversation.tenantId", "00000000-0000-4000-8000-000000000000"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_does_not_fit_is_401(office: Office, name: str) -> None:
    _, activity = await approving(office)
    BODIES[name](activity)
    status, answer = await office.teams.deliver(activity)
    assert status == 401, answer
    await refused(office)


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[1]", b"\xff\xfe", b"[" * 100_000, b'"text"'])
async def test_a_body_that_can_not_be_read_is_400_with_a_token_and_401_without(office: Office, body: bytes) -> None:
    signed = {"Authorization": f"Bearer {office.teams.microsoft.sign(office.teams.service_url)}"}
    assert (await office.teams.post(body, signed))[0] == 400
    assert (await office.teams.post(body, {}))[0] == 401


async def test_a_body_that_is_too_large_is_413_with_a_token_and_401_without(office: Office) -> None:
    _, activity = await approving(office)
    body = json.dumps({**activity, "filler": "x" * MAX_BODY}).encode()
    signed = {"Authorization": f"Bearer {office.teams.microsoft.sign(office.teams.service_url)}"}
    assert (await office.teams.post(body, signed))[0] == 413
    assert (await office.teams.post(body, {}))[0] == 401
    await refused(office)


@pytest.mark.parametrize(
    "bent",
    [
        {"from": None},
        {"from": {"id": 5}},
        {"from": {"id": "29:nobody", "aadObjectId": "x"}},
        {"value": None},
        {"value": {"action": "text"}},
        {"channelData": {"tenant": {"id": TENANT}, "team": {"id": 5}}},
        {"type": None},
        {"type": "message", "text": {"a": 1}, "entities": 5},
    ],
)
async def test_an_odd_activity_with_a_good_token_is_no_500_and_decides_nothing(office: Office, bent: Json) -> None:
    _, activity = await approving(office)
    status, _ = await office.teams.deliver({**activity, **bent})
    assert status == 200
    await office.front.settle()
    assert (await office.stored()).state is State.PENDING


async def test_a_service_url_that_is_not_https_is_401(teams: Teams) -> None:
    """Without HOOP_INSECURE_LOOPBACK: our token would go there in plain text."""
    documents = Documents(insecure_loopback=False)
    edge = Edge(APP_ID, TENANT, documents, time.time, "https://login.example/openidconfiguration")
    parts = Parts.of(teams)
    edge._keys = parts.edge._keys
    await parts.edge.issuer()
    edge._issuer = ISSUER
    caller = await edge.authenticate(f"Bearer {teams.microsoft.sign(teams.service_url)}")
    activity = teams._activity("message", teams.channel([teams.person("Bob")]), teams.person("Bob"))
    with pytest.raises(Exception, match="not https"):
        edge.accept(caller, json.dumps(activity).encode())
    await parts.close()


# Keys ----------------------------------------------------------------------------------------------------------------


async def test_a_new_key_is_taken_at_once_and_unknown_ones_ask_seldom(teams: Teams) -> None:
    clock = Clock(time.time())
    parts = Parts.of(teams, clock)
    edge, microsoft = parts.edge, teams.microsoft
    await edge.authenticate(f"Bearer {microsoft.sign(teams.service_url)}")
    asked = microsoft.keys.asked
    stranger = RSAKey.generate_key(2048, {"kid": "stranger"})
    for _ in range(20):
        with pytest.raises(Exception, match="not known"):
            await edge.authenticate(f"Bearer {microsoft.sign(teams.service_url, key=stranger)}")
    assert microsoft.keys.asked <= asked + 1, "anybody can invent key ids"
    microsoft.rotate()
    clock.now += COOLDOWN + 1
    await edge.authenticate(f"Bearer {microsoft.sign(teams.service_url)}")
    assert microsoft.keys.asked <= asked + 2
    await parts.close()


async def test_while_the_issuer_is_away_known_keys_count_and_unknown_ones_do_not(teams: Teams) -> None:
    clock = Clock(time.time())
    parts = Parts.of(teams, clock)
    await parts.edge.authenticate(f"Bearer {teams.microsoft.sign(teams.service_url)}")
    teams.microsoft.keys.away = True
    good = teams.microsoft.sign(teams.service_url, exp=int(clock.now) + 90_000)
    clock.now += 2 * 3600
    await parts.edge.authenticate(f"Bearer {good}")
    teams.microsoft.rotate()
    with pytest.raises(Exception, match="not known"):
        await parts.edge.authenticate(f"Bearer {teams.microsoft.sign(teams.service_url, exp=int(clock.now) + 600)}")
    await parts.close()


async def test_without_any_keys_nobody_comes_in(office: Office) -> None:
    parts = Parts.of(office.teams)
    office.teams.microsoft.keys.away = True
    with pytest.raises(Exception, match="can't be had"):
        await parts.edge.authenticate(f"Bearer {office.teams.microsoft.sign(office.teams.service_url)}")
    await parts.close()


async def test_a_fetch_of_keys_that_hangs_holds_nobody_up(teams: Teams) -> None:
    """Everything here runs in one loop: what blocked it would never come to the end."""
    parts = Parts.of(teams)
    teams.microsoft.keys.hang()
    waiting = asyncio.create_task(parts.edge.authenticate(f"Bearer {teams.microsoft.sign(teams.service_url)}"))
    async with asyncio.timeout(20):
        await teams.microsoft.keys.reached.wait()
        teams.microsoft.keys.go()
        assert (await waiting).service_url == teams.service_url
    await parts.close()


@pytest.mark.parametrize(("app_id", "tenant"), [("", TENANT), (APP_ID, ""), ("", "")])
async def test_there_is_no_unauthenticated_mode(app_id: str, tenant: str) -> None:
    with pytest.raises(ValueError, match="app id and a tenant"):
        Edge(app_id, tenant, Documents(), time.time)


@pytest.mark.parametrize("document", [{}, {"issuer": 5, "jwks_uri": "x"}, {"issuer": ISSUER}])
async def test_metadata_that_says_nothing_lets_nobody_in(
    teams: Teams, document: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts.of(teams)

    async def fetch(_url: str) -> Json:
        return document

    monkeypatch.setattr(parts.documents, "fetch", fetch)
    with pytest.raises(Exception, match="can't be had"):
        await parts.edge.authenticate(f"Bearer {teams.microsoft.sign(teams.service_url)}")
    await parts.close()
