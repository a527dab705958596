"""Texts cut to a budget, with a count of what is left out: for every front whose platform limits a message's size. Pure.

What lives here: sizes as JSON characters (ASCII with escapes, as the SDKs send them), beginnings, excerpts of SQL. What does
not: any platform's figures or shapes (bots.slack.blocks, bots.teams.adaptive).
"""

import json
import re

from bots.cards import SqlText
from bots.texts import count

#: Lines of SQL on a card: head, the line that counts what is hidden, and tail stay in sight together.
_SQL_LINES = 18


def cost(value: object) -> int:
    """JSON characters of `value` as the SDK sends it."""
    return len(json.dumps(value))


def prefix(text: str, budget: int) -> str:
    """The longest beginning of `text` whose JSON costs at most `budget`."""
    text = text[: max(budget, 0)]  # each character costs at least one
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost(text[:middle]) - 2 <= budget else (low, middle - 1)
    return text[:low]


def suffix(text: str, budget: int) -> str:
    return prefix(text[::-1][: max(budget, 0)], budget)[::-1]


_HALF_MOMENT = re.compile("\ue000[^\ue001]*$")


def fit(text: str, budget: int) -> str:
    """`text`, or its beginning and how much is left out, at about `budget` JSON characters."""
    if len(text) <= budget and cost(text) - 2 <= budget:
        return text
    head = _HALF_MOMENT.sub("", prefix(text, budget))
    return f"{head}... (+{len(text) - len(head):,} characters)"


def excerpt(sql: SqlText, budget: int) -> tuple[str, bool]:
    """The SQL, or its head (60 %) and tail (20 %) around what is hidden: lines, characters, digest. True if cut."""
    text, lines = sql.text, sql.text.count("\n") + 1
    if len(text) <= budget and lines <= _SQL_LINES and cost(text) - 2 <= budget:
        return text or " ", False
    head = "\n".join(prefix(text, budget * 6 // 10).split("\n")[: _SQL_LINES * 6 // 10])
    tail = "\n".join(suffix(text[len(head) :], budget * 2 // 10).split("\n")[-_SQL_LINES * 2 // 10 :])
    middle = text[len(head) : len(text) - len(tail)]
    gone = f"{count(middle.count(chr(10)) + 1, 'line')} ({len(middle):,} of {len(text):,} characters) hidden"
    return f"{head}\n... {gone}, sha256 {sql.sha256[:12]} ...\n{tail}".strip("\n"), True
