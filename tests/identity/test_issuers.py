"""Real tokens of a loopback issuer, forged ones, and an issuer that misbehaves. The clock is ours."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from gateway.demo.issuer import DemoIssuer, Fault
from gateway.identity import issuers as subject
from gateway.identity.claims import ClaimNames, TokenRefused
from gateway.identity.issuers import Issuers
from gateway.policy.model import Issuer as IssuerRule
from tests.fakes.clock import Clock

JWKS = "/jwks"
NOW = Clock().now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer(clock: Clock) -> AsyncIterator[DemoIssuer]:
    running = await DemoIssuer.start(clock=clock)
    yield running
    await running.close()


@pytest.fixture
async def verifier(issuer: DemoIssuer, clock: Clock) -> AsyncIterator[Issuers]:
    made = Issuers([IssuerRule(issuer.url, "hoop")], insecure_loopback=True, clock=clock)
    yield made
    await made.close()


async def _refusal(verifier: Issuers, token: str, *, told: bool = False) -> str:
    """Why, as log and audit have it. `told`: the client hears it too, which is so where the signature was good and nowhere else."""
    with pytest.raises(TokenRefused) as refusal:
        await verifier.verify(token)
    assert refusal.value.message == ("token refused" + (f": {refusal.value.detail}" if told else ""))
    assert refusal.value.sqlstate == "28000"
    keyless = refusal.value.detail.startswith("no keys of")
    assert refusal.value.hint if told else ("its operator" if keyless else "hoop token") in refusal.value.hint
    for part in token.split("."):
        assert len(part) < 12 or part not in refusal.value.detail
    return refusal.value.detail


async def test_a_good_token(issuer: DemoIssuer, verifier: Issuers, clock: Clock) -> None:
    ann = await verifier.verify(issuer.mint("ann"))
    assert (ann.issuer, ann.subject, ann.user) == (issuer.url, "person-ann", "ann@example.com")
    assert ann.groups == {"engineering"}
    assert ann.expires_at == clock.now + 3600
    agent = await verifier.verify(issuer.mint("cursor"))
    assert (agent.user, agent.email, agent.groups) == ("cursor", None, frozenset({"agents"}))


async def test_keys_are_fetched_once_for_all(issuer: DemoIssuer, verifier: Issuers) -> None:
    await asyncio.gather(*(verifier.verify(issuer.mint("ann")) for _ in range(20)))
    assert issuer.requests[JWKS] == 1


Forge = Callable[[DemoIssuer], str]


def _unsigned(issuer: DemoIssuer) -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    return f"{head}.{issuer.mint('bob').split('.')[1]}."


def _hmac_with_public_key(issuer: DemoIssuer) -> str:
    public = issuer.public_key()
    claims = jwt.decode(issuer.mint("bob"), public).claims
    key = OctKey.import_key(json.dumps(public.as_dict(private=False)))
    return jwt.encode({"alg": "HS256", "kid": public.kid}, claims, key, algorithms=["HS256"])


def _own_key(issuer: DemoIssuer) -> str:
    """Signed by a key of the attacker, who also sends it along (jwk) under the issuer's key id."""
    own = RSAKey.generate_key(2048)
    claims = jwt.decode(issuer.mint("bob"), issuer.public_key()).claims
    header = {"alg": "RS256", "kid": issuer.public_key().kid, "jwk": own.as_dict(private=False)}
    return jwt.encode(header, claims, own)


def _tampered(issuer: DemoIssuer) -> str:
    head, payload, signature = issuer.mint("ann").split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["groups"] = ["dba"]
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.{signature}"


def _not_an_object(issuer: DemoIssuer) -> str:
    payload = base64.urlsafe_b64encode(b"[" * 4000).rstrip(b"=").decode()
    return f"{issuer.mint('ann').split('.')[0]}.{payload}.x"


