"""Error and notice fields, notifications, parameters, tags and SQL texts."""

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from gateway.demo.postgres import EmbeddedPostgres
from gateway.errors import ProtocolViolation
from gateway.masking.cards import luhn
from gateway.masking.detectors import Detectors
from gateway.masking.diagnostics import (
    fields_of,
    may_hold_values,
    own,
    scrub_fields,
    scrub_name,
    scrub_names,
    scrub_notification,
    scrub_parameter,
    scrub_sql,
)
from gateway.masking.rules import NAMES
from tests.masking.generated import samples

DETECTORS = Detectors.build(["card"], {})
CARD = next("4" + "13579" * 2 + "2468" + str(d) for d in range(10) if luhn("4" + "13579" * 2 + "2468" + str(d)))
HIDDEN = f"**** **** **** {CARD[-4:]}"


def body(**fields: str) -> bytes:
    return b"".join(kind.encode() + text.encode() + b"\0" for kind, text in fields.items()) + b"\0"


ERROR = {"S": "ERROR", "V": "ERROR", "C": "22P02", "M": f'invalid input syntax for type date: "{CARD}"', "D": f"Key (c)=({CARD}) exists.",
         "H": f"try {CARD}", "W": f'COPY t, line 1: "{CARD}"', "q": f"SELECT '{CARD}'", "P": "8", "n": "t_pkey", "F": "date.c", "L": "123", "R": "f"}  # fmt: skip


def test_every_text_is_searched_and_the_rest_stays() -> None:
    out = scrub_fields(body(**ERROR), DETECTORS, touches_protected=False)
    assert out == body(**{k: v.replace(CARD, HIDDEN) for k, v in ERROR.items()})


def test_a_statement_on_a_protected_column_keeps_only_its_sqlstate() -> None:
    out = dict(fields_of(scrub_fields(body(**ERROR), DETECTORS, touches_protected=True)))
    assert {chr(kind) for kind in out} == set("SVCMFLR")
    assert out[ord("C")] == b"22P02"
    assert b"22P02" in out[ord("M")]
    assert b"invalid" not in out[ord("M")]


RAISED = ERROR | {"F": "pl_exec.c", "R": "exec_stmt_raise", "W": "PL/pgSQL function f() line 1 at RAISE"}


@pytest.mark.parametrize(
    ("level", "sqlstate", "shown"),
    [("ERROR", "49293", ("ERROR", "ERROR", "P0001")), ("WARNING", "49293", ("NOTICE", "NOTICE", "00000"))],
)
def test_level_and_sqlstate_that_code_chooses_may_be_made_of_a_value(
    level: str, sqlstate: str, shown: tuple[str, str, str]
) -> None:
    raised = body(**RAISED | {"S": level, "V": level, "C": sqlstate})
    out = dict(fields_of(scrub_fields(raised, DETECTORS, touches_protected=True)))
    assert tuple(out[each].decode() for each in b"SVC") == shown
    assert sqlstate.encode() not in b"".join(out.values())
    assert sqlstate.encode() in scrub_fields(raised, DETECTORS, touches_protected=False)


NAMED = {"S": "ERROR", "V": "ERROR", "C": "42703", "M": 'column "nme" does not exist', "H": 'Perhaps "customers.name".',
         "P": "8", "F": "parse_relation.c", "L": "3722", "R": "errorMissingColumn"}  # fmt: skip


def test_the_parser_may_name_what_it_does_not_find() -> None:
    assert scrub_fields(body(**NAMED), DETECTORS, touches_protected=True) == body(**NAMED)


@pytest.mark.parametrize("inner", [{"q": "SELECT 4111"}, {"W": "PL/pgSQL function f() line 3 at EXECUTE"}])
def test_a_statement_made_at_run_time_may_hold_values_as_names(inner: dict[str, str]) -> None:
    out = dict(fields_of(scrub_fields(body(**NAMED, **inner), DETECTORS, touches_protected=True)))
    assert b"nme" not in out[ord("M")]
    assert ord("H") not in out


def test_passwords_are_found_whatever_the_policy_detects() -> None:
    none = Detectors.build([], {})
    assert b"hunter2" not in scrub_fields(
        body(S="ERROR", M="could not connect: password=hunter2"), none, touches_protected=False
    )
    assert scrub_sql("ALTER ROLE ann PASSWORD 'hunter2'", none) == "ALTER ROLE ann PASSWORD '[password]'"


