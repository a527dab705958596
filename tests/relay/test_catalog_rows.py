"""The catalog of a real PostgreSQL as values: relations, functions, operators, types, views that reach user code."""

import asyncio
from dataclasses import replace

import pytest

from gateway.demo.postgres import EmbeddedPostgres
from gateway.policy.model import Secret, Target
from gateway.relay.side import load_catalog
from gateway.sql.catalog import Cascade, Catalog

SETUP = """
CREATE DATABASE side_facts;
"""
FACTS = """
CREATE SCHEMA other;
CREATE TABLE public.t (id int PRIMARY KEY, note text);
CREATE TABLE other.child (id int REFERENCES public.t ON DELETE CASCADE);
CREATE FUNCTION public.lower(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION public.evil() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE VIEW plain AS SELECT id, note FROM t;
CREATE VIEW bad AS SELECT evil() AS x;
CREATE VIEW worse AS SELECT x FROM bad;
CREATE FUNCTION public.less(int, int) RETURNS int LANGUAGE sql AS 'SELECT $1 - $2';
CREATE OPERATOR public.<-> (LEFTARG = int, RIGHTARG = int, FUNCTION = public.less);
CREATE OPERATOR public.<=> (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_catalog.int4mi);
CREATE DOMAIN public.free AS int;
CREATE DOMAIN public.positive AS int CHECK (VALUE > 0);
CREATE FUNCTION public.tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER watch AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION tr();
CREATE DOMAIN public.twice AS public.positive;
CREATE TYPE public.pair AS (a int, b public.positive);
CREATE TABLE public.held (id int, n public.positive);
CREATE DOMAIN public.calling AS int CHECK (public.less(VALUE, 0) > 0);
CREATE DOMAIN public.twice_calling AS public.calling;
CREATE TYPE public.pair_calling AS (a int, b public.calling);
CREATE TABLE public.held_calling (id int, n public.calling);
CREATE DOMAIN public.by_other AS int CHECK (VALUE::public.calling IS NOT NULL);
CREATE DOMAIN public.telling AS text CHECK (pg_notify('x', VALUE) IS NOT NULL);
CREATE DOMAIN public.mail AS text NOT NULL CHECK (VALUE ~ '@' AND length(VALUE) < 100);
CREATE VIEW telling_view AS SELECT 'x'::telling AS x;
CREATE VIEW casting AS SELECT 1::calling AS x;
CREATE VIEW checking AS SELECT 1::positive AS x;
CREATE SEQUENCE public.numbers;
CREATE VIEW counting AS SELECT nextval('numbers') AS x;
CREATE VIEW seeding AS SELECT setseed(0.5) IS NULL AS x;
CREATE DOMAIN public.sown AS int CHECK (setseed(0.5) IS NOT NULL);
CREATE TABLE public.sown_rows (id int);
CREATE POLICY sown ON public.sown_rows USING (setseed(0.5) IS NOT NULL);
ALTER TABLE public.sown_rows ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.sown_rows FORCE ROW LEVEL SECURITY;
CREATE VIEW timing AS SELECT clock_timestamp() AS x, extract(year FROM now()) AS y;
CREATE TABLE public.rows (id int);
CREATE POLICY mine ON public.rows USING (evil() = id);
ALTER TABLE public.rows ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.rows FORCE ROW LEVEL SECURITY;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER away FOREIGN DATA WRAPPER nowhere;
CREATE TABLE public.parent (id int) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE public.part PARTITION OF public.parent FOR VALUES FROM (0) TO (10) SERVER away;
CREATE TYPE public.boxed AS (a int);
CREATE FUNCTION public.unbox(boxed) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE CAST (boxed AS text) WITH FUNCTION public.unbox(boxed) AS IMPLICIT;
CREATE DOMAIN public.wrapped AS boxed[];
CREATE TABLE public.boxes (b boxed);
CREATE TABLE public.lists (bs wrapped);
CREATE VIEW unboxing AS SELECT b FROM boxes;
CREATE FUNCTION public.fixed(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE TABLE public.indexed (id int);
CREATE INDEX ON indexed ((fixed(1) + id));
CREATE TABLE public.partial (id int);
CREATE INDEX ON partial (id) WHERE (id > fixed(1));
CREATE TABLE public.checked (id int CHECK (id > fixed(1)));
CREATE TABLE public.counted (id int);
CREATE STATISTICS counts ON id, (fixed(1) + id) FROM counted;
CREATE TABLE public.varying (id int CHECK (fixed(id) > 0));
CREATE INDEX ON varying (fixed(fixed(id)));
CREATE INDEX ON varying ((fixed(id) + abs(1)));
CREATE RULE swap AS ON INSERT TO other.child DO INSTEAD NOTHING;
CREATE FUNCTION public.reads(int) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM t WHERE id = $1); END';
CREATE FUNCTION public.atomic(int) RETURNS int BEGIN ATOMIC SELECT public.reads($1)::int; END;
CREATE FUNCTION public.writes() RETURNS void LANGUAGE sql AS 'DELETE FROM t';
CREATE FUNCTION public.by_default(x int DEFAULT nextval('numbers')) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION public.definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION public.by_type(public.calling) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION public.pg_show_all_file_settings(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION public.resets() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM pg_show_all_file_settings()';
CREATE TABLE public.filled (id int DEFAULT fixed(1));
CREATE FUNCTION public.fills() RETURNS void LANGUAGE sql AS 'INSERT INTO filled DEFAULT VALUES';
CREATE VIEW filling AS SELECT id FROM filled;
CREATE FUNCTION public.fills_by_view() RETURNS void LANGUAGE sql AS 'INSERT INTO filling DEFAULT VALUES';
CREATE DOMAIN public.filler AS int DEFAULT fixed(1);
CREATE TABLE public.by_domain (id filler);
CREATE FUNCTION public.fills_domain() RETURNS void LANGUAGE sql AS 'INSERT INTO by_domain DEFAULT VALUES';
CREATE FUNCTION public.fills_held() RETURNS void LANGUAGE sql AS 'INSERT INTO held VALUES (1, NULL)';
CREATE FUNCTION public.fills_held_calling() RETURNS void LANGUAGE sql AS 'INSERT INTO held_calling VALUES (1, NULL)';
CREATE FUNCTION public.fills_lists() RETURNS void LANGUAGE sql AS 'INSERT INTO lists DEFAULT VALUES';
CREATE TABLE public.numbered (id serial, at timestamptz DEFAULT now());
CREATE FUNCTION public.fills_numbered() RETURNS void LANGUAGE sql AS 'INSERT INTO numbered DEFAULT VALUES';
CREATE FUNCTION public.rule_writes() RETURNS void LANGUAGE sql AS 'DELETE FROM other.child';
CREATE FUNCTION public.by_view() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM worse';
CREATE TABLE public.odd (gone int, "a ""b\\c,{}
" varchar(7)[], "ä" numeric(4,2));
ALTER TABLE public.odd DROP COLUMN gone;
CREATE TABLE public.like_odd () INHERITS (odd);
CREATE TABLE public.bare ();
CREATE FUNCTION public.runs(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; RETURN 1; END';
CREATE FUNCTION public.fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM runs(NEW.sql); RETURN NEW; END';
CREATE TABLE public.jobs (id int PRIMARY KEY, sql text);
CREATE TRIGGER job AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION fires();
CREATE TABLE public.by_its_default (id int DEFAULT runs('SELECT 1'));
CREATE TABLE public.by_its_check (sql text CHECK (runs(sql) = 1));
CREATE TABLE public.by_its_parts (sql text) PARTITION BY LIST (sql);
CREATE TABLE public.one_part PARTITION OF by_its_parts FOR VALUES IN ('SELECT 1');
CREATE TRIGGER part AFTER INSERT ON one_part FOR EACH ROW EXECUTE FUNCTION fires();
CREATE DOMAIN public.run_text AS text CHECK (runs(VALUE) = 1);
CREATE TABLE public.by_its_domain (sql run_text);
CREATE TABLE public.by_its_domains (sql run_text[]);
CREATE VIEW public.jobs_view AS SELECT sql FROM jobs;
CREATE FUNCTION public.logs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO jobs VALUES (1, NEW.note); RETURN NEW; END';
CREATE TABLE public.noted (note text);
CREATE TRIGGER note AFTER INSERT ON noted FOR EACH ROW EXECUTE FUNCTION logs();
CREATE TABLE public.removed (note text);
CREATE TRIGGER remove AFTER DELETE OR TRUNCATE ON removed EXECUTE FUNCTION logs();
CREATE FUNCTION public.writes_one() RETURNS int LANGUAGE sql AS 'DELETE FROM t RETURNING id';
CREATE TABLE public.by_a_default (id int DEFAULT writes_one());
"""


