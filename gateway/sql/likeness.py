"""What was read of one text, for others of its shape: they say the same whatever their constants are (shape.py). Pure.

What lives here: a Script with another text in it. What must not: verdicts, and what is told of a text: its constants may be secrets,
so that is worked out of each text itself.
"""

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final

from gateway.sql.shape import constants_are_free
from gateway.sql.statement import Script, Statement

_REST: Final = attrgetter(*(each.name for each in fields(Statement)[1:]))
#: Commands of which nothing is kept but what they do: no names, no text within the text.
_ALIKE = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"})


@dataclass(frozen=True, slots=True)
class Likeness:
    """A statement for all texts of a shape. `before`, `behind`: characters round it; `rest`: its fields but for `sql`, in order."""

    before: int
    behind: int
    rest: tuple[Any, ...]

    def of(self, text: str) -> Script:
        """The Script of this text, which must be of the same shape."""
        return Script(text, (Statement(text[self.before : len(text) - self.behind], *self.rest),))


def likeness(script: Script) -> Likeness | None:
    """What others of its shape may use; None where another constant could make a difference."""
    if script.unparsable is not None or script.too_big or script.claimed_reason or len(script.statements) != 1:
        return None
    one, text = script.statements[0], script.sql
    if one.tag not in _ALIKE or one.names is not None or one.settings or one.configures or one.tells:
        return None
    if not constants_are_free(text):
        return None
    before = text.find(one.sql)
    return Likeness(before, len(text) - before - len(one.sql), _REST(one))
