"""Asks PostgreSQL itself whether what was taken for a read is one: it runs in a read-only session on a database of victims.

25006 says that a statement which nobody would have been asked about writes. What such a session doesn't refuse
(enforcement.md 1.1) shows in the world, which must be after each case what it was before.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from psycopg import pq

from gateway.demo.postgres import EmbeddedPostgres
from gateway.policy.model import load
from gateway.relay.side import load_catalog
from gateway.sql.catalog import Catalog
from gateway.sql.statement import Script, StatementClass
from tests.corpus import book, ground
from tests.fuzz import texts
from tests.fuzz.classifier import classify
from tests.playbook import POLICY

PER_CASE = 100
_SESSION = (
    "-c default_transaction_read_only=on -c statement_timeout=300ms -c lock_timeout=100ms -c client_min_messages=error"
    " -c application_name=fuzz -c work_mem=1MB -c max_parallel_workers_per_gather=0 -c temp_file_limit=100MB"
)
#: What texts.call takes: a name and its types, separated by blanks.
_FUNCTIONS = """SELECT proname || ' ' || coalesce((SELECT string_agg(t.typname, ' ' ORDER BY a.at)
    FROM unnest(proargtypes) WITH ORDINALITY AS a (oid, at) JOIN pg_type t ON t.oid = a.oid), '')
    FROM pg_proc WHERE proname !~ ' ' ORDER BY pg_proc.oid"""
_READ = frozenset({StatementClass.READ})


@dataclass(slots=True)
class Server:
    """A PostgreSQL 18 with the corpus' world, a session that may only read, and a witness of the world."""

    postgres: EmbeddedPostgres
    catalog: Catalog
    session: psycopg.Connection[Any]
    witness: psycopg.Connection[Any]
    before: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, postgres: EmbeddedPostgres) -> "Server":
        """Make the world there and look at it."""
        with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as made:
            made.execute("CREATE DATABASE shop")
        with psycopg.connect(postgres.dsn("shop"), autocommit=True) as made:
            made.execute("CREATE ROLE clerk LOGIN")
            world = book.load(Path(book.__file__).with_name("bypass.yaml")).world
            made.execute(world.encode())
        target = load(POLICY).targets["shop"]
        reached = replace(target, host=postgres.host, port=postgres.port, user=postgres.superuser)
        catalog = asyncio.run(load_catalog(reached, postgres.password))
        witness = psycopg.connect(
            postgres.dsn("shop"), autocommit=True, options="-c search_path=pg_catalog -c application_name=witness"
        )
        witness.execute("LISTEN leak")
        server = cls(postgres, catalog, _session(postgres), witness)
        server.before = server.world()
        return server

    def world(self) -> dict[str, Any]:
        """What must not change, as the corpus has it."""
        tables = [name for (name,) in self.witness.execute(ground._TABLES)]
        rows = " UNION ALL ".join(
            f"SELECT '{each}', sum(hashtext(row_to_json(t)::text)::int8), count(*) FROM ONLY {each} t"
            for each in tables
        )
        contents = self.witness.execute(rows.encode()).fetchall()
        found = self.witness.execute(ground._ASKED.encode())
        assert found.description is not None
        (row,) = found.fetchall()
        return dict(zip((each.name for each in found.description), row, strict=True)) | {"rows": contents}

    def changed(self) -> dict[str, tuple[Any, Any]]:
        now, before = self.world(), self.before
        self.before = now
        return {name: (before[name], now[name]) for name in now if now[name] != before[name]}

    def run(self, text: str) -> str:
        """Run it as a query string; the SQLSTATE of its error, or ""."""
        if self.session.closed or self.session.pgconn.status != pq.ConnStatus.OK:
            self.session = _session(self.postgres)
        result = self.session.pgconn.exec_(text.encode())
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        if self.session.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            self.session.close()
        return state.decode() if state else ""


@contextmanager
def case(directory: Path | None) -> Iterator[Callable[[Random], int]]:
    """Cases over the texts in this directory too, on a server of their own."""
    with tempfile.TemporaryDirectory(prefix="hoop-fuzz-") as base:
        Path(base).chmod(0o711)  # as root the server runs as another uid
        postgres = asyncio.run(EmbeddedPostgres.start(Path(base), settings=ground._SETTINGS))
        try:
            server = Server.of(postgres)
            functions = tuple(name for (name,) in server.witness.execute(_FUNCTIONS))
            texts.known(directory)
            yield lambda random: _case(random, directory, server, functions)
        finally:
            asyncio.run(postgres.stop())


def _case(random: Random, directory: Path | None, server: Server, functions: tuple[str, ...]) -> int:
    ran: list[str] = []
    for text in islice(texts.some(random, directory, functions), 40 * PER_CASE):
        script = classify(text, server.catalog)
        if script is None or not _reads(script):
            continue
        ran.append(text)
        state = server.run(text)
        assert state != "25006", f"taken for a read, and it writes: {text!r}"
        if len(ran) == PER_CASE:
            break
    changed = server.changed()
    if changed:
        raise AssertionError(f"{changed} by one of:\n" + "\n".join(map(repr, ran)))
    return len(ran)


def _reads(script: Script) -> bool:
    """Would a session run it unasked where reads are all that is allowed? COPY waits for its data to be taken: left out."""
    return (
        bool(script.statements)
        and script.unparsable is None
        and not script.too_big
        and all(each.classes == _READ and each.copies is None and each.names is None for each in script.statements)
    )


def _session(postgres: EmbeddedPostgres) -> psycopg.Connection[Any]:
    return psycopg.connect(postgres.dsn("shop"), autocommit=True, options=_SESSION)
