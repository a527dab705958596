"""Protections that a policies file may name and this version does not enforce: whoever relies on one must be told. Pure.

They are accepted, so that a file written for a later version loads; `hoop check` and `hoop serve` say these lines each time.
A key whose absence only makes the gateway stricter is not listed; `rows` is, because a rule
that always or never matches looks as if it worked. An entry goes when the protection is built.
"""

from collections.abc import Collection, Iterator

from gateway.policy.model import Policy, Rule, RuleEffect


def notes(policy: Policy) -> list[str]:
    """A sentence for each protection that is named and not enforced, with the rule or target that names it."""
    return [f'rule "{rule.name}": {text}' for rule in policy.rules for text in (*_of_grants(rule), *_of_rows(rule))]


def unasked(policy: Policy, chats: Collection[str]) -> list[str]:
    """A sentence for each name of reviewers whom a rule asks in a chat that is not among `chats` ("slack", "teams")."""
    asked = {rule.hold.reviewers.name: rule.hold.reviewers for rule in policy.rules if rule.hold is not None}
    found = []
    for name, who in sorted(asked.items()):
        further = who.escalation.channels if who.escalation is not None else ()
        missing = sorted({each.partition(":")[0] for each in (*who.channels, *further)} - set(chats))
        if missing:
            found.append(f'reviewers "{name}" are asked in {" and ".join(missing)}, which is not set up: {_UNASKED}')
    return found


_UNASKED = "what waits for them is refused as undeliverable unless another of their channels takes it (hoop doctor says which settings)"


def _of_grants(rule: Rule) -> Iterator[str]:
    hold = rule.hold
    if hold is not None and hold.grants is not None and (hold.reviewers.approvals != 1 or hold.approve_via != "chat"):
        yield "grants are offered only where one approval in chat is enough"


def _of_rows(rule: Rule) -> Iterator[str]:
    """A statement is judged before its rows are counted, and a count only ever makes the answer stricter."""
    never = rule.effect is RuleEffect.ALLOW
    if rule.when.rows is not None:
        yield f"rows is read strictly: it counts as {'not met' if never else 'met'}, and a preview's count loosens nothing"
    if rule.unless is not None and rule.unless.rows is not None:
        met = "met" if never else "not met"
        yield f"unless: rows is read strictly: it counts as {met}, and a preview's count loosens nothing"
