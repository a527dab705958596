"""A policies file's own `tests:`: each row is judged as a session's statement would be. Pure.

How SQL is read arrives as a function: here there is no catalog, so unqualified names are `public` ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.identity.claims import Identity
from gateway.policy.decide import Circumstances, Verdict, judge_script, may_connect
from gateway.policy.model import Policy, PolicyTest
from gateway.sql.statement import Script

Read = Callable[[str], Script]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of one test; `problem` is a sentence, or "" when it passed. `verdict` is None when there was none."""

    test: PolicyTest
    verdict: Verdict | None
    problem: str = ""


def run(policy: Policy, read: Read, now: float) -> tuple[CaseResult, ...]:
    """Run every test. `now` (Unix seconds) stands for the time of tests without `at`."""
    return tuple(_run(policy, test, read, now) for test in policy.tests)


def person(user: str, groups: frozenset[str]) -> Identity:
    """Return an identity that a test or an explanation supposes; nobody vouched for it."""
    return Identity("", user, user, user if "@" in user else None, groups, float("inf"))


def _run(policy: Policy, test: PolicyTest, read: Read, now: float) -> CaseResult:
    who = person(test.user, test.groups)
    try:
        script = read(test.sql)
    except GatewayError as error:
        return CaseResult(test, None, f"the SQL can't be read: {error.message}")
    if script.unparsable is not None:
        return CaseResult(test, None, f"PostgreSQL would not parse this: {script.unparsable}")
    at = Circumstances(now if test.at is None else test.at, test.application, test.client, test.rows)
    verdict = judge_script(policy, who, test.target, script, at)
    return CaseResult(test, verdict, _problem(policy, test, who, verdict))


def _problem(policy: Policy, test: PolicyTest, who: Identity, verdict: Verdict) -> str:
    if not may_connect(policy, who, test.target):
        # the statement would never be reached, so only "deny" without a rule describes it
        found = "deny (no rule lets this identity connect)"
        return "" if test.expect == "deny" and test.rule is None else f"expected {_wanted(test)}, got {found}"
    fits = verdict.answer.value == test.expect and test.rule in (None, verdict.rule)
    return "" if fits else f"expected {_wanted(test)}, got {verdict.answer.value}: {verdict.reason}"


def _wanted(test: PolicyTest) -> str:
    return f'{test.expect} by "{test.rule}"' if test.rule else test.expect
