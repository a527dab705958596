"""Finding a relation by schema or search_path."""

from dataclasses import replace

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


def test_a_schema_that_the_login_may_not_use_is_passed_over() -> None:
    """PostgreSQL does so without a word (recomputeNamespacePath); named outright it is refused by the target."""
    found = replace(catalog(relation("hidden", "t"), relation("public", "t")), schemas=frozenset({"public"}))
    meant = found.find(None, "t", ("hidden", "public"))
    assert meant is not None
    assert meant.schema == "public"
    assert found.find("hidden", "t", ("public",)) is not None


def test_new_relations_go_into_the_first_schema_that_there_is() -> None:
    """`"$user", public` is the default path, and a schema named as the user is rare."""
    known = replace(catalog(), schemas=frozenset({"public", "app"}))
    assert known.creates_in(("hoop", "public", "app")) == "public"
    assert known.creates_in(("pg_temp", "public")) == "pg_temp"
    assert known.creates_in(("hoop",)) == "hoop"
    assert catalog().creates_in(("hoop", "public")) == "hoop"  # not known: PostgreSQL will say so itself
    assert catalog().creates_in(()) == "public"


def test_tables_are_found_by_oid_and_columns_by_number() -> None:
    shop = Relation(16385, "public", "customers", "r", {"id": 1, "email": 3})
    catalog = Catalog(1, 180000, {("public", "customers"): shop}, frozenset(), frozenset())
    assert catalog.tables == {16385: ("public", "customers", {1: "id", 3: "email"})}
