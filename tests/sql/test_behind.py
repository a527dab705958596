"""What a statement touches beside the relations that it names."""

import pytest

from gateway.sql.behind import cascades, passed_on
from gateway.sql.catalog import Cascade, Catalog, Relation
from gateway.sql.parse import read
from gateway.sql.resolve import resolve
from gateway.sql.statement import Statement


def relation(schema: str, name: str, *columns: str, kind: str = "r", **more: object) -> Relation:
    return Relation(1, schema, name, kind, {each: n for n, each in enumerate(columns, 1)}, **more)  # type: ignore[arg-type] # fields by name


T, V, W, PART = ("prod", "t"), ("public", "v"), ("public", "w"), ("prod", "part")
RELATIONS = [
    relation(*T, "id", "card"),
    relation(*V, "id", kind="v", shows=((T, ("id",)),)),
    relation(*W, "id", kind="v", shows=((V, ("id",)), (("public", "gone"), ()))),
    relation("public", "parent", "id", kind="p", children=(PART,)),
    relation(*PART, "id"),
    relation(
        "public",
        "master",
        "id",
        "name",
        cascades=(
            Cascade(("prod", "deleted"), ("id",), deletes=True, updates=False),
            Cascade(("prod", "updated"), ("id",), deletes=False, updates=True),
            Cascade(("prod", "kept"), ("id",), deletes=False, updates=False),
        ),
    ),
    relation("prod", "deleted", "id", cascades=(Cascade(("prod", "further"), ("id",), deletes=True, updates=False),)),
    relation("prod", "updated", "id"),
    relation("public", "armed", "id", fires=(("INSERT", ("prod", "log")), ("DELETE", T))),
    relation("prod", "log", "id", fires=(("UPDATE", ("prod", "kept")),)),
    relation("public", "jobs", "id", unsettles=True),
    relation("public", "v_jobs", "id", kind="v", shows=((("public", "jobs"), ("id",)),)),
    relation("prod", "kept", "id"),
    relation("prod", "further", "id"),
    relation("public", "loop", "id", cascades=(Cascade(("public", "loop"), ("id",), deletes=True, updates=True),)),
]
CATALOG = Catalog(
    1,
    180000,
    {(each.schema, each.name): each for each in RELATIONS},
    frozenset({"count"}),
    frozenset({"peek"}),
    function_reads={"peek": frozenset({V})},
)


def one(sql: str) -> Statement:
    (statement,) = resolve(read(sql), CATALOG, ("public",)).statements
    return statement


