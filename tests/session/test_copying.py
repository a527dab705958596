"""COPY TO STDOUT through a session: bodies are masked in all three formats, as the options say, and counted in the audit."""

import pytest

from gateway.errors import TargetUnavailable
from gateway.masking.copy import CopyOptions
from gateway.session.copying import columns_of, formats_of, options_of
from gateway.sql.catalog import Relation
from gateway.sql.parse import read
from gateway.sql.statement import Statement
from gateway.wire.frontend import SYNC, bind, execute, message, parse, query
from tests.playbook import BOUND, PARSED, POLICY, Playbook, columns, complete, error, ready, row, split

MASKED = (
    POLICY
    + """
masking:
  columns:
    - {column: "shop.public.customers.card_number", mask: redact}
  detect: [card]
"""
)
CARD = b"4111111111111111"


def copy_out(*codes: int) -> bytes:
    """CopyOutResponse."""
    body = bytes((max(codes, default=0),)) + len(codes).to_bytes(2, "big")
    return message(b"H", body + b"".join(code.to_bytes(2, "big") for code in codes))


def data(body: bytes) -> bytes:
    return message(b"d", body)


DONE = message(b"c", b"")


def copied(play: Playbook, sql: str, codes: tuple[int, ...], *bodies: bytes) -> bytes:
    """Run a COPY over the simple protocol; the bytes of its CopyData."""
    play.client(query(sql))
    shown = b""
    for each in (copy_out(*codes), *map(data, bodies), DONE + complete("COPY 1") + ready()):
        play.target(each)
        shown += b"".join(body for kind, body in split(play.to_client()) if kind == "d")
    return shown


def tuples(*rows: tuple[bytes, ...]) -> bytes:
    """A binary COPY."""
    body = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for values in rows:
        body += len(values).to_bytes(2, "big") + b"".join(len(v).to_bytes(4, "big") + v for v in values)
    return body + b"\xff\xff"


@pytest.mark.parametrize(
    ("sql", "width", "body", "shown"),
    [
        ("COPY customers TO STDOUT", 3, b"1\tAnn\tx1\n", b"1\tAnn\t[redacted]\n"),
        ("COPY customers (card_number, id) TO STDOUT", 2, b"x1\t1\n", b"[redacted]\t1\n"),
        ("COPY customers (id, name) TO STDOUT", 2, b"1\tAnn\n", b"1\tAnn\n"),
        ("COPY customers (id, card_number) TO STDOUT CSV HEADER", 2, b"id,card_number\n1,x\n", b'id,card_number\n1,"[redacted]"\n'),
        ("COPY (SELECT upper(card_number), 1 FROM customers) TO STDOUT (DELIMITER '|')", 2, b"X1|1\n", b"[redacted]|1\n"),
        ("COPY (SELECT card_number FROM customers) TO STDOUT (FORMAT csv, QUOTE '1')", 1, b"1x,y11z1\n", b"1[redacted]1\n"),
        ("COPY (SELECT name, card_number FROM customers) TO STDOUT (NULL 'none')", 2, b"none\tnone\n", b"none\t[redacted]\n"),
        ("COPY (SELECT count(card_number), 2 FROM customers) TO STDOUT", 2, b"5\t2\n", b"5\t2\n"),
        ("COPY nowhere TO STDOUT", 2, b"1\tx\n", b"[redacted]\t[redacted]\n"),
    ],
)  # fmt: skip
def test_text_and_csv(sql: str, width: int, body: bytes, shown: bytes) -> None:
    assert copied(Playbook(MASKED), sql, (0,) * width, body) == shown


def test_detectors_look_at_the_other_columns() -> None:
    shown = copied(Playbook(MASKED), "COPY customers (id, name) TO STDOUT", (0, 0), b"1\t" + CARD + b"\n2\tAnn\n")
    assert CARD not in shown
    assert shown.startswith(b"1\t")
    assert shown.endswith(b"\n2\tAnn\n")


