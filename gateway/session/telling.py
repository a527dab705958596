"""What a result tells the client of its access mode: its own wish, not the gateway's default (decision 4d). Pure.

SHOW, SHOW ALL, and current_setting() where that is an output column by itself. Inside an expression it tells the server's
mode: `current_setting(...) = 'on'` comes as a boolean, in which no setting can be seen. So does pg_settings.

What must not live here: what the wish is (gate.py), which columns ask for a setting (gateway.sql).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.masking.fields import Counts
from gateway.session.gate import OF_NOW, SETTING, word
from gateway.session.replies import Masker
from gateway.sql.statement import ALL, Statement, StatementClass
from gateway.wire.backend import cut, data_row
from gateway.wire.frontend import message


@dataclass(frozen=True, slots=True)
class Told:
    """Values to put in: by output column (from 0); or, of SHOW ALL, into the second column by the name in the first."""

    columns: Mapping[int, str] = field(default_factory=dict)
    named: Mapping[bytes, str] = field(default_factory=dict)

    def row(self, values: Sequence[bytes | None]) -> list[bytes | None]:
        """NULL stays: it was asked for with one."""
        named = self.named.get(values[0] or b"") if values else None
        told = self.columns if named is None else {1: named}
        return [told[at].encode() if at in told and each is not None else each for at, each in enumerate(values)]


class Teller:
    """A masker that puts in what is told before another masks the row."""

    def __init__(self, told: Told, behind: Masker | None) -> None:
        self._told = told
        self._behind = behind

    @property
    def counts(self) -> Counts:
        return self._behind.counts if self._behind else Counter()

    def rows(self, run: bytes) -> bytes:
        """Answer whole DataRow messages back to back with as many."""
        shown = b"".join(_packed(self._told.row(data_row(each[5:]))) for each in cut(run))
        return self._behind.rows(shown) if self._behind else shown


def told(statement: Statement | None, values: Sequence[bytes | None], status: str, *, wish: bool) -> Told | None:
    """What a statement's result tells otherwise than the target does; None: nothing. `values`: bound parameters.

    `status`: in a block ("T") transaction_read_only is the server's own truth.
    """
    if statement is None or StatementClass.OPAQUE in statement.classes:
        return None
    known = {SETTING, OF_NOW} if status == "I" else {SETTING}
    if statement.shows == ALL:
        return Told(named={each.encode(): word(wish) for each in known})
    asked = [(0, statement.shows)] if statement.shows else _asked(statement, values)
    columns = {at: word(wish) for at, name in asked if name.lower() in known}
    return Told(columns) if columns else None


def _asked(statement: Statement, values: Sequence[bytes | None]) -> list[tuple[int, str]]:
    """Column and setting of each current_setting() in the output. EXPLAIN's and DECLARE's columns are not their query's."""
    found: list[tuple[int, str]] = []
    for at, asked in statement.tells if statement.tag == "SELECT" else ():
        if isinstance(asked, str):
            found.append((at, asked))
        elif asked <= len(values):
            found.append((at, (values[asked - 1] or b"").decode("utf-8", "replace")))
    return found


def _packed(values: Sequence[bytes | None]) -> bytes:
    fields = (b"\xff\xff\xff\xff" if each is None else len(each).to_bytes(4, "big") + each for each in values)
    return message(b"D", len(values).to_bytes(2, "big") + b"".join(fields))
