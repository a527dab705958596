"""Entries for a spreadsheet: which fields, and no text that it would take for a formula. Pure."""

import csv
import io
import json
from collections.abc import Mapping, Sequence

from gateway.audit.entry import Value

#: What a spreadsheet gets, in this order; the rest of an entry is in the JSON lines.
CSV_FIELDS = (
    "at", "user", "subject", "agent", "client", "target", "kind", "outcome", "tag", "tables", "passed_on", "rows", "duration_ms", "sqlstate",
    "rule", "verdict", "request", "decided_by", "via", "reason", "break_glass", "claimed", "masked", "sql", "fingerprints", "risk", "session", "replica", "seq", "hash",
)  # fmt: skip
#: A cell that starts with one of these is a formula to a spreadsheet, the wide ones to some (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def as_csv(entries: Sequence[Mapping[str, Value]], *, header: bool = True) -> str:
    """CSV with CSV_FIELDS as columns; texts that a spreadsheet would take for a formula begin with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(CSV_FIELDS)
    writer.writerows([_cell(entry.get(name)) for name in CSV_FIELDS] for entry in entries)
    return out.getvalue()


def harmless(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would take it for a formula."""
    return "'" + text if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _cell(value: Value) -> str | int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = " ".join(map(str, value))
    elif isinstance(value, list | dict):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = "" if value is None else str(value)
    return harmless(text)
