"""Our side against an issuer that others wrote and certified: npm's oidc-provider, signed in by posting its forms."""

import asyncio
import socket
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from bots.web.app import CALLBACK
from gateway.approvals.request import State
from gateway.cli.token import Grant, TokenError, device_token
from gateway.identity.claims import TokenRefused
from gateway.identity.issuers import Issuers
from gateway.policy.model import Issuer as IssuerRule
from tests.bots.web.browser import BOB_IN_SLACK, Browser, House, Seen, Serve
from tests.npm import NODE, installed


@pytest.fixture(scope="session")
def oidc_provider() -> Path:
    return installed("oidc-provider")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def issuer(oidc_provider: Path) -> AsyncIterator[str]:
    async with _running(_free_port()) as url:
        yield url


@asynccontextmanager
async def _running(port: int, *web_client: str) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        "node", str(NODE / "issuer.mjs"), str(port), *web_client, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    assert process.stdout is not None
    assert process.stdin is not None
    async with asyncio.timeout(60):
        while line := await process.stdout.readline():
            if line.strip() == b"listening":
                break
    yield f"http://127.0.0.1:{port}"
    process.stdin.close()
    async with asyncio.timeout(60):
        await process.communicate()


class _Form(HTMLParser):
    """The page's first form: where it goes and what it holds; buttons that abort are not pressed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.action:
            self.action = attributes.get("action", "")  # the gateway's own pages name none: there it ends
        elif tag == "input" and "name" in attributes:
            self.fields[attributes["name"]] = attributes.get("value", "")


async def _approve(page: str, answers: dict[str, str]) -> str:
    """Follow the forms from the verification page to the end, as a browser would; the last page's text comes back."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        return await (await _followed(browser, page, answers)).text()


async def _followed(browser: aiohttp.ClientSession, page: str | URL, answers: dict[str, str]) -> aiohttp.ClientResponse:
    response = await browser.get(page)
    for _ in range(6):
        form = _Form(await response.text())
        if not form.action:
            return response
        filled = {name: answers.get(name, value) for name, value in form.fields.items()}
        response = await browser.post(response.url.join(URL(form.action)), data=filled)
    raise AssertionError("the forms did not come to an end")


async def _sign_in(issuer: str, scope: str = "openid db") -> str:
    """A token for `ann`, by `hoop token`'s own code."""
    told = asyncio.Queue[str]()

    async def first_poll_after_approval(_seconds: float) -> None:
        page = (await told.get()).split("directly: ")[1].rstrip(")")
        assert "Sign-in Success" in await _approve(page, {"login": "ann", "password": "x"})

    return await device_token(Grant(issuer, "hoop-cli", scope), told.put_nowait, sleep=first_poll_after_approval)


async def test_device_grant_and_verification(issuer: str) -> None:
    verifier = Issuers([IssuerRule(issuer, "hoop")], insecure_loopback=True)
    try:
        async with asyncio.timeout(60):
            assert await verifier.ready() == "ok"
            ann = await verifier.verify(await _sign_in(issuer))
        assert (ann.issuer, ann.subject, ann.user) == (issuer, "ann", "ann")
        assert ann.groups == {"engineering"}
    finally:
        await verifier.close()


async def test_a_token_for_somebody_else(issuer: str) -> None:
    verifier = Issuers([IssuerRule(issuer, "another service")], insecure_loopback=True)
    try:
        async with asyncio.timeout(60):
            with pytest.raises(TokenRefused, match="token refused") as refusal:
                await verifier.verify(await _sign_in(issuer))
        assert "claim aud" in refusal.value.detail
    finally:
        await verifier.close()


async def test_an_unknown_client(issuer: str) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(TokenError, match="invalid_client"):
            await device_token(Grant(issuer, "nobody"), lambda _: None)


@pytest.fixture
async def house(oidc_provider: Path, aiohttp_server: Serve) -> AsyncIterator[House]:
    """The gateway's pages, with the certified issuer behind them."""
    port = _free_port()
    opened = await House.open(aiohttp_server, issuer_url=f"http://127.0.0.1:{port}")
    async with _running(port, opened.url + CALLBACK, opened.issuer.codes.secret):
        yield opened
    await opened.close()


async def _signed_in(browser: Browser, page: str, who: str) -> Seen:
    begun = await browser.begins(page)
    answers = {"login": who, "password": "x"}
    response = await _followed(browser.session, URL(begun.goes_to, encoded=True), answers)
    return Seen(response.status, response.url, await response.text(), dict(response.headers))


async def test_a_chat_account_is_linked(house: House) -> None:
    async with asyncio.timeout(60):
        browser = house.browser()
        asked = await _signed_in(browser, await house.link(), "ann")
        assert "Is this chat account yours?" in asked.text
        told = await browser.post(asked.url, csrf=asked.hidden("csrf"))
        code = told.text.split("/hoop link ")[1].split()[0]
        assert (await house.says(code)).title == "Linked"
        ann = await house.desk.reviewer("x@example.com", chat=BOB_IN_SLACK)
        assert ann is not None
        assert (ann.subject, ann.email, set(ann.groups)) == ("ann", "ann@example.com", {"dba"})


async def test_a_request_is_approved_after_a_fresh_sign_in(house: House) -> None:
    """The browser has a session at the issuer already: prompt and max_age have it asked again, and auth_time says so."""
    async with asyncio.timeout(60):
        browser = house.browser()
        await _signed_in(browser, await house.link(), "bob")
        request = await house.hold()
        page = await _signed_in(browser, request.page, "bob")
        assert "DELETE FROM customers" in page.text
        form = {name: page.hidden(name) for name in ("csrf", "seal")}
        assert "You approved it" in (await browser.post(page.url, decision="approve", **form)).text
        assert (await house.stored(request.id)).state is State.APPROVED
