"""What a second connection saw of a target while a request waits: locks, who waits for them, how big a table is. Pure.

What lives here: the values. What does not: the look itself (gateway.relay.looks), words (bots.locks). None always means that it
is not known, which is told as such: nobody may read "none" where nobody could look.
"""

from dataclasses import dataclass

#: So many of the locks that are held are kept by name; the others are counted.
MOST_LOCKS = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """As of `at` (Unix seconds). `problem`: why something is not known, "" where all is.

    `in_transaction`: the other facts were asked for. `held`: (relation, mode) of what the session's open transaction has locked, the
    strongest first; `more` of them are not named. `open_for`: seconds that the transaction has been open. `blocked`: sessions that
    wait for it, also behind others that do. `table_rows`: about how many rows the table has that would be changed.
    """

    at: float
    in_transaction: bool = False
    held: tuple[tuple[str, str], ...] | None = None
    more: int = 0
    open_for: float | None = None
    blocked: int | None = None
    table_rows: float | None = None
    problem: str = ""
