"""Breaking the glass: who may, what it takes, and what it does not stand in for."""

from dataclasses import replace

import pytest

from gateway.approvals import glass
from gateway.approvals.request import Approval, ApprovalRequest, Person, Preview, Refusal, State
from tests.bots.samples import ANN, BOB, CAROL, EVE, NOW, PLAIN, STATES, person

SRE = person("sam", "sre")
ASKED = replace(
    PLAIN, approvals_needed=2, glass="sre", glass_groups=frozenset({"sre"}), glass_users=frozenset({"Eve@example.com"})
)
SOON = NOW + 60


def broken(request: ApprovalRequest = ASKED, by: Person = SRE, **how: object) -> ApprovalRequest | Refusal:
    asked: dict[str, object] = {
        "via": "slack",
        "reason": "payments are down",
        "now": SOON,
        "typed": "break glass",
        **how,
    }
    return glass.break_glass(request, by, **asked)  # type: ignore[arg-type]  # a test names what it changes


def test_one_of_its_reviewers_approves_alone() -> None:
    done = broken()
    assert isinstance(done, ApprovalRequest)
    assert (done.state, done.broken, done.decided_by, done.decided_via) == (
        State.APPROVED,
        "payments are down",
        SRE,
        "slack",
    )
    assert [given.by for given in done.approvals] == [SRE]


@pytest.mark.parametrize("by", [SRE, EVE])
def test_its_reviewers_are_groups_and_users(by: Person) -> None:
    assert isinstance(broken(by=by), ApprovalRequest)


@pytest.mark.parametrize("by", [BOB, CAROL])
def test_the_ordinary_reviewers_are_not_among_them(by: Person) -> None:
    assert broken(by=by) is Refusal.NOT_A_REVIEWER


def test_a_rule_without_it_has_nobody() -> None:
    assert broken(PLAIN) is Refusal.NOT_A_REVIEWER


@pytest.mark.parametrize(
    "requester",
    [replace(SRE), replace(ANN, email=SRE.email), replace(ANN, issuer=SRE.issuer, subject=SRE.subject)],
)
def test_never_for_oneself(requester: Person) -> None:
    assert broken(replace(ASKED, requester=requester)) is Refusal.OWN_REQUEST


def test_nor_with_another_account_of_the_same_human() -> None:
    """Ann has linked her chat account, whose address is hers, with an identity of the group sre."""
    assert broken(by=replace(SRE, also=("ANN@example.com",))) is Refusal.OWN_REQUEST


def test_approvals_that_were_given_stay_and_nobody_counts_twice() -> None:
    given = replace(ASKED, rev=2, approvals=(Approval(BOB, "slack", NOW),))
    done = broken(given)
    assert isinstance(done, ApprovalRequest)
    assert [each.by for each in done.approvals] == [BOB, SRE]
    both = replace(given, glass_groups=frozenset({"dba"}))
    done = broken(both, by=BOB)
    assert isinstance(done, ApprovalRequest)
    assert [each.by for each in done.approvals] == [BOB]


@pytest.mark.parametrize(
    ("reason", "ok"), [("", False), (" \n ", False), ("ab", False), ("abc", True), ("\u202e\u202e", False)]
)
def test_a_reason_is_needed(reason: str, ok: bool) -> None:
    assert (broken(reason=reason) is Refusal.NO_REASON) is not ok


@pytest.mark.parametrize(("typed", "ok"), [("", False), ("yes", False), ("break", False), (" Break Glass ", True)])
def test_the_words_are_typed(typed: str, ok: bool) -> None:
    assert (broken(typed=typed) is Refusal.NOT_TYPED) is not ok


def test_where_a_name_has_to_be_typed_it_is_that() -> None:
    asked = replace(ASKED, to_type="public.customers")
    assert glass.to_type(asked) == "public.customers"
    assert broken(asked) is Refusal.NOT_TYPED
    assert isinstance(broken(asked, typed="public.customers"), ApprovalRequest)


def test_it_stands_in_for_the_quorum_alone() -> None:
    assert broken(replace(ASKED, approve_via="web")) is Refusal.NOT_ON_PAGE
    assert isinstance(broken(replace(ASKED, approve_via="web"), via="web"), ApprovalRequest)
    assert broken(replace(ASKED, full_view=True)) is Refusal.NOT_READ
    assert isinstance(broken(replace(ASKED, full_view=True), read=True), ApprovalRequest)


def test_a_card_that_shows_something_else() -> None:
    assert broken(replace(ASKED, rev=3), rev=1) is Refusal.STALE
    assert isinstance(broken(replace(ASKED, rev=3), rev=3), ApprovalRequest)


@pytest.mark.parametrize("state", [each for each in State if each is not State.PENDING])
def test_what_is_over_is_over(state: State) -> None:
    over = replace(STATES[state], glass_groups=frozenset({"sre"}))
    assert broken(over) in {Refusal.ALREADY_DECIDED, Refusal.EXPIRED}


def test_its_time() -> None:
    assert broken(now=ASKED.expires_at) is Refusal.EXPIRED


def test_who_asked_is_told_no_rows_of_the_target() -> None:
    """A write is held before anybody let them read what it touches; who may decide has to see it."""
    for looks in (SRE, BOB):
        assert glass.as_seen_by(replace(ASKED, requester=looks), looks) == replace(ASKED, requester=looks)
    seen = glass.as_seen_by(ASKED, ANN)
    assert seen == replace(ASKED, preview=Preview(note=glass.FOR_REVIEWERS))
