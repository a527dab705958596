"""Bound values as people see them."""

import pytest

from gateway.session.names import Portal, Prepared
from gateway.session.values import values
from gateway.sql.statement import Script
from gateway.wire.frontend import Bind


def shown(value: bytes | None, oid: int = 25, *, binary: bool = False) -> str | None:
    prepared = Prepared("SELECT $1", Script("SELECT $1", ()), (oid,))
    found = values(Portal(prepared, prepared.script, Bind("", "", (1 if binary else 0,), (value,), ())))
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("value", "oid", "binary", "expected"),
    [
        (None, 25, False, None),
        (b"Ann", 0, False, "Ann"),
        (b"42", 23, False, "42"),
        (b"Ann", 25, True, "Ann"),
        (b"\xff\xfe", 25, False, "<2 bytes>"),
        (b"\0\0\0\x2a", 23, True, "42"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", 20, True, "-1"),
        (b"\x01", 16, True, "true"),
        (b"\x00", 16, True, "false"),
        (bytes(range(16)), 2950, True, "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        (b"short", 2950, True, "<5 bytes, type 2950>"),
        (b"\0" * 8, 701, True, "<8 bytes, type 701>"),
        (b"4321", 0, True, "<4 bytes, type unknown>"),
        (b"x" * 1001, 25, False, "x" * 1000 + "... (1001 characters)"),
    ],
)
def test_a_value_as_people_see_it(value: bytes | None, oid: int, binary: bool, expected: str | None) -> None:
    assert shown(value, oid, binary=binary) == expected


def test_one_format_code_is_of_all_values_and_several_are_of_each() -> None:
    prepared = Prepared("", Script("", ()), (23, 23))
    one = b"\0\0\0\1"

    def all_shown(*formats: int) -> tuple[str | None, ...] | None:
        return values(Portal(prepared, prepared.script, Bind("", "", formats, (one, one), ())))

    assert all_shown(1) == ("1", "1")
    assert all_shown(1, 0) == ("1", "\0\0\0\1")
    assert all_shown() == ("\0\0\0\1", "\0\0\0\1")
    assert values(Portal(prepared, prepared.script)) is None, "a cursor has no values"
