"""What a card says of locks and of tables: each fact, and each one that nobody could see."""

from dataclasses import replace
from typing import Any

import pytest

from bots.cards import card
from bots.locks import blocking, held, share, while_it_runs
from bots.texts import in_utc
from gateway.approvals.request import ApprovalRequest, Preview, State
from gateway.approvals.seen import Seen
from tests.bots.samples import DELETE, NOW, PLAIN, STATES

SEEN = Seen(
    NOW + 5,
    in_transaction=True,
    held=(("public.orders", "SHARE"), ("public.customers", "ROW EXCLUSIVE")),
    more=2,
    open_for=252.4,
    blocked=3,
)
BASE = "In a transaction: its locks are held while you decide."


def seen(**change: Any) -> ApprovalRequest:
    return replace(PLAIN, where_held="in transaction", seen=replace(SEEN, **change))


def test_what_is_held_and_who_waits_is_told_with_the_time_of_the_look() -> None:
    assert in_utc(held(seen())) == (
        f"{BASE} Seen at 10:20:05 UTC: it has been open for 4 m 12 s, it holds SHARE on public.orders, ROW EXCLUSIVE on"
        " public.customers and 2 more, and 3 other sessions wait for it."
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"blocked": 1}, "1 other session waits for it"),
        ({"blocked": 0}, "nobody waits for it"),
        ({"blocked": None, "problem": "the gateway's login may not look"},
         "whether anybody waits for it is not known (the gateway's login may not look)."),
        ({"held": None}, "what it has locked is not known"),
        ({"held": (), "more": 0}, "it has locked no table"),
        ({"more": 0}, "it holds SHARE on public.orders and ROW EXCLUSIVE on public.customers, and"),
        ({"held": (("public.orders", "SHARE"),), "more": 0}, "it holds SHARE on public.orders, and"),
        ({"open_for": None}, "since when it is open is not known"),
        ({"open_for": -0.2}, "open for 0 ms"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_never_called_nothing(change: dict[str, Any], says: str) -> None:
    assert says in held(seen(**change))


def test_nothing_is_told_of_a_look_where_nobody_looked() -> None:
    assert held(replace(PLAIN, where_held="in transaction")) == BASE
    assert held(PLAIN) == "Outside a transaction: no locks are held while you decide."
    assert held(replace(PLAIN, seen=Seen(NOW, table_rows=500))) == held(PLAIN)


def test_who_waits_already_is_in_the_lines_that_everybody_reads() -> None:
    assert blocking(seen()) == "3 other sessions wait for this transaction already."
    assert blocking(seen(blocked=1)) == "1 other session waits for this transaction already."
    assert blocking(seen(blocked=0)) == blocking(seen(blocked=None)) == blocking(PLAIN) == ""
    assert blocking(seen()) in card(seen(), NOW).consequence


@pytest.mark.parametrize(
    ("locks", "says"),
    [
        ([], ""),
        ([("public.orders", "ACCESS EXCLUSIVE")], "all reads and writes of public.orders (ACCESS EXCLUSIVE)."),
        ([("public.orders", "SHARE")], "all writes of public.orders (SHARE)."),
        ([("public.orders", "SHARE ROW EXCLUSIVE"), ("public.items", "SHARE ROW EXCLUSIVE")],
         "all writes of public.orders and public.items (SHARE ROW EXCLUSIVE)."),
        ([("a", "ACCESS EXCLUSIVE"), ("b", "SHARE"), ("a", "SHARE")],
         "all reads and writes of a (ACCESS EXCLUSIVE), and all writes of b (SHARE)."),
        ([(name, "SHARE") for name in "abcde"], "all writes of a, b, c and 2 more (SHARE)."),
        ([("public.orders", "ROW EXCLUSIVE")], ""),
    ],
)  # fmt: skip
def test_what_others_can_not_do_meanwhile_is_told(locks: list[tuple[str, str]], says: str) -> None:
    asked = replace(PLAIN, statements=tuple(replace(DELETE, locks=(each,)) for each in locks) or (DELETE,))
    assert while_it_runs(asked) == (f"While it runs it blocks {says}" if says else "")
    inside = while_it_runs(replace(asked, where_held="in transaction"))
    assert inside == (f"From its start to the end of its transaction it blocks {says}" if says else "")
    assert while_it_runs(asked) in card(asked, NOW).consequence


@pytest.mark.parametrize(
    ("rows", "table", "says"),
    [
        (1_204, 10_031.0, ", 12 % of about 10,000"),
        (1, 10_031.0, ", less than 1 % of about 10,000"),
        (100, 10_000.0, ", 1 % of about 10,000"),
        (42, 57.0, ", 74 % of about 57"),
        (5, 123_456.0, ", less than 1 % of about 120,000"),
        (1_200, 1_201.0, ", about all of the table"),
        (1_300, 1_201.0, ", about all of the table"),
        (42, None, ""),
        (42, 0.0, ""),
        (42, -1.0, ""),
        (0, 500.0, ""),
        (None, 500.0, ""),
    ],
)
def test_how_much_of_its_table_it_touches_is_told_as_far_as_it_is_known(
    rows: int | None, table: float | None, says: str
) -> None:
    asked = replace(PLAIN, preview=Preview(rows=rows), seen=Seen(NOW, table_rows=table))
    assert share(asked) == says
    assert share(replace(asked, seen=None)) == ""
    if rows is not None:
        assert f"deleted{says} (exact count)." in card(asked, NOW).consequence


def test_what_has_ended_tells_of_no_locks() -> None:
    for state, request in STATES.items():
        ended = replace(
            request, where_held="in transaction", seen=SEEN, statements=(replace(DELETE, locks=(("t", "SHARE"),)),)
        )
        drawn = card(ended, NOW + 70)
        if state not in (State.PENDING, State.APPROVED):
            assert "SHARE" not in drawn.consequence + drawn.where_held
            assert "wait" not in drawn.consequence
