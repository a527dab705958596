"""What a statement locks while it runs, as far as others notice: table locks that stop writes, or reads as well. Pure.

Source: PostgreSQL manual 13.3.1 (Table-Level Locks), and for ALTER TABLE its own page. What lives here: command -> mode. What
does not: locks on rows and weaker ones (ROW EXCLUSIVE of a DELETE), which stop neither; which locks are held already
(gateway.relay.looks). A test asks pg_locks of a real server whether each line is true.
"""

from collections.abc import Callable, Iterator
from typing import Any

from gateway.sql.parse import tree
from gateway.sql.statement import Statement
from gateway.sql.tree import Fields, parts

ACCESS_EXCLUSIVE, EXCLUSIVE = "ACCESS EXCLUSIVE", "EXCLUSIVE"
SHARE_ROW_EXCLUSIVE, SHARE = "SHARE ROW EXCLUSIVE", "SHARE"

#: Every mode of the manual, the strongest first; it numbers them from 1 on from behind (storage/lockdefs.h).
MODES = (
    ACCESS_EXCLUSIVE,
    EXCLUSIVE,
    SHARE_ROW_EXCLUSIVE,
    SHARE,
    "SHARE UPDATE EXCLUSIVE",
    "ROW EXCLUSIVE",
    "ROW SHARE",
    "ACCESS SHARE",
)
#: What a mode keeps others from: a mode that isn't here stops neither.
STOPS = {
    ACCESS_EXCLUSIVE: "all reads and writes",
    EXCLUSIVE: "all writes",
    SHARE_ROW_EXCLUSIVE: "all writes",
    SHARE: "all writes",
}

#: Sub-commands of ALTER TABLE that take less than ACCESS EXCLUSIVE; "" stops nothing.
_SUBCOMMANDS = {
    **dict.fromkeys(
        (
            "AT_EnableTrig",
            "AT_EnableAlwaysTrig",
            "AT_EnableReplicaTrig",
            "AT_EnableTrigAll",
            "AT_EnableTrigUser",
            "AT_DisableTrig",
            "AT_DisableTrigAll",
            "AT_DisableTrigUser",
        ),
        SHARE_ROW_EXCLUSIVE,
    ),
    **dict.fromkeys(
        (
            "AT_SetStatistics",
            "AT_SetOptions",
            "AT_ResetOptions",
            "AT_SetRelOptions",
            "AT_ResetRelOptions",
            "AT_ClusterOn",
            "AT_DropCluster",
            "AT_ValidateConstraint",
            "AT_AttachPartition",
            "AT_DetachPartitionFinalize",
        ),
        "",
    ),
}
_DROPPED = frozenset(
    f"OBJECT_{each}" for each in ("TABLE", "INDEX", "VIEW", "MATVIEW", "FOREIGN_TABLE", "TRIGGER", "RULE", "POLICY")
)
_RENAMED = frozenset(f"OBJECT_{each}" for each in ("TABLE", "COLUMN", "TABCONSTRAINT", "TRIGGER", "POLICY", "RULE"))


def taken(statement: Statement) -> tuple[tuple[str, str], ...]:
    """(relation as the statement names it, mode) of each lock that stops reads or writes of others, in order of its text.

    () also where the text can't be taken apart here.
    """
    found = tree(statement.sql) if statement.tag.split(" ")[0] in _COMMANDS else None
    mode_of = _NODES.get(found[0]) if found is not None else None
    if found is None or mode_of is None:
        return ()
    mode, named = mode_of(found[1]), statement.writes or statement.reads
    others = dict(_others(found[1]))
    locks = [(each, others.get(parts(each)[-1], mode)) for each in named]
    locks += [(each, others.get(parts(each)[-1], "")) for each in statement.reads if each not in named]
    return tuple((relation, mode) for relation, mode in locks if mode)


