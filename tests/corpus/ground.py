"""The ground of the corpus: one PostgreSQL behind the real gateway, and what must never change on it.

Nobody approves anything here: what is held is cancelled. So the world (tables, catalogs, roles, large objects, sequences,
locks, files) must be after each case what it was before: any change is a destructive statement that ran unheld.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bots.workspace.workspace import Workspace
from gateway.demo.run import CHANNEL, Demo, Ports
from gateway.wire.backend import data_row, fields
from gateway.wire.frontend import message, query
from gateway.wire.startup import cancel_request
from tests.corpus.book import Case, Step
from tests.e2e.stack import Stack, Stage
from tests.e2e.wire import Closed, Wire

_SETTINGS = {"max_prepared_transactions": "10", "autovacuum": "off", "wal_level": "logical", "max_connections": "60"}

_POLICY = """
version: 1
issuers:
  - {{issuer: "{issuer}", audience: hoop}}
targets:
  shop: {{environment: production, host: 127.0.0.1, port: {port}, database: shop, sslmode: disable, user: hoop,
         password: {{file: "{password_file}"}}}}
  clerk: {{environment: production, host: 127.0.0.1, port: {port}, database: shop, sslmode: disable, user: clerk,
         password: {{file: "{password_file}"}}}}
reviewers:
  opaque: {{groups: [dba], channels: ["slack:{channel}"]}}
  session: {{groups: [dba], channels: ["slack:{channel}"]}}
  admin: {{groups: [dba], channels: ["slack:{channel}"]}}
  ddl: {{groups: [dba], channels: ["slack:{channel}"]}}
  write: {{groups: [dba], channels: ["slack:{channel}"]}}
rules:
  - {{name: reads go, effect: allow, groups: [engineering], statements: [read]}}
  - {{name: staging is free, effect: allow, groups: [engineering], statements: [write], tables: [staging.*]}}
  - {{name: nobody sees the vault, effect: deny, groups: [engineering], tables: [vault.*]}}
  - {{name: opaque, effect: hold, groups: [engineering], statements: [opaque], reviewers: opaque, timeout: 2m}}
  - {{name: session, effect: hold, groups: [engineering], statements: [session], reviewers: session, timeout: 2m}}
  - {{name: admin, effect: hold, groups: [engineering], statements: [admin], reviewers: admin, timeout: 2m}}
  - {{name: ddl, effect: hold, groups: [engineering], statements: [ddl], reviewers: ddl, timeout: 2m}}
  - {{name: write, effect: hold, groups: [engineering], statements: [write], unless: {{tables: [staging.*]}}, reviewers: write, timeout: 2m}}
