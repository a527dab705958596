"""Policy's answer to a statement: ALLOW, HOLD or DENY, with the rule's name and a reason. Values only; decide.py makes them."""

from dataclasses import dataclass
from enum import Enum

from gateway.policy.shapes import HoldTerms


class Answer(Enum):
    """ALLOW < HOLD < DENY."""

    ALLOW = "allow"
    HOLD = "hold"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Policy's answer, always with the rule's name (None: no rule, or housekeeping) and a reason in a sentence.

    `hold` is set exactly when answer is HOLD. `message` is the rule's own text for the client. `tried` is for explain.
    `rests_on` names "hours" or "rows" when the answer can change with them: such a verdict is not to be cached, and
    with "rows" and no count yet it is provisional: the strict reading, to be judged again once the preview has counted.
    `besides`: the relations that the statement doesn't name and by which alone the rule is about it, in words; "" where it is anyway.
    `sqlstate` is what a DENY is answered with; 22023 where no policy can allow it (a setting the gateway can't work under).
    """

    answer: Answer
    rule: str | None
    reason: str
    message: str = ""
    hold: HoldTerms | None = None
    tried: tuple[str, ...] = ()
    rests_on: frozenset[str] = frozenset()
    sqlstate: str = "42501"
    besides: str = ""
