"""How an approval request is written down: one JSON object. Pure; the inverse pair `to_json` and `from_json`.

A field that is missing in an old row takes its default; a field that is unknown here (a newer replica wrote it) is
dropped, so that two versions can run side by side.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from gateway.approvals.grants import Grant, Terms
from gateway.approvals.request import Approval, ApprovalRequest, HeldStatement, Person, Preview, Question, State
from gateway.approvals.seen import Seen


def to_json(request: ApprovalRequest) -> str:
    """The request as JSON text (ASCII; NUL and lone surrogates are escaped)."""
    return json.dumps(request, default=_plain, separators=(",", ":"))


def from_json(text: str) -> ApprovalRequest:
    """The request that `to_json` wrote. Raises ValueError, KeyError or TypeError on anything else."""
    return ApprovalRequest(**_read(ApprovalRequest, json.loads(text)))


def _plain(value: object) -> object:
    """One level, for json to go on with: dataclasses.asdict copies everything first and takes thrice as long."""
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} has no place in a stored request")


def _person(value: Any) -> Person | None:
    return None if value is None else Person(**_read(Person, value))


def _terms(value: Any) -> Terms | None:
    return None if value is None else Terms(**_read(Terms, value))


def _grant(value: Any) -> Grant | None:
    return None if value is None else Grant(**_read(Grant, value))


def _seen(value: Any) -> Seen | None:
    return None if value is None else Seen(**_read(Seen, value))


def _same(value: Any) -> object:
    return value


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    return tuple((source, to) for source, to in value)


def _rows(value: Any) -> tuple[tuple[str | None, ...], ...]:
    return tuple(tuple(row) for row in value)


#: (class, field) -> how the JSON value becomes the field's value; what is not here is taken as it is.
_READ: dict[tuple[type, str], Callable[[Any], object]] = {
    (Person, "groups"): frozenset,
    (Person, "also"): tuple,
    (HeldStatement, "relations"): tuple,
    (HeldStatement, "parameters"): _rows,
    (HeldStatement, "copies"): _pairs,
    (HeldStatement, "passed_on"): tuple,
    (HeldStatement, "locks"): _pairs,
    (Preview, "columns"): tuple,
    (Preview, "before"): _rows,
    (Preview, "after"): _rows,
    (Approval, "by"): _person,
    (Question, "by"): _person,
    (ApprovalRequest, "state"): State,
    (ApprovalRequest, "requester"): _person,
    (ApprovalRequest, "decided_by"): _person,
    (ApprovalRequest, "lifted_by"): _person,
    (ApprovalRequest, "statements"): lambda held: tuple(HeldStatement(**_read(HeldStatement, one)) for one in held),
    (ApprovalRequest, "preview"): lambda preview: Preview(**_read(Preview, preview)),
    (ApprovalRequest, "approvals"): lambda given: tuple(Approval(**_read(Approval, one)) for one in given),
    (ApprovalRequest, "questions"): lambda asked: tuple(Question(**_read(Question, one)) for one in asked),
    (ApprovalRequest, "reviewer_groups"): frozenset,
    (ApprovalRequest, "reviewer_users"): frozenset,
    (ApprovalRequest, "glass_groups"): frozenset,
    (ApprovalRequest, "glass_users"): frozenset,
    (ApprovalRequest, "channels"): tuple,
    (ApprovalRequest, "mentions"): tuple,
    (ApprovalRequest, "escalate_to"): tuple,
    (ApprovalRequest, "grantable"): _terms,
    (ApprovalRequest, "grant"): _grant,
    (ApprovalRequest, "seen"): _seen,
    (Seen, "held"): lambda held: None if held is None else _pairs(held),
}


def _read(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    names = [field.name for field in fields(kind) if field.name in values]
    return {name: _READ.get((kind, name), _same)(values[name]) for name in names}