limits: {{open_requests_per_session: 50, open_requests_per_user: 1000, catalog_refresh: 1h, cool_down_after: 0}}
"""

#: Roles that own what cases make, so that it can be taken away again in one statement.
_ROLES = """
ALTER ROLE hoop SUPERUSER;
CREATE ROLE clerk LOGIN PASSWORD '{password}';
CREATE ROLE fixture SUPERUSER;
CREATE ROLE other NOLOGIN;
GRANT ALL ON DATABASE shop TO clerk;
DROP TABLE order_items, orders, products, customers;
"""

#: Names of what is compared -> how it is asked. Temporary relations are the session's own and left out.
_WORLD: Mapping[str, str] = {
    "relations": """SELECT sum(hashtext(concat(c.oid, relname, relkind, relfilenode, relowner, relrowsecurity,
        relforcerowsecurity, relispartition, reloptions, array_to_string(relacl, ',')))::int8) FROM pg_class c
        WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp')
        AND relname !~ '^pg_statistic' AND relnamespace <> 'staging'::regnamespace""",
    "columns": """SELECT sum(hashtext(concat(attrelid, attname, atttypid, attnotnull, attisdropped, attstattarget, attoptions,
        array_to_string(attacl, ',')))::int8) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp')""",
    "functions": "SELECT sum(hashtext(concat(oid, xmin, proname, prosrc))::int8) FROM pg_proc",
    "types": """SELECT sum(hashtext(concat(oid, typname, typowner))::int8) FROM pg_type
        WHERE typnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp')""",
    "schemas": """SELECT sum(hashtext(concat(oid, nspname, nspowner, array_to_string(nspacl, ',')))::int8) FROM pg_namespace
        WHERE nspname !~ '^pg_(toast_)?temp'""",
    "constraints": """SELECT sum(hashtext(concat(oid, conname, convalidated))::int8) FROM pg_constraint
        WHERE connamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp')""",
    "triggers": "SELECT sum(hashtext(concat(oid, xmin))::int8) FROM pg_trigger",
    "rules": """SELECT sum(hashtext(concat(r.oid, ev_enabled))::int8) FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class
        WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp')""",
    "roles": "SELECT sum(hashtext(a::text)::int8) FROM pg_authid a",
    "statistics": "SELECT count(*) FROM pg_statistic",
    "large objects": "SELECT md5(string_agg(md5(data) || loid || pageno, '' ORDER BY loid, pageno)) FROM pg_largeobject",
    "sequences": "SELECT array_agg(s.sequencename || coalesce(s.last_value, 0) ORDER BY 1) FROM pg_sequences s",
    "prepared": "SELECT array_agg(gid) FROM pg_prepared_xacts",
    "locks": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
    "slots": "SELECT array_agg(slot_name) FROM pg_replication_slots",
    "file": "SELECT (pg_stat_file('corpus_leak', true)).size",
    "configuration": "SELECT pg_read_file('postgresql.auto.conf')",
    "witnesses": "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'witness'",
    **{
        each: f"SELECT sum(hashtext(concat(oid, xmin))::int8) FROM {each}"
        for each in [
            "pg_operator",
            "pg_cast",
            "pg_extension",
            "pg_publication",
            "pg_foreign_server",
            "pg_user_mapping",
            "pg_event_trigger",
            "pg_default_acl",
            "pg_policy",
            "pg_collation",
            "pg_largeobject_metadata",
            "pg_statistic_ext",
            "pg_database",
            "pg_language",
            "pg_ts_config",
        ]
    },
    **{
        each: f"SELECT sum(hashtext(e::text)::int8) FROM {each} e"
        for each in ["pg_auth_members", "pg_db_role_setting", "pg_shdescription", "pg_seclabel"]
    },
    "comments": "SELECT count(*) FROM pg_description",
    "enums": "SELECT count(*) FROM pg_enum",
    "inheritance": "SELECT sum(hashtext(concat(inhrelid, inhparent))::int8) FROM pg_inherits",
}
_TABLES = """SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND n.nspname !~ '^(pg_|information_schema|staging)' ORDER BY 1"""
_ASKED = "SELECT " + ", ".join(f'({sql})::text AS "{name}"' for name, sql in _WORLD.items())
_HELD = re.compile(r"held for approval: .*, reviewers (\w+),")


class CorpusStage(Stage):
    """The demo on another PostgreSQL, with the corpus' world and policy."""

    def __init__(self, binaries: Path | None, world: str) -> None:
        Demo.__init__(self, Ports(0, 0), _SETTINGS, binaries=binaries)
        self.workspace = Workspace(name="Example Inc", app_name="Hoop", relaxed=True, answer_seconds=60)
        self._world = world

    async def _open_workspace(self) -> None:
        await Demo._open_workspace(self)

    def _write_policy(self, password: str) -> Path:
        path = Demo._write_policy(self, password)
        assert self.postgres is not None
        file = path.with_name("shop.password")
        with psycopg.connect(self.postgres.dsn("shop"), autocommit=True) as direct:
            direct.execute(_ROLES.format(password=password).encode())
            direct.execute(self._world.encode())
        text = _POLICY.format(issuer=self.issuer.url, port=self.postgres.port, password_file=file, channel=CHANNEL)
        path.write_text(text, "utf-8")
        return path


@dataclass(slots=True)
class Heard:
    """What one step gave: the verdict as the operator sees it, the rows as text, the answers in short."""

    verdict: str = "allow"
    rows: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    said: str = ""


