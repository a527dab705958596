"""What `hoop explain` says of masks: which columns of a statement's result would be masked, by which entry of the policy.

The answer is made by the code that masks on the wire (gateway.sql.lineage, gateway.masking.columns), with the target's
catalog in the place of its RowDescription. What only the wire can tell is not guessed: the types of computed columns, and
what detectors find in values. Without a catalog most of it is unknown, and that is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gateway.identity.claims import Identity
from gateway.masking.columns import UNRESOLVED, TableNames, plan, with_parents
from gateway.policy.decide import sees_clear
from gateway.policy.model import Policy
from gateway.sql.catalog import Catalog
from gateway.sql.lineage import Lineages, Output
from gateway.sql.statement import Script, Statement
from gateway.wire.backend import Column

_TEXT_OID = 25
#: Tags of statements that answer with rows; of DML only with RETURNING, which their outputs tell.
_ANSWERING = frozenset(
    {"SELECT", "TABLE", "VALUES", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "EXPLAIN", "EXECUTE", "FETCH", "SHOW"}
)
_REDACTED = "on the wire whatever can carry text is redacted"


@dataclass(frozen=True, slots=True)
class Masks:
    """`found`: {column, source, mask, entry} each, in the result's order. `unknown`: what can't be said and why, or "".

    `notes` are sentences for people.
    """

    found: tuple[dict[str, str], ...] = ()
    unknown: str = ""
    notes: tuple[str, ...] = ()


def masks_of(policy: Policy, who: Identity, target: str, script: Script, catalog: Catalog | None) -> Masks:
    """Say what of the script's results would be masked for this identity on this target."""
    if sees_clear(policy, who):
        return Masks(notes=(f"{who.user} sees every column in clear (masking: clear_for)",))
    named = [(each.column, each.mask) for each in policy.masking.columns if _is_of(each.column, target)]
    entries = with_parents(named, target, catalog.relations.values() if catalog else ())
    if script.unparsable is not None or script.too_big:
        return Masks(unknown=f"the text can't be read here; {_REDACTED}" if entries else "", notes=_notes(policy))
    lineages = Lineages(catalog, ("public",))
    results = [(each, lineages.outputs(each.sql)) for each in script.statements if _answers(each)]
    results = [(each, outputs) for each, outputs in results if outputs != ()]
    notes = _notes(policy) if results else ()
    if not entries:
        return Masks(notes=notes)
    unknown = (_unknown(each, outputs, catalog, entries) for each, outputs in results)
    tables = catalog.tables if catalog is not None else {}
    found = [
        mask for _, outputs in results if outputs and catalog for mask in _masked(outputs, entries, target, tables)
    ]
    return Masks(tuple(found), next(filter(None, unknown), ""), notes)


def _is_of(glob: str, target: str) -> bool:
    return fnmatchcase(target, glob.split(".", 1)[0])


def _answers(statement: Statement) -> bool:
    return statement.tag in _ANSWERING and statement.copies != "in"


def _notes(policy: Policy) -> tuple[str, ...]:
    names = [*policy.masking.detect, *policy.masking.patterns]
    return (f"what else looks like {', '.join(names)} is masked wherever it stands in a text",) if names else ()


def _unknown(
    statement: Statement,
    outputs: Sequence[Output] | None,
    catalog: Catalog | None,
    entries: Sequence[tuple[str, str]],
) -> str:
    """Why the columns of this result, or what they carry, can't be said."""
    if catalog is None and (outputs is None or any(each.carried is None for each in outputs)):
        known = ", ".join(f"{column} ({mask})" for column, mask in entries)
        return f"the target's catalog was not read, so what a column carries is not known; masked are {known}"
    if outputs is None:
        return f"what {statement.tag} answers with can't be followed to its columns; {_REDACTED}"
    return ""


def _masked(
    outputs: Sequence[Output], entries: Sequence[tuple[str, str]], target: str, tables: TableNames
) -> list[dict[str, str]]:
    """What the wire's own plan says of these columns; each is taken as text."""
    columns = [Column(each.name or "(more columns)", *each.origin, _TEXT_OID, -1, -1, 0) for each in outputs]
    planned = plan(columns, (), [each.carried for each in outputs], entries, target, tables, None)
    return [
        {
            "column": each.name,
            "source": each.source,
            "mask": each.mask,
            "entry": _entry(each.source, entries, target),
        }
        for each in planned.columns
        if each.action == "mask"
    ]


def _entry(source: str, entries: Sequence[tuple[str, str]], target: str) -> str:
    if source == UNRESOLVED:
        return "masking: unresolved"
    return next(glob for glob, _ in entries if fnmatchcase(f"{target}.{source}", glob))