@pytest.fixture(scope="module")
def catalog(postgres: EmbeddedPostgres) -> Catalog:
    asyncio.run(postgres.psql(SETUP))
    asyncio.run(postgres.psql(FACTS, "side_facts"))
    return asyncio.run(load_catalog(_target(postgres), postgres.password))


def _target(postgres: EmbeddedPostgres) -> Target:
    where = (postgres.host, postgres.port, "side_facts", postgres.superuser)
    return Target("t", "test", *where, Secret(env="X"), sslmode="disable")


def test_relations_and_columns(catalog: Catalog) -> None:
    t = catalog.relations["public", "t"]
    assert t.kind == "r"
    assert dict(t.columns) == {"id": 1, "note": 2}
    assert t.types["note"] == "text"
    assert t.triggers == ("watch",)
    assert t.cascades == (Cascade(("other", "child"), ("id",), deletes=True, updates=False),)


def test_columns_of_any_name_and_of_none(catalog: Catalog) -> None:
    odd, alike, bare = (catalog.relations["public", each] for each in ("odd", "like_odd", "bare"))
    name = 'a "b\\c,{}\n'
    assert list(odd.columns.items()) == [(name, 2), ("\u00e4", 3)]
    assert odd.types == {name: "character varying(7)[]", "\u00e4": "numeric(4,2)"}
    assert alike.columns == {name: 1, "\u00e4": 2}
    assert (bare.columns, bare.types) == ({}, {})


