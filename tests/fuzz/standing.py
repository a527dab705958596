"""How a session stands: all that its next message would be read by, so that two can be compared.

What must not live here: what is done to them (sessions.py). What only serves speed and changes no answer is left out, by name.
"""

from collections.abc import Mapping

from gateway.session.names import Prepared
from gateway.session.session import Session
from gateway.session.state import Conversation

#: Of the conversation: parts that are told by themselves below, and what says nothing of the next message.
_NOT_OF_TALK = frozenset(
    {
        "login",
        "judge",
        "grounds",
        "reader",
        "spreading",
        "hiding",
        "names",
        "gate",
        "effects",
        "now",
        "replies",
        "watch",
        "errand",
        "trial",
        "rowguard",
        "renewal",
        "story",
    }
)
_OF_JUDGE = ("agent", "_writers")
_OF_GROUNDS = ("epoch", "search_path", "doubts_settings", "wandered", "copied")
_OF_SPREADING = ("_defined", "_heirs")
_OF_STREAM = (
    "_held", "_passing", "_passed", "_parts"
)  # fmt: skip
_OF_ANSWERS = ("touched", "reached")
_OF_PREPARED = ("sql", "script", "types", "columns", "shown", "from_sql", "since", "read_as", "rowless")
_OF_PORTAL = ("script", "bind", "columns", "released", "shown", "since", "read_as", "under")
_OF_RENEWAL = ("owed", "_readings", "_names", "_made", "_everything")
_FOUND: list[str] = []  # the names of those of the conversation


def stands(session: Session) -> dict[str, object]:
    """By name: flags, names, portals, gate, what is owed, what of a message was read."""
    talk, names = session.talk, session.talk.names
    found: dict[str, object] = {}
    for of, what, wanted in (
        ("talk", talk, _of_talk(talk)),
        ("judge", talk.judge, _OF_JUDGE),
        ("grounds", talk.grounds, _OF_GROUNDS),
        ("spreading", talk.spreading, _OF_SPREADING),
        ("stream", session.stream, _OF_STREAM),
        ("answers", session.stream.answers, _OF_ANSWERS),
        ("results", session.stream.results, ("within",)),
        ("renewal", talk.renewal, _OF_RENEWAL),
    ):
        found |= {f"{of}.{name}": getattr(what, name) for name in wanted}
    for name, prepared in names.statements.items():
        found |= _prepared(f"statement {name!r}", prepared)
    for name, portal in names.portals.items():
        found |= _prepared(f"portal {name!r}: its statement", portal.prepared)
        found |= {f"portal {name!r}.{each}": getattr(portal, each) for each in _OF_PORTAL}
    return found | {
        "results.copy": session.stream.results.copy is None,
        "stream._tail": b"".join(session.stream._tail),  # in however many chunks it came
        "replies": [(each.kind, each.mode, each.at, len(each.executions), each.planned) for each in talk.replies],
        "gate": repr(talk.gate),
        "busy with": (talk.errand is None, talk.trial is None or talk.trial.stage, talk.rowguard is None),
        "names": (names.doubts, names.asked_at, names.readings, names.at_reset, names._goes_back),
        "on the way": {k: v for k, v in names._on_the_way.items() if v},
        "inbox": (list(session.intake.inbox), session.intake.waiting, session.intake.frames.partial),
        "reading": (
            session.paused,
            session.going_on,
            session.intake.spilled,
            session.draft.begun,
            session.holding.active,
        ),
    }


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """What is not the same in both, by name."""
    missing = object()
    pairs = {name: (one.get(name, missing), other.get(name, missing)) for name in {**one, **other}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _of_talk(talk: Conversation) -> tuple[str, ...]:
    """Its attributes and properties. Compiled it has no __dict__."""
    if not _FOUND:
        names = (each for each in dir(talk) if not each.startswith("__") and each not in _NOT_OF_TALK)
        _FOUND.extend(each for each in names if not callable(getattr(talk, each)))
    return tuple(_FOUND)


def _prepared(name: str, each: Prepared) -> dict[str, object]:
    found: dict[str, object] = {f"{name}.{field}": getattr(each, field) for field in _OF_PREPARED}
    return found | {f"{name}.read_under": each.read_under[1] if each.read_under else None}
