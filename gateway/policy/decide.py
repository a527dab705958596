"""The judgement: identity + target + statement -> Verdict. Strictest matching rule wins; nothing matches: DENY.

Pure; the clock arrives in Circumstances. Read `judge` top-down.
"""

from dataclasses import dataclass
from enum import Enum

from gateway.identity.claims import Identity
from gateway.policy.model import HoldTerms, Policy
from gateway.sql.statement import Script, Statement


class Answer(Enum):
    """ALLOW < HOLD < DENY."""

    ALLOW = "allow"
    HOLD = "hold"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else a rule may ask: `now` is Unix seconds; `rows` is the preview's count once it is known."""

    now: float
    application: str = ""
    client: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Policy's answer, always with the rule's name (None: no rule, or housekeeping) and a reason in a sentence.

    `hold` is set exactly when answer is HOLD. `message` is the rule's own text for the client. `tried` is for explain.
    """

    answer: Answer
    rule: str | None
    reason: str
    message: str = ""
    hold: HoldTerms | None = None
    tried: tuple[str, ...] = ()


def judge(policy: Policy, who: Identity, target: str, statement: Statement, at: Circumstances) -> Verdict:
    """Judge one statement: each of its classes must be allowed; the strictest answer over all of them wins."""
    raise NotImplementedError


def judge_script(policy: Policy, who: Identity, target: str, script: Script, at: Circumstances) -> Verdict:
    """Judge a query string of any number of statements: the strictest answer of its parts."""
    raise NotImplementedError


def may_connect(policy: Policy, who: Identity, target: str) -> bool:
    """True if some allow or hold rule could ever match this identity on this target (else 28000 at startup)."""
    raise NotImplementedError


def sees_clear(policy: Policy, who: Identity) -> bool:
    """True if masking.clear_for names this identity."""
    raise NotImplementedError
