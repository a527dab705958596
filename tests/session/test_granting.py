"""What may be granted of a held batch: which statements, what the digest holds, and how a covered one goes on."""

from dataclasses import replace

import pytest

from gateway.approvals.request import Approval, ApprovalRequest, State
from gateway.session import events as ev
from gateway.session.meaning import SETTINGS
from gateway.wire.backend import fields
from gateway.wire.frontend import SYNC, bind, execute, message, parse, query
from tests import playbook
from tests.playbook import (
    ANN,
    BOUND,
    NO_DATA,
    NOW,
    PARSED,
    POLICY,
    Playbook,
    columns,
    complete,
    error,
    parsed,
    ready,
    row,
)
from tests.session.test_session import BOB, DELETE

GRANTS = "grants: {max_minutes: 60, max_uses: 20, max_rows: 100}"
GRANTED = POLICY.replace("reviewers: dba}", f"reviewers: dba, {GRANTS}}}")
VARIED = GRANTED.replace("max_rows: 100", "max_rows: 100, vary: [params]")
TEXT = "DELETE FROM customers WHERE id = $1"


def answer(play: Playbook, rows: int = 1, oid: bytes = b"16400", bound: bool = False) -> None:
    """The preview's answers, the settings among them."""
    shown = [each for _ in SETTINGS for each in (row(b"as ever"), complete("SHOW"))]
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(row(b"public.customers", oid), complete("SELECT 1"), *shown, ready("T"))
    if bound:
        play.target(PARSED, message(b"t", b"\0\x01\0\0\0\x17"), NO_DATA, ready("T"))
        play.target(PARSED, BOUND, columns("count"), row(str(rows).encode()), complete("SELECT 1"), ready("T"))
        play.target(PARSED, BOUND, columns("id"), complete("SELECT 0"), ready("T"))
    else:
        play.target(parsed(), ready("T"))
        play.target(row(str(rows).encode()), complete("SELECT 1"), ready("T"))
        play.target(complete("SELECT 0"), ready("T"))
    play.target(complete("ROLLBACK"), ready())


def asked(
    sent: bytes = query(DELETE), policy: str = GRANTED, play: Playbook | None = None, **about: object
) -> ApprovalRequest:
    play = play or Playbook(policy)
    play.client(sent)
    answer(play, **about)  # type: ignore[arg-type]
    (request,) = play.requests
    return request


def shape(sent: bytes = query(DELETE), policy: str = GRANTED, **about: object) -> str:
    found = asked(sent, policy, None, **about).grantable
    assert found is not None
    return found.shape


def given(value: bytes, types: tuple[int, ...] = (23,), text: str = TEXT) -> bytes:
    return parse("", text, types) + bind("", "", [value]) + execute("") + SYNC


def test_it_says_what_the_rule_allows() -> None:
    found = asked().grantable
    assert found is not None
    assert (found.max_minutes, found.max_uses, found.max_rows, found.vary) == (60, 20, 100, False)
    assert asked(policy=POLICY).grantable is None


def test_without_a_number_in_the_rule_it_is_the_number_that_was_seen() -> None:
    found = asked(policy=GRANTED.replace(", max_rows: 100", ""), rows=7).grantable
    assert found is not None
    assert found.max_rows == 7


def test_blanks_and_comments_don_t_count_and_everything_else_does() -> None:
    same = shape()
    assert shape(query(f"/* reason: again */ {DELETE.replace(' ', '  ')};")) == same
    others = [
        shape(query(DELETE.replace("= 1", "= 2"))),
        shape(query(DELETE.replace("= 1", "= '1'"))),
        shape(query(DELETE.replace("= 1", "IN (1)"))),
        shape(oid=b"16401"),
        shape(policy=GRANTED.replace("max_uses: 20", "max_uses: 21")),
        shape(policy=GRANTED.replace("max_rows: 100", "max_rows: 99")),
        shape(policy=GRANTED.replace("groups: [dba]", "groups: [dba, audit]")),
        shape(policy=GRANTED.replace("name: writes wait", "name: writes hold")),
        shape(policy=GRANTED.replace("host: db.test", "host: other.test")),
        shape(policy=GRANTED.replace("user: hoop", "user: hoop2")),
        shape(policy=VARIED),
    ]
    assert len({same, *others}) == len(others) + 1


def test_it_is_of_one_person_on_one_target() -> None:
    same = shape()
    for other in (replace(ANN, subject="eve-1"), replace(ANN, issuer="https://other.test")):
        play = Playbook(GRANTED, other)
        found = asked(play=play).grantable
        assert found is not None
        assert found.shape != same
    again = Playbook(GRANTED)
    again.session.talk.login = replace(again.session.talk.login, session="s-9", client="10.9.9.9")
    found = asked(play=again).grantable
    assert found is not None
    assert found.shape == same, "another connection of theirs is as good"


