"""What was read of one text, for others of its shape: they say the same whatever their constants are (shape.py). Pure.

What lives here: a Script with another text in it. What must not: verdicts, and what is told of a text: its constants may be secrets,
so that is worked out of each text itself.
"""

from dataclasses import dataclass, replace

from gateway.sql.shape import constants_are_free
from gateway.sql.statement import Script

#: Commands of which nothing is kept but what they do: no names, no text within the text.
_ALIKE = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"})


@dataclass(frozen=True, slots=True)
class Likeness:
    """A Script for all texts of its shape. `before`, `behind`: characters round its statement."""

    script: Script
    before: int
    behind: int

    def of(self, text: str) -> Script:
        """The Script of this text, which must be of the same shape."""
        sql = text[self.before : len(text) - self.behind]
        return replace(self.script, sql=text, statements=(replace(self.script.statements[0], sql=sql),))


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
    return Likeness(script, before, len(text) - before - len(one.sql))
