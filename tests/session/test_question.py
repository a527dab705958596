"""What a request asks: who else asks the same, and what a reviewer must do to approve it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.approvals.request import ApprovalRequest
from gateway.wire.frontend import SYNC, bind, execute, message, parse, query
from tests import playbook
from tests.playbook import BOUND, NO_DATA, NOW, PARSED, POLICY, Playbook, columns, complete, error, ready, row
from tests.session.test_holding import KEPT, answer_probe, asked, kept
from tests.session.test_session import DELETE

# --- the same question -------------------------------------------------------------------------------------------------


def test_it_is_the_same_under_other_names_of_statement_and_portal() -> None:
    """asyncpg and psycopg number theirs by connection."""
    values = ([b"7"], [b"7"], [b"8"])
    found = []
    for name, each in zip(("s1", "s2", "s2"), values, strict=True):
        play = Playbook(KEPT)
        text = parse(name, "DELETE FROM customers WHERE name = $1") + bind(f"p{name}", name, each)
        play.client(text + execute(f"p{name}") + SYNC)
        play.target(complete("BEGIN"), complete("SET"), ready("T"))
        play.target(row(b"public.customers", b"16400"), complete("SELECT 1"), ready("T"))
        play.target(PARSED, message(b"t", b"\0\x01\0\0\0\x19"), NO_DATA, ready("T"))
        play.target(PARSED, BOUND, columns("count"), row(b"1"), complete("SELECT 1"), ready("T"))
        play.target(PARSED, BOUND, columns("id"), complete("SELECT 0"), ready("T"))
        play.target(complete("ROLLBACK"), ready())
        found.append(play.requests[0].content_digest)
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    "change",
    [
        lambda: Playbook(KEPT.replace("name: writes wait", "name: writes wait now")),
        lambda: Playbook(KEPT.replace("dba: {groups: [dba]", "dba: {groups: [owners]")),
        lambda: Playbook(KEPT.replace("dba: {groups: [dba]", "dba: {groups: [dba], approvals: 2")),
        lambda: Playbook(KEPT, who=replace(playbook.ANN, subject="somebody-else")),
        lambda: Playbook(KEPT, who=replace(playbook.ANN, issuer="https://other.example")),
        # a copy of the database has its OIDs, and the policy may call another server by this name from now on
        lambda: Playbook(KEPT.replace("host: db.test", "host: db2.test")),
        lambda: Playbook(KEPT.replace("port: 5432", "port: 5433")),
    ],
)
def test_another_rule_other_reviewers_another_person_ask_something_else(change: Callable[[], Playbook]) -> None:
    _, request = kept()
    assert asked(change(), query(DELETE)).content_digest != request.content_digest


def test_another_table_of_that_name_asks_something_else() -> None:
    _, request = kept()
    again = Playbook(KEPT)
    again.client(query(DELETE))
    answer_probe(again, b"public.customers", b"99999")
    assert again.requests[0].content_digest != request.content_digest


def test_what_reads_its_own_session_is_not_kept_for_another() -> None:
    """The row that was seen is that of app.row then; whoever comes back with the same text may have set another."""
    assert asked(Playbook(KEPT), query(DELETE)).kept
    own = asked(Playbook(KEPT), query(DELETE.replace("= 1", "= current_setting('app.row')::int")))
    assert not own.kept
    assert own.expires_at == NOW + 600


# --- what a reviewer must do ------------------------------------------------------------------------------------------

CAREFUL = POLICY.replace("reviewers: dba", "reviewers: dba, confirm: typed, require_full_view: true").replace(
    '["DROP TABLE"]', '["DROP OWNED"]'
)


def without_preview(play: Playbook, *messages: bytes) -> ApprovalRequest:
    """Send it, say what its names mean, and nothing of its rows; the request that would be stored."""
    play.client(*messages)
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(complete("SELECT 0"), ready("T"))
    for _ in range(5):
        if not play.requests:
            play.target(error("57014"), ready("T"))
    return play.requests[0]


@pytest.mark.parametrize(
    ("sql", "typed"),
    [
        ("DROP TABLE customers", "public.customers"),
        ("TRUNCATE customers, orders", "public.customers, public.orders"),
        ("DROP FUNCTION purge", "DROP FUNCTION"),
        ("DELETE FROM customers", ""),
        ("ALTER TABLE customers ADD note text", ""),
        ("DELETE FROM customers; DROP TABLE orders", "public.orders"),
        (f"DROP TABLE {', '.join(f'a_table_of_a_long_name_{n}' for n in range(9))}", "DROP TABLE"),
    ],
)
def test_the_names_that_a_drop_or_truncate_takes_away_are_to_be_typed(sql: str, typed: str) -> None:
    for policy, expected in ((CAREFUL, typed), (POLICY.replace('["DROP TABLE"]', '["DROP OWNED"]'), "")):
        play = Playbook(policy)
        request = without_preview(play, query(sql))
        assert (request.to_type, request.full_view) == (expected, policy is CAREFUL)


def test_what_was_approved_with_less_care_asks_something_else() -> None:
    texts = ("", ", confirm: typed", ", require_full_view: true")
    found = []
    for text in texts:
        play = Playbook(
            KEPT.replace("keep_for: 15m", f"keep_for: 15m{text}").replace('["DROP TABLE"]', '["DROP OWNED"]')
        )
        found.append(without_preview(play, query("TRUNCATE customers")).content_digest)
    assert len({*found}) == 3


def test_what_differs_in_constants_only_is_alike() -> None:
    """For the cool-down: of one person, one target."""

    def alike(sql: str, policy: str = POLICY) -> str:
        return without_preview(Playbook(policy), query(sql)).alike

    one = alike("DELETE FROM customers WHERE id = 7")
    assert one == alike("delete from customers where id = 8 -- again") != ""
    assert one != alike("DELETE FROM orders WHERE id = 7")
    assert one != alike("DELETE FROM customers WHERE id > 7")
    assert alike("DELETE FROM customers WHERE id = 7; DELETE FROM customers WHERE id = 8") == one
    assert alike("TRUNCATE customers") == alike("TRUNCATE customers") != alike("TRUNCATE  customers, orders")


def test_whom_to_call_and_where_to_ask_later_is_in_the_request() -> None:
    policy = POLICY.replace(
        'channels: ["slack:C1"]',
        "channels: [slack:C1], mention: slack:S0DBA, escalate: {after: 1/2, channels: [slack:C2]}",
    )
    assert policy != POLICY
    request = without_preview(Playbook(policy), query("DELETE FROM customers"))
    half = (request.opened_at + request.expires_at) / 2
    assert (request.mentions, request.escalate_to, request.escalate_at) == (("slack:S0DBA",), ("slack:C2",), half)
    later = policy.replace("after: 1/2", "after: 30d")
    request = without_preview(Playbook(later), query("DELETE FROM customers"))
    assert (request.escalate_to, request.escalate_at) == ((), None)


@pytest.mark.parametrize(("several", "read"), [(5, False), (6, True)])
def test_more_statements_than_a_card_shows_are_approved_by_who_has_read_them(several: int, read: bool) -> None:
    play = Playbook()
    play.client(query("; ".join(f"DELETE FROM customers WHERE id = {number}" for number in range(several))))
    play.preview()
    assert (len(play.requests[0].statements), play.requests[0].full_view) == (several, read)
