"""Who may only read on a target, and so logs in there as its `reader` (enforcement.md 1.5 and 5, L3). Pure.

A person may only read if no allow or hold rule that could ever match them on the target gives them any class but `read`,
or if deny rules take all the others away from them whatever the statement. Decided once, at login: a session keeps its login
when a new policy comes, and what the new policy lets it do beyond that the target refuses, until it connects again.

What must not live here: what a statement may do (decide.py).
"""

from collections.abc import Iterator
from dataclasses import replace

from gateway.identity.claims import Identity
from gateway.policy.decide import may_connect, rules_for
from gateway.policy.model import Policy, Rule, RuleEffect, Target
from gateway.policy.tags import TAGS
from gateway.sql.statement import StatementClass

_READ = frozenset({StatementClass.READ.value})
_BEYOND = frozenset({each.value for each in StatementClass} - {"housekeeping"}) - _READ


def login_of(policy: Policy, who: Identity, target: Target) -> Target:
    """The target as this person logs in there: with the reader's user and password, if it has one and they may only read."""
    *_, last = logins(target)
    return last if last is not target and only_reads(policy, who, target.name) else target


def logins(target: Target) -> list[Target]:
    """The target as it may be logged in to: with its user, and with its reader."""
    if target.reader_user is None or target.reader_password is None:
        return [target]
    return [target, replace(target, user=target.reader_user, password=target.reader_password)]


def only_reads(policy: Policy, who: Identity, target: str) -> bool:
    """True if nothing this person sends to the target could ever be let through, or held, as more than a read."""
    rules = rules_for(policy, who, target, None, None)
    given = frozenset[str]().union(*(_gives(rule) for rule in rules if rule.effect is not RuleEffect.DENY))
    taken = frozenset[str]().union(*(_takes(rule) for rule in rules if rule.effect is RuleEffect.DENY))
    return given - taken <= _READ


def _gives(rule: Rule) -> frozenset[str]:
    """The classes that it could let through. A hold by command tag matches whatever else the statement does."""
    classes, tags = rule.when.classes, rule.when.tags
    if classes is None and tags is None:
        return _READ | _BEYOND
    if tags and rule.effect is not RuleEffect.ALLOW:
        return _READ | _BEYOND
    return (classes or frozenset()).union(*(TAGS.get(tag, _BEYOND) for tag in tags or ()))


def _takes(rule: Rule) -> frozenset[str]:
    """The classes that it denies in every case: it asks for nothing but who, which target and which class."""
    when = rule.when
    bare = replace(when, groups=None, users=None, targets=None, classes=None)
    if rule.unless is not None or any(getattr(bare, name) is not None for name in bare.__slots__):
        return frozenset()
    return _READ | _BEYOND if when.classes is None else when.classes


def readers(policy: Policy, target: Target) -> list[str]:
    """The groups and users, as the rules name them, who may connect to it and by these names alone may only read."""
    if target.reader_user is None:
        return []
    return [
        name
        for name, who in _named(policy)
        if may_connect(policy, who, target.name) and only_reads(policy, who, target.name)
    ]


def _named(policy: Policy) -> Iterator[tuple[str, Identity]]:
    """(as it is shown, a person with that name alone)"""
    groups = {each for rule in policy.rules for each in rule.when.groups or ()}
    users = {each for rule in policy.rules for each in rule.when.users or ()}
    yield "anyone with a valid token", Identity("", "", "", None, frozenset(), 0)
    for group in sorted(groups):
        yield f"group {group}", Identity("", "", "", None, frozenset({group}), 0)
    for user in sorted(users):
        yield f"user {user}", Identity("", "", user, None, frozenset(), 0)