def test_bound_values_vary_where_the_rule_says_so_and_types_never() -> None:
    bound, varied = ([shape(given(each), policy, bound=True) for each in (b"1", b"2")] for policy in (GRANTED, VARIED))
    assert bound[0] != bound[1]
    assert varied[0] == varied[1]
    assert shape(given(b"1", (25,)), VARIED, bound=True) != varied[0]
    assert shape(query(DELETE), VARIED) != varied[0], "a literal is no bound value"


@pytest.mark.parametrize("change", ["search_path", "reported"])
def test_what_the_session_knows_of_its_settings_counts(change: str) -> None:
    play = Playbook(GRANTED)
    if change == "search_path":
        play.session.talk.grounds.search_path = ("other", "public")
    else:
        play.session.talk.reported["DateStyle"] = "German"
    found = asked(play=play).grantable
    assert found is not None
    assert found.shape != shape()


NEVER = {
    "no WHERE": "DELETE FROM customers",
    "ddl": "ALTER TABLE customers ADD COLUMN more text",
    "truncate": "TRUNCATE customers",
    "merge": "MERGE INTO customers c USING orders o ON o.id = c.id WHEN MATCHED THEN DELETE",
    "code": "DELETE FROM customers WHERE evil(id)",
    "tier 2 code": "DELETE FROM customers WHERE reader(id)",
    "a CTE that writes": "WITH gone AS (DELETE FROM customers WHERE id = 1 RETURNING id) SELECT * FROM gone",
    "do": "DO $$ BEGIN END $$",
    "copy": "COPY customers FROM STDIN",
    "two": f"{DELETE}; {DELETE}",
    "an unknown name": "DELETE FROM nowhere WHERE id = 1",
    # the same text, and who sends it chooses the row anew each time: without a reviewer, and whether or not values may vary
    "a setting of one's own": "DELETE FROM customers WHERE id = current_setting('app.id')::int",
    "its own comments": "DELETE FROM customers WHERE id = length(current_query())",
    "a sequence's place in the session": "DELETE FROM customers WHERE id = pg_catalog.currval('orders_id_seq')",
    "a seed": "DELETE FROM customers WHERE id = (random() * 100)::int",
    "its locks": "DELETE FROM customers WHERE id IN (SELECT objid FROM pg_catalog.pg_locks)",
    "locking": "SELECT * FROM customers WHERE id = 1 FOR UPDATE",
}


@pytest.mark.parametrize("what", NEVER)
def test_never(what: str) -> None:
    play = Playbook(GRANTED)
    play.client(query(NEVER[what]))
    for _ in range(12):  # whatever is asked is answered as for one row
        if play.requests or not play.session.talk.replies:
            break
        play.target(row(b"1"), complete("SELECT 1"), ready("T"))
    assert all(each.grantable is None for each in play.requests)


@pytest.mark.parametrize(
    "policy",
    [
        GRANTED.replace("groups: [dba]", "groups: [dba], approvals: 2"),
        GRANTED.replace(GRANTS, f"{GRANTS}, approve_via: web"),
    ],
)
def test_not_where_one_click_in_chat_is_not_enough(policy: str) -> None:
    assert asked(policy=policy).grantable is None


@pytest.mark.parametrize(
    "text", ["DELETE FROM customers WHERE card_number = '4111'", "UPDATE customers SET name = card_number WHERE id = 1"]
)
def test_not_where_it_reads_a_masked_column(text: str) -> None:
    """Its uses, each with another value, would tell what is in there."""
    masked = GRANTED + "masking: {columns: [{column: shop.public.customers.card_number, mask: redact}]}\n"
    assert asked(query(text), masked).grantable is None
    assert asked(query(text)).grantable is not None


def test_not_of_more_rows_than_the_rule_grants() -> None:
    assert asked(rows=101).grantable is None
    assert asked(rows=100).grantable is not None


def test_not_where_settings_could_not_be_asked() -> None:
    play = Playbook(GRANTED)
    play.client(query(DELETE))
    play.preview()
    assert play.requests[0].grantable is None


@pytest.mark.parametrize(("beside", "may"), [("BEGIN", True), ("SET search_path = public", False), ("SELECT 1", False)])
def test_beside_it_only_a_transaction_begins_or_ends(beside: str, may: bool) -> None:
    play = Playbook(VARIED)
    play.client(
        parse("", beside)
        + bind("", "")
        + execute("")
        + given(b"1", text=TEXT.replace("FROM customers", "FROM public.customers"))
    )
    answer(play, bound=True)
    assert (play.requests[0].grantable is not None) is may


TEXTS = {"no literal": (TEXT, True), "a literal": (f"{TEXT} AND name = 'x'", False)}


