"""DDL behind which nobody can tell any more where a stored value came from.

What lives here: which tables a statement of DDL concerns by name, and whether it may end what tells of their values: a new name,
a trigger, key or view that is gone again. Several of them in one string or block are over before a catalog is read that would
show them. What must not: what a statement copies (lineage.py), who is masked for it (session).
"""

from collections.abc import Iterator

from gateway.sql.parse import tree
from gateway.sql.tree import Fields, words

#: They only add, so what is known of a value stays known.
_ADDS = words(
    "CommentStmt CompositeTypeStmt CreateDomainStmt CreateEnumStmt CreateExtensionStmt CreateRangeStmt CreateSchemaStmt "
    "CreateSeqStmt CreateStatsStmt CreateStmt CreateTableAsStmt AlterSeqStmt GrantStmt GrantRoleStmt IndexStmt RefreshMatViewStmt "
    "AlterOwnerStmt CreatePolicyStmt"
)
#: They add unless they replace.
_MAY_REPLACE = words("CreateFunctionStmt CreateTrigStmt RuleStmt ViewStmt")
#: Without CASCADE only what they name goes, and nothing else hangs on it.
_ALONE = words("OBJECT_TABLE OBJECT_INDEX OBJECT_SEQUENCE OBJECT_MATVIEW OBJECT_POLICY OBJECT_STATISTIC_EXT")
_ADDING = words(
    "AT_AddColumn AT_AddConstraint AT_AddIndex AT_AddInherit AT_AlterColumnType AT_AttachPartition AT_ChangeOwner AT_ClusterOn "
    "AT_DropNotNull AT_EnableRowSecurity AT_ReplicaIdentity AT_SetCompression AT_SetLogged AT_SetNotNull AT_SetOptions "
    "AT_SetRelOptions AT_SetStatistics AT_SetStorage AT_SetUnLogged AT_ValidateConstraint"
)


def concerned(sql: str) -> frozenset[str]:
    """The names of the relations in a statement, and the new one that it gives; none where the text can't be read."""
    return frozenset(_names(found[1])) if (found := tree(sql)) else frozenset()


def severs(sql: str) -> bool:
    """May it end what tells of stored values? True for what isn't known, and for a text that can't be read."""
    name, fields = tree(sql) or ("", {})
    if name == "DropStmt":
        return fields.get("behavior") == "DROP_CASCADE" or fields.get("removeType") not in _ALONE
    if name == "AlterTableStmt":
        return not all(map(_only_adds, (each["AlterTableCmd"] for each in fields.get("cmds") or ())))
    return name not in _ADDS and (name not in _MAY_REPLACE or bool(fields.get("replace")))


def _only_adds(command: Fields) -> bool:
    what = command.get("subtype")
    return what in _ADDING or (what == "AT_ColumnDefault" and "def" in command)


def _names(node: object) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _names(each)
    elif isinstance(node, dict):
        yield from (node[each] for each in ("relname", "newname") if each in node)
        for each in node.values():
            yield from _names(each)
