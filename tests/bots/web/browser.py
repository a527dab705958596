"""A gateway's pages with a real issuer behind them, and browsers to open them with.

house = await House.open(aiohttp_server)
page = await house.browser().signs_in(await house.link(account), "bob")     the page after the sign-in

What must not live here: what a page should say.
"""

import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Any, Self

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from bots.answers import Answer, Viewer
from bots.linking import Linking
from bots.web.app import CALLBACK, WebFront
from gateway.approvals.desk import Desk
from gateway.approvals.request import ApprovalRequest, Person
from gateway.demo.codes import CLIENT_ID
from gateway.demo.issuer import DemoIssuer
from gateway.identity.accounts import Account
from gateway.identity.client import WebClient
from gateway.identity.documents import Documents
from gateway.identity.issuers import Issuers
from gateway.policy.model import Issuer as IssuerRule
from gateway.settings import Web
from gateway.store.memory import MemoryStore
from tests.bots.samples import PLAIN
from tests.fakes.clock import Clock
from tests.fakes.stores import ListSpool

Serve = Callable[[web.Application], Awaitable[TestServer]]
KEY, BUTTON_KEY = b"l" * 32, b"b" * 32
CHAT_MAIL = "x@example.com"
BOB_IN_SLACK = Account("slack", "/T1", "U1", "Bob (bob@example.com) in Slack (Example)")
_numbers = itertools.count(1)


@dataclass(slots=True)
class Seen:
    """A page as a browser got it."""

    status: int
    url: URL
    html: str
    headers: dict[str, str]

    @property
    def text(self) -> str:
        return unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", self.html, flags=re.DOTALL)))

    def hidden(self, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]*)"', self.html)
        assert found is not None, self.html
        return unescape(found[1])

    @property
    def goes_to(self) -> str:
        """Where a page sends the browser by itself."""
        found = re.search(r'http-equiv="refresh" content="0;url=([^"]*)"', self.html)
        assert found is not None, self.html
        return unescape(found[1])


@dataclass(slots=True)
class Browser:
    """Cookies of its own; sends what a browser sends with a form of the page that it shows."""

    issuer: DemoIssuer
    session: aiohttp.ClientSession

    async def get(self, url: str | URL, *, follow: bool = True) -> Seen:
        async with self.session.get(URL(str(url), encoded=True), allow_redirects=follow) as response:
            return Seen(response.status, response.url, await response.text(), dict(response.headers))

    async def post(self, url: str | URL, origin: str | None = None, **form: str) -> Seen:
        at = URL(str(url), encoded=True)
        headers = {"Origin": str(at.origin()) if origin is None else origin}
        async with self.session.post(at, data=form, headers=headers, allow_redirects=False) as response:
            return Seen(response.status, response.url, await response.text(), dict(response.headers))

    async def begins(self, url: str) -> Seen:
        """Opens a page and presses its button; the page that sends on to the issuer."""
        assert (await self.get(url)).status == 200
        return await self.post(url)

    async def comes_back(self, begun: Seen, person: str | None) -> str:
        """Signs in at the issuer, or refuses; the address that the issuer sends back to."""
        form = {"action": "approve", "person": person} if person else {"action": "deny"}
        return (await self.post(begun.goes_to, **form)).headers["Location"]

    async def signs_in(self, url: str, person: str) -> Seen:
        """All of it, to the page that is shown then."""
        return await self.get(await self.comes_back(await self.begins(url), person))


@dataclass(slots=True)
class House:
    """The pages over real HTTP, a desk with a memory store and a spool in a list, a loopback issuer, one clock for all."""

    url: str
    issuer: DemoIssuer
    store: MemoryStore
    spool: ListSpool
    desk: Desk
    linking: Linking
    clock: Clock
    closing: list[Callable[[], Awaitable[Any]]] = field(default_factory=list)

    @classmethod
    async def open(cls, serve: Serve, *, public_url: str = "", issuer_url: str = "") -> Self:
        """`issuer_url`: another issuer than the loopback one, which then stands idle."""
        clock = Clock(float(int(time.time())))
        issuer = await DemoIssuer.start(clock=clock)
        store = MemoryStore(clock)
        spool = ListSpool()
        where = ""

        def base() -> str:
            return public_url or where

        desk = Desk(store, spool, clock=clock, link_max_age=3600.0, page=lambda each: f"{base()}/approve/{each}")
        issuers = Issuers([IssuerRule(issuer_url or issuer.url, "hoop")], insecure_loopback=True, clock=clock)
        documents = Documents(insecure_loopback=True)
        client = WebClient(
            Web(CLIENT_ID, issuer.codes.secret), issuers, documents, redirect_uri=lambda: base() + CALLBACK, clock=clock
        )
        keys = {"key": KEY, "fresh": lambda: secrets.token_urlsafe(32), "clock": clock}
        front = WebFront(client, store, desk, button_key=BUTTON_KEY, public_url=base, **keys)  # type: ignore[arg-type]

        def record(kind: str, **fields: Any) -> None:
            spool.record(kind, **fields)
            spool.flush()

        linking = Linking(store, page=lambda secret: f"{base()}/link/{secret}", record=record, **keys)  # type: ignore[arg-type]
        app = web.Application()
        app.add_routes(front.routes())
        where = str((await serve(app)).make_url("")).rstrip("/")
        issuer.codes.redirect_uris.add(base() + CALLBACK)
        closing: list[Callable[[], Awaitable[Any]]] = [documents.close, issuers.close, issuer.close, desk.close]
        return cls(where, issuer, store, spool, desk, linking, clock, closing)

    async def close(self) -> None:
        for each in self.closing:
            await each()

    def browser(self) -> Browser:
        session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.closing.insert(0, session.close)
        return Browser(self.issuer, session)

    async def says(self, text: str, account: Account = BOB_IN_SLACK) -> Answer:
        """What /hoop link answers this account."""
        person = Person("", "", CHAT_MAIL, CHAT_MAIL, frozenset())
        return await self.linking.answer(text, Viewer(person, account.front, account))

    async def link(self, account: Account = BOB_IN_SLACK) -> str:
        way = (await self.says("", account)).way
        assert way is not None
        return way.url

    async def hold(self, **changes: Any) -> ApprovalRequest:
        """A stored request of Ann's that its page approves."""
        now = self.clock()
        base = replace(PLAIN, id=f"01J9Z3K{next(_numbers):03}", opened_at=now, expires_at=now + 500, approve_via="web")
        request = replace(base, **changes)
        await self.desk.open(request)
        return await self.stored(request.id)

    async def stored(self, request_id: str) -> ApprovalRequest:
        found = await self.desk.show(request_id)
        assert found is not None
        return found

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Spooled entries of a kind, in order."""
        return [dict(each.body) for each in self.spool.written if each.kind == kind]
