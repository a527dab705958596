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
_IN_FIELD = rb"[^\s,;|\"]"
_FIELD = rb"\*{4}[^\t\n\r,;|\"]{0,4}|X?\*{3}X?|X\*{3}@X{1,48}".replace(b"X", _IN_FIELD)


#: A whole field of text or csv in the data of a COPY, or of binary with its length before it; the others stand anywhere.
_IN_COPY = re.compile(
    rb"(" + _SHAPES.pattern.encode() + rb")"
    rb"|[\t\n\r,;|\"](" + _FIELD + rb")(?=[\t\n\r,;|\"])"
    rb"|\0\0\0[\x03-\x40](\*{4}[^\0]{0,4}|[^\0]?\*{3}[^\0]?|[^\s\0]\*{3}@[^\s\0]{1,48})(?=\0|\xff\xff)"
)
#: No placeholder is longer; what is kept of one message for the next.
_LONGEST = 64


class CopyWatch:
    """Looks for placeholders in the data of one COPY FROM STDIN, in any format, wherever its messages are cut."""

    def __init__(self) -> None:
        self._tail = b"\n"

    def found(self, data: bytes) -> str:
        """The first placeholder that is whole by now, or ""."""
        seen = self._tail + data
        self._tail = seen[-_LONGEST:]
        return _first(seen)

    def end(self) -> str:
        """A placeholder that is the last field, at CopyDone."""
        return _first(self._tail + b"\n")


def _first(data: bytes) -> str:
    if b"*" not in data and b"[" not in data and b"hash:" not in data:
        return ""
    found = _IN_COPY.search(data)
    return next(filter(None, found.groups())).decode(errors="replace") if found else ""


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
