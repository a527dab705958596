"""masking.unresolved: hold. What a result carries isn't known, so people are asked; what they let go isn't redacted."""

import pytest

from gateway.session.state import Phase
from gateway.wire.frontend import query
from tests.playbook import POLICY, Playbook, columns, complete, ready, row
from tests.session.test_session import approve, opened

_MASKED = POLICY + "masking: {columns: [{column: shop.public.customers.card_number, mask: redact}], unresolved: %s}\n"
UNTRACED = "SELECT reader(1)"
CHANGES = "DELETE FROM customers WHERE id = 1 RETURNING reader(id)"
_ANSWER = columns("reader", table=0) + row(b"4000") + complete("SELECT 1") + ready()


def held(asked: Playbook, messages: bytes, status: str = "I") -> None:
    """As test_session's, for what has no preview because it calls user code."""
    asked.client(messages)
    if status == "T":
        asked.target(row(b"read committed"), complete("SHOW"), ready(status))
    asked.target(complete("BEGIN"), complete("SET"), ready("T"))
    asked.target(row(b"public.customers", b"16400"), complete("SELECT 1"), ready("T"))
    asked.target(complete("ROLLBACK"), ready(status))
    opened(asked)


def play(choice: str = "hold") -> Playbook:
    return Playbook(_MASKED % choice)


def test_by_default_it_runs_and_is_redacted() -> None:
    asked = play("redact")
    asked.client(query(UNTRACED))
    assert query(UNTRACED) in asked.to_target()
    asked.target(_ANSWER)
    assert row(b"[redacted]") in asked.to_client()


def test_it_is_held() -> None:
    asked = play()
    asked.client(query(UNTRACED))
    assert asked.session.talk.phase is Phase.HELD
    assert query(UNTRACED) not in asked.to_target()


@pytest.mark.parametrize(("choice", "shown"), [("hold", b"4000"), ("redact", b"[redacted]")])
def test_what_was_approved_is_shown_to_whom_it_was_told(choice: str, shown: bytes) -> None:
    asked = play(choice)
    held(asked, query(CHANGES))
    assert ("can't be traced" in asked.requests[-1].why) == (choice == "hold")
    approve(asked)
    asked.target(columns("reader", table=0) + row(b"4000") + complete("DELETE 1") + ready())
    assert row(shown) in asked.to_client()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM customers",
        "SELECT 1",
        "BEGIN",
        "SHOW jit",
        "DECLARE c CURSOR FOR SELECT reader(1)",
        "PREPARE s AS SELECT reader(1)",
    ],
)
def test_what_is_traced_or_gives_no_result_goes(sql: str) -> None:
    asked = play()
    asked.client(query(sql))
    assert asked.session.talk.phase is not Phase.HELD


@pytest.mark.parametrize(
    "tag", ["TRUNCATE orders", "INSERT INTO orders VALUES (1)", "LOCK TABLE orders IN SHARE MODE", "NOTIFY x"]
)
def test_a_command_without_a_result_is_held_for_its_own_sake_only(tag: str) -> None:
    asked = play()
    asked.client(query(tag))
    asked.preview()
    assert all("can't be traced" not in each.why for each in asked.requests)


@pytest.mark.parametrize("made", ["PREPARE s AS SELECT reader(1)", "DECLARE s CURSOR WITH HOLD FOR SELECT reader(1)"])
def test_a_name_is_held_where_its_rows_come(made: str) -> None:
    asked = play()
    tag = " ".join(made.split()[: 2 if made[0] == "D" else 1])
    asked.client(query(made))
    asked.target(complete(tag.replace(" s", " CURSOR")), ready())
    asked.client(query("EXECUTE s" if made[0] == "P" else "FETCH s"))
    assert asked.session.talk.phase is Phase.HELD