@pytest.mark.parametrize("text", TEXTS)
def test_what_was_prepared_before_may_have_been_read_under_other_settings(text: str) -> None:
    sql, may = TEXTS[text]
    play = Playbook(VARIED)
    play.client(parse("s", sql, (23,)), SYNC)
    play.target(PARSED, ready())
    play.client(bind("", "s", [b"1"]) + execute("") + SYNC)
    answer(play, bound=True)
    assert (play.requests[0].grantable is not None) is may
    assert asked(given(b"1", text=sql), VARIED, bound=True).grantable is not None


def test_so_may_what_was_bound_before() -> None:
    play = Playbook(VARIED, status="T")
    play.client(parse("", TEXT, (23,)) + bind("p", "", [b"1"]) + SYNC)
    play.target(PARSED, BOUND, ready("T"))
    play.client(execute("p") + SYNC)
    shown = [each for _ in SETTINGS for each in (row(b"read committed"), complete("SHOW"))]
    play.target(*shown, ready("T"))
    for _ in range(12):
        if play.requests:
            break
        play.target(row(b"1"), complete("SELECT 1"), ready("T"))
    assert play.requests[0].grantable is None


# --- a use ---------------------------------------------------------------------------------------------------------------


def covered(request: ApprovalRequest, cap: int = 100) -> ApprovalRequest:
    return replace(
        request,
        state=State.APPROVED,
        approvals=(Approval(BOB, "grant", NOW),),
        decided_by=BOB,
        decided_via="grant",
        row_cap=cap,
        kept=False,
        grantable=None,
        under="REQ0",
    )


def recheck(play: Playbook) -> list[str]:
    shown = [each for _ in SETTINGS for each in (row(b"as ever"), complete("SHOW"))]
    return play.target(row(b"public.customers", b"16400"), complete("SELECT 1"), *shown, ready())


def test_a_use_is_told_checked_and_released_as_any_approval() -> None:
    play = Playbook(GRANTED)
    request = asked(play=play)
    play.send(ev.Granted(covered(request)))
    told = fields(playbook.split(play.to_client())[0][1])
    assert told["M"] == "request REQ1 is approved by grant REQ0 of bob@example.com"
    assert told["D"] == "rule: writes wait, at most 100 rows"
    assert recheck(play) == ["release REQ1"]
    (release,) = [each for each in play.effects if isinstance(each, ev.Release)]
    assert release.digest == request.release_digest
    assert play.send(ev.Released("REQ1")) == ["record statement", f"target Q[{DELETE}]"]
    (entry,) = play.recorded("statement")
    assert (entry["request"], entry["decided_by"]) == ("REQ1", "bob@example.com")


def test_the_row_guard_holds_it_to_the_grant_s_number() -> None:
    play = Playbook(GRANTED)
    play.send(ev.Granted(covered(asked(play=play), cap=3)))
    recheck(play)
    play.send(ev.Released("REQ1"))
    assert "E42501" in " ".join(play.target(complete("DELETE 4")) + play.target(ready()))


def test_what_changed_since_releases_nothing() -> None:
    play = Playbook(GRANTED)
    play.send(ev.Granted(covered(asked(play=play))))
    shown = [each for _ in SETTINGS for each in (row(b"as ever"), complete("SHOW"))]
    lines = play.target(row(b"public.customers", b"16499"), complete("SELECT 1"), *shown, ready())
    assert lines == ["withdraw REQ1"]


def test_another_policy_between_use_and_release_releases_nothing() -> None:
    play = Playbook(GRANTED)
    play.send(ev.Granted(covered(asked(play=play))))
    play.send(ev.PolicyChanged(Playbook(POLICY).policy))
    assert recheck(play) == ["withdraw REQ1"]


def test_a_client_that_is_gone_uses_nothing() -> None:
    play = Playbook(GRANTED)
    request = asked(play=play)
    play.send(ev.CancelRequested())
    assert play.send(ev.Granted(covered(request))) == ["withdraw REQ1"]
    ended = replace(covered(request), state=State.WITHDRAWN, reason="cancelled by the client")
    assert play.send(ev.Ruled(ended)) == ["target Q[\x01]"]
    gone = Playbook(GRANTED)
    request = asked(play=gone)
    gone.send(ev.ClientGone())
    assert gone.send(ev.Granted(covered(request))) == ["withdraw REQ1"]


def test_revoked_before_its_release_it_is_withdrawn() -> None:
    play = Playbook(GRANTED)
    request = covered(asked(play=play))
    play.send(ev.Granted(request))
    recheck(play)
    ended = replace(request, state=State.WITHDRAWN, reason="its grant was revoked by bob@example.com", rev=2)
    assert play.send(ev.NotReleased("REQ1", ended, "already decided")) == ["target Q[\x01]"]
    play.target(error("42601"), ready())
    assert "its grant was revoked by bob" in fields(playbook.split(play.to_client())[0][1])["M"]
