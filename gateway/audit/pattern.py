"""Entries that are alike but for a few fields: their canonical text with holes, made once and filled for each entry. Pure.

A statement that a session repeats makes two entries each time, in which the number, the time, a duration and a count differ.
Filling the holes costs a tenth of writing the whole text, and gives the very same one (`entry.canonical`): a test compares
them. What must not live here: which fields an entry has (entry.py), how it is sealed (chain.py).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Final

from gateway.audit.entry import FIELDS, Value, canonical, nested

#: These the spool fills in: all but the last two stand first in each text.
OF_SPOOL: Final = ("seq", "replica", "at", "kind", "prev", "hash")
_RANK: Final = {name: rank for rank, name in enumerate(FIELDS)}


class Pattern:
    """`kind`, `fields` with their values, and `holes`: the names of fields that `text` gets, in any order of ranks.

    Raises ValueError for a field that no entry has, and for one that the spool fills in.
    """

    __slots__ = ("_parts", "holes", "kind")

    def __init__(self, kind: str, fields: Mapping[str, Value], holes: Sequence[str]) -> None:
        self.kind = kind
        if not {*holes, *fields}.isdisjoint(OF_SPOOL):
            raise ValueError(f"the spool itself fills in {', '.join(OF_SPOOL)}")
        if unknown := {*holes, *fields}.difference(FIELDS):
            raise ValueError(f"not a field of an audit entry: {', '.join(sorted(unknown))}")
        self.holes = tuple(sorted(holes, key=_RANK.__getitem__))
        between = [_quoted(kind)]
        known = dict[str, Value]()  # up to the next hole
        for name in sorted({*fields, *self.holes}, key=_RANK.__getitem__):
            if name in self.holes:
                between[-1] += f'{_members(known)},"{name}":'
                between.append("")
                known = {}
            else:
                known[name] = fields[name]
        between[-1] += _members(known)
        self._parts = [part for each in between for part in (each.encode(), b"")][:-1]

    def text(self, values: Sequence[bytes]) -> bytes:
        """The canonical text (UTF-8) from the value of `kind` to the last field before `prev`. `values`: JSON, one for each of `holes`."""
        parts = self._parts.copy()
        parts[1::2] = values
        return b"".join(parts)

    def fits(self, kind: str, fields: Mapping[str, Value], values: Sequence[bytes]) -> bool:
        """Would an entry of these fields have this pattern's text with these values?"""
        whole = canonical(fields)[1:-1]
        said = f"{_quoted(kind)},{whole}" if whole else _quoted(kind)
        return said.encode() == self.text(values)


def _members(fields: Mapping[str, Value]) -> str:
    """The fields as they stand behind others in an object."""
    return f",{canonical(fields)[1:-1]}" if fields else ""


def text_value(text: str) -> bytes:
    """A text as JSON, for a hole. U+0000 can't be in it: no text of PostgreSQL holds one."""
    return _quoted(text).encode()


def number_value(number: int) -> bytes:
    """A whole number as JSON, as `canonical` writes it."""
    return repr(number).encode()


def milliseconds(seconds: float) -> float:
    """A duration as entries say it: to the microsecond."""
    return int(seconds * 1_000_000 + 0.5) / 1000


def milliseconds_value(seconds: float) -> bytes:
    """The same as JSON."""
    return _milliseconds(int(seconds * 1_000_000 + 0.5))


@lru_cache(maxsize=4096)
def _milliseconds(micros: int) -> bytes:
    """Most statements take as long as others did, and writing a fraction costs as much as a seal's tenth."""
    return repr(micros / 1000).encode()


def nested_value(value: Value) -> bytes:
    """A list of objects as JSON. Raises UnicodeEncodeError for a lone surrogate."""
    return nested(value).encode()


def list_value(texts: Sequence[str | None]) -> bytes:
    """Texts and nulls as a JSON list."""
    return f"[{','.join(['null' if each is None else _quoted(each) for each in texts])}]".encode()
