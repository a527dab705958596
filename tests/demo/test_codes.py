"""The demo issuer's code flow keeps to the rules that a gateway relies on."""

import base64

import pytest
from yarl import URL

from gateway.demo.codes import CLIENT_ID, Codes, Refused
from gateway.identity.login import Attempt, authorization_url
from tests.fakes.clock import Clock

ATTEMPT = Attempt("a secret of a browser")
HERE = "http://127.0.0.1:8080/login/callback"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def codes(clock: Clock) -> Codes:
    made = Codes(clock)
    made.redirect_uris.add(HERE)
    return made


def asked(**changes: str) -> dict[str, str]:
    url = authorization_url(
        "https://i/authorize", ATTEMPT, client_id=CLIENT_ID, redirect_uri=HERE, scope="openid email", fresh=True
    )
    return {**URL(url).query, **changes}


def form(code: str, **changes: str) -> dict[str, str]:
    return {"code": code, "redirect_uri": HERE, "code_verifier": ATTEMPT.verifier, **changes}


def proof(codes: Codes, secret: str = "") -> str:
    return f"Basic {base64.b64encode(f'{CLIENT_ID}:{secret or codes.secret}'.encode()).decode()}"


def code(codes: Codes, person: str | None = "bob") -> dict[str, str]:
    return dict(URL(codes.answer(codes.asks(asked()), person, "https://i")).query)


def test_a_code_is_redeemed_once(codes: Codes) -> None:
    told = code(codes)
    assert (told["state"], told["iss"]) == (ATTEMPT.state, "https://i")
    person, claims = codes.redeem(form(told["code"]), proof(codes))
    assert person == "bob"
    assert (claims["aud"], claims["nonce"], claims["auth_time"]) == (CLIENT_ID, ATTEMPT.nonce, 1_800_000_000)
    with pytest.raises(Refused, match="invalid_grant"):
        codes.redeem(form(told["code"]), proof(codes))


def test_a_refusal_goes_back_as_such(codes: Codes) -> None:
    assert code(codes, None) == {"state": ATTEMPT.state, "iss": "https://i", "error": "access_denied"}


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "x"}, {"redirect_uri": f"{HERE}/x"}, {"redirect_uri": "https://evil.example"}, {"response_type": "token"},
        {"scope": "email"}, {"code_challenge_method": "plain"}, {"code_challenge": ""},
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_goes_nowhere(codes: Codes, change: dict[str, str]) -> None:
    with pytest.raises(Refused):
        codes.asks(asked(**change))


@pytest.mark.parametrize("change", [{"redirect_uri": "x"}, {"code_verifier": "x"}, {"code": "x"}])
def test_what_does_not_fit_the_code(codes: Codes, change: dict[str, str]) -> None:
    with pytest.raises(Refused, match="invalid_grant"):
        codes.redeem({**form(code(codes)["code"]), **change}, proof(codes))


def test_another_client_leaves_the_code_as_it_is(codes: Codes) -> None:
    told = code(codes)["code"]
    for wrong in ("", "Basic x", proof(codes, "wrong")):
        with pytest.raises(Refused, match="invalid_client"):
            codes.redeem(form(told), wrong)
    assert codes.redeem(form(told), proof(codes))[0] == "bob"


def test_a_code_is_good_for_a_minute(codes: Codes, clock: Clock) -> None:
    told = code(codes)["code"]
    clock.now += 61
    with pytest.raises(Refused, match="invalid_grant"):
        codes.redeem(form(told), proof(codes))
