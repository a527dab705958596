"""Texts that differ in constants only, and whether such a text is judged the same whatever these are. Pure.

`shape` is a lexical step: it never decides by itself. What was worked out of one text may be used for others of its shape only if
`constants_are_free` says so of that one: each constant that `shape` replaces is compared with a column, or put into one by INSERT or
UPDATE (be it as a number that is added to another), and stands nowhere else. In ORDER BY 1, a type's length, an argument of a function or a cast a constant says what the
statement does (performance.md 7); LIMIT and OFFSET stay as they are.
Texts with double quotes, dollars, backslashes or comments have no shape, nor have those that are beyond ASCII outside of a string, or
have strings of another kind than '...': what belongs to what takes a parser to say. The first character of any of these is seen as
such, because up to there all was taken apart as PostgreSQL does.

`outline` is cheaper still (0.2 us against 3) and finer: texts of one outline have digits in the same places. Where each of these
belongs to a number that `shape` replaces (`is_all_numbers`), they have one shape too.
"""

import re
from bisect import bisect_left
from functools import lru_cache
from typing import Final

from gateway.sql.parse import tree
from gateway.sql.settings import is_applications
from gateway.sql.tree import Fields, strings, unwrap

#: (What each begins with is looked at first: that takes half of the time.)
#: A whole number that is an int4 for certain, and no part of a name, of 1.5, 1e5, 0x1F or 1_000; not what LIMIT and OFFSET say.
_WHOLE: Final = rb"(?=\d)(?<![\w.])(?<!(?i:limit) )(?<!(?i:offset) )\d{1,9}(?![\w.])"
_DECIMAL: Final = rb"(?=\d)(?<![\w.])\d{1,9}\.\d{1,9}(?![\w.])"
#: A string without prefix; two quotes in it are one. Where a quote stands behind a letter it is skipped, and so found unfit.
_QUOTED: Final = rb"(?=')(?<![\w&$\x80-\xff])'[^'\\]*'(?:'[^'\\]*')*"
_NUMBER: Final = re.compile(_WHOLE)
_FRACTION: Final = re.compile(_DECIMAL)
_STRING: Final = re.compile(_QUOTED)
_CONSTANT: Final = re.compile(b"|".join((_QUOTED, _DECIMAL, _WHOLE)))
_UNFIT: Final = re.compile(rb"['\"$\\\x80-\xff]|--|/\*")
_DIGIT: Final = re.compile(rb"\d")
_BEFORE_DIGITS: Final = re.compile(rb"-\s*")
_MINUS: Final = ord("-")
#: What stands for a string; outside of strings PostgreSQL has no such character.
_HOLE: Final = b"\x01"
_ZEROS: Final = bytes(ord("0") if chr(each).isdigit() and each < 128 else each for each in range(256))
_COMPARES: Final = frozenset({"=", "<>", "<", ">", "<=", ">="})
_CALCULATES: Final = (["+"], ["-"], ["*"], ["/"])
_LEAF: Final = "A_Const"
_KINDS: Final = {
    "AEXPR_OP": _COMPARES,
    "AEXPR_IN": _COMPARES,
    "AEXPR_BETWEEN": {"BETWEEN"},
    "AEXPR_LIKE": {"~~", "!~~"},
    "AEXPR_ILIKE": {"~~*", "!~~*"},
}


def shape(text: bytes) -> bytes | None:
    """The text with each constant replaced by one of its kind; None where that can't be told by characters."""
    if _UNFIT.search(text):
        if b"'" not in text or _HOLE in text:
            return None
        whole, text = text, _STRING.sub(_HOLE, text)
        if _UNFIT.search(text) or not _is_utf8(whole):
            return None
    if b"." in text:
        text = _FRACTION.sub(b"0.0", text)
    return _NUMBER.sub(b"0", text)


def statements(text: bytes) -> list[bytes] | None:
    """The text at the semicolons outside of its strings, less what is empty; None where that can't be told by characters.

    Where each of the parts is a statement by itself, the text is these: PostgreSQL's grammar knows no other reading. A part of a rule's
    actions or of a function's body is none.
    """
    if b";" not in text or shape(text) is None:
        return None
    masked = _STRING.sub(_blotted, text) if b"'" in text else text
    found, start = list[bytes](), 0
    for part in masked.split(b";"):
        end = start + len(part)
        if not part.isspace() and part:
            found.append(text[start:end])
        start = end + 1
    return found


def _blotted(string: re.Match[bytes]) -> bytes:
    return _HOLE * len(string[0])


@lru_cache(maxsize=8)  # one statement's text is asked about from several sides
def shape_of(text: str) -> bytes | None:
    """The same of a text that may be none (lone surrogates)."""
    try:
        return shape(text.encode())
    except UnicodeEncodeError:
        return None


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def outline(text: bytes) -> bytes:
    """The text with each digit replaced by 0."""
    return text.translate(_ZEROS)


