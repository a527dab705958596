"""Error and notice fields, notifications, parameters, tags and SQL texts."""

import pytest

from gateway.errors import ProtocolViolation
from gateway.masking.cards import luhn
from gateway.masking.detectors import Detectors
from gateway.masking.diagnostics import (
    fields_of,
    scrub_fields,
    scrub_notification,
    scrub_parameter,
    scrub_sql,
    scrub_tag,
)

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
    assert {chr(kind) for kind in out} == set("SVCMnFLR")
    assert out[ord("C")] == b"22P02"
    assert b"22P02" in out[ord("M")]
    assert b"invalid" not in out[ord("M")]


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


def test_notifications_parameters_and_tags() -> None:
    number = CARD.encode()
    hidden = HIDDEN.encode()
    assert (
        scrub_notification(b"\0\0\0\1jobs\0pay " + number + b"\0", DETECTORS) == b"\0\0\0\1jobs\0pay " + hidden + b"\0"
    )
    assert scrub_parameter(b"application_name\0" + number + b"\0", DETECTORS) == b"application_name\0" + hidden + b"\0"
    assert scrub_tag(b"SELECT " + number + b"\0", DETECTORS) == b"SELECT " + hidden + b"\0"
    assert scrub_tag(b"DELETE 42\0", DETECTORS) == b"DELETE 42\0"
    for scrub in (scrub_notification, scrub_parameter, scrub_tag):
        with pytest.raises(ProtocolViolation):
            scrub(b"cut", DETECTORS)


def test_sql_texts() -> None:
    text = f"UPDATE t SET card = '{CARD}' WHERE dsn = 'postgres://a:hunter2@db/x'"
    assert scrub_sql(text, DETECTORS) == f"UPDATE t SET card = '{HIDDEN}' WHERE dsn = 'postgres://a:[password]@db/x'"
    assert scrub_sql("DELETE FROM customers WHERE id = 42", DETECTORS) == "DELETE FROM customers WHERE id = 42"
