"""SQL text for people: where its string constants are, and a readable form of it.

What lives here: what a card needs of the text. The exact bytes stay what is judged, digested and forwarded.
"""

from bisect import bisect_left
from collections.abc import Collection

from gateway.sql.parse import constant_tokens, pretty, string_tokens


def spans(text: str) -> tuple[tuple[int, int], ...]:
    """Character spans (start, end behind the last) of the string constants, their quotes and prefixes included.

    A text that can't be scanned is one span from end to end: whoever masks strings then hides all of it.
    """
    found = string_tokens(text)
    return ((0, len(text)),) if found is None else found


def withheld(text: str, offsets: Collection[int], instead: str) -> str:
    """The text with `instead` in the place of the constants that begin at these byte offsets (as the parser gives them).

    A text that can't be scanned is `instead` as a whole.
    """
    tokens = constant_tokens(text) if offsets else ()
    if tokens is None:
        return instead
    raw = text.encode("utf-8", "surrogatepass")
    starts = {len(raw[:each].decode("utf-8", "ignore")) for each in offsets}
    begins = [start for start, _ in tokens]
    for each in [each for each in starts if text[each : each + 1] == "-"]:  # a negative number begins at its sign
        starts.update(begins[bisect_left(begins, each) :][:1])
    out, at = list[str](), 0
    for start, end in tokens:
        if start in starts:
            out += [text[at:start], instead]
            at = end
    return "".join((*out, text[at:]))


def formatted(sql: str) -> str:
    """The statement re-indented with its comments, or `sql` itself where that could change what it says."""
    return pretty(sql) or sql
