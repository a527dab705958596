"""User functions that a read may call: every word of every overload, and of what they call, has to be harmless."""

import pytest

from gateway.sql.contained import Function, contained, named_in, refused

UNSAFE = {"pg_terminate_backend", "view_that_runs_code", "checked_domain"}
OPERATORS = {"<=>"}


def function(name: str, text: str, language: str = "sql", *, volatile: bool = True, plain: bool = True) -> Function:
    return Function(name, language, volatile, plain, text)


def passing(*functions: Function) -> frozenset[str]:
    return contained(functions, UNSAFE, OPERATORS)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT first || ' ' || last FROM customers WHERE id = $1",
        "BEGIN RETURN (SELECT max(total) FROM orders); END",
        "DECLARE n int; BEGIN SELECT count(*) INTO n FROM t; FOR n IN SELECT id FROM t LOOP RETURN NEXT n; END LOOP; END",
        'SELECT "id" FROM "Orders"',
        "SELECT updated, set_at, deleted FROM t",
    ],
)
def test_a_source_that_only_reads(text: str) -> None:
    language = "plpgsql" if "BEGIN" in text else "sql"
    assert passing(function("f", text, language)) == {"f"}


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM t",
        "delete from t",
        "BEGIN EXECUTE 'DEL' || 'ETE FROM t'; END",
        "BEGIN RETURN QUERY EXECUTE $1; END",
        "SELECT set_config('default_transaction_read_only', 'off', false)",
        "BEGIN SET LOCAL search_path = x; END",
        "SELECT 1 FROM t FOR UPDATE",
        "SELECT nextval('s')",
        "BEGIN LOCK t; END",
        "BEGIN PERFORM pg_terminate_backend(1); END",
        "SELECT * FROM view_that_runs_code",
        "SELECT x::checked_domain",
        "SELECT a <=> b",
        "SELECT dblink('x', 'y')",
        "SELECT query_to_xml('DELETE FROM t', true, true, '')",
        "SELECT lo_unlink(1)",
        "DECLARE c refcursor := 'mine'; BEGIN NULL; END",
        'SELECT "odd name"()',
        'SELECT U&"\\0065vil"()',
        "BEGIN NOTIFY x; END",
        "SELECT a<=>-1",
        'SELECT "View_That_Runs_Code".* FROM x',
        "/* DROP */ SELECT 1",
    ],
)
def test_a_word_that_could_do_more(text: str) -> None:
    assert passing(function("f", text)) == frozenset()


def test_what_it_calls_has_to_be_contained_too_however_deep() -> None:
    middle, top = function("middle", "SELECT bottom()"), function("top", "SELECT middle() + 1")
    assert passing(function("bottom", "SELECT 1"), middle, top) == {"bottom", "middle", "top"}
    assert passing(function("bottom", "DELETE FROM t"), middle, top) == frozenset()
    assert passing(function("bottom", "SELECT t.middle FROM t"), middle) == {"bottom", "middle"}, "a circle of readers"
    notation = function("top", "SELECT t.bottom FROM t")
    assert passing(function("bottom", "DELETE FROM t"), notation) == frozenset(), "t.bottom calls bottom(t)"


def test_names_are_compared_whatever_their_case() -> None:
    """Quoted names keep theirs; what is compared does not."""
    assert passing(function("Evil", "DELETE FROM t"), function("f", 'SELECT "Evil"()')) == frozenset()
    assert contained([function("f", 'SELECT * FROM "Bad"')], {"Bad"}, ()) == frozenset()


def test_every_overload_counts() -> None:
    assert passing(function("f", "SELECT 1"), function("f", "DELETE FROM t")) == frozenset()
    assert passing(function("f", "SELECT 1"), function("f", "SELECT 2", plain=False)) == frozenset()


@pytest.mark.parametrize(
    ("language", "volatile", "fine"),
    [
        ("sql", True, True),
        ("plpgsql", True, True),
        ("c", False, True),
        ("c", True, False),
        ("plpython3u", False, False),
    ],
)
def test_languages(language: str, volatile: bool, fine: bool) -> None:
    assert bool(passing(function("f", "SELECT 1", language, volatile=volatile))) is fine


def test_security_definer_settings_and_procedures_never_pass() -> None:
    assert passing(function("f", "SELECT 1", plain=False)) == frozenset()


def test_names_on_the_special_list_never_pass_whatever_their_source_says() -> None:
    assert passing(function("crosstab", "SELECT 1"), function("xpath_table", "x", "c", volatile=False)) == frozenset()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("\u0e01\u0e34\u0e19", "SELECT \u0e01\u0e34\u0e19()"),  # a vowel sign is no letter to most, but to PostgreSQL
        ("\u2192x", "SELECT \u2192x()"),
        ("\u0391\u03a3", "SELECT t.\u0391\u03a3::text FROM t"),  # a sigma that is not the word's last to lower()
        ("n" * 63, f"SELECT {'n' * 70}()"),
        ('a"b', 'SELECT "a""b"()'),
    ],
)
def test_a_name_is_found_however_it_is_written(name: str, text: str) -> None:
    assert passing(function(name, "DELETE FROM t"), function("f", text)) == frozenset()


@pytest.mark.parametrize("text", ["SELECT 1 LIKE 2", "SELECT 1 BETWEEN 2 AND 3", "SELECT 1 FROM a JOIN b USING (id)"])
def test_operators_that_are_spelled_as_words(text: str) -> None:
    assert passing(function("f", text)) == {"f"}
    assert contained([function("f", text)], (), {"~~", ">=", "="}) == frozenset()


