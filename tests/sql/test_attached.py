"""What the code at a relation does when rows are written: where it writes to, and whether names and settings may change."""

import pytest

from gateway.sql.attached import Attached, Key, events, fired, unsettled
from gateway.sql.catalog import Cascade, Relation
from gateway.sql.contained import Function


def relation(name: str, **more: object) -> Relation:
    return Relation(1, "public", name, "r", {"id": 1}, **more)  # type: ignore[arg-type] # fields by name


def function(name: str, text: str, language: str = "plpgsql") -> Function:
    return Function(name, language, volatile=True, plain=True, text=text)


T, OTHER = ("public", "t"), ("public", "other")


def found(*functions: Function, relations: tuple[Relation, ...] = (), operators: tuple[str, ...] = ()) -> set[Key]:
    """With the first function at t."""
    known = {(each.schema, each.name): each for each in (relation("t"), relation("other"), *relations)}
    attached = [Attached(T, frozenset({functions[0].name}))]
    return set(unsettled(known, attached, functions, frozenset(operators)))


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN EXECUTE NEW.sql; RETURN NEW; END",
        "BEGIN PERFORM set_config('role', NEW.who, false); RETURN NEW; END",
        "BEGIN SET search_path = evil; RETURN NEW; END",
        "BEGIN RESET ALL; RETURN NEW; END",
        "BEGIN GRANT USAGE ON SCHEMA hidden TO hoop; RETURN NEW; END",
        "BEGIN REVOKE USAGE ON SCHEMA hidden FROM hoop; RETURN NEW; END",
        "BEGIN DEALLOCATE ALL; RETURN NEW; END",
        "BEGIN CREATE TABLE x (id int); RETURN NEW; END",
        "DECLARE c refcursor; BEGIN OPEN c FOR SELECT 1; RETURN NEW; END",
        "BEGIN PERFORM query_to_xml(NEW.sql, true, true, ''); RETURN NEW; END",
        'BEGIN PERFORM "odd name"(); RETURN NEW; END',
        "DECLARE c other.c%TYPE; BEGIN OPEN c FOR SELECT 1; RETURN NEW; END",
    ],
)
def test_code_that_may_change_what_names_mean(text: str) -> None:
    assert found(function("fires", text)) == {T}


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN NEW.changed := now(); RETURN NEW; END",
        "BEGIN INSERT INTO other VALUES (NEW.id) ON CONFLICT (id) DO UPDATE SET n = 1; RETURN NEW; END",
        "BEGIN UPDATE other SET n = nextval('s') WHERE id = NEW.id; PERFORM pg_notify('x', 'y'); RETURN NEW; END",
        "BEGIN DELETE FROM other; RETURN NULL; END",
        "BEGIN IF NEW.status = 'open' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END",
    ],
)
def test_code_that_only_reads_and_writes_rows(text: str) -> None:
    assert found(function("fires", text)) == set()


def test_what_such_code_calls_counts() -> None:
    assert found(function("fires", "BEGIN PERFORM second(); END"), function("second", "SELECT third()", "sql")) == set()
    calls = [function("fires", "BEGIN PERFORM second(); END"), function("second", "SELECT third()", "sql")]
    assert found(*calls, function("third", "BEGIN EXECUTE 'x'; END")) == {T}


def test_code_in_other_languages_is_not_read() -> None:
    assert found(function("fires", "pass", "plpython3u")) == {T}
    assert found(function("fires", "moddatetime", "c")) == set()
    assert found(function("fires", "SELECT 1", "sql"), function("fires", "pass", "plpython3u")) == {T}


def test_a_write_that_leads_to_one_counts() -> None:
    relations = (relation("parent", children=(T,)), relation("view", shows=((T, ("id",)),)), relation("apart"))
    cascading = relation("master", cascades=(Cascade(("public", "parent"), ("id",), deletes=True, updates=False),))
    executes = function("fires", "BEGIN EXECUTE NEW.sql; END")
    assert {name for _, name in found(executes, relations=(*relations, cascading))} == {"t", "parent", "view", "master"}


def test_a_trigger_that_writes_where_such_code_is_counts() -> None:
    known = {T: relation("t"), OTHER: relation("other")}
    attached = [Attached(T, frozenset({"copies"})), Attached(OTHER, frozenset({"fires"}))]
    executes = function("fires", "BEGIN EXECUTE NEW.sql; END")
    writes = function("copies", "BEGIN INSERT INTO other VALUES (NEW.id); END")
    reads = function("copies", "BEGIN NEW.n := (SELECT count(*) FROM other); END")
    assert unsettled(known, attached, [executes, writes], ()) == {T, OTHER}
    assert unsettled(known, attached, [executes, reads], ()) == {OTHER}


