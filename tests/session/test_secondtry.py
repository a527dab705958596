"""25006 from what went as reads: judged again, as code that may do anything. One answer to each message of the client."""

import pytest

from gateway.approvals.request import State
from gateway.session import events as ev
from gateway.session.gate import CLOSE, GUARD, OPEN, TRIES, UNGUARD, undo
from gateway.wire.backend import fields
from gateway.wire.frontend import SYNC, bind, describe, execute, message, parse, query
from tests.playbook import BOUND, PARSED, POLICY, Playbook, columns, complete, error, ready, row

CODE = "SELECT reader(1)"
HEAD = columns("reader", table=0)
ALLOWED = POLICY.replace("effect: hold", "effect: allow").replace(", reviewers: dba", "")
DENIED = POLICY.replace("effect: hold", "effect: deny").replace(", reviewers: dba", "")
WRITES = error("25006", "cannot execute DELETE in a read-only transaction")
SIMPLE = (query(CODE),)
EXTENDED = (parse("", CODE), bind("", ""), describe("P", ""), execute(""), SYNC)
BACK = undo((), in_block=True)


def tried(*messages: bytes, policy: str = POLICY, status: str = "I", mode: bytes = b"off") -> Playbook:
    """The messages were sent as reads, and the target has met 25006 in the last of them (but for a Sync)."""
    play = Playbook(policy, status=status)
    play.gate_shown = True
    play.client(*messages)
    assert play.to_target() == (b"".join(messages) if status == "I" else GUARD + b"".join(messages) + UNGUARD)
    answers = (PARSED, BOUND, HEAD) if len(messages) > 1 else (HEAD,)
    if status == "I":
        play.target(*answers, WRITES, ready())
    else:
        play.target(row(mode), complete("SHOW"), ready("T"), *answers, WRITES, ready("E"), error("25P02"), ready("E"))
    return play


def approved(play: Playbook, status: str = "I") -> None:
    """People say yes to the hold that is waiting."""
    play.send(ev.Opened("REQ1"))
    (request,) = play.requests
    play.send(ev.Ruled(request.__class__(**{**_fields(request), "state": State.APPROVED})))
    release = next(each for each in play.effects if isinstance(each, ev.Release))
    play.send(ev.Released(release.id))


def _fields(request: object) -> dict[str, object]:
    return {name: getattr(request, name) for name in request.__slots__}  # type: ignore[attr-defined]


@pytest.mark.parametrize("messages", [SIMPLE, EXTENDED])
def test_it_is_held_and_the_client_has_seen_nothing_of_the_first_try(messages: tuple[bytes, ...]) -> None:
    play = tried(*messages)
    assert play.session.holding.active
    assert HEAD not in play.to_client()
    assert b"25006" not in play.to_client()
    assert ready() not in play.to_client()
