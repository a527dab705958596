"""The catalog query: nothing that a target's users make can take the place of a name in it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pglast.parser import parse_sql_json

from gateway.relay.catalog_sql import EVERYTHING, PARTS


def nodes(tree: Any, name: str) -> Iterator[dict[str, Any]]:
    """Every node of this name."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == name:
                yield value
            yield from nodes(value, name)
    elif isinstance(tree, list):
        for each in tree:
            yield from nodes(each, name)


def _schema(names: list[dict[str, Any]]) -> str:
    words = [each["String"]["sval"] for each in names]
    return words[0] if len(words) > 1 else ""


@pytest.mark.parametrize("part", sorted(PARTS))
def test_every_name_has_its_schema(part: str) -> None:
    tree = json.loads(parse_sql_json(PARTS[part]))
    made = {each["ctename"] for each in nodes(tree, "CommonTableExpr")}
    relations = [each for each in nodes(tree, "RangeVar") if each["relname"] not in made]
    assert relations
    assert {each.get("schemaname") for each in relations} == {"pg_catalog"}
    assert {_schema(each["funcname"]) for each in nodes(tree, "FuncCall")} <= {"pg_catalog"}
    # A bare type is one of the grammar's own, or the domain of search_path, which the connection sets to pg_catalog.
    assert {_schema(each["names"]) for each in nodes(tree, "TypeName")} <= {"pg_catalog", ""}


def test_one_query_asks_for_all_of_them() -> None:
    (statement,) = json.loads(parse_sql_json(EVERYTHING))["stmts"]
    names = [each["ResTarget"]["name"] for each in statement["stmt"]["SelectStmt"]["targetList"]]
    assert names == [*PARTS, "version"]
