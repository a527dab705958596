"""Who may grant, what a grant covers, who may take it or an approval back. Values in, values out."""

from dataclasses import replace

import pytest

from gateway.approvals.granting import VIA_GRANT, cover, give, revoke, revoke_grant
from gateway.approvals.grants import Grant, Scope, Terms
from gateway.approvals.request import Approval, ApprovalRequest, Refusal, State, release
from tests.bots.samples import ANN, BOB, CAROL, EVE, NOW, PLAIN, STATES

TERMS = Terms("shape", 60, 20, 100, vary=True)
ASKED = replace(PLAIN, grantable=TERMS)
APPROVED = replace(STATES[State.APPROVED], grantable=TERMS)
GRANT = Grant("shape", NOW + 900, 20, 100, vary=True)
GIVER = replace(APPROVED, grant=GRANT)
LONGEST = 12 * 3600.0


def granted(scope: Scope, approved: ApprovalRequest = APPROVED, longest: float = LONGEST) -> Grant:
    found = give(approved, scope, NOW, longest)
    assert isinstance(found, ApprovalRequest)
    assert found.grant is not None
    return found.grant


class TestGiving:
    @pytest.mark.parametrize(
        ("scope", "until", "uses"),
        [(Scope(minutes=15), 900, 20), (Scope(minutes=60), 3600, 20), (Scope(uses=5), 3600, 5)],
    )
    def test_the_other_maximum_counts_as_well(self, scope: Scope, until: float, uses: int) -> None:
        assert granted(scope) == Grant("shape", NOW + until, uses, 100, vary=True)

    def test_it_lasts_no_longer_than_a_sign_in_counts(self) -> None:
        by_uses = replace(APPROVED, grantable=replace(TERMS, max_minutes=None))
        assert granted(Scope(uses=20), by_uses).until == NOW + LONGEST
        assert granted(Scope(minutes=60), longest=60.0).until == NOW + 60

    @pytest.mark.parametrize("scope", [Scope(), Scope(minutes=61), Scope(uses=21), Scope(uses=7), Scope(15, 5)])
    def test_what_is_not_offered_is_refused(self, scope: Scope) -> None:
        assert give(APPROVED, scope, NOW, LONGEST) is Refusal.NO_GRANT

    def test_not_where_nothing_may_be_granted_or_nothing_is_approved(self) -> None:
        assert give(replace(APPROVED, grantable=None), Scope(uses=5), NOW, LONGEST) is Refusal.NO_GRANT
        assert give(ASKED, Scope(uses=5), NOW, LONGEST) is Refusal.NO_GRANT


class TestCovering:
    def test_it_is_approved_in_the_giver_s_name_under_the_grant_s_own_number(self) -> None:
        asked = replace(ASKED, id="use", kept=True, row_cap=42, escalate_to=("slack:C2",), escalate_at=NOW + 60)
        used = cover(GIVER, asked, NOW + 100)
        assert used is not None
        assert (used.state, used.decided_by, used.decided_via) == (State.APPROVED, BOB, VIA_GRANT)
        assert used.approvals == (Approval(BOB, VIA_GRANT, NOW + 100),)
        assert (used.under, used.row_cap, used.kept, used.channels, used.grantable) == (GIVER.id, 100, False, (), None)
        assert (used.escalate_to, used.escalate_at) == ((), None), "no card later, either"
        assert isinstance(release(used, asked.release_digest, NOW + 101), ApprovalRequest)

    @pytest.mark.parametrize(
        ("why", "asked"),
        [
            ("another shape", replace(ASKED, grantable=replace(TERMS, shape="other"))),
            ("no shape", replace(ASKED, grantable=None)),
            ("another person", replace(ASKED, requester=EVE)),
            ("too many rows", replace(ASKED, preview=replace(PLAIN.preview, rows=101))),
            ("rows not counted", replace(ASKED, preview=replace(PLAIN.preview, rows=None))),
            ("an estimate", replace(ASKED, preview=replace(PLAIN.preview, kind="estimate"))),
        ],
    )
    def test_not(self, why: str, asked: ApprovalRequest) -> None:
        assert cover(GIVER, asked, NOW) is None, why

    @pytest.mark.parametrize(
        ("why", "giver", "now"),
        [
            ("no grant", APPROVED, NOW),
            ("time is over", GIVER, NOW + 900),
            ("revoked", replace(GIVER, grant=replace(GRANT, revoked_at=NOW)), NOW + 1),
            ("nobody gave it", replace(GIVER, approvals=()), NOW),
        ],
    )
    def test_not_by(self, why: str, giver: ApprovalRequest, now: float) -> None:
        assert cover(giver, ASKED, now) is None, why


class TestRevokingAGrant:
    @pytest.mark.parametrize("who", [ANN, BOB, CAROL])
    def test_requester_giver_and_reviewers_may(self, who: object) -> None:
        ended = revoke_grant(GIVER, who, "slack", "no more\nof this", NOW + 5)  # type: ignore[arg-type]
        assert isinstance(ended, ApprovalRequest)
        assert ended.grant is not None
        assert (ended.grant.revoked_at, ended.grant.why, ended.grant.revoked_via) == (
            NOW + 5,
            "no more of this",
            "slack",
        )
        assert ended.state is State.APPROVED, "what was approved stays so"
        assert revoke_grant(ended, BOB, "slack", "", NOW + 6) is Refusal.ALREADY_DECIDED

    def test_who_gave_it_may_also_when_no_reviewer_any_more(self) -> None:
        left = replace(BOB, groups=frozenset())
        assert isinstance(revoke_grant(GIVER, left, "slack", "", NOW), ApprovalRequest)

    def test_others_learn_nothing(self) -> None:
        assert revoke_grant(GIVER, EVE, "slack", "", NOW) is Refusal.NOT_A_REVIEWER
        assert revoke_grant(APPROVED, EVE, "slack", "", NOW) is Refusal.NOT_A_REVIEWER
        assert revoke_grant(APPROVED, BOB, "slack", "", NOW) is Refusal.NO_GRANT
        assert revoke_grant(GIVER, BOB, "slack", "", NOW + 901) is Refusal.ALREADY_DECIDED


class TestRevokingAnApproval:
    def test_a_reviewer_takes_it_back(self) -> None:
        ended = revoke(APPROVED, CAROL, "teams", "not today", NOW)
        assert isinstance(ended, ApprovalRequest)
        assert (ended.state, ended.decided_by, ended.decided_via) == (State.WITHDRAWN, CAROL, "teams")
        assert ended.reason == "its approval was revoked by carol@example.com: not today"

    @pytest.mark.parametrize(
        ("request_", "who", "refusal"),
        [
            (APPROVED, ANN, Refusal.OWN_REQUEST),
            (APPROVED, EVE, Refusal.NOT_A_REVIEWER),
            (APPROVED, replace(ANN, groups=frozenset({"dba"})), Refusal.OWN_REQUEST),
            (PLAIN, BOB, Refusal.NOT_APPROVED),
            (STATES[State.EXECUTED], BOB, Refusal.ALREADY_DECIDED),
            (STATES[State.RELEASED], BOB, Refusal.ALREADY_DECIDED),
        ],
    )
    def test_not(self, request_: ApprovalRequest, who: object, refusal: Refusal) -> None:
        assert revoke(request_, who, "slack", "", NOW) is refusal  # type: ignore[arg-type]