def test_an_operator_of_the_users_may_be_any_code() -> None:
    assert found(function("fires", "BEGIN NEW.n := 1 @!@ 2; END"), operators=("@!@",)) == {T}


KNOWN = {key: relation(key[1]) for key in (T, OTHER, ("public", "Odd"), ("far", "other"), ("far", "third"))}


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("BEGIN DELETE FROM far.third; RETURN NULL; END", "far.third"),
        ("BEGIN delete from only other; END", "public.other far.other"),
        ('BEGIN INSERT INTO "Odd" VALUES (1); END', "public.Odd"),
        ('BEGIN UPDATE "far" . third SET id = 1; END', "far.third"),
        (
            "BEGIN TRUNCATE TABLE other; MERGE INTO far.third t USING x ON true WHEN MATCHED THEN DELETE; END",
            "public.other far.other far.third",
        ),
        ("BEGIN EXECUTE 'DELETE FROM public.other'; END", "public.other"),
        ("BEGIN PERFORM second(); END", "far.third"),
        ("BEGIN NEW.n := (SELECT count(*) FROM other); RETURN NEW; END", ""),
        ("BEGIN -- DELETE FROM other\n RETURN NEW; END", ""),
        ("BEGIN INSERT INTO nowhere VALUES (1); END", ""),
        ("BEGIN TRUNCATE nowhere, ONLY far.third; END", "far.third"),
        ("BEGIN DELETE FROM ONLY (far.third); END", "far.third"),
        ("BEGIN DELETE FROM shop.far.third; END", "far.third"),
        ("BEGIN NEW.x := '--'; DELETE FROM far.third; END", "far.third"),
        ("BEGIN NEW.x := E'\\'/*'; DELETE FROM far.third; END", "far.third"),
        ("BEGIN -- x\r DELETE FROM far.third; END", "far.third"),
        ("BEGIN /* /* */ DELETE FROM other; */ DELETE /* */ FROM far.third; END", "far.third"),
        ("BEGIN DROP TABLE IF EXISTS far.third; END", "far.third"),
        ('BEGIN DELETE FROM far.U&"th\\0069rd"; END', "public.t public.other public.Odd far.other far.third"),
    ],
)
def test_where_it_writes_to(text: str, targets: str) -> None:
    second = function("second", "DELETE FROM far.third", "sql")
    found = fired(KNOWN, [Attached(T, frozenset({"fires"}), frozenset({"DELETE"}))], [function("fires", text), second])
    assert {f"{key[0]}.{key[1]}" for _, key in found.get(T, ())} == set(targets.split())
    assert {event for event, _ in found.get(T, ())} <= {"DELETE"}


def test_a_name_is_cut_and_folded_as_the_target_does_it() -> None:
    known = {T: relation("t"), ("public", "Ä😀"): relation("Ä😀"), ("public", "l" * 63): relation("l" * 63)}
    text = f"BEGIN DELETE FROM Ä😀; DELETE FROM {'L' * 70}; END"
    found = fired(known, [Attached(T, frozenset({"fires"}))], [function("fires", text)])
    assert {key for _, key in found[T]} == known.keys() - {T}


@pytest.mark.parametrize(
    ("text", "passed_on"),
    [
        ("BEGIN DELETE FROM other WHERE id = 1; END", True),
        ("BEGIN UPDATE other SET id = 2; END", True),
        ("BEGIN UPDATE other SET n = 2 WHERE id = 1; END", False),
        ("BEGIN INSERT INTO other (id) VALUES (1); END", False),
    ],
)
def test_what_a_foreign_key_passes_on_from_there(text: str, passed_on: bool) -> None:
    child = ("public", "child")
    known = {
        T: relation("t"),
        OTHER: relation("other", cascades=(Cascade(child, ("id",), deletes=True, updates=True),)),
        child: relation("child"),
    }
    found = fired(known, [Attached(T, frozenset({"fires"}))], [function("fires", text)])
    assert (child in {key for _, key in found[T]}) is passed_on


def test_the_servers_own_tables_are_definitions() -> None:
    own = {("pg_catalog", "pg_settings"): Relation(2, "pg_catalog", "pg_settings", "v", {})}
    known = {T: relation("t"), **own}
    attached = [Attached(T, frozenset({"fires"}))]
    writes = function("fires", "BEGIN UPDATE pg_settings SET setting = 'x'; END")
    reads = function("fires", "BEGIN INSERT INTO t SELECT setting FROM pg_settings; END")
    assert unsettled(known, attached, [writes], ()) == {T}
    assert unsettled(known, attached, [reads], ()) == set()


def test_the_events_of_a_trigger() -> None:
    assert events(1 | 2 | 4 | 16) == {"INSERT", "UPDATE"}
    assert events(32 | 8) == {"TRUNCATE", "DELETE"}
