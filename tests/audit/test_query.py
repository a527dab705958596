"""The query grammar: what is understood, what is refused and where, and what each filter means for an entry."""

import re
import string
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.entry import Value
from gateway.audit.query import (
    CLOCK_ALLOWANCE,
    DECISIONS,
    FILTER_KEYS,
    Filter,
    Query,
    QueryError,
    describe,
    like,
    matches,
    ordered,
    parse,
    row_range,
)

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC).timestamp()
DAY = 86400.0


def filters(text: str) -> tuple[Filter, ...]:
    return parse(text, NOW).filters


def entry(**fields: Value) -> dict[str, Value]:
    body: dict[str, Value] = {
        "seq": 7,
        "replica": "h:1:0",
        "at": "2026-03-04T15:00:00.000000Z",
        "kind": "finished",
        "session": "8f31aa",
        "user": "ann@example.com",
        "agent": "psql 15",
        "client": "10.0.0.7:5123",
        "target": "shop",
        "rule": "engineers may read",
        "outcome": "executed",
        "tag": "DELETE",
        "tables": ["public.customers"],
        "columns": ["public.customers.id"],
        "sql": "DELETE  FROM customers\n WHERE id = 1",
        "rows": 42,
    }
    return {name: value for name, value in {**body, **fields}.items() if value is not None}


def test_nothing_asked_is_the_last_24_hours() -> None:
    assert parse("", NOW) == Query((), NOW - DAY, NOW + CLOCK_ALLOWANCE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user:ann", (Filter("user", ("ann",)),)),
        ("-user:ann,bob*", (Filter("user", ("ann", "bob*"), negated=True),)),
        ('rule:"writes wait, always",x', (Filter("rule", ("writes wait, always", "x")),)),
        ("USER:ann", (Filter("user", ("ann",)),)),
        ("decision:Denied,EXPIRED", (Filter("decision", ("denied", "expired")),)),
        ("drop", (Filter("text", ("drop",)),)),
        ('-"drop table" x', (Filter("text", ("drop table",), negated=True), Filter("text", ("x",)))),
        ('text:"a ""quoted"" name"', (Filter("text", ('a "quoted" name',)),)),
        ("rows:>100,1..5", (Filter("rows", (">100", "1..5")),)),
        ("secret:any", (Filter("secret", ("*",)),)),
        ('who ran "UPDATE customers SET plan" last:30d', (Filter("text", ("UPDATE customers SET plan",)),)),
        ("who ran DELETE FROM orders?", (Filter("text", ("DELETE FROM orders",)),)),
        ("Who ran select x::int last:1d user:ann", (Filter("text", ("select x::int",)), Filter("user", ("ann",)))),
        ('who ran SELECT "a" FROM t', (Filter("text", ('SELECT "a" FROM t',)),)),
        ("did cursor expose a secret last:24h", (Filter("who", ("cursor",)), Filter("secret", ("*",)))),
        ("did cursor expose a card?", (Filter("who", ("cursor",)), Filter("secret", ("card",)))),
    ],
)
def test_filters(text: str, expected: tuple[Filter, ...]) -> None:
    assert filters(text) == expected


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("last:10m", NOW - 600, NOW + CLOCK_ALLOWANCE),
        ("last:2w", NOW - 14 * DAY, NOW + CLOCK_ALLOWANCE),
        ("since:7d until:1d", NOW - 7 * DAY, NOW - DAY),
        ("since:today", datetime(2026, 3, 4, tzinfo=UTC).timestamp(), NOW + CLOCK_ALLOWANCE),
        (
            "since:yesterday until:yesterday",
            datetime(2026, 3, 3, tzinfo=UTC).timestamp(),
            datetime(2026, 3, 4, tzinfo=UTC).timestamp(),
        ),
        (
            "since:2026-01-31 until:2026-01-31",
            datetime(2026, 1, 31, tzinfo=UTC).timestamp(),
            datetime(2026, 2, 1, tzinfo=UTC).timestamp(),
        ),
        (
            "since:2026-01-31T10:00+02:00 until:2026-01-31T10:00",
            datetime(2026, 1, 31, 8, tzinfo=UTC).timestamp(),
            datetime(2026, 1, 31, 10, tzinfo=UTC).timestamp(),
        ),
        (
            "until:2026-02-01T00:00",
            datetime(2026, 1, 31, tzinfo=UTC).timestamp(),
            datetime(2026, 2, 1, tzinfo=UTC).timestamp(),
        ),
        ("last:999999w", 0.0, NOW + CLOCK_ALLOWANCE),
    ],
)
def test_times(text: str, since: float, until: float) -> None:
    query = parse(text, NOW)
    assert (query.since, query.until) == (since, until)


