"""One entry of the record in words, for every front."""

import pytest

from bots.recorded import decision, is_login, rows, what, who
from gateway.audit.entry import Value

LOGIN: dict[str, Value] = {
    "kind": "refused", "claimed": "bob", "target": "shop", "client": "10.0.0.7", "sqlstate": "28000", "reason": "the token has expired",
}  # fmt: skip
AGAIN = "denied by the gateway until 12:00:00 UTC: bob denied this 2 times lately"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "refused", "sqlstate": "42601", "sql": "x"}, "syntax error"),
        (
            {"kind": "refused", "rule": "no write without a WHERE", "sql": "x"},
            'blocked by rule "no write without a WHERE"',
        ),
        ({"kind": "refused", "reason": "no rule allows it", "session": "s"}, "blocked: no rule allows it"),
        (
            {"kind": "refused", "verdict": "hold", "rule": "writes wait", "reason": "3 wait already", "session": "s"},
            "blocked: 3 wait already",
        ),
        ({"kind": "refused", "outcome": "denied", "rule": "writes wait", "reason": AGAIN, "session": "s"}, AGAIN),
        ({"kind": "decided", "outcome": "denied", "decided_by": "bob@example.com"}, "denied by bob@example.com"),
        ({"kind": "decided", "outcome": "expired"}, "expired"),
        ({"kind": "finished", "outcome": "failed", "sqlstate": "23503"}, "failed 23503"),
        ({"kind": "finished", "outcome": "executed"}, "executed"),
        ({"kind": "finished", "outcome": "executed", "decided_by": "bob"}, "executed, approved by bob"),
        (
            {"kind": "finished", "outcome": "executed", "decided_by": "bob", "via": "slack"},
            "executed, approved by bob",
        ),
        (
            {"kind": "finished", "outcome": "executed", "decided_by": "bob", "via": "grant"},
            "executed, by a grant of bob",
        ),
        (
            {"kind": "finished", "outcome": "failed", "sqlstate": "23503", "decided_by": "bob", "break_glass": "down"},
            "failed 23503, approved by bob, by breaking the glass",
        ),
    ],
)
def test_decisions_in_words(fields: dict[str, Value], said: str) -> None:
    assert decision(fields) == said


def test_a_refused_login_says_who_tried_what_from_where_and_why_not() -> None:
    assert is_login(LOGIN)
    assert (who(LOGIN), what(LOGIN)) == ("bob (claimed) from 10.0.0.7", "login to shop")
    assert decision(LOGIN) == "refused: the token has expired"
    assert who({**LOGIN, "user": "eve@example.com"}) == "eve@example.com from 10.0.0.7", "a token proved that"
    assert who({"kind": "refused"}) == "nobody named (claimed) from an unknown address"


def test_an_accepted_login_says_who_came_from_where_and_by_what() -> None:
    login: dict[str, Value] = {
        "kind": "session_started", "session": "s-1", "user": "ann@example.com", "agent": "psql", "target": "shop", "client": "10.0.0.7",
    }  # fmt: skip
    assert is_login(login)
    assert (who(login), what(login)) == ("ann@example.com (via psql) from 10.0.0.7", "login to shop")
    assert decision(login) == "accepted"


def test_what_changes_besides_is_named() -> None:
    entry: dict[str, Value] = {
        "tag": "DELETE",
        "tables": ["public.orders"],
        "passed_on": ["public.order_items", "s.log"],
    }
    assert what(entry) == "DELETE orders, also order_items, s.log"


def test_a_row_count_where_the_command_has_one() -> None:
    assert rows({"tag": "BEGIN", "rows": 0}) == ""
    assert rows({"tag": "DELETE", "rows": 0}) == "0"
    assert rows({"tag": "UPDATE", "rows": 18240}) == "18,240"