def _others(fields: Fields) -> Iterator[tuple[str, str]]:
    """Relations that a table command locks beside its own, by their bare name: referenced, attached, detached."""
    if "partbound" in fields:
        for each in fields.get("inhRelations", ()):
            yield each["RangeVar"].get("relname", ""), ACCESS_EXCLUSIVE
    for name, each in _below(fields):
        if name == "Constraint" and each.get("contype") == "CONSTR_FOREIGN":
            yield each.get("pktable", {}).get("relname", ""), SHARE_ROW_EXCLUSIVE
        elif name == "PartitionCmd" and not each.get("concurrent"):
            yield each.get("name", {}).get("relname", ""), ACCESS_EXCLUSIVE


def _below(node: Any) -> Iterator[tuple[str, Fields]]:
    for each in node if isinstance(node, list) else [node] if isinstance(node, dict) else ():
        for name, value in each.items() if isinstance(each, dict) else ():
            if isinstance(value, dict):
                yield name, value
            yield from _below(value)


def _altered(fields: Fields) -> str:
    wanted = [_subcommand(each["AlterTableCmd"]) for each in fields.get("cmds", ())]
    return next((mode for mode in MODES if mode in wanted), "")


def _subcommand(fields: Fields) -> str:
    kind, inner = fields.get("subtype", ""), fields.get("def", {})
    if kind == "AT_AddConstraint" and inner.get("Constraint", {}).get("contype") == "CONSTR_FOREIGN":
        return SHARE_ROW_EXCLUSIVE
    if kind == "AT_DetachPartition" and inner.get("PartitionCmd", {}).get("concurrent"):
        return ""
    return _SUBCOMMANDS.get(kind, ACCESS_EXCLUSIVE)


def _has(fields: Fields, option: str) -> bool:
    given: list[Fields] = [each.get("DefElem", {}) for key in ("options", "params") for each in fields.get(key, ())]
    off = {"false", "off"}
    return any(
        each.get("defname") == option and each.get("arg", {}).get("String", {}).get("sval", "on").lower() not in off
        for each in given
    )


def _numbered(fields: Fields) -> str:
    mode = MODES[-fields.get("mode", len(MODES))]
    return mode if mode in STOPS else ""


def _always(mode: str) -> Callable[[Fields], str]:
    return lambda _fields: mode


_NODES: dict[str, Callable[[Fields], str]] = {
    "AlterObjectSchemaStmt": lambda fields: ACCESS_EXCLUSIVE if "relation" in fields else "",
    "AlterPolicyStmt": _always(ACCESS_EXCLUSIVE),
    "AlterTableStmt": _altered,
    "ClusterStmt": _always(ACCESS_EXCLUSIVE),
    "CreatePolicyStmt": _always(ACCESS_EXCLUSIVE),
    "CreateStmt": _always(""),  # nobody knows it yet; what it refers to and becomes a part of is locked
    "CreateTrigStmt": _always(SHARE_ROW_EXCLUSIVE),
    "DropStmt": lambda fields: (
        ACCESS_EXCLUSIVE if fields.get("removeType") in _DROPPED and not fields.get("concurrent") else ""
    ),
    "IndexStmt": lambda fields: "" if fields.get("concurrent") else SHARE,
    "LockStmt": _numbered,
    "RefreshMatViewStmt": lambda fields: EXCLUSIVE if fields.get("concurrent") else ACCESS_EXCLUSIVE,
    "ReindexStmt": lambda fields: "" if _has(fields, "concurrently") else ACCESS_EXCLUSIVE,  # on each index of it
    "RenameStmt": lambda fields: ACCESS_EXCLUSIVE if fields.get("renameType") in _RENAMED else "",
    "RuleStmt": _always(ACCESS_EXCLUSIVE),
    "TruncateStmt": _always(ACCESS_EXCLUSIVE),
    "VacuumStmt": lambda fields: ACCESS_EXCLUSIVE if _has(fields, "full") else "",
}
#: First words of the tags of these.
_COMMANDS = frozenset({"ALTER", "CLUSTER", "CREATE", "DROP", "LOCK", "REFRESH", "REINDEX", "TRUNCATE", "VACUUM"})