def test_select_into_makes_a_table_but_in_plpgsql() -> None:
    text = "SELECT 1 AS a INTO made"
    assert passing(function("f", text)) == frozenset()
    assert passing(function("f", f"BEGIN {text}; END", "plpgsql")) == {"f"}


# --- functions that write what a read-only transaction refuses ---


def writing(*functions: Function) -> frozenset[str]:
    return refused(functions, {*UNSAFE, "nextval", "setval"}, OPERATORS, {"filled_by_code"})


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM t WHERE id = 1",
        "BEGIN IF $1 THEN DELETE FROM t; END IF; RETURN 1; END",
        "BEGIN INSERT INTO log VALUES (now()) RETURNING id INTO n; RETURN n; END",
        "INSERT INTO t VALUES (1) ON CONFLICT (id) DO NOTHING",
        "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET n = excluded.n",
        "UPDATE t SET n = 1",
        "update only\n  app.t AS x\n     Set n = 1",
        'UPDATE "T" t SET n = 1',
        "BEGIN UPDATE t SET n = 1; RAISE EXCEPTION 'no'; END",
        "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET n = 1",
        "SELECT nextval('s'), setval('s', 1)",
        "SELECT 1 FROM t FOR NO KEY UPDATE",
        "SELECT 1 FROM t FOR SHARE",
        "TRUNCATE t",
        "CREATE TABLE made AS SELECT 1",
        "DROP TABLE t",
        "SELECT 1 AS a INTO made",
        "SELECT 1",
    ],
)
def test_writes_that_the_server_refuses(text: str) -> None:
    language = "plpgsql" if "BEGIN" in text else "sql"
    assert writing(function("f", text, language)) == {"f"}


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN DELETE FROM t; EXCEPTION WHEN OTHERS THEN RETURN 0; END",
        "BEGIN EXECUTE 'DELETE FROM t'; END",
        "SELECT set_config('search_path', 'x', false); DELETE FROM t",
        "SET search_path = x",
        "BEGIN DELETE FROM t; SET default_transaction_read_only = off; END",
        "BEGIN UPDATE t SET n = 1; SET ROLE other; END",
        "BEGIN RESET transaction_read_only; DELETE FROM t; END",
        "BEGIN -- update t\nSET ROLE other; END",
        "BEGIN /* update t */ SET ROLE other; END",
        "BEGIN IF update THEN SET ROLE other; END IF; END",
        "BEGIN FOR r IN SELECT 1 FROM t FOR UPDATE LOOP SET ROLE other; END LOOP; END",
        "BEGIN FOR r IN SELECT 1 FROM t FOR UPDATE NOWAIT LOOP SET ROLE other; END LOOP; END",
        "BEGIN IF x = $$update t$$ THEN SET ROLE other; END IF; END",
        "BEGIN IF x = 'update' THEN SET ROLE other; END IF; END",
        "BEGIN IF update\u00a0x THEN SET ROLE other; END IF; END",
        "DO 'BEGIN END'",
        "DO LANGUAGE plpgsql 'BEGIN END'",
        "DO /* */ 'update'",
        "LOCK TABLE t IN SHARE MODE",
        "VACUUM t",
        "NOTIFY x",
        "SELECT pg_terminate_backend(1)",
        "SELECT lo_unlink(1)",
        "SELECT dblink('x', 'y')",
        "SELECT pg_advisory_lock(1)",
        "EXPLAIN ANALYZE CREATE TABLE made AS SELECT 1",
        "COPY t TO PROGRAM 'x'",
        "PREPARE p AS DELETE FROM t",
        "ALTER SYSTEM SET x = 1",
        "CALL p()",
        "INSERT INTO filled_by_code DEFAULT VALUES",
        "INSERT INTO view_that_runs_code VALUES (1)",
        "DELETE FROM t WHERE a <=> b",
    ],
)
def test_what_the_server_does_not_refuse_or_the_client_would_not_hear_of(text: str) -> None:
    language = "plpgsql" if "BEGIN" in text else "sql"
    assert writing(function("f", text, language)) == frozenset()


def test_what_it_calls_has_to_hand_the_refusal_on() -> None:
    writes = function("writes", "DELETE FROM t")
    swallows = function("top", "BEGIN PERFORM writes(); EXCEPTION WHEN OTHERS THEN NULL; END", "plpgsql")
    assert writing(writes, swallows) == {"writes"}
    assert passing(writes, swallows) == frozenset()
    assert writing(writes, function("top", "SELECT writes()")) == {"writes", "top"}
    assert (
        writing(function("definer", "DELETE FROM t", plain=False), function("top", "SELECT definer()")) == frozenset()
    )


def test_a_risky_name_stays_one_though_it_is_also_a_word() -> None:
    """A view by the name of share may run anything."""
    assert refused([function("f", "SELECT * FROM share")], {"share"}, (), ()) == frozenset()
    assert refused([function("f", "INSERT INTO share VALUES (1)")], (), (), {"share"}) == frozenset()


def test_what_the_words_of_a_source_name() -> None:
    made = [
        Function("direct", "sql", False, True, "SELECT * FROM Audit.log"),
        Function("caller", "plpgsql", False, True, "BEGIN PERFORM direct(); END"),
        Function("bare", "sql", False, True, "SELECT * FROM log"),
        Function("again", "sql", False, True, "SELECT again(), caller()"),
        Function("in_c", "c", False, True, "log audit"),
        Function("nothing", "sql", False, True, "SELECT 1"),
    ]
    relations = [("audit", "log"), ("public", "log"), ("public", "other")]
    audit = frozenset({("audit", "log")})
    both = frozenset({("audit", "log"), ("public", "log")})
    assert named_in(made, relations) == {"direct": audit, "caller": audit, "bare": both, "again": audit}
