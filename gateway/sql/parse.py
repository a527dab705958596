"""The one door to pglast: a query string -> a Script.

What lives here: sizes and nesting that are safe for this process, byte offsets to text, and what the grammar refuses. Not
here: what a statement does (effects.py). Trees are dicts from parse_sql_json, never pglast's AST objects: those cost 17
times as much (performance.md section 7) and parse_sql can be crashed by any client (enforcement.md 4.1, rows 19-20).

Texts over `max_bytes` and trees nested too deep come back as `too_big`, with the reason in `facts["reason"]`; the caller
asks the worker process of gateway.relay.parser then, which has a larger stack and may be killed.

Whoever walks a tree calls itself, and compiled nobody counts how often (gateway/compiled.py): so none is handed out that is nested
deeper than the interpreter's own limit. Trees are shared by all who ask for the same text; nobody changes one.
"""

import json
import re
import sys
from dataclasses import replace
from typing import Any, Final

from pglast import prettify
from pglast.parser import ParseError, fingerprint, parse_sql_json, scan

from gateway.errors import ProtocolViolation
from gateway.sql.effects import opaque, read_statement
from gateway.sql.queries import TooWideError
from gateway.sql.statement import Script, Statement
from gateway.sql.tree import Fields, unwrap

MAX_BYTES = 8192
MAX_STATEMENTS = 2_000
# Nested comments cost PostgreSQL's scanner, and ours, the square of their depth: 20,000 take 2.3 s (enforcement.md 4.1, row 21).
MAX_COMMENT_DEPTH = 100

_COMMENT_MARKS = re.compile(r"/\*|\*/")
_REASON = "reason:"
_STRINGS = frozenset({"SCONST", "USCONST", "BCONST", "XCONST"})
_CONSTANTS = _STRINGS | {"ICONST", "FCONST"}
POSITIONS = frozenset(
    {
        "location",
        "stmt_location",
        "stmt_len",
        "rexpr_list_start",
        "rexpr_list_end",
        "list_start",
        "list_end",
        "arg_location",
    }
)
_TOO_DEEP = ("stack depth limit exceeded", "memory exhausted", "out of memory")


def read(text: str, *, max_bytes: int = MAX_BYTES) -> Script:
    """Read a query string of one or more statements.

    An empty string gives no statements. Raise ProtocolViolation for a NUL or for what can't be UTF-8: PostgreSQL takes
    neither, and pglast would stop reading at the NUL.
    """
    encoded = encode(text)
    reason = claimed_reason(text)
    if len(encoded) > max_bytes:
        return _too_big(text, f"the text is longer than {max_bytes} bytes", reason)
    if comment_depth(text) > MAX_COMMENT_DEPTH:
        why = f"comments are nested deeper than {MAX_COMMENT_DEPTH}"
        return Script(text, (opaque(text, why),), claimed_reason=reason)
    try:
        found = _parsed(text).get("stmts") or []
        if len(found) > MAX_STATEMENTS:
            return Script(
                text, (opaque(text, f"it holds more than {MAX_STATEMENTS} statements"),), claimed_reason=reason
            )
        statements = tuple(_statement(encoded, each) for each in found)
        _LATEST.note(text, found, statements)
    except ParseError as error:
        message = str(error.args[0]) if error.args else "syntax error"
        if any(each in message for each in _TOO_DEEP):
            return _too_big(text, "the text is nested too deep", reason)
        return Script(text, (), unparsable=message, claimed_reason=reason)
    except UnicodeDecodeError:  # pglast fails on its own message where that cuts a character in two: "... at or near"
        return Script(text, (), unparsable="syntax error", claimed_reason=reason)
    except RecursionError:
        return _too_big(text, "the text is nested too deep", reason)
    return Script(text, statements, claimed_reason=reason)


def tree(text: str, *, max_bytes: int = MAX_BYTES) -> tuple[str, Fields] | None:
    """The node of a text of one statement: its name and its fields. None for what `read` wouldn't take apart here either."""
    if text in (_LATEST.text, _LATEST.sql):  # asked for right behind `read`
        return _LATEST.node
    if len(text) > max_bytes or "\0" in text or comment_depth(text) > MAX_COMMENT_DEPTH:
        return None
    try:
        statements = _parsed(text).get("stmts") or []
    except (ParseError, RecursionError, UnicodeError):
        return None
    return unwrap(statements[0].get("stmt")) if len(statements) == 1 else None


class _Latest:
    """The text of one statement that was read last, and its node: what a statement means is asked for right behind reading it.

    `sql`: the statement's own text, where that stands at the beginning (else offsets in its tree are others).
    """

    __slots__ = ("node", "sql", "text")

    def __init__(self) -> None:
        self.text: str | None = None
        self.sql: str | None = None
        self.node: tuple[str, Fields] | None = None

    def note(self, text: str, found: list[Fields], statements: tuple[Statement, ...]) -> None:
        """Keep it, if it is one."""
        if len(statements) != 1 or len(text) > MAX_BYTES:
            return
        self.text, self.sql = text, statements[0].sql if text.startswith(statements[0].sql) else None
        self.node = unwrap(found[0].get("stmt"))


