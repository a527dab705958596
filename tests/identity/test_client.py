"""The gateway as a client: what an issuer must answer, and what is believed of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from bots.web.app import CALLBACK
from gateway.approvals.request import Person
from gateway.demo.codes import CLIENT_ID
from gateway.demo.issuer import DemoIssuer, Fault
from gateway.identity.claims import ClaimNames, TokenRefused
from gateway.identity.client import WebClient
from gateway.identity.documents import Documents, IssuerError
from gateway.identity.issuers import Issuers
from gateway.identity.login import Attempt
from gateway.policy.model import Issuer as IssuerRule
from gateway.settings import Web
from tests.bots.web.browser import Serve
from tests.fakes.clock import Clock

ATTEMPT = Attempt("a secret of a browser")
HERE = "http://127.0.0.1:8080" + CALLBACK


@pytest.fixture
async def issuer() -> AsyncIterator[DemoIssuer]:
    running = await DemoIssuer.start(clock=Clock())
    running.codes.redirect_uris.add(HERE)
    yield running
    await running.close()


@pytest.fixture
async def parts(issuer: DemoIssuer) -> AsyncIterator[tuple[Issuers, Documents]]:
    rule = IssuerRule(issuer.url, "hoop", claims=ClaimNames(user="preferred_username"))
    issuers, documents = Issuers([rule], insecure_loopback=True, clock=Clock()), Documents(insecure_loopback=True)
    yield issuers, documents
    await issuers.close()
    await documents.close()


def client(parts: tuple[Issuers, Documents], secret: str, issuer: str = "") -> WebClient:
    return WebClient(Web(CLIENT_ID, secret, issuer), *parts, redirect_uri=lambda: HERE, clock=Clock())


async def code(issuer: DemoIssuer, made: WebClient, person: str = "bob") -> str:
    asked = issuer.codes.asks(URL(await made.begin(ATTEMPT, fresh=False)).query)
    return URL(issuer.codes.answer(asked, person, issuer.url)).query["code"]


async def test_who_a_code_stands_for(issuer: DemoIssuer, parts: tuple[Issuers, Documents]) -> None:
    made = client(parts, issuer.codes.secret)
    found = await made.redeem(ATTEMPT, await code(issuer, made))
    assert found.tells_groups
    assert found.person == Person(issuer.url, "person-bob", "bob@example.com", "bob@example.com", frozenset({"dba"}))


@pytest.mark.parametrize(("told", "groups"), [(None, False), ([], True)])
async def test_groups_that_are_not_told_and_groups_that_are_none(
    issuer: DemoIssuer, parts: tuple[Issuers, Documents], told: list[str] | None, groups: bool
) -> None:
    issuer.codes.changes = {"groups": told}
    made = client(parts, issuer.codes.secret)
    found = await made.redeem(ATTEMPT, await code(issuer, made))
    assert (found.tells_groups, found.person.groups) == (groups, frozenset())


async def test_too_many_groups_are_not_none(issuer: DemoIssuer, parts: tuple[Issuers, Documents]) -> None:
    issuer.codes.changes = {"groups": None, "hasgroups": True}
    made = client(parts, issuer.codes.secret)
    with pytest.raises(TokenRefused) as refusal:
        await made.redeem(ATTEMPT, await code(issuer, made))
    assert "overage" in refusal.value.detail


async def test_a_wrong_secret(issuer: DemoIssuer, parts: tuple[Issuers, Documents]) -> None:
    made = client(parts, "s3cret-and-wrong")
    with pytest.raises(IssuerError) as refusal:
        await made.redeem(ATTEMPT, await code(issuer, made))
    assert "401" in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


async def test_a_code_of_another_attempt(issuer: DemoIssuer, parts: tuple[Issuers, Documents]) -> None:
    made = client(parts, issuer.codes.secret)
    with pytest.raises(IssuerError):
        await made.redeem(Attempt("another"), await code(issuer, made))


async def test_an_issuer_that_the_policy_does_not_name(issuer: DemoIssuer, parts: tuple[Issuers, Documents]) -> None:
    with pytest.raises(IssuerError):
        await client(parts, "x", "https://other.example").begin(ATTEMPT, fresh=False)
    parts[0].use([IssuerRule("https://a.example", "x"), IssuerRule("https://b.example", "x")])
    with pytest.raises(IssuerError, match="more than one"):
        await client(parts, "x").begin(ATTEMPT, fresh=False)


@pytest.mark.parametrize("fault", [Fault.STATUS_500, Fault.REDIRECT, Fault.WRONG_ISSUER, Fault.NO_JSON, Fault.OVERSIZE])
async def test_an_issuer_that_is_unwell(issuer: DemoIssuer, parts: tuple[Issuers, Documents], fault: Fault) -> None:
    issuer.fault = fault
    with pytest.raises(IssuerError):
        await client(parts, "x").begin(ATTEMPT, fresh=False)


METADATA: dict[str, Any] = {"authorization_endpoint": "{}/authorize", "token_endpoint": "{}/token"}


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({}, "no ID token"),
        ({"token_endpoint": "http://gate.example/token"}, "https is required"),
        ({"token_endpoint": None}, "no token_endpoint"),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "takes neither"),
    ],
)
async def test_metadata_and_answers_that_are_of_no_use(
    aiohttp_server: Serve, metadata: dict[str, Any], why: str
) -> None:
    url = ""

    async def discovery(_request: web.Request) -> web.Response:
        known = {name: value.format(url) for name, value in METADATA.items()} | metadata
        return web.json_response({"issuer": url, **{name: value for name, value in known.items() if value is not None}})

    async def token(_request: web.Request) -> web.Response:
        return web.json_response({"access_token": "x"})

    app = web.Application()
    app.add_routes([web.get("/.well-known/openid-configuration", discovery), web.post("/token", token)])
    url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    issuers, documents = Issuers([IssuerRule(url, "hoop")], insecure_loopback=True), Documents(insecure_loopback=True)
    with pytest.raises(IssuerError, match=why):
        await client((issuers, documents), "x").redeem(ATTEMPT, "code")
    await issuers.close()
    await documents.close()


async def test_a_client_that_proves_itself_in_the_form(aiohttp_server: Serve) -> None:
    """client_secret_post, where the issuer takes nothing else."""
    url, seen = "", []

    async def discovery(_request: web.Request) -> web.Response:
        methods = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
        return web.json_response({"issuer": url, "token_endpoint": f"{url}/token", **methods})

    async def token(request: web.Request) -> web.Response:
        seen.append({**await request.post(), "authorization": request.headers.get("Authorization")})
        return web.json_response({"error": "invalid_grant"}, status=400)

    app = web.Application()
    app.add_routes([web.get("/.well-known/openid-configuration", discovery), web.post("/token", token)])
    url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    issuers, documents = Issuers([IssuerRule(url, "hoop")], insecure_loopback=True), Documents(insecure_loopback=True)
    with pytest.raises(IssuerError, match="400"):
        await client((issuers, documents), "s&cret").redeem(ATTEMPT, "c")
    assert seen == [
        {
            "grant_type": "authorization_code", "code": "c", "redirect_uri": HERE, "code_verifier": ATTEMPT.verifier,
            "client_id": CLIENT_ID, "client_secret": "s&cret", "authorization": None,
        }
    ]  # fmt: skip
    await issuers.close()
    await documents.close()
