"""SQL text for people: where its string constants are, and a readable form of it.

What lives here: what a card needs of the text. The exact bytes stay what is judged, digested and forwarded.
"""

from gateway.sql.parse import pretty, string_tokens


def spans(text: str) -> tuple[tuple[int, int], ...]:
    """Character spans (start, end behind the last) of the string constants, their quotes and prefixes included.

    A text that can't be scanned is one span from end to end: whoever masks strings then hides all of it.
    """
    found = string_tokens(text)
    return ((0, len(text)),) if found is None else found


def formatted(sql: str) -> str:
    """The statement re-indented with its comments, or `sql` itself where that could change what it says."""
    return pretty(sql) or sql
