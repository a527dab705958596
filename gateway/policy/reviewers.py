"""The section `reviewers:` of policies.yaml: who may decide, and where and how they are asked.

What lives here: reading it, with a line for each mistake. What must not: what reviewers mean for a request (gateway.approvals).
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from gateway.approvals.escalation import Escalation
from gateway.policy import document
from gateway.policy.document import Section, Text
from gateway.policy.shapes import Reviewers

CHANNEL_KINDS: Final = ("slack:", "teams:")
_KEYS = ("groups", "users", "approvals", "channels", "mention", "escalate")


def asked_in(reviewers: Iterable[Reviewers], kind: str) -> list[str]:
    """The channels of one chat ("slack:", "teams:") in which any of them is asked, at once or later; sorted."""
    places = {
        channel
        for each in reviewers
        for channel in (*each.channels, *(each.escalation.channels if each.escalation is not None else ()))
    }
    return sorted(channel for channel in places if channel.startswith(kind))


def read_reviewers(top: Section) -> dict[str, Reviewers]:
    """Name -> reviewers; what is wrong is reported with its line."""
    return {name: _reviewers(name, section) for name, section in top.named_sections("reviewers", "reviewers", _KEYS)}


def _reviewers(name: str, section: Section) -> Reviewers:
    found = Reviewers(
        name=name,
        groups=frozenset(section.words("groups") or ()),
        users=frozenset(section.words("users") or ()),
        approvals=section.parsed("approvals", document.whole(1, 100), 1),
        channels=(channels := tuple(_channel(section, text) for text in section.texts("channels") or ())),
        mentions=tuple(
            section.parse_at(text, "mention", _user_group, text.value) for text in section.texts("mention") or ()
        ),
        escalation=_escalation(section, channels),
    )
    if not found.groups and not found.users:
        section.wrong("groups", "nobody can decide: name groups or users")
    elif not found.groups and len(folded(found.users)) < found.approvals:
        section.wrong(
            "approvals", f"{found.approvals} approvals are wanted, but only {len(found.users)} users may give one"
        )
    return found


def _user_group(word: str) -> str:
    if not re.fullmatch(r"slack:S[A-Z0-9]{2,20}", word):
        raise ValueError(
            "a Slack user group is wanted, like slack:S0123456789 (its id; Teams has none that a bot may mention)"
        )
    return word


def _escalation(section: Section, channels: tuple[str, ...]) -> Escalation | None:
    found = section.section("escalate", f"{section.title}: escalate", ("after", "channels"))
    if found is None:
        return None
    found.require("channels")
    further = tuple(_channel(found, text) for text in found.texts("channels") or ())
    for each in set(further) & set(channels):
        found.wrong("channels", f'"{each}" is asked from the beginning: name another channel')
    terms = found.parsed("after", _after, Escalation(further))
    return replace(terms, channels=further)


def _after(word: str) -> Escalation:
    """A part of the time that a request may wait, or a duration."""
    part = re.fullmatch(r"(\d)/(\d)", word)
    if part is None:
        return Escalation((), 0.0, document.duration(word))
    if not 0 < int(part[1]) < int(part[2]):
        raise ValueError("a part of the whole time is less than all of it, like 2/3")
    return Escalation((), int(part[1]) / int(part[2]))


def folded(users: frozenset[str]) -> frozenset[str]:
    """User names as they are compared: in any case of letters."""
    return frozenset(user.casefold() for user in users)


def _channel(section: Section, text: Text) -> str:
    if not text.value.startswith(CHANNEL_KINDS) or text.value in CHANNEL_KINDS:
        message = f'{section.title}: channel "{text.value}" looks like neither slack:C0123456789 nor teams:19:...'
        section.problems.add(text.line, message)
    return text.value