def test_bodies_that_come_together() -> None:
    """A clean one, one with a card, a card in two bodies, and a clean one again."""
    play = Playbook(MASKED)
    play.client(query("COPY customers (id, name) TO STDOUT"))
    bodies = (b"1\tAnn\n", b"2\t" + CARD + b"\n", b"3\t" + CARD[:8], CARD[8:] + b"\n", b"4\tBen\n")
    play.target(copy_out(0, 0) + b"".join(map(data, bodies)) + DONE + complete("COPY 4"), ready())
    shown = play.to_client()
    assert shown.startswith(copy_out(0, 0) + data(b"1\tAnn\n"))
    assert shown.endswith(data(b"4\tBen\n") + DONE + complete("COPY 4") + ready())
    assert CARD not in shown
    assert CARD[8:] + b"\n" not in shown.replace(CARD[-4:] + b"\n", b"")
    assert play.recorded("masked")[0]["masked"] == [{"column": "name", "detector": "card", "count": 2}]


def test_binary() -> None:
    rows = ((b"\0\0\0\1", b"Ann", b"secret"), (b"\0\0\0\2", b"Ben", b"other"))
    shown = copied(Playbook(MASKED), "COPY customers TO STDOUT (FORMAT binary)", (1, 1, 1), tuples(*rows))
    assert b"secret" not in shown
    assert b"other" not in shown
    assert b"Ann" in shown
    assert shown.endswith(b"\xff\xff")


def test_a_row_over_two_bodies_and_a_last_row_without_its_end() -> None:
    shown = copied(Playbook(MASKED), "COPY customers TO STDOUT", (0, 0, 0), b"1\tAnn\tsec", b"ret\n2\tBen\tlast")
    assert shown == b"1\tAnn\t[redacted]\n2\tBen\t[redacted]"


def test_nothing_is_held_back_where_nothing_is_masked() -> None:
    play = Playbook()
    play.client(query("COPY customers TO STDOUT"))
    play.target(copy_out(0, 0, 0))
    play.target(data(b"half a ro"))
    assert play.to_client() == copy_out(0, 0, 0) + data(b"half a ro")
    play.target(data(b"w"))
    assert play.to_client() == data(b"w")


def test_what_was_masked_is_counted_and_the_next_result_starts_anew() -> None:
    play = Playbook(MASKED)
    play.client(query("COPY customers TO STDOUT; SELECT name FROM customers"))
    play.target(copy_out(0, 0, 0), data(b"1\tAnn\tx\n"), data(b"2\tBen\ty\n"), DONE, complete("COPY 2"))
    (entry,) = play.recorded("masked")
    assert entry["masked"] == [{"column": "column 3", "detector": "public.customers.card_number", "count": 2}]
    play.target(columns("name", first=2), row(b"Ann"), complete("SELECT 1"), ready())
    assert b"Ann" in play.to_client()
    assert play.recorded("masked") == []


def test_an_error_in_the_middle_counts_what_went_before_it() -> None:
    play = Playbook(MASKED)
    play.client(query("COPY customers TO STDOUT"))
    play.target(copy_out(0, 0, 0), data(b"1\tAnn\tx\n"))
    play.target(error("57014"), ready())
    assert len(play.recorded("masked")) == 1
    assert copied(play, "COPY customers (id) TO STDOUT", (0,), b"1\n") == b"1\n"


def test_extended_protocol() -> None:
    play = Playbook(MASKED)
    play.client(parse("", "COPY customers TO STDOUT"), bind("", ""), execute(""), SYNC)
    play.target(PARSED, BOUND, copy_out(0, 0, 0), data(b"1\tAnn\tx\n"), DONE, complete("COPY 1"), ready())
    assert b"1\tAnn\t[redacted]\n" in play.to_client()


def test_rows_that_do_not_fit_end_the_session() -> None:
    play = Playbook(MASKED)
    play.client(query("COPY customers TO STDOUT"))
    play.target(copy_out(0, 0, 0))
    play.target(data(b"1\tAnn\tx\tmore\n"))
    assert b"more" not in play.to_client()


# --- the values behind it --------------------------------------------------------------------------------------------------


def statement(sql: str) -> Statement:
    return read(sql).statements[0]


