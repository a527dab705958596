"""Finding our own placeholders in what a client sends: nobody may write `[redacted]` over the real value.

What lives here: the shapes of what masks.py and the detectors put in the place of a value, and one search. What must not:
which statements write, and what is answered (session, policy).
"""

import re
from collections.abc import Iterable

from gateway.sql.literals import spans

#: Whole placeholders: of masks.py, and of the detectors, which stand inside longer texts.
_SHAPES = re.compile(
    r"\[(?:redacted|api_key|jwt|private_key|email|ssn|iban|phone|password)\]"
    r"|\*{4} \*{4} \*{4} [0-9A-Za-z]{4}"
    r"|\bhash:[0-9a-f]{16}\b"
)
#: Of last4 and partial for short values: too short to be looked for inside a text.
_WHOLE = re.compile(r"\*{4}.{0,4}|\S?\*{3}\S?|\S\*{3}@\S+")


def in_statement(sql: str) -> str:
    """The first placeholder in a string constant of the text, or ""."""
    if "*" not in sql and "[" not in sql and "hash:" not in sql:
        return ""
    return next(filter(None, (_in(_bare(sql[start:end])) for start, end in spans(sql))), "")


def in_values(values: Iterable[str | None]) -> str:
    """The first placeholder in bound values, or ""."""
    return next(filter(None, (_in(each) for each in values if each)), "")


def _in(text: str) -> str:
    found = _SHAPES.search(text) or _WHOLE.fullmatch(text)
    return found[0] if found else ""


def _bare(token: str) -> str:
    """A string constant without its quotes; escapes inside don't matter to what is looked for."""
    return token[token.find("'") + 1 : -1] if token.endswith("'") else token.strip("$")