def test_a_name_with_an_overload_outside_pg_catalog_is_not_safe(catalog: Catalog) -> None:
    assert "lower" in catalog.user_functions
    assert "lower" not in catalog.safe_functions
    assert "upper" in catalog.safe_functions
    assert "evil" in catalog.user_functions


def test_functions_that_only_read(catalog: Catalog) -> None:
    made = {
        "pg_show_all_file_settings",
        "resets",
        "reads",
        "atomic",
        "writes",
        "by_default",
        "definer",
        "by_type",
        "by_view",
    }
    assert made & catalog.contained_functions == {"reads", "atomic", "writes", "by_default"}
    assert made & catalog.writing_functions == {"writes", "by_default"}


def test_functions_that_write_where_planning_runs_no_code_of_the_users(catalog: Catalog) -> None:
    made = {
        "fills",
        "fills_by_view",
        "fills_domain",
        "fills_held",
        "fills_held_calling",
        "fills_lists",
        "fills_numbered",
        "rule_writes",
    }
    assert made & catalog.writing_functions == {"fills_held", "fills_numbered"}


def test_volatile_built_ins_are_safe_only_when_they_are_on_the_list(catalog: Catalog) -> None:
    assert "random" in catalog.safe_functions
    assert "pg_terminate_backend" not in catalog.safe_functions
    assert "lo_unlink" not in catalog.safe_functions


def test_views_that_reach_user_code_say_so(catalog: Catalog) -> None:
    assert not catalog.relations["public", "plain"].calls_user_code
    assert catalog.relations["public", "bad"].calls_user_code
    assert catalog.relations["public", "worse"].calls_user_code
    assert catalog.relations["other", "child"].calls_user_code, "a rule may do anything"
    assert "FROM" in catalog.relations["public", "plain"].definition


