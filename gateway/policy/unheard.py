"""Reviewers who can't decide although a rule asks them: nobody tells them, or nobody can know that they are reviewers. Pure.

What lives here: what the policies file alone says of it. What must not: chats that are not set up (unenforced.unasked).
"""

from gateway.identity.claims import Identity
from gateway.policy.decide import may_connect
from gateway.policy.model import Policy

#: What to do about them.
CHANNELS = "give them `channels` in the policies file"
CONNECT = "let that group connect (a rule that allows it to read is enough), or set up the pages: docs/reviewing.md, Signing in"


def unheard(policy: Policy) -> list[str]:
    """A sentence for each rule that asks reviewers without any channel."""
    asks = [(rule.name, rule.hold.reviewers) for rule in policy.rules if rule.hold is not None]
    return [
        f'rule "{rule}" asks reviewers "{who.name}", who have no channel: {_ENDS}'
        for rule, who in asks
        if not who.channels and (who.escalation is None or not who.escalation.channels)
    ]


def unknown_groups(policy: Policy) -> list[str]:
    """A sentence for each group of reviewers whom no rule lets connect. It counts where people can't sign in on pages: a login or
    a sign-in is all that tells a person's groups."""
    asked = {each.name: each for rule in policy.rules if rule.hold is not None for each in (rule.hold.reviewers,)}
    return [
        f'reviewers "{name}": no rule lets group {group} connect, and without sign-in pages (HOOP_WEB_CLIENT_ID) {_UNKNOWN}'
        for name, who in sorted(asked.items())
        for group in sorted(who.groups)
        if not _connects(policy, group)
    ]


def _connects(policy: Policy, group: str) -> bool:
    who = Identity("", "", "", None, frozenset({group}), 0)
    return any(may_connect(policy, who, target) for target in policy.targets)


_ENDS = "nobody is told, and what nobody decides within 20 s is refused as undeliverable"
_UNKNOWN = "nobody is known to be in it who is not let in by another rule: who is not known can decide nothing"
