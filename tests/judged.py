"""A judge of its own, without a session: what its tests ask it, and what a client would see."""

from gateway.policy.model import load
from gateway.session.grounds import Grounds, Login
from gateway.session.judging import Judge
from gateway.sql.statement import Statement
from gateway.wire.backend import Column
from tests.playbook import ANN, POLICY, catalog, row

MASKED = (
    POLICY
    + """
masking:
  columns:
    - {column: "shop.public.customers.card_number", mask: redact}
"""
)
CUSTOMERS, ELSEWHERE = 16400, 99999
NAME, CARD = 2, 3
CUSTOMERS_CARD = "public.customers.card_number"
CLEAR, REDACTED = row(b"x"), row(b"[redacted]")
#: Code goes, sessions' settings are held.
LOOSE = MASKED.replace("statements: [read]", "statements: [read, opaque]").replace(
    "ddl, session, opaque", "ddl, session"
)


def masking_judge() -> Judge:
    """Under MASKED, for Ann."""
    policy = load(MASKED)
    login = Login("s", "r", ANN, policy.targets["shop"], "psql", "127.0.0.1", b"m" * 32, b"d" * 32)
    return Judge(Grounds(login, policy, catalog()))


def statement(judge: Judge, sql: str) -> Statement:
    """The first statement of a text, read."""
    script = judge.reader.read(sql)
    assert script is not None
    return script.statements[0]


def column(name: str, table: int = 0, attnum: int = 0) -> Column:
    """A text column, of this origin."""
    return Column(name, table, attnum, 25, -1, -1, 0)


def shown(judge: Judge, sql: str, *described: Column) -> bytes:
    """A row of x for each column, as the client sees it."""
    masker = judge.hiding.masker(statement(judge, sql), described, ())
    raw = row(*(b"x" for _ in described))
    return masker.rows(raw) if masker else raw
