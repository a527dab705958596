"""Every statement that the grammar has is either in a table, has a reader of its own, or is opaque on purpose."""

import pglast.ast

from gateway.sql.commands import command, object_name
from gateway.sql.effects import _READERS
from gateway.sql.queries import COMMAND_TAGS

# Not statements that a client can send by itself, or only inside others.
NEVER_ALONE = {"RawStmt", "ReturnStmt", "PLAssignStmt", "SetOperationStmt", "ReplicaIdentityStmt"}


def test_every_statement_of_the_grammar_is_known() -> None:
    names = {name for name in dir(pglast.ast) if name.endswith("Stmt")} - NEVER_ALONE
    unknown = {name for name in names if not (command(name, {}) or name in _READERS or name in COMMAND_TAGS)}
    assert unknown == set()


def test_object_name() -> None:
    assert object_name("OBJECT_FOREIGN_TABLE") == "FOREIGN TABLE"
    assert object_name("OBJECT_FDW") == "FOREIGN DATA WRAPPER"
    assert object_name("OBJECT_MATVIEW") == "MATERIALIZED VIEW"


def test_an_unknown_node_has_no_command() -> None:
    assert command("NewStmt", {}) is None
