"""The words of an answer; how one comes about is test_decide.py's."""

from gateway.policy.verdicts import Answer, Verdict


def test_an_answer_has_a_rule_or_none_and_a_reason() -> None:
    verdict = Verdict(Answer.DENY, None, "no rule allows it")
    assert (verdict.message, verdict.hold, verdict.rests_on, verdict.sqlstate) == ("", None, frozenset(), "42501")
    assert [each.value for each in Answer] == ["allow", "hold", "deny"]
