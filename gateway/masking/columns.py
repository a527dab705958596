"""The mask plan of one result: what happens to each column. Pure data and one function that decides, `plan`.

What lives here: column rules and lineage against the columns of a result. What must not: bytes of rows.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from typing import Literal

from gateway.masking.detectors import Detectors
from gateway.masking.masks import BINARY_FORMAT, MASKS, TEXT_FORMAT, Kind, kind_of
from gateway.sql.catalog import Relation
from gateway.sql.frames import HIDDEN, UNKNOWN
from gateway.wire.backend import Column

UNRESOLVED = "unresolved"
#: Masks that tell something of what they are put on: only for the column itself, as the target says it is. The hash of one
#: digit of it is known from the hash of a digit of one's own.
_PARTS = frozenset({"last4", "partial", "hash"})
#: What a column of unknown lineage may be all the same: numbers and the like stay, and are scanned.
NUMBERS = frozenset({Kind.HARMLESS, Kind.INT8, Kind.NUMERIC})
TableNames = Mapping[int, tuple[str, str, Mapping[int, str]]]


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One column: `action` pass (never looked at), scan (detectors), mask (replaced whole, by `mask`).

    `source` is the protected schema.table.column that a masked column carries, or "unresolved".
    """

    action: Literal["pass", "scan", "mask"]
    mask: str = ""
    source: str = ""
    type_oid: int = 25
    format: int = TEXT_FORMAT
    name: str = ""


@dataclass(frozen=True, slots=True)
class MaskPlan:
    """The plan of one result, a ColumnPlan a column in order."""

    columns: tuple[ColumnPlan, ...]

    @property
    def touches(self) -> bool:
        """False when every column passes: the rows need not be looked at."""
        return any(column.action != "pass" for column in self.columns)

    @property
    def masks(self) -> bool:
        """True when at least one column is replaced whole."""
        return any(column.action == "mask" for column in self.columns)


def plan(  # the callers' contract
    columns: Sequence[Column],
    formats: Sequence[int],
    sources: Sequence[frozenset[str] | None] | None,
    masks: Sequence[tuple[str, str]],
    target: str,
    table_names: TableNames,
    detectors: Detectors | None,
    redacts: bool = True,
    kept: frozenset[Kind] = NUMBERS,
) -> MaskPlan:
    """Decide for each column of a RowDescription whether it passes, is scanned or is masked.

    `formats`: the result-format codes of Bind (none = what each column says, one = for all, else one a column).
    `sources[i]`: the lineage of output column i as "schema.table.column"; an empty set = it carries no column; None, or
    sources=None = not known; UNKNOWN in it: these, and what else isn't known, HIDDEN: not even `kept`. `masks`: (glob of target.schema.table.column, mask) in the policy's order, the first match
    counts. `table_names`: table OID -> (schema, table, {attnum: column}). `redacts`: False where people were
    asked because the lineage isn't known, and let it go; else what isn't known is redacted, unless it is of the types
    `kept`.
    Raises ValueError when formats or sources don't fit the columns, or for an unknown mask.
    """
    if len(formats) > 1 and len(formats) != len(columns):
        raise ValueError(f"{len(formats)} format codes for {len(columns)} columns")
    if sources is not None and len(sources) != len(columns):
        raise ValueError(f"lineage of {len(sources)} columns for {len(columns)} columns")
    for _, mask in masks:
        if mask not in MASKS:
            raise ValueError(f"mask {mask} is not known; known are {', '.join(sorted(MASKS))}")
    protects = any(fnmatchcase(target, glob.split(".", 1)[0]) for glob, _ in masks)
    planned = []
    for i, column in enumerate(columns):
        code = _format(column, formats, i)
        lineage = None if sources is None else sources[i]
        found = _masked(lineage, _origin(column, table_names), masks, target)
        if found is None and (lineage is None or UNKNOWN in lineage) and protects and redacts:
            stays = kind_of(column.type_oid, code) in kept and (lineage is None or HIDDEN not in lineage)
            found = None if stays else ("redact", UNRESOLVED)
        action: Literal["mask", "scan", "pass"] = "mask" if found else _scanned(column, code, detectors)
        mask, source = found or ("", "")
        planned.append(ColumnPlan(action, mask, source, column.type_oid, code, column.name))
    return MaskPlan(tuple(planned))


def with_parents(
    masks: Sequence[tuple[str, str]], target: str, relations: Iterable[Relation]
) -> tuple[tuple[str, str], ...]:
    """The masks, and behind them those of partitions and child tables again for their parents, which show the same rows."""
    children = [each for each in relations if each.parents]
    if not children:  # most catalogs have none, and each new session asks
        return tuple(masks)
    known = [(re.compile(translate(glob)), mask) for glob, mask in masks if fnmatchcase(target, glob.split(".", 1)[0])]
    found: dict[tuple[str, str], None] = {}
    for child in children if known else ():
        for column in child.columns:
            name = f"{target}.{child.schema}.{child.name}.{column}"
            mask = next((mask for glob, mask in known if glob.match(name)), None)
            if mask is not None:
                found.update({(literally(f"{target}.{s}.{t}.{column}"), mask): None for s, t in child.parents})
    return (*masks, *found)


def literally(name: str) -> str:
    """A glob that matches this name alone."""
    return re.sub(r"[*?[]", r"[\g<0>]", name)


def _format(column: Column, formats: Sequence[int], i: int) -> int:
    if not formats:
        return column.format
    return formats[0] if len(formats) == 1 else formats[i]


def _origin(column: Column, table_names: TableNames) -> frozenset[str]:
    """The table column that the server itself names in RowDescription."""
    schema, table, names = table_names.get(column.table_oid, ("", "", {}))
    name = names.get(column.attnum)
    return frozenset() if name is None else frozenset({f"{schema}.{table}.{name}"})


def _masked(
    lineage: frozenset[str] | None, origin: frozenset[str], masks: Sequence[tuple[str, str]], target: str
) -> tuple[str, str] | None:
    """The first column rule that a source matches: (mask, source), a mask of parts for the column itself only. A * matches dots too: rather too much than too little."""
    carried = sorted((lineage or frozenset()) | origin)
    for glob, mask in masks:
        for source in carried:
            if fnmatchcase(f"{target}.{source}", glob):
                # Of a column made from it (a slice, the reverse) a part would be any part that the client likes.
                return mask if mask not in _PARTS or source in origin else "redact", source
    return None


def _scanned(column: Column, code: int, detectors: Detectors | None) -> Literal["scan", "pass"]:
    if detectors is None or not detectors.names:
        return "pass"
    return "pass" if kind_of(column.type_oid, code) in (Kind.HARMLESS, Kind.CHAR) else "scan"


__all__ = [
    "BINARY_FORMAT",
    "TEXT_FORMAT",
    "UNRESOLVED",
    "ColumnPlan",
    "MaskPlan",
    "TableNames",
    "literally",
    "plan",
    "with_parents",
]