def test_days_are_the_askers() -> None:
    kiritimati = timezone(timedelta(hours=14))  # there it is the 5th already
    assert parse("since:today", NOW, kiritimati).since == datetime(2026, 3, 5, tzinfo=kiritimati).timestamp()


def test_options() -> None:
    query = parse("limit:20 sort:rows format:CSV share", NOW)
    assert (query.limit, query.sort, query.format, query.share) == (20, "rows", "csv", True)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("usr:ann last:7d", 0, "did you mean user:"),
        ("verb:drop tabel:x", 10, "did you mean table:"),
        ("zzz:1", 0, "keys are user"),
        ("user:a --limit 3", 7, "write limit:VALUE"),
        ("user:", 5, "needs a value"),
        ("user:a,,b", 7, "needs a value"),
        ('user:"a"b', 8, "a comma is missing"),
        ('user:"a', 5, "never closed"),
        ("decision:denid", 9, "did you mean denied"),
        ("decision:denied,x", 16, "it is one of allowed"),
        ("rows:many", 5, "no number of rows"),
        ("last:soon", 5, "no span of time"),
        ("since:someday", 6, "no time"),
        ("until:9999-12-31", 6, "no time"),
        ("since:1d until:2d", 6, "starts after it ends"),
        ("last:1d since:2d", 8, "can't be combined"),
        ("since:2d last:1d", 9, "can't be combined"),
        ("last:1d last:2d", 8, "second time"),
        ("-last:1d", 0, "can't be negated"),
        ("limit:0", 6, "from 1 to 1000"),
        ("limit:1001", 6, "from 1 to 1000"),
        ("sort:name", 5, "one of time, rows, duration"),
        ("format:xml", 7, "one of table, csv, json"),
        ("limit:1,2", 8, "takes one value"),
        ("risk:low", 5, "write risk:high, or -risk:high"),
        ('""', 0, "empty text"),
        ("who ran last:3d", 15, "say what was run"),
    ],
)
def test_errors_say_what_and_where(text: str, position: int, words: str) -> None:
    with pytest.raises(QueryError, match=re.escape(words)) as caught:
        parse(text, NOW)
    assert caught.value.position == position
    assert str(caught.value).splitlines()[-1] == "  " + " " * position + "^"


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("user:ann", True),
        ("user:ANN@example.com", True),
        ("user:an", False),
        ("user:a*,bob", True),
        ("-user:ann", False),
        ("-user:bob", True),
        ("user:a?n", True),
        ("table:customers", True),
        ("table:public.*", True),
        ("table:custom", False),
        ("table:[c]ustomers", False),
        ("column:id", True),
        ("column:customers.id", True),
        ("column:card", False),
        ("verb:delete", True),
        ("verb:del", False),
        ("db:shop", True),
        ("rule:*read", True),
        ("session:8f31", True),
        ("app:psql", True),
        ("ip:10.0.0.7", True),
        ("ip:10.0.0.*", True),
        ("ip:10.0.0.70", False),
        ("approver:bob", False),
        ("-approver:bob", True),
        ("id:01J", False),
        ("secret:*", False),
        ("rows:42", True),
        ("rows:>42", False),
        ("rows:>=42", True),
        ("rows:<43", True),
        ("rows:1..10,40..50", True),
        ('text:"delete from customers where"', True),
        ("-drop", True),
        ("drop", False),
        ("decision:executed", True),
        ("decision:allowed", True),
        ("decision:approved,held", False),
        ("decision:blocked,denied", False),
        ("user:ann verb:update", False),
    ],
)
def test_what_a_filter_means(text: str, hit: bool) -> None:
    assert matches(parse(text, NOW), entry()) is hit


@pytest.mark.parametrize(
    ("fields", "decisions"),
    [
        ({"kind": "finished", "outcome": "executed"}, {"allowed", "executed"}),
        ({"kind": "finished", "outcome": "failed"}, {"allowed", "failed"}),
        ({"kind": "finished", "outcome": "executed", "request": "01J"}, {"held", "approved", "executed"}),
        ({"kind": "finished", "outcome": "unknown", "request": "01J"}, {"held", "approved", "unknown"}),
        ({"kind": "decided", "outcome": "denied", "request": "01J"}, {"held", "denied"}),
        ({"kind": "decided", "outcome": "undeliverable", "request": "01J"}, {"held", "undeliverable"}),
        ({"kind": "refused", "outcome": None}, {"blocked"}),
        ({"kind": "refused", "outcome": "denied"}, {"denied"}),
        ({"kind": "decided", "outcome": "approved", "request": "01J"}, set()),
        ({"kind": "statement", "outcome": None}, set()),
    ],
)
def test_decisions(fields: dict[str, Value], decisions: set[str]) -> None:
    body = entry(**fields)
    assert {name for name in DECISIONS if matches(parse(f"decision:{name}", NOW), body)} == decisions


