"""Utility statements as tables: node -> command tag and class. The tags are PostgreSQL's own (CreateCommandTag in utility.c).

What lives here: what can be said without looking further into a statement than one or two fields.
"""

from gateway.sql.statement import Control, StatementClass
from gateway.sql.tree import Fields

DDL, ADMIN, SESSION = StatementClass.DDL, StatementClass.ADMIN, StatementClass.SESSION
HOUSEKEEPING = StatementClass.HOUSEKEEPING

# Object types whose tag isn't the name without OBJECT_ and underscores.
_OBJECTS = {
    "OBJECT_ATTRIBUTE": "TYPE",
    "OBJECT_COLUMN": "TABLE",
    "OBJECT_DOMCONSTRAINT": "DOMAIN",
    "OBJECT_FDW": "FOREIGN DATA WRAPPER",
    "OBJECT_FOREIGN_SERVER": "SERVER",
    "OBJECT_LARGEOBJECT": "LARGE OBJECT",
    "OBJECT_MATVIEW": "MATERIALIZED VIEW",
    "OBJECT_OPCLASS": "OPERATOR CLASS",
    "OBJECT_OPFAMILY": "OPERATOR FAMILY",
    "OBJECT_STATISTIC_EXT": "STATISTICS",
    "OBJECT_TABCONSTRAINT": "TABLE",
    "OBJECT_TSCONFIGURATION": "TEXT SEARCH CONFIGURATION",
    "OBJECT_TSDICTIONARY": "TEXT SEARCH DICTIONARY",
    "OBJECT_TSPARSER": "TEXT SEARCH PARSER",
    "OBJECT_TSTEMPLATE": "TEXT SEARCH TEMPLATE",
}
# Their DDL reaches beyond the database's own tables: other people's rights, other servers, files.
_ADMIN_OBJECTS = frozenset(
    {
        "ROLE",
        "EXTENSION",
        "SUBSCRIPTION",
        "PUBLICATION",
        "TABLESPACE",
        "SERVER",
        "FOREIGN DATA WRAPPER",
        "USER MAPPING",
    }
)

