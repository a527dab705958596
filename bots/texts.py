"""Texts that are safe to look at, and times and numbers as people say them. Pure.

What lives here: spelling out what hides, cutting with a count of what is left out, moments, durations, counts. What does
not: what a card says (bots.cards), how it ended (bots.outcomes), any chat's format.

A moment inside a text is a token, because each reader has a time zone and only the chat knows it: a front writes the
token in its own way (MOMENT, `utc`), a front that can't calls `in_utc`. The token is made of private-use characters, which
`visible` spells out, so that no text of a client can hold one.
"""

import re
import textwrap
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime

NAME = 160

# --- text that is safe to look at -----------------------------------------------------------------------------------

#: Letters and marks that draw nothing, though Unicode does not call them format characters.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


def visible(text: str, *, keep: str = "") -> str:
    """Spell out what the eye can't see or is misled by: control, bidi, zero-width, odd spaces, variation selectors.

    `keep` are characters to leave alone beside the plain space ("\\n\\t" for SQL). U+202E becomes "[U+202E]".
    """
    if text.isascii() and text.isprintable():
        return text
    hidden = [each for each in set(text) if each != " " and each not in keep and _hides(each)]
    return text.translate({ord(each): f"[U+{ord(each):04X}]" for each in hidden}) if hidden else text


def _hides(char: str) -> bool:
    selector = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    return selector or char in _BLANKS or unicodedata.category(char) in _INVISIBLE_CATEGORIES


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of one line; what is left out is counted."""
    if len(text) <= limit:
        return text
    tail = f"... (+{len(text) - limit} characters)"
    return text[:limit].rstrip() + tail


def line(text: str, limit: int = NAME) -> str:
    """One visible line of at most about `limit` characters."""
    return cut(visible(" ".join(text.split("\n"))), limit)


def literal(sql: str) -> str:
    """SQL as people may read it: the same text, laid out, invisible characters and long runs of blanks spelled out."""
    text = visible(_laid_out(sql.replace("\r\n", "\n")), keep="\n\t")
    text = re.sub(r"[ \t]{41,}", lambda run: f" [{len(run.group())} blanks] ", text)
    return re.sub(r"\n{4,}", lambda run: f"\n[{len(run.group()) - 1} empty lines]\n", text)


_CLAUSES = re.compile(
    r" +(?=(?:FROM|WHERE|SET|VALUES|RETURNING|USING|GROUP BY|ORDER BY|HAVING|LIMIT|ON CONFLICT|"
    r"(?:LEFT |RIGHT |FULL |INNER |CROSS )?JOIN)\b)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")")
_DOLLAR_QUOTE = re.compile(r"\$\w*\$")


def _laid_out(sql: str) -> str:
    """Break a long one-line statement before its clauses: only blanks outside quotes change.

    Comments, backslash escapes and dollar quotes are not read here, so a text with any of them stays as it is.
    """
    text = textwrap.dedent(sql).strip("\n ")
    if "\n" in text or not 60 <= len(text) <= 2000 or any(odd in text for odd in ("\\", "--", "/*")):
        return text
    if _DOLLAR_QUOTE.search(text):
        return text
    parts = _QUOTED.split(text)
    parts[::2] = [_CLAUSES.sub("\n", part) for part in parts[::2]]
    return "".join(parts)


_CURLY = str.maketrans("\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019", '"""""\'\'')


def uncurled(text: str) -> str:
    """What a person typed, with the quotes that keyboards and chats curl straight again."""
    return text.translate(_CURLY)


# --- moments, durations, numbers --------------------------------------------------------------------------------------

#: A moment in a text: group 1 is "d" where the day is wanted too, group 2 the Unix seconds.
MOMENT = re.compile("\ue000(d?)(\\d+)\ue001")


def moment(when: float, *, day: bool = False) -> str:
    """The token of a time of day (with its day, if `day`) inside a text; see the module's docstring."""
    return f"\ue000{'d' if day else ''}{int(when)}\ue001"


def utc(found: re.Match[str]) -> str:
    """A match of MOMENT for those whose zone is not known: "10:31:05 UTC", "25 Nov 10:31 UTC"."""
    form = "%d %b %H:%M UTC" if found[1] else "%H:%M:%S UTC"
    return datetime.fromtimestamp(int(found[2]), UTC).strftime(form)


def in_utc(text: str) -> str:
    """The text with its moments in UTC: for a front that can't say them in the reader's zone."""
    return MOMENT.sub(utc, text)


def span(seconds: float) -> str:
    """A duration for people: "12 ms", "45 s", "3 m 24 s", "2 h 5 m"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} m"


def sentences(texts: Iterable[str]) -> str:
    """Lines as one text: a full stop behind each but the last, where it has no mark of its own."""
    *first, last = texts
    return " ".join((*(text if text.endswith((".", "?", "!", ":")) else f"{text}." for text in first), last))


def count(number: int, noun: str) -> str:
    """ "1 row", "18,240 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