@pytest.mark.parametrize(
    ("detail", "forge"),
    [
        ("signature", _unsigned),
        ("signature", _hmac_with_public_key),
        ("signature", _own_key),
        ("signature", _tampered),
        ("no JSON object", _not_an_object),
        ("three parts", lambda _: "secret"),
        ("three parts", lambda _: ""),
        ("three parts", lambda _: "a.b.c.d.e"),
        ("three parts", lambda _: "é.b.c"),
        ("no JSON object", lambda _: "a.b.c"),
        ("larger than", lambda issuer: issuer.mint("ann", padding="x" * 17000)),
        ("claim iss", lambda issuer: issuer.mint("ann", iss=issuer.url + "/")),
        ("claim iss", lambda issuer: issuer.mint("ann", iss=[issuer.url])),
        ("claim iss", lambda issuer: issuer.mint("ann", iss=None)),
        ("claim aud", lambda issuer: issuer.mint("ann", aud="somebody else")),
        ("claim aud", lambda issuer: issuer.mint("ann", aud=["a", "b"])),
        ("claim aud", lambda issuer: issuer.mint("ann", aud={"hoop": 1})),
        ("claim aud", lambda issuer: issuer.mint("ann", aud=None)),
    ],
)
async def test_forged_and_foreign_tokens(issuer: DemoIssuer, verifier: Issuers, detail: str, forge: Forge) -> None:
    assert detail in await _refusal(verifier, forge(issuer))


@pytest.mark.parametrize(
    ("detail", "forge"),
    [
        ("the token expired at 2027-01-15 07:59:29 UTC", lambda issuer: issuer.mint("ann", lifetime=-31)),
        ("claim exp: missing", lambda issuer: issuer.mint("ann", exp=None)),
        ("24 hours", lambda issuer: issuer.mint("ann", lifetime=10 * 365 * 86400)),
        ("not good before 2027-01-15 08:01:00 UTC (nbf)", lambda issuer: issuer.mint("ann", nbf=NOW + 60)),
        ("not good before 9999-", lambda issuer: issuer.mint("ann", nbf=999_999_999_999)),
        ("in the future", lambda issuer: issuer.mint("ann", iat=NOW + 60)),
        ("claim sub: missing", lambda issuer: issuer.mint("ann", sub=None)),
        ("claim sub: a printable text", lambda issuer: issuer.mint("ann", sub="\x1b[31m")),
        ("ID token", lambda issuer: issuer.mint("ann", at_hash="x")),
        ("typ", lambda issuer: issuer.sign({"iss": issuer.url, "aud": "hoop"}, typ="logout+jwt")),
    ],
)
async def test_who_holds_a_token_that_was_really_signed_hears_what_is_wrong_with_it(
    issuer: DemoIssuer, verifier: Issuers, detail: str, forge: Forge
) -> None:
    assert detail in await _refusal(verifier, forge(issuer), told=True)


async def test_a_critical_extension_is_refused(issuer: DemoIssuer, verifier: Issuers) -> None:
    key = RSAKey.generate_key(2048, {"kid": "other"})
    issuer.rotate(key)
    claims = jwt.decode(issuer.mint("ann"), key).claims
    payload = json.dumps(claims).encode()
    token = jws.serialize_compact({"alg": "RS256", "kid": key.kid, "crit": ["b64"], "b64": True}, payload, key)
    assert await _refusal(verifier, token, told=True)


async def test_an_audience_list_and_other_types(issuer: DemoIssuer, verifier: Issuers) -> None:
    assert (await verifier.verify(issuer.mint("ann", aud=["other", "hoop"]))).subject == "person-ann"
    claims = jwt.decode(issuer.mint("ann"), issuer.public_key()).claims
    assert (await verifier.verify(issuer.sign(claims, typ="JWT"))).subject == "person-ann"
    await verifier.verify(issuer.sign(claims, **{"x-vendor": "header fields of an issuer's own"}))


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", ECKey.generate_key("P-256", {"kid": "other"})),
        ("PS256", RSAKey.generate_key(2048, {"kid": "other"})),
    ],
)
async def test_other_algorithms(issuer: DemoIssuer, verifier: Issuers, algorithm: str, key: ECKey | RSAKey) -> None:
    claims = jwt.decode(issuer.mint("ann"), issuer.public_key()).claims
    issuer.rotate(key, keep_old=True)
    assert (await verifier.verify(issuer.sign(claims, alg=algorithm))).subject == "person-ann"