def test_who_approved_and_what_was_masked() -> None:
    masked: list[Value] = [{"column": "card_number", "detector": "card", "count": 3}]
    body = entry(decided_by="bob@example.com", request="01J9ZX", masked=masked)
    for text in ("approver:bob", "id:01J9Z", "secret:card", "did ann expose a secret", "-secret:jwt"):
        assert matches(parse(text, NOW), body), text


def test_what_a_statement_changes_besides_is_found_by_its_table() -> None:
    body = entry(passed_on=["public.order_items"])
    for text in ("table:order_items", "table:public.order_*", "table:customers", "-table:orders"):
        assert matches(parse(text, NOW), body), text
    assert not matches(parse("-table:order_items", NOW), body)


def test_a_broken_glass_and_a_claimed_name_can_be_asked_for() -> None:
    assert matches(parse("break_glass:*incident*", NOW), entry(break_glass="incident 7"))
    assert not matches(parse("break_glass:*", NOW), entry())
    refused = entry(kind="refused", outcome=None, user=None, claimed="bob")
    for text in ("who:bob", "claimed:b*", "-user:bob"):
        assert matches(parse(text, NOW), refused), text


def test_logins_are_asked_for_in_the_place_of_statements() -> None:
    accepted = entry(kind="session_started", outcome=None, tag=None, sql=None)
    refused = entry(kind="refused", outcome=None, session=None, tag=None, sql=None)
    blocked, ran = entry(kind="refused", outcome=None), entry()

    def found(text: str) -> list[bool]:
        return [matches(parse(text, NOW), each) for each in (accepted, refused, blocked, ran)]

    assert found("login:accepted") == [True, False, False, False]
    assert found("login:refused user:ann") == [False, True, False, False]
    assert found("login:any") == found("LOGIN:Accepted,refused") == [True, True, False, False]
    assert found("-login:refused") == [False, False, True, True]
    assert found("") == [False, True, True, True]
    assert parse(describe(parse("login:any", NOW)), NOW).filters == filters("login:any")
    with pytest.raises(QueryError, match="unknown login denied: it is one of accepted, refused, any"):
        parse("login:denied", NOW)


def test_only_entries_in_its_time() -> None:
    query = parse("since:2026-03-04T15:00 until:2026-03-04T15:10", NOW)
    for at, hit in (("14:59:59.999999", False), ("15:00:00.000000", True), ("15:10:00.000000", False)):
        assert matches(query, entry(at=f"2026-03-04T{at}Z")) is hit


def test_order() -> None:
    few, many = entry(seq=1, rows=1, duration_ms=9.5), entry(seq=2, rows=50, duration_ms=0.5)
    none = entry(seq=3, rows=None)
    later = entry(seq=1, at="2026-03-04T15:01:00.000000Z", rows=1)
    assert ordered(parse("", NOW), [few, many, later]) == [later, many, few]
    assert ordered(parse("sort:rows", NOW), [none, few, many]) == [many, few, none]
    assert ordered(parse("sort:duration", NOW), [many, few, none]) == [few, many, none]


WORDS = st.text(string.ascii_letters + string.digits + ' *?._-,"%', min_size=1).filter(lambda word: word.strip())


@given(
    st.lists(
        st.builds(
            Filter,
            st.sampled_from([key for key in FILTER_KEYS if key not in ("decision", "login", "rows", "secret", "risk")]),
            st.lists(WORDS, min_size=1, max_size=3).map(tuple),
            st.booleans(),
        ),
        max_size=4,
    ).map(tuple),
    st.integers(1, 1000),
    st.booleans(),
)
def test_what_is_shown_back_means_the_same(asked: tuple[Filter, ...], limit: int, share: bool) -> None:
    query = Query(asked, NOW - 60, NOW, limit=limit, sort="rows", format="json", share=share)
    assert parse(describe(query), NOW) == query


@given(st.text())
def test_any_text_is_a_query_or_a_clear_error(text: str) -> None:
    position = 0
    try:
        describe(parse(text, NOW))
    except QueryError as error:
        position = error.position
    assert 0 <= position <= len(text)


@given(st.text("ab*?%_\\.[", max_size=6), st.text("ab%_\\.[", max_size=6))
def test_like_means_the_same_as_the_glob(glob: str, value: str) -> None:
    pattern = "".join(
        re.escape(part[1]) if part[0] == "\\" else {"%": ".*", "_": "."}.get(part, re.escape(part))
        for part in re.findall(r"\\.|[^\\]", like(glob))
    )
    query = Query((Filter("rule", (glob,)),), 0, NOW)
    assert (re.fullmatch(pattern, value, re.DOTALL) is not None) == matches(query, entry(rule=value))


def test_row_ranges() -> None:
    assert row_range("<=5") == (0, 5)
    assert row_range(">5")[0] == 6
    with pytest.raises(ValueError, match="no number of rows"):
        row_range("5..")