def test_operators_and_types(catalog: Catalog) -> None:
    assert "<->" in catalog.user_operators
    assert "<=>" not in catalog.user_operators, "built-in code under another name"
    assert "free" not in catalog.user_types, "a domain without a CHECK calls nothing"
    assert "positive" not in catalog.user_types, "its CHECK compares, and that is all"
    assert "calling" in catalog.user_types
    assert "int4" not in catalog.user_types


def test_types_made_of_a_domain_whose_check_runs_code_are_user_types_too(catalog: Catalog) -> None:
    made = {"calling", "twice_calling", "pair_calling", "held_calling"}
    assert {*made, *(f"_{each}" for each in made), "by_other", "telling"} <= catalog.user_types
    harmless = {"free", "positive", "twice", "pair", "held", "mail", "t", "int4"}
    assert not {*harmless, *(f"_{each}" for each in harmless)} & catalog.user_types


def test_views_that_cast_to_code_or_call_what_is_no_read_say_so(catalog: Catalog) -> None:
    told = {name: catalog.relations["public", name].calls_user_code for name in VIEWS}
    assert told == VIEWS


def test_a_seed_for_random_in_code_that_no_statement_names_is_no_read(catalog: Catalog) -> None:
    assert "setseed" in catalog.safe_functions, "where a statement says it"
    assert "sown" in catalog.user_types
    assert catalog.relations["public", "seeding"].calls_user_code


def test_relations_whose_columns_are_cast_by_user_code_without_a_word_say_so(catalog: Catalog) -> None:
    for name in ("boxes", "lists", "unboxing"):
        assert catalog.relations["public", name].calls_user_code, name


def test_relations_whose_expressions_the_planner_runs_say_so(catalog: Catalog) -> None:
    """A user's function of constants only: whoever plans a read of the table runs it (enforcement.md 4.2, 43)."""
    for name in ("indexed", "partial", "checked", "counted"):
        assert catalog.relations["public", name].calls_user_code, name
    assert not catalog.relations["public", "varying"].calls_user_code, "it is called for rows that are written"


VIEWS = {"telling_view": True, "casting": True, "checking": False, "counting": True, "timing": False}


def test_relations_where_a_write_runs_text_say_so(catalog: Catalog) -> None:
    ways = {
        "jobs",
        "by_its_default",
        "by_its_check",
        "by_its_parts",
        "one_part",
        "by_its_domain",
        "by_its_domains",
        "jobs_view",
        "noted",
        "removed",
    }
    assert {each.name for each in catalog.relations.values() if each.unsettles} == ways


def test_where_code_at_a_relation_writes(catalog: Catalog) -> None:
    found = {each.name: set(each.fires) for each in catalog.relations.values() if each.fires}
    assert found["noted"] == {("INSERT", ("public", "jobs"))}
    assert found["removed"] == {("DELETE", ("public", "jobs")), ("TRUNCATE", ("public", "jobs"))}
    targets = (("public", "t"), ("other", "child"))  # a foreign key passes the DELETE on
    assert found["by_a_default"] == {(each, to) for each in ("INSERT", "UPDATE") for to in targets}
    assert found.keys() == {"noted", "removed", "by_a_default"}


def test_a_parent_reads_its_foreign_partition(catalog: Catalog) -> None:
    assert catalog.relations["public", "parent"].calls_user_code


async def test_a_row_policy_is_code_for_whom_it_binds(postgres: EmbeddedPostgres, catalog: Catalog) -> None:
    assert not catalog.relations["public", "rows"].calls_user_code, "a superuser is not bound by it"
    await postgres.psql("CREATE ROLE bound LOGIN PASSWORD 'not-a-secret'")
    target = replace(_target(postgres), user="bound")
    assert (await load_catalog(target, "not-a-secret")).relations["public", "rows"].calls_user_code
