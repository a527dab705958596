"""What an approval binds, and what has to be asked again before it counts."""

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from gateway.approvals.request import State
from gateway.demo.postgres import EmbeddedPostgres
from gateway.session import events as ev
from gateway.session.errands import Messages
from gateway.session.meaning import (
    SETTINGS,
    Meaning,
    difference,
    isolation_question,
    may_be_asked_inside,
    meaning_question,
)
from gateway.wire import frontend
from gateway.wire.backend import parameter_status
from gateway.wire.frontend import SYNC, bind, describe, execute, message, parse, query
from tests.playbook import BOUND, NO_DATA, PARSED, POLICY, Playbook, complete, error, parsed, ready, row, split
from tests.session.test_session import DELETE, opened, ruled

CUSTOMERS = row(b"public.customers", b"16400")


def answer(*messages: bytes) -> Messages:
    return [(ord(kind), body) for kind, body in split(b"".join(messages))]


def settings(**changed: str) -> bytes:
    """The answers to all SHOWs."""
    return b"".join(row(changed.get(name, "x").encode()) + complete("SHOW") for name in SETTINGS)


# --- what is asked ----------------------------------------------------------------------------------------------------


def test_names_and_settings_are_one_question() -> None:
    asking = meaning_question(["public.customers"])
    text = frontend.read_query(next(asking))
    assert "FROM pg_catalog.pg_class" in text
    assert text.endswith("; SHOW default_text_search_config")
    with pytest.raises(StopIteration) as end:
        asking.send(answer(CUSTOMERS, complete("SELECT 1"), settings(DateStyle="ISO, DMY")))
    found = end.value.value
    assert found.oids == ("public.customers=16400",)
    assert "DateStyle=ISO, DMY" in found.settings
    assert len(found.settings) == len(SETTINGS)


def test_a_side_connection_is_asked_for_names_alone() -> None:
    assert b"SHOW" not in next(meaning_question(["public.customers"], aside=True))
    with pytest.raises(StopIteration) as end:
        next(meaning_question([], aside=True))
    assert end.value.value == Meaning()


@pytest.mark.parametrize(("level", "may"), [("read committed", True), ("repeatable read", False)])
def test_only_read_committed_may_be_asked_inside(level: str, may: bool) -> None:
    asking = isolation_question()
    next(asking)
    with pytest.raises(StopIteration) as end:
        asking.send(answer(settings(transaction_isolation=level)))
    assert may_be_asked_inside(end.value.value) is may
    assert may_be_asked_inside(()) is False