@pytest.mark.parametrize(
    ("sql", "options"),
    [
        ("COPY t TO STDOUT", CopyOptions()),
        ("COPY BINARY t TO STDOUT", CopyOptions(format="binary")),
        ("COPY t TO STDOUT CSV HEADER", CopyOptions(format="csv", header=True)),
        ("COPY t TO STDOUT (FORMAT csv, HEADER false)", CopyOptions(format="csv")),
        ("COPY t TO STDOUT (FORMAT csv, HEADER 1, NULL '')", CopyOptions(format="csv", header=True, null=b"")),
        ("COPY t TO STDOUT (DELIMITER ';', NULL 'x')", CopyOptions(delimiter=b";", null=b"x")),
        ("COPY t TO STDOUT CSV QUOTE '''' ESCAPE E'\\\\' FORCE QUOTE *", CopyOptions("csv", None, b"'", b"\\")),
    ],
)
def test_options(sql: str, options: CopyOptions) -> None:
    assert options_of(statement(sql)) == options


def test_columns_have_a_type_where_the_table_tells_it() -> None:
    types = {"id": "integer", "n": "numeric(10,2)", "v": "character varying(20)", "c": "citext"}
    table = Relation(1, "public", "t", "r", dict.fromkeys(types, 1), types)

    def found(sql: str, code: int, width: int) -> list[tuple[str, int]]:
        return [(each.name, each.type_oid) for each in columns_of(statement(sql), (code,) * width, table)]

    assert found("COPY t TO STDOUT", 1, 4) == [("id", 23), ("n", 1700), ("v", 1043), ("c", 0)]
    assert found("COPY t (v, c) TO STDOUT", 0, 2) == [("v", 1043), ("c", 25)]
    assert found("COPY (SELECT 1, 2) TO STDOUT", 1, 2) == [("column 1", 0), ("column 2", 0)]
    assert found("COPY t TO STDOUT", 0, 3) == [(f"column {n}", 25) for n in (1, 2, 3)], (
        "a generated column was left out"
    )


def test_a_broken_copy_out_response() -> None:
    assert formats_of(b"\1\0\2\0\1\0\1") == (1, 1)
    with pytest.raises(TargetUnavailable):
        formats_of(b"\0\0\3\0\0")


IN = message(b"G", b"\0\0\1\0\0")
FAILED = error("57014", "COPY from stdin failed")


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("cut", range(1, 12))
def test_a_copy_from_the_client_may_not_write_a_placeholder(cut: int, extended: bool) -> None:
    play = Playbook(MASKED.replace("[write, ddl", "[ddl").replace("statements: [read]", "statements: [read, write]"))
    sql = "COPY orders FROM STDIN"
    play.client(*((parse("", sql), bind("", ""), execute(""), SYNC) if extended else (query(sql),)))
    play.target(*((PARSED, BOUND) if extended else ()), IN)
    play.client(data(b"1\t2\n"))
    assert data(b"1\t2\n") in play.to_target()
    body = b"[redacted]\n"
    sent = b""
    for part in (body[:cut], body[cut:], b"3\t4\n"):
        play.client(data(part))
        sent += play.to_target()
    play.client(DONE, *([SYNC] if extended else []))
    assert message(b"f", b"it writes [redacted], which stands for a value that was masked\0") in sent
    assert b"3\t4" not in sent
    lines = play.target(FAILED, ready())
    assert lines[-1].startswith("client E42501") or any(each.startswith("client E42501") for each in lines)
    (entry,) = play.recorded("finished")
    assert (entry["outcome"], entry["sqlstate"]) == ("failed", "42501")
    assert play.client(query("SELECT 1"))[-1] == "target Q[SELECT 1]"


def test_data_without_a_placeholder_goes_on_as_it_came() -> None:
    play = Playbook(MASKED.replace("[write, ddl", "[ddl").replace("statements: [read]", "statements: [read, write]"))
    play.client(query("COPY orders FROM STDIN"))
    play.target(IN)
    for each in (data(b"1\t*\n"), data(b"2\t[x]\n"), DONE):
        play.client(each)
        assert play.to_target() == each
    assert play.target(complete("COPY 2"), ready())[-1].startswith("client")
