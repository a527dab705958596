"""A gateway that allows everything and masks nothing, and the PostgreSQL behind it: two doors to the same database.

What comes through one must be what comes through the other (test_conversations.py, regress.py). Nothing of the gateway is
replaced; only the policy says yes to all, and the role `hoop` is a superuser so that PostgreSQL does, too.
"""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import uvloop

from bots.workspace.workspace import Workspace
from gateway.demo import sample
from gateway.demo.postgres import EmbeddedPostgres
from gateway.demo.run import CHANNEL, Demo, Ports
from tests.e2e.wire import Wire

T = TypeVar("T")
STEP = 20.0

_POLICY = """
version: 1
issuers:
  - {{issuer: "{issuer}", audience: hoop}}
targets:
{targets}
reviewers:
  dba: {{groups: [dba], approvals: 1, channels: ["slack:{channel}"]}}
rules:
  - {{name: everything goes, effect: allow, statements: [read, write, ddl, admin, session, opaque]}}
"""
_TARGET = """\
  {name}: {{environment: test, host: 127.0.0.1, port: {port}, database: {name}, sslmode: disable, user: {login},
           password: {{file: "{password_file}"}}}}
"""
MAKE_OPEN = f"ALTER ROLE {sample.SHOP_USER} SUPERUSER;"


class Open(Demo):
    """The demo under that policy. `targets` are the databases that clients may ask for beside `shop`.

    `login` is the gateway's role on the server: `hoop`, made a superuser, or the server's own superuser.
    """

    def __init__(self, *targets: str, binaries: Path | None = None, login: str = sample.SHOP_USER) -> None:
        super().__init__(Ports(0, 0), binaries=binaries)
        self.workspace = Workspace(name="Example Inc", app_name="Hoop", relaxed=True)
        self._targets = (sample.SHOP, *targets)
        self._login = login
        self.password = ""

    @property
    def port(self) -> int:
        return self.gateway.ports.wire

    @property
    def target(self) -> EmbeddedPostgres:
        assert self.postgres is not None
        return self.postgres

    async def _open_workspace(self) -> None:
        await self.target.psql(MAKE_OPEN)
        await super()._open_workspace()

    def _write_policy(self, password: str) -> Path:
        self.password = self.target.password if self._login == self.target.superuser else password
        path = super()._write_policy(self.password)
        file = path.with_name("shop.password")
        targets = "".join(
            _TARGET.format(name=name, port=self.target.port, password_file=file, login=self._login)
            for name in self._targets
        )
        path.write_text(_POLICY.format(issuer=self.issuer.url, targets=targets, channel=CHANNEL), "utf-8")
        return path


class Doors:
    """A running Open, in a thread with a loop of its own as long as a test run; tests come and go on other loops."""

    def __init__(self, tables: str) -> None:
        self._tables = tables
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="doors", daemon=True)
        self.open: Open
        self.token = ""
        self._own: psycopg.Connection[tuple[Any, ...]]

    def start(self) -> None:
        self._thread.start()
        self.open = self._on(self._begin())
        self.token = self.open.token("ann")
        self._own = psycopg.connect(self.open.target.dsn(sample.SHOP), autocommit=True)
        self._own.execute(self._tables.encode())

    @staticmethod
    async def _begin() -> Open:
        opened = Open()
        await opened.start()
        return opened

    def _on(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STEP)

    def stop(self) -> None:
        self._own.close()
        self._on(self.open.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STEP)
        self._loop.close()

    async def direct(self) -> Wire:
        """Connect to PostgreSQL, as the gateway's own login."""
        return await Wire.connect(self.open.target.port, self.open.password)

    async def gateway(self) -> Wire:
        """Connect through the gateway."""
        return await Wire.connect(self.open.port, self.token)

    def do(self, text: str) -> None:
        """Let another session do this, directly."""
        self._own.execute(text.encode())
