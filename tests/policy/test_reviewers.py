"""The section `reviewers:`: whom a card calls, where a request is asked later. Who may decide is in test_model."""

import pytest

from gateway.approvals.escalation import Escalation
from gateway.policy.model import load
from tests.policy.test_model import BASE, problems


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("{channels: [slack:C2]}", Escalation(("slack:C2",), 2 / 3, None)),
        ("{after: 1/2, channels: ['teams:19:a']}", Escalation(("teams:19:a",), 1 / 2, None)),
        ("{after: 5m, channels: [slack:C2, slack:C3]}", Escalation(("slack:C2", "slack:C3"), 0, 300)),
    ],
)
def test_reviewers_may_be_called_and_a_request_escalated(text: str, terms: Escalation) -> None:
    policy = load(BASE.replace("[dba]}", f"[dba], channels: [slack:C1], mention: slack:S0DBA, escalate: {text}}}"))
    assert policy.reviewers["dba"].mentions == ("slack:S0DBA",)
    assert policy.reviewers["dba"].escalation == terms


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("escalate: {after: 2/3}", '"channels" is missing'),
        ("escalate: {after: 3/2, channels: [slack:C2]}", "less than all of it"),
        ("escalate: {after: soon, channels: [slack:C2]}", "a duration looks like"),
        ("escalate: {channels: [slack:C1]}", "is asked from the beginning"),
        ("escalate: {channels: [C2]}", "looks like neither"),
        ("mention: '@dba'", "a Slack user group is wanted"),
        ("mention: [slack:C0123]", "a Slack user group is wanted"),
        ("mention: 'teams:19:abc'", "Teams has none that a bot may mention"),
    ],
)
def test_mistakes_in_whom_to_call(text: str, part: str) -> None:
    (problem, *more) = problems(BASE.replace("[dba]}", f"[dba], channels: [slack:C1], {text}}}"))
    assert part in problem
    assert more == []
