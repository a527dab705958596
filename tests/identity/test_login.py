"""An attempt's values, the address of the issuer, and what an ID token must say."""

import hashlib
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.claims import TokenRefused
from gateway.identity.login import (
    Attempt,
    authorization_url,
    check_id_token,
    flow_of,
    same,
    ticket,
    typed_code,
)

ATTEMPT = Attempt("a secret of a browser")
NOW = 1_800_000_000.0
CLAIMS: dict[str, Any] = {
    "iss": "https://issuer.example",
    "aud": "hoop-web",
    "iat": NOW,
    "exp": NOW + 300,
    "nonce": ATTEMPT.nonce,
    "auth_time": NOW - 5,
}


def check(claims: dict[str, Any], since: float | None = None) -> None:
    check_id_token(
        claims,
        issuer="https://issuer.example",
        client_id="hoop-web",
        attempt=ATTEMPT,
        now=NOW,
        signed_in_since=since,
    )


class TestAttempt:
    def test_every_value_is_another_and_none_is_the_secret(self) -> None:
        values = [
            ATTEMPT.flow,
            ATTEMPT.state,
            ATTEMPT.nonce,
            ATTEMPT.verifier,
            ATTEMPT.challenge,
            ATTEMPT.csrf,
            ATTEMPT.code,
        ]
        assert len(set(values)) == len(values)
        assert not [each for each in values if ATTEMPT.secret in each]
        others = Attempt("another")
        assert not set(values) & {others.flow, others.state, others.nonce, others.verifier, others.csrf, others.code}

    def test_pkce_is_that_of_the_rfc(self) -> None:
        """RFC 7636, 4.1 and 4.2."""
        assert 43 <= len(ATTEMPT.verifier) <= 128
        digest = hashlib.sha256(ATTEMPT.verifier.encode()).digest()
        assert ATTEMPT.challenge == urlsafe_b64encode(digest).rstrip(b"=").decode()

    def test_a_state_names_its_attempt(self) -> None:
        assert flow_of(ATTEMPT.state) == ATTEMPT.flow

    @pytest.mark.parametrize("state", ["", ".", "x.y", "0" * 16, f"{'G' * 16}.x", f"../{'0' * 13}.x"])
    def test_what_is_no_state_names_none(self, state: str) -> None:
        assert flow_of(state) == ""

    @given(st.text())
    def test_any_text_can_be_compared(self, text: str) -> None:
        assert same(text, text)
        assert not same(text, f"{text}x")


class TestCode:
    @pytest.mark.parametrize("form", ["{}", " {} ", "{}\t"])
    def test_a_code_as_people_type_it(self, form: str) -> None:
        code = ATTEMPT.code
        assert typed_code(code) == code
        assert typed_code(form.format(code.lower().replace("-", " ")).strip()) == code

    def test_letters_that_look_like_digits(self) -> None:
        assert typed_code("oil0-1234") == "0110-1234"

    @pytest.mark.parametrize("text", ["", "remove", "1234-567", "1234-56789", "UUUU-UUUU", "é" * 8])
    def test_what_can_be_none(self, text: str) -> None:
        assert typed_code(text) == ""


def test_a_ticket_is_its_kind_and_parts_under_a_key() -> None:
    made = {ticket(key, kind, *parts) for key in (b"a", b"b") for kind in ("x", "y") for parts in (("1", "2"), ("12",))}
    assert len(made) == 8
    assert all(len(each) == 64 for each in made)


class TestAddress:
    def asked(self, endpoint: str, *, fresh: bool) -> dict[str, list[str]]:
        url = authorization_url(
            endpoint,
            ATTEMPT,
            client_id="a b&c",
            redirect_uri="https://g.example/cb?x=1",
            scope="openid email",
            fresh=fresh,
        )
        assert url.startswith("https://issuer.example/authorize?")
        assert "#" not in url
        return parse_qs(urlsplit(url).query)

    def test_it_asks_for_a_code_with_pkce(self) -> None:
        asked = self.asked("https://issuer.example/authorize", fresh=False)
        assert asked == {
            "response_type": ["code"], "client_id": ["a b&c"], "redirect_uri": ["https://g.example/cb?x=1"],
            "scope": ["openid email"], "state": [ATTEMPT.state], "nonce": [ATTEMPT.nonce],
            "code_challenge": [ATTEMPT.challenge], "code_challenge_method": ["S256"],
        }  # fmt: skip

    def test_a_fresh_one_asks_for_the_password_again(self) -> None:
        asked = self.asked("https://issuer.example/authorize?tenant=1#x", fresh=True)
        assert (asked["prompt"], asked["max_age"], asked["tenant"]) == (["login"], ["0"], ["1"])


class TestIdToken:
    def test_a_good_one(self) -> None:
        check(CLAIMS)
        check(CLAIMS | {"aud": ["hoop-web"], "azp": "hoop-web"})
        check(CLAIMS | {"aud": ["hoop-web", "x"], "azp": "hoop-web"})
        check(CLAIMS, since=NOW)
        check({name: value for name, value in CLAIMS.items() if name != "auth_time"})

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"iss": "https://other.example"}, "claim iss"), ({"iss": None}, "claim iss"),
            ({"aud": "hoop"}, "claim aud"), ({"aud": ["a", "b"]}, "claim aud"), ({"aud": None}, "claim aud"), ({"aud": {"hoop-web": 1}}, "claim aud"),
            ({"aud": ["hoop-web", "x"]}, "claim azp"), ({"azp": "x"}, "claim azp"), ({"azp": None}, "claim azp"),
            ({"nonce": "x"}, "claim nonce"), ({"nonce": None}, "claim nonce"), ({"nonce": 1}, "claim nonce"), ({"nonce": "\ud800"}, "claim nonce"),
            ({"exp": NOW - 31}, "expired at"), ({"iat": NOW + 31}, "in the future"), ({"exp": "x"}, "claim exp"),
            ({"exp": NOW + 100_000}, "24 hours"),
        ],
    )  # fmt: skip
    def test_one_that_is_not_for_this(self, change: dict[str, Any], why: str) -> None:
        with pytest.raises(TokenRefused) as refusal:
            check(CLAIMS | change)
        assert why in refusal.value.detail

    def test_one_that_does_not_say_when(self) -> None:
        with pytest.raises(TokenRefused):
            check({name: value for name, value in CLAIMS.items() if name != "iat"})

    @pytest.mark.parametrize("at", [NOW - 31, 0, -1, None, "1800000000", True, float("nan"), float("-inf")])
    def test_a_sign_in_that_is_not_fresh(self, at: object) -> None:
        with pytest.raises(TokenRefused) as refusal:
            check(CLAIMS | {"auth_time": at}, since=NOW)
        assert "auth_time" in refusal.value.detail