def is_all_numbers(text: bytes) -> bool:
    """Has it a shape, no string, and does each of its digits belong to a number that `shape` replaces?"""
    return not _UNFIT.search(text) and not _DIGIT.search(_NUMBER.sub(b"", text))


def constants(text: bytes) -> list[int]:
    """Where what `shape` replaces in this text begins. It must have a shape."""
    return [found.start() for found in _CONSTANT.finditer(text)]


def moved(offsets: tuple[int, ...], before: list[int], now: list[int]) -> tuple[int, ...]:
    """The same places in another text of the shape. `before`, `now`: where the constants of both begin, and their ends.

    None of these offsets is inside of a constant: what stands between it and the next constant is the same in both.
    """
    following = [bisect_left(before, each) for each in offsets]
    return tuple(now[at] - (before[at] - each) for at, each in zip(following, offsets, strict=True))


@lru_cache(maxsize=8)
def constants_are_free(text: str) -> bool:
    """Would this text, of one statement, be judged the same with other constants in the places that `shape` replaces?"""
    if shape_of(text) is None:
        return False
    raw = text.encode()
    replaced = set(constants(raw))
    if not replaced:
        return True
    node = tree(text)
    if node is None:
        return False
    free = list[int]()
    _gather({node[0]: node[1]}, free)
    return replaced <= {_at_digits(raw, each) for each in free}


def _at_digits(text: bytes, offset: int) -> int:
    """A negative number begins at its sign, which `shape` leaves where it is."""
    sign = _BEFORE_DIGITS.match(text, offset) if text[offset] == _MINUS else None
    return sign.end() if sign else offset


def _gather(node: object, found: list[int]) -> None:
    """Offsets of the constants that a column is compared with or that are put into one."""
    if isinstance(node, list):
        for each in node:
            if isinstance(each, dict) and _LEAF not in each:  # a text may hold thousands
                _gather(each, found)
    elif isinstance(node, dict):
        for name, fields in node.items():
            if isinstance(fields, dict):
                if name == "A_Expr":
                    found += _of_comparison(fields)
                elif name == "VariableSetStmt":
                    found += _set(fields)
                elif name in _PUTS:
                    found += _put(name, fields)
                _gather(fields, found)
            elif isinstance(fields, list):
                _gather(fields, found)


#: What puts values into columns, and where its assignments are.
_PUTS: Final = {"InsertStmt": "", "UpdateStmt": "targetList", "onConflictClause": "targetList"}


def _put(name: str, fields: Fields) -> list[int]:
    """Constants as they are, or cast: VALUES of an INSERT, and what SET says. A cast does what it does whatever the constant is."""
    if name == "InsertStmt":
        query = unwrap(fields.get("selectStmt"))
        rows = query[1].get("valuesLists") or () if query and query[0] == "SelectStmt" else ()
        values = [item for row in rows for item in row["List"].get("items") or ()]
    else:
        values = [_addend(each["ResTarget"].get("val")) for each in fields.get(_PUTS[name]) or ()]
    return [offset for each in values if (offset := _constant(_uncast(each))) is not None]


def _set(fields: Fields) -> list[int]:
    """What SET puts into an application's own setting, which nothing goes by."""
    own = is_applications(str(fields.get("name")))
    return [offset for each in fields.get("args") or () if own and (offset := _constant(each)) is not None]


def _addend(node: object) -> object:
    """What SET makes of a column by a number, as in `a = a + 1`, is that number; anything else is itself."""
    name, fields = unwrap(node) or ("", {})
    if name != "A_Expr" or fields.get("kind") != "AEXPR_OP" or strings(fields.get("name")) not in _CALCULATES:
        return node
    left, right = fields.get("lexpr"), fields.get("rexpr")
    number = right if _is_column(left) else left if _is_column(right) else None
    held = number.get(_LEAF) if isinstance(number, dict) else None
    return node if not isinstance(held, dict) or "sval" in held else number


def _uncast(node: object) -> object:
    name, fields = unwrap(node) or ("", {})
    return fields.get("arg") if name == "TypeCast" else node


def _of_comparison(fields: Fields) -> list[int]:
    names = strings(fields.get("name"))
    if len(names) != 1 or names[0] not in _KINDS.get(str(fields.get("kind")), ()):
        return []
    left, right = fields.get("lexpr"), fields.get("rexpr")
    if _is_column(right):
        left, right = right, left
    if not _is_column(left):
        return []
    listed = unwrap(right)
    among = listed[1].get("items") or [] if listed and listed[0] == "List" else [right]
    return [offset for each in among if (offset := _constant(each)) is not None]


def _is_column(node: object) -> bool:
    name, _ = unwrap(node) or ("", {})
    return name == "ColumnRef"


def _constant(node: object) -> int | None:
    """Where a number or a string stands; None for anything else."""
    fields = node.get(_LEAF) if isinstance(node, dict) else None
    if not isinstance(fields, dict) or not ("ival" in fields or "sval" in fields or "fval" in fields):
        return None
    return int(fields.get("location", 0))
