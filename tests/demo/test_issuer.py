"""The demo's issuer: discovery, keys, the device grant (RFC 8628) and its page."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.approvals.request import Person
from gateway.demo.issuer import CLIENT_ID, DemoIssuer, Fault

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer(clock: Clock) -> AsyncIterator[DemoIssuer]:
    running = await DemoIssuer.start(clock=clock, interval=5)
    yield running
    await running.close()


@pytest.fixture
async def http(issuer: DemoIssuer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(issuer.url) as session:
        yield session


async def _begin(http: aiohttp.ClientSession) -> dict[str, str]:
    async with http.post("/device_authorization", data={"client_id": CLIENT_ID}) as response:
        assert response.status == 200
        begun: dict[str, str] = await response.json()
        return begun


async def _poll(http: aiohttp.ClientSession, code: str, **changes: str) -> dict[str, str]:
    form = {"grant_type": GRANT, "client_id": CLIENT_ID, "device_code": code, **changes}
    async with http.post("/token", data=form) as response:
        answer: dict[str, str] = await response.json()
        assert response.status == (400 if "error" in answer else 200)
        return answer


async def test_a_token_can_be_checked_with_what_discovery_says(issuer: DemoIssuer, http: aiohttp.ClientSession) -> None:
    async with http.get("/.well-known/openid-configuration") as response:
        metadata = await response.json()
    assert metadata["issuer"] == issuer.url
    async with http.get(metadata["jwks_uri"]) as response:
        document = await response.json()
    assert not {"d", "p", "q"} & set(document["keys"][0])
    claims = jwt.decode(issuer.mint("cursor", lifetime=60), KeySet.import_key_set(document)).claims
    assert (claims["sub"], claims["groups"], claims["acts_for"]) == ("agent-cursor", ["agents"], "ann@example.com")
    assert claims["exp"] - claims["iat"] == 60
    assert "email" not in claims


async def test_the_page_approves_a_device(issuer: DemoIssuer, http: aiohttp.ClientSession, clock: Clock) -> None:
    begun = await _begin(http)
    assert await _poll(http, begun["device_code"]) == {"error": "authorization_pending"}
    assert await _poll(http, begun["device_code"]) == {"error": "slow_down"}
    async with http.get(begun["verification_uri_complete"]) as response:
        page = await response.text()
    assert begun["user_code"] in page
    assert 'value="dana"' in page
    form = {"user_code": begun["user_code"].lower(), "person": "bob", "action": "approve"}
    async with http.post("/device", data=form, headers={"Origin": issuer.url}) as response:
        assert "Signed in as bob" in await response.text()
    clock.now += 5
    answer = await _poll(http, begun["device_code"])
    assert jwt.decode(answer["access_token"], issuer.public_key()).claims["sub"] == "person-bob"
    assert await _poll(http, begun["device_code"]) == {"error": "invalid_grant"}  # once only


@pytest.mark.parametrize(
    ("form", "status", "text"),
    [
        ({"action": "approve"}, 400, "Nobody chosen"),
        ({"action": "approve", "person": "mallory"}, 400, "Nobody chosen"),
        ({"action": "approve", "person": "bob", "user_code": "AAAA-AAAA"}, 400, "Unknown code"),
        ({"action": "deny"}, 200, "Refused"),
    ],
)
async def test_other_forms(http: aiohttp.ClientSession, form: dict[str, str], status: int, text: str) -> None:
    begun = await _begin(http)
    async with http.post("/device", data={"user_code": begun["user_code"], **form}) as response:
        assert response.status == status
        assert text in await response.text()
    error = "access_denied" if text == "Refused" else "authorization_pending"
    assert await _poll(http, begun["device_code"]) == {"error": error}


async def test_a_form_of_another_page_is_refused(http: aiohttp.ClientSession) -> None:
    begun = await _begin(http)
    form = {"user_code": begun["user_code"], "person": "bob", "action": "approve"}
    async with http.post("/device", data=form, headers={"Origin": "https://evil.example.com"}) as response:
        assert response.status == 403
    assert await _poll(http, begun["device_code"]) == {"error": "authorization_pending"}


async def test_a_code_is_escaped_on_the_page(http: aiohttp.ClientSession) -> None:
    async with http.get("/device", params={"user_code": '"><script>'}) as response:
        assert "<script>" not in await response.text()


async def test_codes_expire_and_clients_are_checked(
    issuer: DemoIssuer, http: aiohttp.ClientSession, clock: Clock
) -> None:
    begun = await _begin(http)
    assert await _poll(http, begun["device_code"], client_id="other") == {"error": "invalid_grant"}
    assert await _poll(http, begun["device_code"], grant_type="password") == {"error": "unsupported_grant_type"}
    assert await _poll(http, "invented") == {"error": "invalid_grant"}
    async with http.post("/device_authorization", data={"client_id": "other"}) as response:
        assert response.status == 401
    clock.now += 601
    assert not issuer.decide(begun["user_code"], "ann")
    assert await _poll(http, begun["device_code"]) == {"error": "expired_token"}
    await _begin(http)
    assert await _poll(http, begun["device_code"]) == {"error": "invalid_grant"}  # forgotten


async def test_rotation_and_faults(issuer: DemoIssuer, http: aiohttp.ClientSession) -> None:
    first = issuer.public_key().kid
    issuer.rotate(keep_old=True)
    async with http.get("/jwks") as response:
        kids = [key["kid"] for key in (await response.json())["keys"]]
    assert kids == [issuer.public_key().kid, first]
    assert len(set(kids)) == 2
    issuer.fault = Fault.STATUS_500
    async with http.get("/jwks") as response:
        assert response.status == 500
    assert issuer.requests["/jwks"] == 2


def test_the_directory_knows_people_but_no_agents(issuer: DemoIssuer) -> None:
    bob = Person(issuer.url, "person-bob", "bob@example.com", "bob@example.com", frozenset({"dba"}))
    assert issuer.directory("Bob@Example.com") == bob
    assert issuer.directory("cursor") is None
    assert issuer.directory("") is None