# Node -> (tag, class) where the node says it all.
FIXED: dict[str, tuple[str, StatementClass]] = {
    "AlterCollationStmt": ("ALTER COLLATION", DDL),
    "AlterDatabaseRefreshCollStmt": ("ALTER DATABASE", DDL),
    "AlterDatabaseSetStmt": ("ALTER DATABASE", ADMIN),
    "AlterDatabaseStmt": ("ALTER DATABASE", DDL),
    "AlterDefaultPrivilegesStmt": ("ALTER DEFAULT PRIVILEGES", ADMIN),
    "AlterDomainStmt": ("ALTER DOMAIN", DDL),
    "AlterEnumStmt": ("ALTER TYPE", DDL),
    "AlterEventTrigStmt": ("ALTER EVENT TRIGGER", DDL),
    "AlterExtensionContentsStmt": ("ALTER EXTENSION", ADMIN),
    "AlterExtensionStmt": ("ALTER EXTENSION", ADMIN),
    "AlterFdwStmt": ("ALTER FOREIGN DATA WRAPPER", ADMIN),
    "AlterForeignServerStmt": ("ALTER SERVER", ADMIN),
    "AlterOpFamilyStmt": ("ALTER OPERATOR FAMILY", DDL),
    "AlterOperatorStmt": ("ALTER OPERATOR", DDL),
    "AlterPolicyStmt": ("ALTER POLICY", DDL),
    "AlterPublicationStmt": ("ALTER PUBLICATION", ADMIN),
    "AlterRoleSetStmt": ("ALTER ROLE", ADMIN),
    "AlterRoleStmt": ("ALTER ROLE", ADMIN),
    "AlterSeqStmt": ("ALTER SEQUENCE", DDL),
    "AlterStatsStmt": ("ALTER STATISTICS", DDL),
    "AlterSubscriptionStmt": ("ALTER SUBSCRIPTION", ADMIN),
    "AlterSystemStmt": ("ALTER SYSTEM", ADMIN),
    "AlterTSConfigurationStmt": ("ALTER TEXT SEARCH CONFIGURATION", DDL),
    "AlterTSDictionaryStmt": ("ALTER TEXT SEARCH DICTIONARY", DDL),
    "AlterTableSpaceOptionsStmt": ("ALTER TABLESPACE", ADMIN),
    "AlterTypeStmt": ("ALTER TYPE", DDL),
    "AlterUserMappingStmt": ("ALTER USER MAPPING", ADMIN),
    "CheckPointStmt": ("CHECKPOINT", ADMIN),
    "ClusterStmt": ("CLUSTER", ADMIN),
    "CommentStmt": ("COMMENT", DDL),
    "CompositeTypeStmt": ("CREATE TYPE", DDL),
    "ConstraintsSetStmt": ("SET CONSTRAINTS", SESSION),
    "CreateAmStmt": ("CREATE ACCESS METHOD", DDL),
    "CreateCastStmt": ("CREATE CAST", DDL),
    "CreateConversionStmt": ("CREATE CONVERSION", DDL),
    "CreateDomainStmt": ("CREATE DOMAIN", DDL),
    "CreateEnumStmt": ("CREATE TYPE", DDL),
    "CreateEventTrigStmt": ("CREATE EVENT TRIGGER", DDL),
    "CreateExtensionStmt": ("CREATE EXTENSION", ADMIN),
    "CreateFdwStmt": ("CREATE FOREIGN DATA WRAPPER", ADMIN),
    "CreateForeignServerStmt": ("CREATE SERVER", ADMIN),
    "CreateForeignTableStmt": ("CREATE FOREIGN TABLE", DDL),
    "CreateOpClassStmt": ("CREATE OPERATOR CLASS", DDL),
    "CreateOpFamilyStmt": ("CREATE OPERATOR FAMILY", DDL),
    "CreatePLangStmt": ("CREATE LANGUAGE", DDL),
    "CreatePolicyStmt": ("CREATE POLICY", DDL),
    "CreatePublicationStmt": ("CREATE PUBLICATION", ADMIN),
    "CreateRangeStmt": ("CREATE TYPE", DDL),
    "CreateRoleStmt": ("CREATE ROLE", ADMIN),
    "CreateSchemaStmt": ("CREATE SCHEMA", DDL),
    "CreateSeqStmt": ("CREATE SEQUENCE", DDL),
    "CreateStatsStmt": ("CREATE STATISTICS", DDL),
    "CreateStmt": ("CREATE TABLE", DDL),
    "CreateSubscriptionStmt": ("CREATE SUBSCRIPTION", ADMIN),
    "CreateTableSpaceStmt": ("CREATE TABLESPACE", ADMIN),
    "CreateTransformStmt": ("CREATE TRANSFORM", DDL),
    "CreateTrigStmt": ("CREATE TRIGGER", DDL),
    "CreateUserMappingStmt": ("CREATE USER MAPPING", ADMIN),
    "CreatedbStmt": ("CREATE DATABASE", DDL),
    "DropOwnedStmt": ("DROP OWNED", ADMIN),
    "DropRoleStmt": ("DROP ROLE", ADMIN),
    "DropSubscriptionStmt": ("DROP SUBSCRIPTION", ADMIN),
    "DropTableSpaceStmt": ("DROP TABLESPACE", ADMIN),
    "DropUserMappingStmt": ("DROP USER MAPPING", ADMIN),
    "DropdbStmt": ("DROP DATABASE", DDL),
    "ImportForeignSchemaStmt": ("IMPORT FOREIGN SCHEMA", DDL),
    "IndexStmt": ("CREATE INDEX", DDL),
    "ListenStmt": ("LISTEN", SESSION),
    "LoadStmt": ("LOAD", ADMIN),
    "LockStmt": ("LOCK TABLE", SESSION),
    "NotifyStmt": ("NOTIFY", SESSION),
    "ReassignOwnedStmt": ("REASSIGN OWNED", ADMIN),
    "RefreshMatViewStmt": ("REFRESH MATERIALIZED VIEW", DDL),
    "ReindexStmt": ("REINDEX", ADMIN),
    "RuleStmt": ("CREATE RULE", DDL),
    "SecLabelStmt": ("SECURITY LABEL", ADMIN),
    "TruncateStmt": ("TRUNCATE TABLE", StatementClass.WRITE),
    "UnlistenStmt": ("UNLISTEN", HOUSEKEEPING),
    "VariableShowStmt": ("SHOW", HOUSEKEEPING),
    "ViewStmt": ("CREATE VIEW", DDL),
}