def test_every_setting_is_known_to_the_target(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        for name in SETTINGS:
            connection.execute(f"SHOW {name}".encode())


def test_any_name_is_found_by_postgresql_and_no_other(postgres: EmbeddedPostgres) -> None:
    names = ['"od.d"."t.x"', '"q\'s"."b\\s"', '"od.d"."Ünïcode"', "public.probed"]
    keys = ["od.d.t.x", "q's.b\\s", "od.d.Ünïcode", "public.probed"]
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "od.d"; CREATE SCHEMA "q\'s"')
        try:
            for name in names:
                connection.execute(f"CREATE TABLE {name} (id int)")
            question = frontend.read_query(next(meaning_question([*keys, "public.nosuch"], aside=True)))
            rows = connection.execute(question).fetchall()
            expected = {
                key: connection.execute("SELECT %s::regclass::oid", (name,)).fetchone()
                for key, name in zip(keys, names, strict=True)
            }
            assert {key: (int(found.split(".")[0]),) for key, found in rows} == expected
        finally:
            connection.execute(
                'DROP SCHEMA "od.d" CASCADE; DROP SCHEMA "q\'s" CASCADE; DROP TABLE IF EXISTS public.probed'
            )


MEANT = """
CREATE SCHEMA meant; CREATE TABLE meant.t (id int, a int DEFAULT 1); CREATE VIEW meant.v AS SELECT id FROM meant.t;
CREATE FUNCTION meant.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE meant.empty (id int);
CREATE FUNCTION meant.g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
CREATE TABLE meant.watched (id int); CREATE TRIGGER g BEFORE DELETE ON meant.watched EXECUTE FUNCTION meant.g();
CREATE TABLE meant.private (id int, a int DEFAULT meant.f()); ALTER TABLE meant.private ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON meant.private USING (id > 0);
CREATE TABLE meant.whole (id int) PARTITION BY LIST (id); CREATE TABLE meant.part (id int) PARTITION BY LIST (id);
ALTER TABLE meant.whole ATTACH PARTITION meant.part FOR VALUES IN (1, 2); CREATE TABLE meant.leaf (id int);
CREATE FUNCTION meant.same(int, int) RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE DOMAIN meant.d AS int CHECK (VALUE > 0);
CREATE OPERATOR meant.=== (leftarg = int, rightarg = int, function = meant.same); CREATE SCHEMA filled;
"""
NAMES = ["lower()", "meant.f()", "operator meant.===", "operator =", "type meant.d", "type int4", "filled.*"]
NAMES += [f"meant.{each}" for each in ("t", "v", "watched", "private", "whole")]

REDEFINED = {
    "CREATE OR REPLACE VIEW meant.v AS SELECT id FROM meant.t WHERE id > 0": "meant.v",
    "CREATE OR REPLACE FUNCTION meant.f() RETURNS int LANGUAGE sql AS 'SELECT 2'": "f(), meant.private",
    "CREATE FUNCTION meant.f(int) RETURNS int LANGUAGE sql AS 'SELECT 2'": "f()",
    "ALTER TABLE meant.t RENAME COLUMN a TO b": "meant.t",
    "CREATE RULE r AS ON DELETE TO meant.t DO INSTEAD NOTHING": "meant.t, meant.v",
    "CREATE TRIGGER g BEFORE DELETE ON meant.t EXECUTE FUNCTION suppress_redundant_updates_trigger()": "meant.t, meant.v",
    "CREATE OR REPLACE FUNCTION meant.g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'": "meant.watched",
    "ALTER TABLE meant.t ALTER a SET DEFAULT 2": "meant.t, meant.v",
    "ALTER TABLE meant.t ADD CHECK (meant.f() > 0)": "meant.t, meant.v",
    "ALTER POLICY p ON meant.private USING (true)": "meant.private",
    "ALTER TABLE meant.private DISABLE ROW LEVEL SECURITY": "meant.private",
    "ALTER TABLE meant.part ATTACH PARTITION meant.leaf FOR VALUES IN (2)": "meant.whole",
    "CREATE OR REPLACE FUNCTION meant.same(int, int) RETURNS bool LANGUAGE sql AS 'SELECT false'": "operator ===",
    "CREATE OPERATOR meant.= (leftarg = int, rightarg = int, function = meant.same)": "operator =",
    "ALTER DOMAIN meant.d DROP CONSTRAINT d_check": "type d",
    "CREATE TABLE filled.t (id int)": "filled.*",
    "ALTER TABLE meant.t DISABLE TRIGGER ALL": "",
    "INSERT INTO meant.t VALUES (9)": "",
    "ANALYZE meant.t": "",
}


@pytest.mark.parametrize(("sql", "what"), REDEFINED.items())
def test_what_is_redefined_under_its_name_is_not_what_was_approved(
    postgres: EmbeddedPostgres, sql: str, what: str
) -> None:
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:

        def asked() -> Meaning:
            question = frontend.read_query(next(meaning_question(NAMES, aside=True)))
            return Meaning(tuple(f"{name}={found}" for name, found in connection.execute(question.encode()).fetchall()))

        connection.execute(MEANT.encode())
        try:
            before = asked()
            assert {each.rsplit("=", 1)[0] for each in before.oids} >= {
                "f()",
                "filled.*",
                "meant.t",
                "operator ===",
                "type d",
            }
            connection.execute(sql.encode())
            assert difference(before, asked()) == (f"it was redefined while people decided: {what}" if what else "")
        finally:
            connection.execute("DROP SCHEMA meant, filled CASCADE")


def test_a_schema_of_that_name_is_another() -> None:
    before = Meaning(("filled.*=16400.a",))
    assert difference(before, Meaning(("filled.*=16401.a",))) == "a table's name means another table now"


def test_a_question_that_failed_says_nothing() -> None:
    asking = meaning_question(["public.customers"])
    next(asking)
    with pytest.raises(StopIteration) as end:
        asking.send(answer(error("57014")))
    assert not end.value.value.told
    assert difference(end.value.value, end.value.value) == "what its names mean could not be asked"


def test_nobody_is_asked_about_names_that_the_target_says_nothing_of() -> None:
    play = Playbook()
    play.client(query(DELETE))
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(error("57014"), ready("E"))
    while play.to_target() != query("ROLLBACK"):
        play.target(error("25P02"), ready("E"))
    assert play.target(complete("ROLLBACK"), ready()) == ["record refused", "target Q[\x01]"]
    assert not play.requests


def test_the_question_runs_no_code_of_the_users(postgres: EmbeddedPostgres) -> None:
    """Their operators and functions fit better than PostgreSQL's, and their schema is on the path."""
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(
            "CREATE SCHEMA evil; SET search_path = evil;"
            "CREATE FUNCTION evil.joined(name, text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE 'ran'; END$$;"
            "CREATE OPERATOR evil.|| (leftarg = name, rightarg = text, function = evil.joined)"
        )
        try:
            question = frontend.read_query(next(meaning_question(["evil.joined()", "pg_catalog.pg_class"], aside=True)))
            assert len(connection.execute(question.encode()).fetchall()) == 2
        finally:
            connection.execute("RESET search_path; DROP SCHEMA evil CASCADE")


def test_a_difference_is_named() -> None:
    before = Meaning(("a=1",), ("DateStyle=ISO, DMY", "role=none"))
    assert difference(before, before) == ""
    assert difference(before, replace(before, oids=("a=2",))) == "a table's name means another table now"
    now = replace(before, settings=("DateStyle=ISO, MDY", "role=none"))
    assert difference(before, now) == "a setting that it depends on has changed: DateStyle"
    assert "not all of them could be asked" in difference(before, replace(before, settings=("DateStyle=ISO, DMY",)))


# --- what changes between the question and its release ----------------------------------------------------------------


def approved(play: Playbook) -> None:
    play.send(ruled(play, State.APPROVED))


def question(play: Playbook, *messages: bytes) -> None:
    """Hold a DELETE, its names and settings answered."""
    play.client(*(messages or (query(DELETE),)))
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(CUSTOMERS, complete("SELECT 1"), settings(), ready("T"))
    for _ in range(8):
        if play.requests:
            break
        play.target(row(b"1"), complete("SELECT 1"), ready("T" if b"ROLLBACK" not in play.to_target() else "I"))
    opened(play)


def test_what_is_still_as_it_was_is_released_with_the_digest_of_the_question() -> None:
    play = Playbook()
    question(play)
    approved(play)
    lines = play.target(CUSTOMERS, complete("SELECT 1"), settings(), ready())
    assert lines == ["release REQ1"]
    (release,) = [each for each in play.effects if isinstance(each, ev.Release)]
    assert (release.request, release.digest) == ("REQ1", play.requests[0].release_digest)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_has_changed_is_not_what_was_approved(name: str) -> None:
    play = Playbook()
    question(play)
    approved(play)
    lines = play.target(CUSTOMERS, complete("SELECT 1"), settings(**{name: "other"}), ready())
    assert lines == ["withdraw REQ1"]
    (withdrawn,) = [each for each in play.effects if isinstance(each, ev.Withdraw)]
    assert withdrawn.why.endswith(f"has changed: {name}")


def test_a_table_that_appears_under_a_name_that_meant_none_is_another_meaning() -> None:
    play = Playbook()
    play.client(query(DELETE))
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(complete("SELECT 0"), settings(), ready("T"))
    play.target(parsed(), ready("T"))
    play.target(error("57014"), ready("E"))
    play.target(complete("ROLLBACK"), ready())
    opened(play)
    approved(play)
    assert play.target(CUSTOMERS, complete("SELECT 1"), settings(), ready()) == ["withdraw REQ1"]


def test_the_tables_of_every_held_statement_are_asked_for() -> None:
    play = Playbook()
    batch = [
        each
        for table in ("customers", "orders")
        for each in (parse("", f"DELETE FROM {table}"), bind("", ""), execute(""))
    ]
    play.client(*batch, SYNC)
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    assert b"public.orders" in play.to_target()
    assert b"public.customers" in play.to_target()


def test_a_setting_that_the_target_reports_counts_at_once() -> None:
    """A configuration reload reaches a session that waits inside a batch, where nothing can be asked."""
    play = Playbook()
    play.session.talk.reported["TimeZone"] = "UTC"
    question(play)
    play.target(parameter_status("TimeZone", "Asia/Tokyo"))
    approved(play)
    assert play.target(CUSTOMERS, complete("SELECT 1"), settings(), ready()) == ["withdraw REQ1"]


def test_what_says_nothing_of_the_statement_changes_nothing() -> None:
    play = Playbook()
    question(play)
    play.target(parameter_status("application_name", "other"))
    approved(play)
    assert play.target(CUSTOMERS, complete("SELECT 1"), settings(), ready()) == ["release REQ1"]


def _path(play: Playbook) -> None:
    play.session.talk.grounds.search_path = ("other", "public")


def _status(play: Playbook) -> None:
    play.session.talk.status = "T"


def _login(**changes: object) -> Callable[[Playbook], None]:
    def change(play: Playbook) -> None:
        play.session.talk.login = replace(play.session.talk.login, **changes)  # type: ignore[arg-type] # by the case

    return change


def _target(**changes: str) -> Callable[[Playbook], None]:
    def change(play: Playbook) -> None:
        login = play.session.talk.login
        play.session.talk.login = replace(login, target=replace(login.target, **changes))  # type: ignore[arg-type] # texts

    return change


def _bytes(play: Playbook) -> None:
    part = play.session.holding._held.batch.parts[0]  # type: ignore[union-attr] # it is held
    part.raw = part.raw.replace(b"id = 1", b"id > 1")


def _rule(play: Playbook) -> None:
    held = play.session.holding._held
    assert held is not None
    held.verdict = replace(held.verdict, rule="another")


def _bound(play: Playbook) -> "object":
    portal = next(part.reply.portal for part in play.session.holding._held.parts if part.reply)  # type: ignore[union-attr]
    assert portal is not None
    assert portal.bind is not None
    return portal


def _value(play: Playbook) -> None:
    portal = _bound(play)
    portal.bind = replace(portal.bind, parameters=(b"2",))  # type: ignore[attr-defined] # a Portal


def _formats(play: Playbook) -> None:
    portal = _bound(play)
    portal.bind = replace(portal.bind, parameter_formats=(1,))  # type: ignore[attr-defined] # a Portal


def _types(play: Playbook) -> None:
    _bound(play).prepared.types = (25,)  # type: ignore[attr-defined] # a Portal


VALUES = (parse("", "DELETE FROM customers WHERE id = $1", (23,)), bind("", "", (b"1",)), execute(""), SYNC)


@pytest.mark.parametrize(
    ("messages", "change"),
    [
        ((), _path),
        ((), _status),
        ((), _login(session="s-2")),
        ((), _target(user="reader")),
        ((), _target(database="other")),
        ((), _bytes),
        ((), _rule),
        (VALUES, _value),
        (VALUES, _formats),
        (VALUES, _types),
    ],
)
def test_whatever_else_has_changed_gives_another_digest(
    messages: tuple[bytes, ...], change: Callable[[Playbook], None]
) -> None:
    """The store releases nothing whose digest is another (approvals.request.release)."""
    play = Playbook()
    if messages:
        play.client(*messages)
        play.target(complete("BEGIN"), complete("SET"), ready("T"))
        play.target(CUSTOMERS, complete("SELECT 1"), settings(), ready("T"))
        play.target(PARSED, message(b"t", b"\0\1\0\0\0\x17"), NO_DATA, ready("T"))
        play.target(PARSED, BOUND, row(b"1"), complete("SELECT 1"), ready("T"))
        play.target(PARSED, BOUND, complete("SELECT 0"), ready("T"))
        play.target(complete("ROLLBACK"), ready())
        opened(play)
    else:
        question(play)
    change(play)
    approved(play)
    play.target(CUSTOMERS, complete("SELECT 1"), settings(), ready(play.session.talk.status))
    (release,) = [each for each in play.effects if isinstance(each, ev.Release)]
    assert release.digest != play.requests[0].release_digest


# --- where it is asked again ------------------------------------------------------------------------------------------


def aside(play: Playbook, *answers: bytes) -> list[str]:
    lines: list[str] = []
    for each in answers:
        lines = play.send(ev.SideAnswered(each))
    return lines


PROBED = (
    complete("BEGIN") + complete("SET") * 2 + ready("T"),
    CUSTOMERS + complete("SELECT 1") + ready("T"),
    row(b"4") + complete("SELECT 1") + ready("T"),
    complete("SELECT 0") + ready("T"),
    complete("ROLLBACK") + ready(),
)


def in_repeatable_read() -> Playbook:
    play = Playbook(status="T")
    play.client(query(DELETE))
    assert play.target(settings(transaction_isolation="repeatable read"), ready("T")) == ["sideask"]
    aside(play, *PROBED)
    opened(play)
    return play


@pytest.mark.parametrize(("oid", "ends"), [(b"16400", "release REQ1"), (b"99999", "withdraw REQ1")])
def test_what_was_asked_aside_is_asked_aside_again(oid: bytes, ends: str) -> None:
    """Its settings in the session, where SHOW takes no snapshot; its names on a side connection."""
    play = in_repeatable_read()
    approved(play)
    assert play.target(settings(transaction_isolation="repeatable read"), ready("T")) == ["sideask"]
    again = row(b"public.customers", oid) + complete("SELECT 1") + ready()
    assert aside(play, again) == ["sideclose", ends]


def test_a_setting_that_changed_in_repeatable_read_is_seen() -> None:
    play = in_repeatable_read()
    approved(play)
    now = settings(transaction_isolation="repeatable read", session_replication_role="replica")
    assert play.target(now, ready("T")) == ["withdraw REQ1"]


def test_a_half_forwarded_batch_is_asked_about_again_too() -> None:
    play = Playbook()
    play.client(parse("", "SELECT 1"), bind("", ""), describe("P", ""), execute(""), frontend.FLUSH)
    play.client(parse("", DELETE), bind("", ""), execute(""), SYNC)
    play.target(PARSED, BOUND, NO_DATA, complete("SELECT 1"))
    aside(play, *PROBED)
    opened(play)
    approved(play)
    assert aside(play, row(b"public.customers", b"99999") + complete("SELECT 1") + ready()) == [
        "sideclose",
        "withdraw REQ1",
    ]


def test_a_side_connection_that_is_away_at_release_releases_nothing() -> None:
    play = in_repeatable_read()
    approved(play)
    play.target(settings(transaction_isolation="repeatable read"), ready("T"))
    assert play.send(ev.SideAnswered(None, "no connection")) == ["withdraw REQ1"]


def test_what_could_not_be_asked_at_first_is_not_compared() -> None:
    play = Playbook(POLICY, status="T")
    play.client(query(DELETE))
    play.target(settings(transaction_isolation="repeatable read"), ready("T"))
    play.send(ev.SideAnswered(None, "no connection"))
    opened(play)
    play.send(ruled(play, State.APPROVED))
    (release,) = [each for each in play.effects if isinstance(each, ev.Release)]
    assert (release.request, release.digest) == ("REQ1", play.requests[0].release_digest)
