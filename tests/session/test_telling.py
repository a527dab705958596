"""Results that tell the access mode tell the client's wish: which columns, by which names, and that masks still count."""

from collections.abc import Sequence

import pytest

from gateway.session.gate import SETTING
from gateway.session.telling import Teller, Told, told
from gateway.sql.parse import read
from gateway.wire.frontend import SYNC, bind, describe, execute, parse, query
from tests.playbook import BOUND, PARSED, POLICY, Playbook, columns, complete, ready, row

NOW = "transaction_read_only"


@pytest.mark.parametrize(
    ("sql", "values", "status", "found"),
    [
        (f"SHOW {SETTING}", (), "T", {0: "off"}),
        (f"SHOW {NOW}", (), "I", {0: "off"}),
        (f"SHOW {NOW}", (), "T", None),
        ("SHOW jit", (), "I", None),
        (f"SELECT current_setting('{SETTING.upper()}')", (), "T", {0: "off"}),
        (f"SELECT 1, current_setting('{NOW}', true), current_setting('{SETTING}') FROM t", (), "I", {1: "off", 2: "off"}),
        (f"SELECT 1, current_setting('{NOW}', true), current_setting('{SETTING}') FROM t", (), "T", {2: "off"}),
        (f"SELECT *, current_setting('{NOW}') FROM t", (), "I", None),
        (f"SELECT current_setting('{NOW}'), * FROM t", (), "I", {0: "off"}),
        (f"SELECT (x).*, current_setting('{NOW}') FROM t", (), "I", None),
        ("SELECT current_setting($2), current_setting($1)", (SETTING.encode(), b"jit"), "I", {1: "off"}),
        ("SELECT current_setting($1)", (), "I", None),
        ("SELECT current_setting($1)", (None,), "I", None),
        ("SELECT current_setting($1)", (b"\xff",), "I", None),
        (f"SELECT pg_catalog.current_setting('{NOW}')", (), "I", {0: "off"}),
        (f"SELECT other.current_setting('{NOW}')", (), "I", None),
        (f"SELECT current_setting('{NOW}') = 'on'", (), "I", None),
        (f"SELECT current_setting('{NOW}')::bool", (), "I", None),
        (f"SELECT 'a' UNION SELECT current_setting('{NOW}')", (), "I", None),
        (f"EXPLAIN SELECT current_setting('{NOW}')", (), "I", None),
        (f"SELECT current_setting('{NOW}') INTO t", (), "I", None),
        ("SELECT current_setting()", (), "I", None),
        ("DELETE FROM t", (), "I", None),
    ],
)  # fmt: skip
def test_which_columns_tell(
    sql: str, values: Sequence[bytes | None], status: str, found: dict[int, str] | None
) -> None:
    telling = told(read(sql).statements[0], values, status, wish=False)
    assert (telling.columns if telling else None) == found


def test_show_all_tells_by_its_first_column() -> None:
    statement = read("SHOW ALL").statements[0]
    rows = row(SETTING.encode(), b"on", b"help") + row(NOW.encode(), b"on", b"help") + row(b"jit", b"on", b"help")
    outside, inside = (told(statement, (), status, wish=False) for status in "IT")
    assert outside
    assert inside
    assert Teller(outside, None).rows(rows) == (
        row(SETTING.encode(), b"off", b"help") + row(NOW.encode(), b"off", b"help") + row(b"jit", b"on", b"help")
    )
    assert Teller(inside, None).rows(rows) == (
        row(SETTING.encode(), b"off", b"help") + row(NOW.encode(), b"on", b"help") + row(b"jit", b"on", b"help")
    )


def test_null_and_other_columns_stay() -> None:
    teller = Teller(Told({1: "off"}), None)
    assert teller.rows(row(b"on", b"on") + row(b"\xff", None)) == row(b"on", b"off") + row(b"\xff", None)
    assert not teller.counts


@pytest.mark.parametrize("wish", [True, False])
@pytest.mark.parametrize("form", [0, 1])
def test_a_prepared_statement_tells_by_each_binds_own_values(form: int, wish: bool) -> None:
    play = Playbook()
    play.session.talk.gate.wish = wish
    prepared = parse("s", "SELECT name, current_setting($1) FROM customers")
    play.client(
        prepared, *(bind("", "s", (name,), (form,), (form,)) + execute("") for name in (NOW.encode(), b"jit")), SYNC
    )
    play.target(PARSED)
    kept = []
    # In binary the columns are asked for, with the first Execute.
    for described in (columns("name", "current_setting", binary=True) if form else b"", b""):
        play.target(BOUND, described, row(b"ann", b"on"), complete("SELECT 1"))
        kept.append(play.to_client())
    assert row(b"ann", b"on" if wish else b"off") in kept[0]
    assert row(b"ann", b"on") in kept[1]


def test_behind_a_begin_in_the_same_batch_the_mode_is_the_servers() -> None:
    play = Playbook()
    show = parse("", f"SHOW {NOW}") + bind("", "") + describe("P", "") + execute("")
    play.client(
        parse("", "BEGIN READ ONLY"),
        bind("", ""),
        execute(""),
        show,
        parse("", "COMMIT"),
        bind("", ""),
        execute(""),
        show,
        SYNC,
    )
    shown = (PARSED, BOUND, columns(NOW, table=0), row(b"on"), complete("SHOW"))
    play.target(PARSED, BOUND, complete("BEGIN"), *shown)
    assert row(b"on") in play.to_client()
    play.target(PARSED, BOUND, complete("COMMIT"), *shown, ready())
    assert row(b"off") in play.to_client()


def test_masks_still_count() -> None:
    play = Playbook(POLICY + "masking: {columns: [{column: shop.public.customers.card_number, mask: redact}]}\n")
    play.client(query(f"SELECT card_number, current_setting('{NOW}') FROM customers"))
    play.target(columns("card_number", "current_setting", first=3), row(b"4111", b"on"), complete("SELECT 1"), ready())
    assert row(b"4111", b"off") not in play.to_client()
    assert b"4111" not in play.to_client()
