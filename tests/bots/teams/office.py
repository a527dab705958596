"""A Teams with people, a desk with a memory store and a real spool, and our Teams front between them, over real HTTP.

office = await Office.open(tmp_path, aiohttp_server)
message = await office.hold()                    # stored, and its card posted to the channel
await office.teams.click(office.bob, message, "Review")
"""

import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

from bots.commands import Commands
from bots.teams.app import PATH, TeamsFront, open_teams
from bots.teams.edge import Edge
from bots.teams.sender import TeamsSender
from bots.teams.tokens import Tokens
from bots.teams.transport import Transport
from gateway.approvals.desk import Desk
from gateway.approvals.request import ApprovalRequest
from gateway.audit.entry import Entry, Value
from gateway.audit.spool import Spool
from gateway.identity.documents import Documents
from gateway.settings import Teams as TeamsSettings
from gateway.store.memory import MemoryStore
from tests.bots.samples import ANN, BOB, CAROL, EVE, PLAIN
from tests.fakes.teams import APP_ID, PASSWORD, TENANT, Channel, Message, Teams, User

Serve = Callable[[web.Application], Awaitable[TestServer]]
BUTTON_KEY = b"b" * 32


async def proof() -> str:
    return "log intact through #12, head 7c1e0000"


@contextmanager
def trusting(certificate: Path) -> Iterator[None]:
    """requests, which msal uses, takes what it trusts from the environment."""
    before = os.environ.get("REQUESTS_CA_BUNDLE")
    os.environ["REQUESTS_CA_BUNDLE"] = str(certificate)
    try:
        yield
    finally:
        if before is None:
            del os.environ["REQUESTS_CA_BUNDLE"]
        else:
            os.environ["REQUESTS_CA_BUNDLE"] = before


@dataclass(slots=True)
class Parts:
    """The front's own parts, wired to a Teams of the tests."""

    documents: Documents
    edge: Edge
    tokens: Tokens
    transport: Transport

    @classmethod
    def of(cls, teams: Teams, clock: Callable[[], float] = time.time) -> Self:
        documents = Documents(insecure_loopback=True)
        edge = Edge(APP_ID, TENANT, documents, clock, teams.microsoft.metadata_url)

        async def scope() -> str:
            return f"{await edge.issuer()}/.default"

        tokens = Tokens(APP_ID, PASSWORD, TENANT, scope, clock, teams.microsoft.login_url)
        return cls(documents, edge, tokens, Transport(APP_ID, TENANT, tokens))

    async def close(self) -> None:
        await self.transport.close()
        await self.tokens.close()
        await self.edge.close()


@dataclass(slots=True)
class Office:
    teams: Teams
    store: MemoryStore
    spool: Spool
    desk: Desk
    sender: TeamsSender
    front: TeamsFront
    channel: Channel
    ann: User
    bob: User
    carol: User
    eve: User
    refs: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def open(cls, folder: Path, serve: Serve) -> Self:
        teams = await Teams.open(folder)
        people = [teams.person(each.user.split("@")[0].title(), each.user) for each in (ANN, BOB, CAROL, EVE)]
        channel = teams.channel(people)
        store = MemoryStore(time.time)
        for each in (ANN, BOB, CAROL, EVE):
            await store.saw(each, time.time())
        spool = Spool.open(folder / "spool", "gate-1", b"k" * 32, time.time)
        desk = Desk(store, spool, clock=time.time, link_max_age=3600.0)
        settings = TeamsSettings(APP_ID, PASSWORD, TENANT, teams.microsoft.metadata_url, teams.microsoft.login_url)
        front, sender = open_teams(
            settings,
            store,
            desk,
            cls._commands(desk, store, spool),
            button_key=BUTTON_KEY,
            insecure_loopback=True,
            clock=time.time,
        )
        app = web.Application()
        app.add_routes(front.routes())
        teams.bot_url = str((await serve(app)).make_url(PATH))
        await front.start()
        await teams.install(channel)
        ann, bob, carol, eve = people
        return cls(teams, store, spool, desk, sender, front, channel, ann, bob, carol, eve)

    @staticmethod
    def _commands(desk: Desk, store: MemoryStore, spool: Spool) -> Commands:
        def record(kind: str, **fields: Value) -> Entry:
            entry = spool.record(kind, **fields)
            spool.flush()
            return entry

        return Commands(
            desk,
            store.audit,
            record=record,
            proof=proof,
            auditor=lambda who: "dba" in who.groups,
            cursor_key=b"c" * 32,
            clock=time.time,
        )

    async def close(self) -> None:
        await self.front.stop()
        await self.desk.close()
        await self.teams.close()
        self.spool.close()

    async def hold(self, request_id: str = "01J9Z3K7Q8", **changes: Any) -> Message:
        """Open a request of Ann's and post its card."""
        now = time.time()
        base = replace(PLAIN, id=request_id, opened_at=now, expires_at=now + 600, channels=())
        request = replace(base, **changes)
        await self.desk.open(request)
        self.refs[request.id] = await self.sender.post(self.channel.id, request)
        return self.teams.messages[-1]

    async def redraw(self, request_id: str = "01J9Z3K7Q8") -> None:
        self.refs[request_id] = await self.sender.update(
            self.channel.id, self.refs[request_id], await self.stored(request_id)
        )

    async def stored(self, request_id: str = "01J9Z3K7Q8") -> ApprovalRequest:
        found = await self.desk.show(request_id)
        assert found is not None
        return found

    async def told(self, user: User, text: str, channel: Channel | None = None) -> Message:
        """Write to the bot; its newest message to the user."""
        assert await self.teams.say(user, text, channel) == 200
        await self.front.settle()
        return self.teams.in_channel(self.teams.chat(user))[-1]