# What people call these beside PostgreSQL's own tag; they go into `inner_tags`.
ALSO_CALLED = {"CLOSE CURSOR": "CLOSE", "CLOSE CURSOR ALL": "CLOSE", "LOCK TABLE": "LOCK", "TRUNCATE TABLE": "TRUNCATE"}

# TransactionStmt.kind -> (tag, control, class).
TRANSACTIONS: dict[str, tuple[str, Control, StatementClass]] = {
    "TRANS_STMT_BEGIN": ("BEGIN", Control.BEGIN, HOUSEKEEPING),
    "TRANS_STMT_START": ("START TRANSACTION", Control.BEGIN, HOUSEKEEPING),
    "TRANS_STMT_COMMIT": ("COMMIT", Control.COMMIT, HOUSEKEEPING),
    "TRANS_STMT_ROLLBACK": ("ROLLBACK", Control.ROLLBACK, HOUSEKEEPING),
    "TRANS_STMT_SAVEPOINT": ("SAVEPOINT", Control.SAVEPOINT, HOUSEKEEPING),
    "TRANS_STMT_RELEASE": ("RELEASE", Control.RELEASE, HOUSEKEEPING),
    "TRANS_STMT_ROLLBACK_TO": ("ROLLBACK", Control.ROLLBACK_TO, HOUSEKEEPING),
    "TRANS_STMT_PREPARE": ("PREPARE TRANSACTION", Control.PREPARE, SESSION),
    "TRANS_STMT_COMMIT_PREPARED": ("COMMIT PREPARED", Control.OTHER, SESSION),
    "TRANS_STMT_ROLLBACK_PREPARED": ("ROLLBACK PREPARED", Control.OTHER, SESSION),
}

# Node -> verb and the field with the object type.
_BY_OBJECT = {
    "AlterFunctionStmt": ("ALTER", "objtype"),
    "AlterObjectDependsStmt": ("ALTER", "objectType"),
    "AlterObjectSchemaStmt": ("ALTER", "objectType"),
    "AlterOwnerStmt": ("ALTER", "objectType"),
    "AlterTableMoveAllStmt": ("ALTER", "objtype"),
    "AlterTableStmt": ("ALTER", "objtype"),
    "DefineStmt": ("CREATE", "kind"),
    "DropStmt": ("DROP", "removeType"),
    "RenameStmt": ("ALTER", "renameType"),
}


def object_name(object_type: str) -> str:
    """OBJECT_FOREIGN_TABLE -> "FOREIGN TABLE"."""
    return _OBJECTS.get(object_type) or object_type.removeprefix("OBJECT_").replace("_", " ")


def command(name: str, fields: Fields) -> tuple[str, StatementClass] | None:
    """Say the tag and the class of a utility statement, or None if no table knows it."""
    if name in FIXED:
        return FIXED[name]
    if name in _BY_OBJECT:
        verb, field = _BY_OBJECT[name]
        kind = fields.get(field, "")
        if name == "RenameStmt" and kind in ("OBJECT_COLUMN", "OBJECT_ATTRIBUTE"):
            kind = fields.get("relationType", kind) if kind == "OBJECT_COLUMN" else kind
        what = object_name(str(kind))
        return f"{verb} {what}", ADMIN if what in _ADMIN_OBJECTS else DDL
    if name in _BY_FLAG:
        field, yes, no, kind = _BY_FLAG[name]
        return (yes if fields.get(field) else no), kind
    return None


# Node -> (field, tag if set, tag if not, class).
_BY_FLAG = {
    "ClosePortalStmt": ("portalname", "CLOSE CURSOR", "CLOSE CURSOR ALL", HOUSEKEEPING),
    "CreateFunctionStmt": ("is_procedure", "CREATE PROCEDURE", "CREATE FUNCTION", DDL),
    "GrantRoleStmt": ("is_grant", "GRANT ROLE", "REVOKE ROLE", ADMIN),
    "GrantStmt": ("is_grant", "GRANT", "REVOKE", ADMIN),
    "VacuumStmt": ("is_vacuumcmd", "VACUUM", "ANALYZE", ADMIN),
}
