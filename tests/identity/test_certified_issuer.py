"""Our side against an issuer that others wrote and certified: npm's oidc-provider, signed in by posting its forms."""

import asyncio
import socket
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from gateway.cli.token import Grant, TokenError, device_token
from gateway.identity.claims import TokenRefused
from gateway.identity.issuers import Issuers
from gateway.policy.model import Issuer as IssuerRule
from tests import npm


@pytest.fixture(scope="session")
def oidc_provider() -> Path:
    """The installed package; installed now if npm can, else the tests are skipped with the reason."""
    why = npm.missing("oidc-provider")
    if why:
        pytest.skip(f"no certified issuer to test against: {why}")
    return npm.NODE / "node_modules" / "oidc-provider"


@pytest.fixture
async def issuer(oidc_provider: Path) -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        "node", str(npm.NODE / "issuer.mjs"), str(port), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
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
            self.action = attributes["action"]
        elif tag == "input" and "name" in attributes:
            self.fields[attributes["name"]] = attributes.get("value", "")


async def _approve(page: str, answers: dict[str, str]) -> str:
    """Follow the forms from the verification page to the end, as a browser would; the last page's text comes back."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        response = await browser.get(page)
        for _ in range(6):
            text = await response.text()
            form = _Form(text)
            if not form.action:
                return text
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
