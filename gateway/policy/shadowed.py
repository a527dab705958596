"""Rules that hold in a special way and are never the ones that hold: an equal hold above them is always taken. Pure.

What lives here: which rule stands in front of which. It says so only where that is sure: a rule is in front of another where all
that it asks is asked by the other as well, or more. What matches a rule is conditions.py's to say, the choice among holds decide.py's.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields

from gateway.policy.model import Policy
from gateway.policy.shapes import Conditions, HoldTerms, Rule
from gateway.policy.tags import TAGS, covers

#: What a hold may ask for beside the ordinary -> whether it does.
_SPECIAL: dict[str, Callable[[HoldTerms], bool]] = {
    "approve_via": lambda hold: hold.approve_via != "chat",
    "confirm": lambda hold: hold.confirm != "click",
    "require_full_view": lambda hold: hold.require_full_view,
    "keep_for": lambda hold: hold.keep_for is not None,
    "grants": lambda hold: hold.grants is not None,
    "break_glass": lambda hold: hold.break_glass is not None,
}
_PAIRS = frozenset({"groups", "users", "classes", "tags"})


def shadowed(policy: Policy) -> list[str]:
    """A sentence for each hold with special terms that another hold keeps from ever being taken."""
    found = []
    for place, rule in enumerate(policy.rules):
        terms = rule.hold
        special = [name for name, asks in _SPECIAL.items() if terms is not None and asks(terms)]
        first = next((each for each in _stronger(policy.rules, place) if _in_front(each, rule)), None)
        if special and first is not None:
            found.append(
                f'rule "{rule.name}": never holds anything, so its {", ".join(special)} has no effect: all that it matches is'
                f' held by "{first.name}" (of several holds the one with most approvals counts, of equals the first):'
                f" move it above that rule"
            )
    return found


def _stronger(rules: tuple[Rule, ...], place: int) -> Iterable[Rule]:
    """The holds that are taken before the one at this place where both match."""
    mine = rules[place].hold
    for other, rule in enumerate(rules):
        if mine is None or rule.hold is None or other == place:
            continue
        more = rule.hold.reviewers.approvals - mine.reviewers.approvals
        if more > 0 or (more == 0 and other < place):
            yield rule


def _in_front(one: Rule, other: Rule) -> bool:
    """Whether `one` surely matches all that `other` matches."""
    if one.unless is not None and one.unless != other.unless:
        return False
    single = [each.name for each in fields(Conditions) if each.name not in _PAIRS]
    wide, narrow = one.when, other.when
    return _who(wide, narrow) and _what(wide, narrow) and all(_single(name, wide, narrow) for name in single)


def _who(wide: Conditions, narrow: Conditions) -> bool:
    if wide.groups is None and wide.users is None:
        return True
    if narrow.groups is None and narrow.users is None:
        return False
    return (narrow.groups or frozenset()) <= (wide.groups or frozenset()) and {*(narrow.users or ())} <= {
        *(wide.users or ())
    }


def _what(wide: Conditions, narrow: Conditions) -> bool:
    if wide.classes is None and wide.tags is None:
        return True
    if narrow.classes is None and narrow.tags is None:
        return False
    classes, tags = wide.classes or frozenset(), wide.tags or frozenset()
    named = all(_held(tag, classes, tags) for tag in narrow.tags or ())
    return (narrow.classes or frozenset()) <= classes and named


def _held(tag: str, classes: frozenset[str], tags: frozenset[str]) -> bool:
    """Every statement of this tag is of one of the classes (reading beside it aside), or of one of the tags."""
    if any(covers(named, tag) for named in tags):
        return True
    vouches = TAGS.get(tag, frozenset())
    does = vouches - {"read"} or vouches
    return bool(does) and does <= classes


def _single(name: str, wide: Conditions, narrow: Conditions) -> bool:
    """One condition: not asked for by the wider, or the same, or a list that holds all of the other's."""
    mine, theirs = getattr(wide, name), getattr(narrow, name)
    if mine is None or mine == theirs:
        return True
    listed = isinstance(mine, frozenset | tuple) and isinstance(theirs, frozenset | tuple)
    return listed and name != "rows" and set(theirs) <= set(mine)
