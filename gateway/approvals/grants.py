"""Grants as values: what a rule lets people grant on a request, what they chose, and what was granted. Pure.

A grant is part of the request on which it was given, and has that request's id. How often it was used is the store's to
count, because two replicas may use it at once. What must not live here: who may grant, use or revoke (granting.py).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be granted on one request: at most so long and so often (None: the rule says nothing; it says one of both),
    and each use may change so many rows. `shape` is a keyed digest of all that a use has to share with the request
    (gateway.session.granting); `vary`: bound values need not be the same."""

    shape: str
    max_minutes: int | None
    max_uses: int | None
    max_rows: int
    vary: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What a reviewer chose: so many minutes or so many uses, one of both. The rule's other maximum counts all the same."""

    minutes: int | None = None
    uses: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Given on a request, by who approved it. Ends at `until` (Unix seconds), after `uses` (None: only by time), or when
    somebody revokes it: then `revoked_by` is who, `why` the reason that was typed."""

    shape: str
    until: float
    uses: int | None
    rows: int
    vary: bool = False
    revoked_at: float | None = None
    revoked_by: str = ""
    revoked_via: str = ""
    why: str = ""


def offers(terms: Terms | None) -> tuple[Scope, ...]:
    """What a reviewer may choose from, the smaller first: 15 and 60 minutes, 5 uses, and the rule's own maxima."""
    if terms is None:
        return ()
    return (
        *(Scope(minutes=each) for each in _up_to(terms.max_minutes, (15, 60))),
        *(Scope(uses=each) for each in _up_to(terms.max_uses, (5,))),
    )


def _up_to(most: int | None, usual: tuple[int, ...]) -> list[int]:
    return [] if most is None else sorted({*(each for each in usual if each < most), most})