_LATEST: Final = _Latest()


def _parsed(text: str) -> Fields:
    """The tree of a text. Raise ParseError, RecursionError where it is nested too deep, UnicodeError."""
    encoded = parse_sql_json(text)
    found: Fields = json.loads(encoded)
    if sys.version_info >= (3, 12):  # json before it goes by the same limit
        limit = sys.getrecursionlimit()
        if encoded.count("{") + encoded.count("[") > limit:  # else it can't be nested as deep
            check_nesting(found, limit)
    return found


def check_nesting(tree: object, limit: int) -> None:
    """Raise RecursionError where lists and fields are nested deeper than `limit`. It doesn't call itself for it."""
    level, depth = [tree], 0
    while level:
        depth += 1
        if depth > limit:
            raise RecursionError
        below: list[object] = []
        for each in level:
            if isinstance(each, dict | list):
                below += each.values() if isinstance(each, dict) else each
        level = below


def claimed_reason(text: str) -> str:
    """The text of a leading `/* reason: ... */` comment, else "". By find, not by pattern: a text is as long as a client likes."""
    begun = text.lstrip()
    if not begun.startswith("/*"):  # asked first: find() goes through all of a text that has no comment
        return ""
    end = begun.find("*/", 2)
    if end < 0:
        return ""
    said = begun[2:end].strip()
    return said[len(_REASON) :].strip() if said[: len(_REASON)].lower() == _REASON else ""


def comment_depth(text: str) -> int:
    """An upper bound of how deep comments are nested. Marks inside strings count too: cheap, and never too low."""
    depth = deepest = 0
    for mark in _COMMENT_MARKS.findall(text):
        depth = depth + 1 if mark == "/*" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def string_tokens(text: str) -> tuple[tuple[int, int], ...] | None:
    """Character spans (start, end behind the last) of string constants with their quotes; None if the scanner refuses the text."""
    return _tokens(text, _STRINGS)


def constant_tokens(text: str) -> tuple[tuple[int, int], ...] | None:
    """The same of strings and numbers."""
    return _tokens(text, _CONSTANTS)


def _tokens(text: str, names: frozenset[str]) -> tuple[tuple[int, int], ...] | None:
    try:
        tokens = scan(text)
    except (ParseError, UnicodeError):
        return None
    return tuple((each.start, each.end + 1) for each in tokens if each.name in names)


def pretty(text: str) -> str | None:
    """The text re-indented, comments kept, if the result means the same: both trees are equal but for positions. Else None."""
    if len(text) > MAX_BYTES or comment_depth(text) > MAX_COMMENT_DEPTH:
        return None
    try:
        before = _meaning(_parsed(text))
        better = prettify(text, preserve_comments=True)
        same = before == _meaning(_parsed(better))
    except (ParseError, RecursionError, UnicodeError):
        return None
    except Exception:  # pglast's printers raise what they like on nodes they don't know; then the text stays
        return None
    return str(better) if same else None


def without_positions(text: str) -> str | None:
    """The tree of a text of one statement, without positions, as JSON: equal for texts that differ in blanks and comments alone.
    Literals stay in it. None for what can't be taken apart here."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES or "\0" in text or comment_depth(text) > MAX_COMMENT_DEPTH:
        return None
    try:
        found = _parsed(text)
        return json.dumps(_meaning(found)) if len(found.get("stmts") or ()) == 1 else None
    except (ParseError, RecursionError, UnicodeError):
        return None


def _meaning(tree: Any) -> Any:
    """A tree without positions. Nested no deeper than json.loads allowed."""
    if isinstance(tree, dict):
        return {key: _meaning(value) for key, value in tree.items() if key not in POSITIONS}
    return [_meaning(each) for each in tree] if isinstance(tree, list) else tree


def encode(text: str) -> bytes:
    """The text as UTF-8. Raise ProtocolViolation for a NUL and for lone surrogates."""
    if "\0" in text:
        raise ProtocolViolation("the query holds a NUL character")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ProtocolViolation("the query isn't valid UTF-8") from error


def _too_big(text: str, why: str, reason: str) -> Script:
    return Script(text, (), too_big=True, claimed_reason=reason, facts={"reason": why})


def _fingerprint(sql: str) -> str:
    try:
        found: str = fingerprint(sql)
    except (ParseError, UnicodeError):  # it was read a moment ago, as a part of its string
        return ""
    return found


def _statement(encoded: bytes, raw: dict[str, Any]) -> Statement:
    start = raw.get("stmt_location", 0)
    end = start + raw["stmt_len"] if raw.get("stmt_len") else len(encoded)
    sql = encoded[start:end].strip().decode()  # of bytes: U+00A0 and its kind are letters to PostgreSQL
    name, fields = unwrap(raw.get("stmt")) or ("an empty statement", {})
    try:
        return replace(read_statement(sql, name, fields), fingerprint=_fingerprint(sql))
    except TooWideError:
        return opaque(sql, "it names more columns and relations than the gateway follows")
    except (LookupError, TypeError, AttributeError, ValueError):
        # A tree that our readers don't expect: nothing is known, so nothing is let through.
        return opaque(sql, f"{name} has a form that isn't known")