async def test_an_algorithm_that_is_not_listed(issuer: DemoIssuer, verifier: Issuers) -> None:
    claims = jwt.decode(issuer.mint("ann"), issuer.public_key()).claims
    key = RSAKey.generate_key(2048, {"kid": "other"})
    issuer.rotate(key)
    token = jwt.encode({"alg": "RS512", "kid": "other"}, claims, key, algorithms=["RS512"])
    assert "UnsupportedAlgorithmError" in await _refusal(verifier, token)


async def test_a_new_key_is_found_and_invented_ones_cost_little(
    issuer: DemoIssuer, verifier: Issuers, clock: Clock
) -> None:
    await verifier.verify(issuer.mint("ann"))
    issuer.rotate()
    clock.now += subject.COOLDOWN + 1
    await verifier.verify(issuer.mint("ann"))
    assert issuer.requests[JWKS] == 2
    claims = jwt.decode(issuer.mint("ann"), issuer.public_key()).claims
    for number in range(50):
        assert await _refusal(verifier, issuer.sign(claims, kid=f"invented-{number}"))
    assert issuer.requests[JWKS] == 2


async def test_a_withdrawn_key_stops_working_after_the_ttl(issuer: DemoIssuer, verifier: Issuers, clock: Clock) -> None:
    old = issuer.mint("ann", lifetime=8000)
    await verifier.verify(old)
    issuer.rotate()
    clock.now += subject.KEYS_TTL + 1
    assert "signature" in await _refusal(verifier, old)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.STATUS_500, "HTTP status 500"),
        (Fault.REDIRECT, "HTTP status 302"),
        (Fault.WRONG_ISSUER, "names another issuer"),
        (Fault.NO_JSON, "no JSON"),
        (Fault.OVERSIZE, "larger than"),
    ],
)
async def test_an_issuer_that_misbehaves(
    issuer: DemoIssuer, verifier: Issuers, clock: Clock, fault: Fault, reason: str
) -> None:
    issuer.fault = fault
    assert reason in await _refusal(verifier, issuer.mint("ann"))
    assert reason in await verifier.ready()
    issuer.fault = Fault.NONE
    clock.now += subject.RETRY
    await verifier.verify(issuer.mint("ann"))
    assert await verifier.ready() == "ok"


async def test_known_keys_outlive_an_issuer_that_is_away(issuer: DemoIssuer, verifier: Issuers, clock: Clock) -> None:
    await verifier.verify(issuer.mint("ann"))
    issuer.fault = Fault.STATUS_500
    clock.now += subject.KEYS_TTL + 1
    await verifier.verify(issuer.mint("ann"))
    clock.now += subject.KEYS_STALE
    assert "HTTP status 500" in await _refusal(verifier, issuer.mint("ann"))


