"""Finding a relation by schema or search_path."""

from gateway.sql.catalog import Catalog, Relation


def relation(schema: str, name: str) -> Relation:
    return Relation(oid=1, schema=schema, name=name, kind="r", columns={"id": 1})


def catalog(*relations: Relation) -> Catalog:
    return Catalog(1, 180000, {(each.schema, each.name): each for each in relations}, frozenset(), frozenset())


def test_the_path_decides_and_pg_catalog_comes_first_unless_the_path_names_it() -> None:
    found = catalog(
        relation("app", "t"), relation("public", "t"), relation("pg_catalog", "pg_class"), relation("app", "pg_class")
    )
    names = {
        ("app", "public"): ("app", "pg_catalog"),
        ("public", "app"): ("public", "pg_catalog"),
        ("app", "pg_catalog"): ("app", "app"),
    }
    for path, (t, pg_class) in names.items():
        first, second = found.find(None, "t", path), found.find(None, "pg_class", path)
        assert (first and first.schema, second and second.schema) == (t, pg_class)
    assert found.find("public", "t", ()) is not None
    assert found.find(None, "t", ()) is None
