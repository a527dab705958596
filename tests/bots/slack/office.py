"""A workspace with people, a desk with a memory store and a real spool, and our Slack front between them.

office = await Office.open(tmp_path, aiohttp_server)
request = await office.hold()                  # stored, and its card posted to the channel
await office.click(office.bob, "Approve")
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer
from slack_sdk.web.async_client import AsyncWebClient

from bots.commands import Commands
from bots.home import Home
from bots.revoking import Revoking
from bots.slack.app import SlackFront
from bots.slack.sender import SlackSender, open_client
from bots.workspace import Workspace
from bots.workspace.state import Channel, Message, Person
from gateway.approvals.desk import Desk
from gateway.approvals.request import ApprovalRequest
from gateway.approvals.request import Person as Asker
from gateway.audit.entry import Entry, Value
from gateway.audit.spool import Spool
from gateway.store.memory import MemoryStore
from tests.bots.samples import ANN, BOB, CAROL, EVE, PLAIN
from tests.fakes.stores import unshipped

Serve = Callable[[web.Application], Awaitable[TestServer]]
BUTTON_KEY = b"b" * 32
CURSOR_KEY = b"c" * 32


async def proof() -> str:
    return "log intact through #12, head 7c1e0000"


def _recording(spool: Spool) -> Callable[..., Entry]:
    def record(kind: str, **fields: Value) -> Entry:
        entry = spool.record(kind, **fields)
        spool.flush()
        return entry

    return record


@dataclass(slots=True)
class Office:
    workspace: Workspace
    store: MemoryStore
    spool: Spool
    desk: Desk
    client: AsyncWebClient
    sender: SlackSender
    commands: Commands
    front: SlackFront
    channel: Channel
    ann: Person
    bob: Person
    carol: Person
    eve: Person
    refs: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def open(cls, spool_at: Path, serve: Serve, *, socket: bool = False, answer_seconds: float = 3.0) -> Self:
        workspace = Workspace(relaxed=True, answer_seconds=answer_seconds)
        people = [workspace.add_person(each.user.split("@")[0].title(), each.user) for each in (ANN, BOB, CAROL, EVE)]
        channel = workspace.add_channel("db-approvals", people)
        await workspace.start()
        store = MemoryStore(time.time)
        for each in (ANN, BOB, CAROL, EVE):
            await store.saw(each, time.time())
        spool = Spool.open(spool_at, "gate-1", b"k" * 32, time.time)
        desk = Desk(store, spool, clock=time.time, link_max_age=3600.0)
        client = open_client(workspace.bot_token, workspace.api_url)
        commands = cls._commands(desk, store, spool)
        front = SlackFront(
            client,
            workspace.signing_secret,
            desk,
            commands,
            button_key=BUTTON_KEY,
            clock=time.time,
            app_token=workspace.app_token if socket else None,
            home=Home(desk, record=_recording(spool), clock=time.time),
        )
        app = web.Application()
        app.add_routes(front.routes())
        server = await serve(app)
        if not socket:
            workspace.events_url = str(server.make_url("/slack/events"))
        await front.start()
        sender = SlackSender(client, BUTTON_KEY, time.time)
        ann, bob, carol, eve = people
        return cls(workspace, store, spool, desk, client, sender, commands, front, channel, ann, bob, carol, eve)

    @staticmethod
    def _commands(desk: Desk, store: MemoryStore, spool: Spool) -> Commands:
        def auditor(who: Asker) -> bool:
            return "dba" in who.groups

        async def sessions() -> list[Mapping[str, Value]]:
            return await store.sessions(60.0)

        record = _recording(spool)
        revoking = Revoking(desk, sessions, store.end_session, record=record, auditor=auditor, clock=time.time)
        return Commands(
            desk,
            store.audit,
            record=record,
            proof=proof,
            auditor=auditor,
            cursor_key=CURSOR_KEY,
            clock=time.time,
            more=revoking.verbs(),
        )

    async def close(self) -> None:
        await self.front.stop()
        await self.desk.close()
        await self.workspace.stop()
        if self.client.session is not None:
            await self.client.session.close()
        self.spool.close()

    async def hold(self, request_id: str = "01J9Z3K7Q8", **changes: Any) -> ApprovalRequest:
        """Open a request of Ann's and post its card."""
        now = time.time()
        base = replace(PLAIN, id=request_id, opened_at=now, expires_at=now + 600, channels=())
        request = replace(base, **changes)
        await self.desk.open(request)
        self.refs[request.id] = await self.sender.post(f"slack:{self.channel.id}", request)
        return request

    async def redraw(self, request_id: str) -> None:
        self.refs[request_id] = await self.sender.update(
            self.channel.id, self.refs[request_id], await self.stored(request_id)
        )

    async def stored(self, request_id: str = "01J9Z3K7Q8") -> ApprovalRequest:
        found = await self.desk.show(request_id)
        assert found is not None
        return found

    async def ship(self) -> None:
        """Copy the spool's entries to the store."""
        await self.store.append(unshipped(self.spool))

    @property
    def card(self) -> Message:
        return self.workspace.messages(self.channel)[-1]

    async def click(self, who: Person, action: str, value: str | None = None) -> str:
        """Click a button of the newest card; returns what the person was told ("" for nothing)."""
        before = len(self.workspace.ephemerals(who))
        status = await self.workspace.click(who, self.channel, self.card.ts, action, value)
        assert status == 200
        await self.front.settle()
        told = self.workspace.ephemerals(who)[before:]
        assert len(told) <= 1
        return told[0].text if told else ""