async def test_an_issuer_that_hangs_delays_nobody_else(
    issuer: DemoIssuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.identity.documents.FETCH_TIMEOUT", 0.05)
    other = await DemoIssuer.start(clock=clock)
    rules = [IssuerRule(issuer.url, "hoop"), IssuerRule(other.url, "hoop")]
    verifier = Issuers(rules, insecure_loopback=True, clock=clock)
    issuer.fault = Fault.HANG
    waiting = asyncio.create_task(_refusal(verifier, issuer.mint("ann")))
    await verifier.verify(other.mint("ann"))
    assert "TimeoutError" in await waiting
    await verifier.close()
    await other.close()


async def test_a_client_that_gives_up_leaves_the_fetch_to_the_others(
    issuer: DemoIssuer, verifier: Issuers, clock: Clock
) -> None:
    first = asyncio.create_task(verifier.verify(issuer.mint("ann")))
    second = asyncio.create_task(verifier.verify(issuer.mint("bob")))
    await asyncio.wait([first, second], timeout=0)  # both have joined the fetch
    first.cancel()
    assert (await second).subject == "person-bob"
    assert issuer.requests[JWKS] == 1


async def test_plain_http_needs_the_flag_and_loopback(issuer: DemoIssuer, clock: Clock) -> None:
    for url, allowed in ((issuer.url, False), ("http://issuer.example.com", True), ("file:///etc/passwd", True)):
        verifier = Issuers([IssuerRule(url, "hoop")], insecure_loopback=allowed, clock=clock)
        assert "https is required" in await _refusal(verifier, issuer.mint("ann", iss=url))
        assert "https is required" in await verifier.ready()
        await verifier.close()


async def test_jwks_uri_of_the_policy_needs_no_discovery(issuer: DemoIssuer, clock: Clock) -> None:
    rule = IssuerRule(issuer.url, "hoop", jwks_uri=f"{issuer.url}/jwks", claims=ClaimNames(user="name"))
    verifier = Issuers([rule], insecure_loopback=True, clock=clock)
    assert (await verifier.verify(issuer.mint("ann"))).user == "ann"
    assert issuer.requests == {JWKS: 1}
    await verifier.close()


async def test_a_new_policy_keeps_known_keys_and_drops_issuers(issuer: DemoIssuer, verifier: Issuers) -> None:
    await verifier.verify(issuer.mint("ann"))
    verifier.use([IssuerRule(issuer.url, "hoop"), IssuerRule(issuer.url, "second")])
    await verifier.verify(issuer.mint("ann", aud="second"))
    assert issuer.requests[JWKS] == 1
    verifier.use([])
    assert "claim iss" in await _refusal(verifier, issuer.mint("ann"))


async def test_a_token_that_was_good_is_asked_for_all_but_its_signature_again(
    issuer: DemoIssuer, verifier: Issuers, clock: Clock
) -> None:
    token = issuer.mint("ann", lifetime=1000)
    ann = await verifier.verify(token)
    assert await verifier.verify(token) is ann
    verifier.use([IssuerRule(issuer.url, "hoop", claims=ClaimNames(user="name"))])
    assert (await verifier.verify(token)).user == "ann"
    verifier.use([IssuerRule(issuer.url, "second")])
    assert "claim aud" in await _refusal(verifier, token)
    verifier.use([IssuerRule("https://other.test", "hoop")])
    assert "claim iss" in await _refusal(verifier, token)
    verifier.use([IssuerRule(issuer.url, "hoop")])
    await verifier.verify(token)
    clock.now += 1100
    assert "expired" in await _refusal(verifier, token, told=True)
    clock.now -= 1100 + 100
    assert "in the future" in await _refusal(verifier, token, told=True)


async def test_one_bit_more_or_less_is_another_token(issuer: DemoIssuer, verifier: Issuers) -> None:
    token = issuer.mint("ann")
    await verifier.verify(token)
    head, claims, signature = token.split(".")
    forged = base64.urlsafe_b64encode(
        base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)).replace(b"person-ann", b"person-bob")
    )
    assert "signature" in await _refusal(verifier, f"{head}.{forged.rstrip(b'=').decode()}.{signature}")
    assert "signature" in await _refusal(verifier, f"{head}.{claims}.{signature[:-8]}")


async def test_few_signatures_are_remembered_and_no_token(issuer: DemoIssuer, verifier: Issuers) -> None:
    tokens = [issuer.mint("ann", jti=str(number)) for number in range(subject.SIGNATURES + 2)]
    for token in tokens:
        await verifier.verify(token)
    assert len(verifier._signed) == subject.SIGNATURES
    assert not any(part in repr(verifier._signed) for token in tokens for part in token.split(".")[1:])
    await verifier.verify(tokens[0])
