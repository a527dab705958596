"""Two databases that differ in nothing but their secrets, directly and behind the real gateway, which lets everything run.

Nothing of the gateway is replaced. A third target, `strict`, is the first database under a policy that holds what isn't a read.
"""

import asyncio
import socket
from pathlib import Path
from typing import Any

import psycopg

from bots.workspace.workspace import Workspace
from gateway.demo.run import CHANNEL, Demo, Ports
from gateway.sql.tree import words
from gateway.wire.startup import cancel_request
from tests.corpus.attempts import Attempt, Book, filled
from tests.corpus.line import Heard, Line
from tests.e2e.stack import Stack, Stage

DATABASES = ("shop", "shop_b")
_TARGETS = {"shop": "shop", "shop_b": "shop_b", "strict": "shop"}
_SETTINGS = {"autovacuum": "off", "max_connections": "60"}
_POLICY = """
version: 1
issuers:
  - {{issuer: "{issuer}", audience: hoop}}
targets:
{targets}
reviewers:
  dba: {{groups: [dba], channels: ["slack:{channel}"]}}
rules:
  - {{name: everything goes, effect: allow, groups: [engineering], targets: [shop, shop_b], statements: [read, write, ddl, admin, session, opaque]}}
  - {{name: reads go, effect: allow, groups: [engineering], targets: [strict], statements: [read]}}
  - {{name: the rest waits, effect: hold, groups: [engineering], targets: [strict], statements: [write, ddl, admin, session, opaque],
     reviewers: dba, timeout: 2m}}
masking:
  columns:
{columns}
  detect: [card, api_key, jwt, private_key]
limits: {{catalog_refresh: 1h, open_requests_per_user: 500, open_requests_per_session: 100, cool_down_after: 0}}
"""
_TARGET = """\
  {name}: {{environment: test, host: 127.0.0.1, port: {port}, database: {database}, sslmode: disable, user: hoop,
           password: {{file: "{password_file}"}}}}
"""
_COLUMNS = words("card pin amount blob doc plain tags born seen host ident score small span bits pair cash")
_PROTECTED = (
    *(f"*.public.vault.{each}" for each in sorted(_COLUMNS)),
    "*.public.child_guarded.label",
    "*.public.parts_guarded.label",
    "*.public.made.card",
    "*.public.watched.card",
    "*.public.late.card",
)


class VaultStage(Stage):
    """The demo on another PostgreSQL, with the corpus' two worlds and policy."""

    def __init__(self, binaries: Path, book: Book) -> None:
        Demo.__init__(self, Ports(0, 0), _SETTINGS, binaries=binaries)
        self.workspace = Workspace(name="Example Inc", app_name="Hoop", relaxed=True, answer_seconds=60)
        self._book = book
        self.password = ""

    async def _open_workspace(self) -> None:
        await Demo._open_workspace(self)

    def _write_policy(self, password: str) -> Path:
        self.password = password
        path = Demo._write_policy(self, password)
        self._make_worlds()
        assert self.postgres is not None
        file = path.with_name("shop.password")
        targets = "".join(
            _TARGET.format(name=name, database=database, port=self.postgres.port, password_file=file)
            for name, database in _TARGETS.items()
        )
        columns = "\n".join(f'    - {{column: "{each}", mask: redact}}' for each in _PROTECTED)
        path.write_text(_POLICY.format(issuer=self.issuer.url, targets=targets, columns=columns, channel=CHANNEL))
        return path

    def _make_worlds(self) -> None:
        """The second database is a copy of the first, so that OIDs are the same; then each gets its own secrets."""
        assert self.postgres is not None
        with psycopg.connect(self.postgres.dsn("shop"), autocommit=True) as direct:
            direct.execute("ALTER ROLE hoop SUPERUSER; DROP TABLE order_items, orders, products, customers")
            direct.execute(self._book.world.encode())
        with psycopg.connect(self.postgres.dsn("postgres"), autocommit=True) as direct:
            direct.execute("CREATE DATABASE shop_b TEMPLATE shop")
        for which, database in enumerate(DATABASES):
            with psycopg.connect(self.postgres.dsn(database), autocommit=True) as direct:
                direct.execute(filled(self._book.rows, self._book.secrets, which).encode())


class Vaults(Stack):
    """A running VaultStage, and lines to both databases, directly and through the gateway."""

    def __init__(self, log: Path, binaries: Path, book: Book) -> None:
        super().__init__(log)
        self.binaries = binaries
        self.book = book
        self._lines: dict[tuple[str, bool], Line] = {}

    async def _begin(self) -> Stage:
        stage = VaultStage(self.binaries, self.book)
        await stage.start()
        return stage

    def start(self) -> None:
        self._thread.start()
        self.demo = asyncio.run_coroutine_threadsafe(self._begin(), self.loop).result(60)
        assert self.demo.postgres is not None
        self._direct: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(self.demo.postgres.dsn("shop"))

    def stop(self) -> None:
        for line in self._lines.values():
            line.close()
        super().stop()

    @property
    def directly(self) -> tuple[int, str]:
        """Port and password of the server itself, by the gateway's own login."""
        assert self.demo.postgres is not None
        assert isinstance(self.demo, VaultStage)
        return self.demo.postgres.port, self.demo.password

    def line(self, database: str, *, through: bool) -> Line:
        """A new connection: through the gateway, or directly by the gateway's own login."""
        port, password = (self.port, self.token("ann")) if through else self.directly
        return Line(port, password, database)

    def cancel(self, line: Line) -> None:
        """Ask the gateway to cancel what the line is at."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=15) as other:
            other.sendall(cancel_request(*line.key))
            other.recv(1)  # closed once it is done

    def heard(self, attempt: Attempt, way: str, which: int, *, through: bool) -> Heard:
        """Make the attempt in one way, in one of the databases."""
        database = DATABASES[which]
        line = self._line(database, through, anew=attempt.alone)
        messages = [_filled(each, self.book, which) for sent, _ in attempt.ways[way] for each in sent]
        found = line.ask(*messages, answers=sum(answers for _, answers in attempt.ways[way]))
        if attempt.alone:
            line.close()
        elif found.ended:
            del self._lines[database, through]
        return found

    def _line(self, database: str, through: bool, *, anew: bool) -> Line:
        if anew:
            return self.line(database, through=through)
        if (database, through) not in self._lines:
            self._lines[database, through] = self.line(database, through=through)
        return self._lines[database, through]


def _filled(raw: bytes, book: Book, which: int) -> bytes:
    """The message with the database's own secrets in its text."""
    text = raw[5:].decode("utf-8", "surrogateescape")
    if ":" not in text:
        return raw
    body = filled(text, book.secrets, which).encode("utf-8", "surrogateescape")
    return raw[:1] + (len(body) + 4).to_bytes(4, "big") + body
