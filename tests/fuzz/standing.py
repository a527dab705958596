"""How a session stands: all that its next message would be read by, so that two can be compared.

What must not live here: what is done to them (sessions.py). What only serves speed and changes no answer is left out, by name.
"""

from collections.abc import Mapping

from gateway.session.names import Portal, Prepared
from gateway.session.session import Session
from gateway.session.state import Conversation

#: Of the conversation: parts that are told by themselves below, and what says nothing of the next message.
_NOT_OF_TALK = frozenset(
    {"login", "judge", "names", "gate", "effects", "now", "replies", "watch", "errand", "trial", "rowguard", "renewal"}
)
_OF_JUDGE = (
    "agent", "epoch", "search_path", "doubts_settings", "_wandered", "_copied_to", "_defined", "_heirs", "_writers"
)  # fmt: skip
_OF_STREAM = (
    "_tail", "_held", "_passing", "_passed", "_parts", "_touched", "_reached", "_within"
)  # fmt: skip
_OF_RENEWAL = ("owed", "_readings", "_names", "_made", "_everything")
_FOUND: list[str] = []  # the names of those of the conversation


def stands(session: Session) -> dict[str, object]:
    """By name: flags, names, portals, gate, what is owed, what of a message was read."""
    talk, names = session.talk, session.talk.names
    found: dict[str, object] = {}
    for of, what, wanted in (
        ("talk", talk, _of_talk(talk)),
        ("judge", talk.judge, _OF_JUDGE),
        ("stream", session.stream, _OF_STREAM),
        ("renewal", talk.renewal, _OF_RENEWAL),
    ):
        found |= {f"{of}.{name}": getattr(what, name) for name in wanted}
    return found | {
        "stream._copy": session.stream._copy is None,
        "replies": [(each.kind, each.mode, each.at, len(each.executions), each.planned) for each in talk.replies],
        "gate": repr(talk.gate),
        "busy with": (talk.errand is None, talk.trial is None or talk.trial.stage, talk.rowguard is None),
        "statements": {name: _prepared(each) for name, each in names.statements.items()},
        "portals": {name: _portal(each) for name, each in names.portals.items()},
        "names": (names.doubts, names.asked_at, names.readings, {k: v for k, v in names._on_the_way.items() if v}),
        "inbox": (list(session.inbox), session.waiting, session.frames.partial),
        "reading": (session.paused, session.going_on, session.spilled, session.draft.begun, session.holding.active),
    }


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """What is not the same in both, by name."""
    return {name: (one[name], other[name]) for name in one if one[name] != other[name]}


def _of_talk(talk: Conversation) -> tuple[str, ...]:
    """Its attributes and properties. Compiled it has no __dict__."""
    if not _FOUND:
        names = (each for each in dir(talk) if not each.startswith("__") and each not in _NOT_OF_TALK)
        _FOUND.extend(each for each in names if not callable(getattr(talk, each)))
    return tuple(_FOUND)


def _prepared(each: Prepared | None) -> object:
    if each is None:
        return None
    under = each.read_under[1] if each.read_under else None
    return each.sql, each.script, each.types, each.columns, each.shown, each.from_sql, each.since, each.read_as, under


def _portal(each: Portal) -> object:
    told = each.script, each.bind, each.columns, each.released, each.shown, each.since, each.read_as, each.under
    return _prepared(each.prepared), *told