def test_plain_errors_stay_byte_for_byte() -> None:
    plain = body(S="ERROR", V="ERROR", C="42P01", M='relation "x" does not exist', P="15")
    assert scrub_fields(plain, DETECTORS, touches_protected=False) == plain


@pytest.mark.parametrize("broken", [b"", b"Mtext", b"Mtext\0", b"Mtext\0\0x"])
def test_a_malformed_error_is_refused(broken: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        scrub_fields(broken, DETECTORS, touches_protected=False)


def _described(*names: bytes) -> bytes:
    return len(names).to_bytes(2, "big") + b"".join(each + b"\0" + bytes(18) for each in names)


def test_names_of_columns_that_a_detector_knows() -> None:
    plain = _described(b"id", b"card_number", b"?column?")
    assert scrub_names(plain, DETECTORS) is plain
    number = b"4111" + b"1" * 12
    assert scrub_names(_described(b"id", b"c" + number, number), DETECTORS) == _described(
        b"id", *(DETECTORS.clean(each)[0] for each in (b"c" + number, number))
    )
    assert number not in scrub_names(_described(number), DETECTORS)
    with pytest.raises(ProtocolViolation):
        scrub_names(_described(number)[:-1], DETECTORS)


def test_beside_protected_columns_a_payload_is_redacted_whole_and_ones_own_channel_is_not() -> None:
    own = scrub_notification(b"\0\0\0\1jobs\0row 7 is due\0", DETECTORS, {b"jobs"})
    assert own == b"\0\0\0\1jobs\0[redacted]\0"
    assert scrub_notification(b"\0\0\0\1jobs\0\0", DETECTORS, {b"jobs"}) == b"\0\0\0\1jobs\0\0"
    assert scrub_notification(b"\0\0\0\1zebra\0\0", DETECTORS, {b"jobs"}) == b"\0\0\0\1[redacted]\0\0"


@pytest.mark.parametrize(
    ("name", "value", "may"),
    [
        ("application_name", "psql", True),
        ("search_path", "public", True),
        ("scram_iterations", "4096", True),
        ("TimeZone", "Europe/Berlin", False),
        ("TimeZone", "Etc/GMT+5", False),
        ("TimeZone", "UTC", False),
        ("TimeZone", "EST5EDT", True),
        ("TimeZone", "SOME/SECRET5", True),
        ("TimeZone", "<+03>-03", True),
        ("DateStyle", "ISO, MDY", False),
    ],
)
def test_settings_that_may_hold_values(name: str, value: str, may: bool) -> None:
    assert may_hold_values(name, value) == may


def test_notifications_and_parameters() -> None:
    number = CARD.encode()
    hidden = HIDDEN.encode()
    assert (
        scrub_notification(b"\0\0\0\1jobs\0pay " + number + b"\0", DETECTORS) == b"\0\0\0\1jobs\0pay " + hidden + b"\0"
    )
    assert scrub_parameter(b"application_name\0" + number + b"\0", DETECTORS) == b"application_name\0" + hidden + b"\0"
    for scrub in (scrub_notification, scrub_parameter):
        with pytest.raises(ProtocolViolation):
            scrub(b"cut", DETECTORS)


def test_sql_texts() -> None:
    text = f"UPDATE t SET card = '{CARD}' WHERE dsn = 'postgres://a:hunter2@db/x'"
    assert scrub_sql(text, DETECTORS) == f"UPDATE t SET card = '{HIDDEN}' WHERE dsn = 'postgres://a:[password]@db/x'"
    assert scrub_sql("DELETE FROM customers WHERE id = 42", DETECTORS) == "DELETE FROM customers WHERE id = 42"


# --- against PostgreSQL itself: which errors name what the client wrote, and which a value -----------------------------------

_SECRETS = r"""
CREATE DATABASE named;
\connect named
CREATE TABLE s (card text);
INSERT INTO s VALUES ('card4111');
CREATE FUNCTION f(t text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT ' || t; RETURN 1; END $$;
CREATE FUNCTION g(t text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT * FROM ' || t; RETURN 1; END $$;
CREATE FUNCTION h(t text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT ' || t || '(1)'; RETURN 1; END $$;
CREATE FUNCTION raises(t text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'column "%" does not exist', t USING ERRCODE = '42703'; END $$;
"""
_FIELDS = {"S": "severity", "C": "sqlstate", "M": "message_primary", "H": "message_hint", "P": "statement_position",
           "q": "internal_query", "W": "context", "F": "source_file", "R": "source_function"}  # fmt: skip


@pytest.fixture(scope="module")
def named(postgres: EmbeddedPostgres) -> Iterator[psycopg.Connection[Any]]:
    asyncio.run(postgres.psql(_SECRETS))
    with psycopg.connect(postgres.dsn("named"), autocommit=True) as connection:
        yield connection


def told(connection: psycopg.Connection[Any], sql: str) -> tuple[str, str]:
    """What PostgreSQL says, and what is left of it for the client."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql.encode())
    fields = {kind: getattr(caught.value.diag, name) for kind, name in _FIELDS.items()}
    said = body(**{kind: text for kind, text in fields.items() if text})
    return str(caught.value), scrub_fields(said, DETECTORS, touches_protected=True).decode()


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT nme FROM s", 'column "nme" does not exist'),
        ("SELECT * FROM nosuch", 'relation "nosuch" does not exist'),
        ("DELETE FROM nosuch WHERE id = 1", 'relation "nosuch" does not exist'),
        ("SELECT nofunc(1) FROM s", "function nofunc(integer) does not exist"),
        ("SELECT card = 1 FROM s", "operator does not exist: text = integer"),
    ],
)
def test_a_name_that_the_client_wrote_is_told(named: psycopg.Connection[Any], sql: str, shown: str) -> None:
    assert shown in told(named, sql)[1]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT f(card) FROM s",
        "SELECT g(card) FROM s",
        "SELECT h(card) FROM s",
        "SELECT raises(card) FROM s",
        "SELECT query_to_xml('SELECT ' || card, true, true, '') FROM s",
        "SELECT query_to_xml('SELECT * FROM ' || card, true, true, '') FROM s",
        "SELECT ts_stat('SELECT ' || card) FROM s",
        "SELECT ts_rewrite('a'::tsquery, 'SELECT ' || card) FROM s",
        "SELECT card::regclass FROM s",
        "SELECT card::regtype FROM s",
        "SELECT (card || '()')::regprocedure FROM s",
        "SELECT has_column_privilege('s', card, 'SELECT') FROM s",
        "SELECT pg_get_serial_sequence('s', card) FROM s",
        "SELECT card::int FROM s",
    ],
)
def test_a_value_that_became_a_name_is_not(named: psycopg.Connection[Any], sql: str) -> None:
    said, left = told(named, sql)
    assert "card4111" in said
    assert "card4111" not in left


@pytest.mark.parametrize("beside", [b"", b"0", b"4", b"9", b"a", b"Z", b"_", b"-", b".", b"'", b"\0", b"\xff"])
def test_no_byte_beside_a_text_hides_it_from_the_look_at_all_bytes(beside: bytes) -> None:
    """A length or another value may stand there: whatever `scrub_sql` changes has to be suspected in the whole message."""
    detectors = Detectors.build(NAMES, {})
    changed = [each.text for each in samples() if scrub_sql(each.text, detectors) != each.text]
    assert len(changed) > 2_000
    raw = (b"Q\0\0\0" + beside + each.encode() + beside + b"\0" for each in changed)
    assert [each for each in raw if not own(detectors).suspicious(each)] == []
    assert not own(detectors).suspicious(b"Q\0\0\0\x20SELECT name FROM customers WHERE id = 7\0")


@pytest.mark.parametrize("behind", ["", " " * 100], ids=["short", "long"])
def test_what_a_client_calls_itself_is_scrubbed_by_the_detectors_of_now(behind: str) -> None:
    name = f"card 4111 1111 1111 1111{behind}"
    none, cards = Detectors.build([], {}), Detectors.build(["card"], {})
    for _ in range(2):
        assert scrub_name(name, none) == name
        assert scrub_name(name, cards) == scrub_sql(name, cards) != name