class Ground(Stack):
    """A running stage, its witness, and the way to hold a conversation on it."""

    def __init__(self, log: Path, binaries: Path, world: str) -> None:
        super().__init__(log, binaries)
        self._world = world
        self._stale = False
        self._before: dict[str, Any] = {}
        self._witness: psycopg.Connection[tuple[Any, ...]]
        self.unheld: list[str] = []
        self.reads_held: list[str] = []
        self.cases = self.reads = 0

    async def _begin(self) -> Stage:
        stage = CorpusStage(self._binaries, self._world)
        await stage.start()
        return stage

    def start(self) -> None:
        super().start()
        assert self.demo.postgres is not None
        options = "-c lock_timeout=5s -c search_path=pg_catalog -c application_name=witness"
        self._witness = psycopg.connect(self.demo.postgres.dsn("shop"), autocommit=True, options=options)
        self._witness.execute("LISTEN leak")
        self._before = self.world()

    def stop(self) -> None:
        self._witness.close()
        super().stop()

    def world(self) -> dict[str, Any]:
        """What must not change, by name."""
        tables = [name for (name,) in self._witness.execute(_TABLES)]
        rows = " UNION ALL ".join(
            f"SELECT '{each}', sum(hashtext(row_to_json(t)::text)::int8), count(*) FROM ONLY {each} t"
            for each in tables
        )
        contents = self._witness.execute(rows.encode()).fetchall()
        found = self._witness.execute(_ASKED.encode())
        assert found.description is not None
        (row,) = found.fetchall()
        seen = dict(zip((each.name for each in found.description), row, strict=True))
        return seen | {"rows": contents, "notified": [each.payload for each in self._witness.notifies(timeout=0)]}

    def changed(self) -> dict[str, tuple[Any, Any]]:
        """What is not as it was: name -> (before, after). What is now counts as before from here on."""
        now, before = self.world(), self._before
        self._before = now
        return {name: (before[name], now[name]) for name in now if now[name] != before[name]}

    async def prepare(self, case: Case) -> None:
        """Run the case's setup and let the gateway know what names mean now."""
        if case.setup:
            self.do(
                "SET SESSION AUTHORIZATION fixture; " + case.setup + "; RESET SESSION AUTHORIZATION; RESET search_path"
            )
            self._before = self.world()
            assert self.ask("SELECT count(*) FROM public.victims") == [(3,)], "the setup itself did what it must not"
        if case.setup or self._stale:
            await self._reload()
            self._stale = bool(case.setup)

    async def _reload(self) -> None:
        server = self.demo.gateway.server
        for target in server.policy.targets.values():
            await self.on(server._catalogs.reload(target))

    def tidy(self, case: Case) -> None:
        """Take away what the setup made."""
        if case.setup:
            self.do("ROLLBACK; RESET SESSION AUTHORIZATION; DROP OWNED BY fixture CASCADE")
            self._before = self.world()

    async def connect(self, case: Case) -> tuple[Wire, Heard]:
        """Log in as the case says; Heard is of the login."""
        wire = await Wire.open(self.port)
        if case.opening:
            wire.send(case.opening)
            try:
                answer = (await wire.rest()).lstrip(b"N")
            except ConnectionResetError:  # closed with bytes of ours unread
                answer = b""
            code = fields(answer[5:])["C"] if answer[:1] == b"E" else "closed"
            return wire, Heard(code, lines=["closed"])
        more = {"user": "hoop", "database": case.target, **dict(case.startup)}
        lines = await wire.log_in(self.token("ann"), more)
        heard = Heard(lines=lines)
        if lines[-1] != "ZI":
            heard.verdict = wire.errors[-1]["C"] if wire.errors else "closed"
        return wire, heard

    async def say(self, wire: Wire, step: Step) -> Heard:
        """Send the step and read its answers. A hold is noted and then cancelled, as often as one comes."""
        heard, left, errors, held = Heard(), step.answers, len(wire.errors), list[str]()
        wire.send(*step.messages)
        while left:
            try:
                kind, body = await wire.message()
            except Closed:
                heard.lines.append("closed")
                break
            if kind == "N" and (found := _HELD.match(wire.notices[-1])):
                held.append(found[1])
                await self._cancel(wire)
            elif kind == "D":
                heard.rows.append("|".join("" if each is None else each.decode() for each in data_row(body)))
            elif kind == "G":
                wire.send(message(b"f", b"the corpus never sends data\0"))
            left -= kind == "Z"
            heard.lines += [wire._line(kind, body)] if kind not in "SND" else []
        told = wire.errors[errors:]
        heard.said = "; ".join(each["M"] for each in told)
        heard.verdict = _verdict(held, told, heard.lines)
        return heard

    async def _cancel(self, wire: Wire) -> None:
        other = await Wire.open(self.port)
        other.send(cancel_request(*wire.key))
        await other.rest()
        await other.close()

    async def settle(self, wire: Wire, lines: list[str]) -> None:
        """Commit what is open, so that what ran unheld shows, and hang up."""
        if lines and lines[-1] == "ZT":
            wire.send(query("COMMIT"))
            async with asyncio.timeout(8):
                await wire.lines()
        await wire.close()


def _verdict(held: list[str], errors: list[dict[str, str]], lines: list[str]) -> str:
    if held:
        return " and ".join(dict.fromkeys(held))
    if errors:
        refused = errors[0]["C"] == "42501" and errors[0]["M"].startswith("refused by policy")
        return "deny" if refused else errors[0]["C"]
    return "closed" if "closed" in lines else "allow"
