"""The shapes' defaults are those of the documentation."""

from gateway.policy.model import HoldTerms, Limits, Masking, Reviewers


def test_documented_defaults() -> None:
    hold = HoldTerms(Reviewers("dba"))
    assert (hold.timeout, hold.hold_in_transaction, hold.approve_via, hold.confirm) == (600, 120, "chat", "click")
    assert (hold.keep_for, hold.grants, hold.break_glass, hold.require_full_view) == (None, None, None, False)
    assert (Masking().predicates, Masking().unresolved) == ("allow", "redact")
    assert (Limits().max_held_bytes, Limits().link_max_age, Limits().catalog_refresh) == (16 * 1024 * 1024, 43200, 30)
