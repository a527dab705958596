"""Protections that a policies file may name and this version does not enforce: whoever relies on one must be told. Pure.

They are accepted, so that a file written for a later version loads; `hoop check` and `hoop serve` say these lines each time.
A key whose absence only makes the gateway stricter (grants, break_glass) is not listed; `rows` is, because a rule
that always or never matches looks as if it worked. An entry goes when the protection is built.
"""

from collections.abc import Iterator

from gateway.policy.model import Policy, Rule, RuleEffect


def notes(policy: Policy) -> list[str]:
    """A sentence for each protection that is named and not enforced, with the rule or target that names it."""
    held = [rule for rule in policy.rules if rule.hold is not None and rule.hold.approve_via == "web"]
    found = [f'rule "{rule.name}": approve_via: web is not enforced yet; a click in chat decides' for rule in held]
    found += [f'rule "{rule.name}": {text}' for rule in policy.rules for text in _of_rows(rule)]
    return found


def _of_rows(rule: Rule) -> Iterator[str]:
    """A statement is judged before its rows are counted, and a count only ever makes the answer stricter."""
    never = rule.effect is RuleEffect.ALLOW
    if rule.when.rows is not None:
        yield f"rows is read strictly: it counts as {'not met' if never else 'met'}, and a preview's count loosens nothing"
    if rule.unless is not None and rule.unless.rows is not None:
        met = "met" if never else "not met"
        yield f"unless: rows is read strictly: it counts as {met}, and a preview's count loosens nothing"
