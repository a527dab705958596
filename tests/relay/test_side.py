"""The catalog of a real PostgreSQL as values: relations, functions, operators, types, views that reach user code."""

import asyncio

import pytest

from gateway.demo.postgres import EmbeddedPostgres
from gateway.errors import TargetUnavailable
from gateway.policy.model import Secret, Target
from gateway.relay.side import load_catalog
from gateway.sql.catalog import Catalog

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
CREATE RULE swap AS ON INSERT TO other.child DO INSTEAD NOTHING;
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
    assert t.cascades_to == ("other.child",)


def test_a_name_with_an_overload_outside_pg_catalog_is_not_safe(catalog: Catalog) -> None:
    assert "lower" in catalog.user_functions
    assert "lower" not in catalog.safe_functions
    assert "upper" in catalog.safe_functions
    assert "evil" in catalog.user_functions


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
    assert "positive" in catalog.user_types
    assert "int4" not in catalog.user_types


async def test_a_wrong_password_is_told_without_it(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(TargetUnavailable) as refused:
        await load_catalog(_target(postgres), "wrong-password")
    assert "wrong-password" not in refused.value.message