@pytest.mark.parametrize(
    ("sql", "behind"),
    [
        ("SELECT 1", ""),
        ("SELECT id FROM prod.t", ""),
        ("SELECT id FROM v", "prod.t"),
        ("SELECT 1 FROM w", "public.v public.gone prod.t"),
        ("SELECT id FROM v, prod.t", ""),
        ("COPY w TO STDOUT", "public.v public.gone prod.t"),
        ("EXPLAIN DELETE FROM v", "prod.t"),
        ("SELECT id FROM parent", "prod.part"),
        ("SELECT * FROM public.peek()", "public.v prod.t"),
        ("SELECT peek() FROM v", "prod.t"),
        ("DELETE FROM v", "prod.t!"),
        ("INSERT INTO v VALUES (1)", "prod.t!"),
        ("WITH d AS (DELETE FROM v RETURNING id) SELECT * FROM d", "prod.t!"),
        ("MERGE INTO v USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE", "prod.t!"),
        ("DROP VIEW v", ""),
        ("DROP TABLE parent", "prod.part!"),
        ("TRUNCATE parent", "prod.part!"),
        ("INSERT INTO parent VALUES (1)", "prod.part!"),
        ("DELETE FROM master", "prod.deleted! prod.further!"),
        ("DELETE FROM master WHERE id = 1", "prod.deleted! prod.further!"),
        ("UPDATE master SET name = 'x'", ""),
        ("UPDATE master SET id = 2", "prod.updated!"),
        ("INSERT INTO master VALUES (1)", ""),
        ("INSERT INTO master (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 2", "prod.updated!"),
        ("TRUNCATE master", ""),
        ("TRUNCATE master CASCADE", "prod.deleted! prod.updated! prod.kept! prod.further!"),
        ("DELETE FROM loop", ""),
        ("SELECT * FROM master FOR UPDATE", ""),
        ("INSERT INTO armed VALUES (1)", "prod.log! prod.kept!"),
        ("COPY armed FROM STDIN", "prod.log! prod.kept!"),
        ("UPDATE armed SET id = 1", "prod.log! prod.kept! prod.t!"),
        ("DELETE FROM armed", "prod.t!"),
        ("TRUNCATE armed", ""),
        ("SELECT * FROM armed", ""),
        ("DROP TABLE armed", ""),
    ],
)
def test_relations(sql: str, behind: str) -> None:
    """`!` is written."""
    wanted = {(each.rstrip("!"), each.endswith("!")) for each in behind.split()}
    found = {each for each in one(sql).behind if not (each[0] in one(sql).writes and not each[1])}
    assert {each for each in found if each[1] or (each[0], True) not in found} == wanted


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT id FROM v", "prod.t.id"),
        ("SELECT 1 FROM w", "public.v.id prod.t.id"),
        ("SELECT id FROM parent", "prod.part.id"),
        ("SELECT count(*) FROM parent", ""),
        ("SELECT id FROM prod.t", ""),
    ],
)
def test_columns(sql: str, columns: str) -> None:
    assert set(one(sql).columns_behind) == set(columns.split())


def test_what_is_executed_has_what_stands_behind_its_body() -> None:
    names = one("PREPARE p AS DELETE FROM v").names
    assert names is not None
    assert names.body is not None
    assert ("prod.t", True) in names.body.behind


@pytest.mark.parametrize(
    ("sql", "unsettles"),
    [
        ("INSERT INTO jobs VALUES (1)", True),
        ("DELETE FROM v_jobs", True),
        ("WITH d AS (DELETE FROM jobs RETURNING 1) SELECT * FROM d", True),
        ("COPY jobs FROM STDIN", True),
        ("SELECT * FROM jobs", False),
        ("INSERT INTO armed SELECT id FROM jobs", False),
    ],
)
def test_a_write_where_code_runs_text(sql: str, unsettles: bool) -> None:  # what is wanted
    assert one(sql).unsettles == unsettles


@pytest.mark.parametrize(
    ("sql", "passes_on"),
    [
        ("DELETE FROM master WHERE id = 1", True),
        ("UPDATE master SET id = 2 WHERE id = 1", True),
        ("UPDATE master SET name = 'x' WHERE name = 'y'", False),
        ("DELETE FROM loop WHERE id = 1", True),
        ("DELETE FROM prod.t WHERE id = 1", False),
        ("DELETE FROM v WHERE id = 1", False),
        ("INSERT INTO armed VALUES (1)", False),
        ("INSERT INTO master VALUES (1)", False),
    ],
)
def test_whether_a_foreign_key_passes_it_on(sql: str, passes_on: bool) -> None:
    assert cascades(one(sql), CATALOG) is passes_on


@pytest.mark.parametrize(
    ("sql", "relations"),
    [
        ("DELETE FROM master WHERE id = 1", "prod.deleted prod.further"),
        ("DELETE FROM loop WHERE id = 1", "public.loop"),
        ("DELETE FROM prod.t WHERE id = 1", ""),
        ("SELECT * FROM master", ""),
    ],
)
def test_what_changes_with_it(sql: str, relations: str) -> None:
    assert {*relations.split()} <= {*passed_on(one(sql), CATALOG)}
    assert bool(passed_on(one(sql), CATALOG)) is bool(relations)
