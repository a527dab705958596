"""What is under way by the short way: one plain statement, or those of a pipeline. Pure.

What lives here: values of a statement that was sent and not answered yet, and what is gathered of a pipeline that has not all come. What
must not: who may take it (shortway.py), what is made of its answer (landing.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.audit.pattern import Pattern
from gateway.session import events as ev
from gateway.session.names import Prepared
from gateway.session.naming import Naming
from gateway.session.plain import Plain
from gateway.session.replies import OPEN_AT, PER_TURN
from gateway.wire import frontend
from gateway.wire.backend import Column

#: An audit entry: its pattern, and JSON for its holes.
Alike = tuple[Pattern, tuple[bytes, ...]]


class Flight:
    """A plain statement that is under way. `number` and `values` are those of its entry; `at`: when it was sent (Unix seconds).

    `data`: what came; `sent`: what goes to the target. `bind`: its Bind; `parsed`: a Parse of `prepared` stood
    before it; `asked`: a Describe stands in it. `formats`: of its result, as in Bind. `described`: its columns, where its answer has no
    RowDescription. `gated`: it goes through the gate; `behind`: CLOSE was owed when it came. `before`: the answers of ours that come
    before its own, `came`: what has come of them. `steps`: those of a pipeline or of a query string, in order, of which this is the
    whole; `opens`: outside a block they go through the gate. `naming`: what it does
    to names; `bare`: nothing else, so that nothing is recorded. `adds`: the Describe in it is ours. One object serves a session, again and again.
    """

    __slots__ = (
        "adds",
        "asked",
        "at",
        "bare",
        "before",
        "behind",
        "bind",
        "came",
        "data",
        "described",
        "formats",
        "gated",
        "naming",
        "number",
        "opens",
        "parsed",
        "plain",
        "prepared",
        "sent",
        "steps",
        "values",
    )

    def __init__(self) -> None:
        self.data = self.sent = self.before = self.came = b""
        self.gated = self.behind = self.asked = False
        self.at = 0.0
        self.number = 0
        self.bind = b""
        self.parsed = False
        self.plain: Plain
        self.values: tuple[bytes, ...] = ()
        self.formats = b""
        self.described: tuple[Column, ...] | None = None
        self.prepared: Prepared | None = None
        self.steps: Sequence[Flight] = ()
        self.naming: Naming | None = None
        self.bare = self.adds = self.opens = False

    def begin(self, data: bytes) -> None:
        """Another one, alone and outside of the gate as far as is known. Set here, or the compiler takes them for what they were set to."""
        self.sent = data
        self.gated = self.bare = self.adds = False
        self.steps = ()
        self.naming = None

    def stands_for(self, steps: Sequence[Flight], *, opens: bool) -> None:
        """It is the whole of these."""
        self.steps, self.opens = steps, opens
        self.plain, self.number = steps[0].plain, steps[0].number

    def done(self) -> None:
        """It is over: of the object that serves again nothing is kept but what costs nothing."""
        self.data = self.sent = self.bind = self.came = b""
        self.steps = ()
        self.naming = None

    def is_what(self, effects: list[ev.Effect]) -> bool:
        """Is this what was recorded and sent?"""
        steps = () if self.bare else self.steps or (self,)
        sent = effects[-1] if len(effects) == len(steps) + 1 else None
        return isinstance(sent, ev.ToTarget) and sent.data == self.sent and all(map(_fits, steps, effects))


def _fits(step: Flight, effect: ev.Effect) -> bool:
    """Is this its first entry?"""
    begun = step.plain.begun
    if isinstance(effect, ev.RecordAlike):
        return effect.pattern.text(effect.values) == begun.text(step.values)
    return isinstance(effect, ev.Record) and begun.fits(effect.kind, effect.fields, step.values)


class Gathered:
    """The statements of a pipeline as far as they have come: `at` is where the next begins, `sent` what goes to the target. `status` and
    `number`: behind them. `size` is in bytes. `parsed`: one of them was; `over`: the last has ended a block."""

    def __init__(self, status: str, number: int) -> None:
        self.at = 0
        self.steps = list[Flight]()
        self.sent = list[bytes]()
        self.status = status
        self.number = number
        self.size, self.messages = len(frontend.SYNC), 1  # its end counts
        self.parsed = self.over = False

    @property
    def opens(self) -> bool:
        """Does it go through the gate, where it begins outside a block? Not where it begins one."""
        return self.steps[0].plain.edge is None and any(each.plain.writes for each in self.steps)

    @property
    def fills_a_turn(self) -> bool:
        """Is it so long that the ordinary way would take it in parts?"""
        return self.size >= OPEN_AT or self.messages >= PER_TURN

    def add(self, step: Flight, sent: tuple[bytes, bytes, bytes]) -> None:
        edge = step.plain.edge
        if edge is not None:
            self.status = edge.status
            self.over = edge.status == "I"
        self.steps.append(step)
        self.sent += sent
        self.size += sum(map(len, sent))
        self.messages += 2 + step.parsed + step.asked
        self.number += 1
        self.parsed = self.parsed or step.parsed
