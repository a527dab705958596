"""What regress.py makes of two outputs: the same, moving by itself, excepted, or different."""

import pytest

from tests.differential.regress import EXCEPTIONS, difference, judged, moves, without

DIRECT = b"a\noid 1\nb\n"


@pytest.mark.parametrize(
    ("again", "gateway", "moving"),
    [
        (b"a\noid 2\nb\n", b"a\noid 3\nb\n", True),
        (b"a\noid 2\nb\n", b"a\noid 3\nc\n", False),
        (b"a\noid 1\nb\n", b"a\noid 3\nb\n", False),
        (b"a\noid 2\nb\n", b"a\noid 2\nb\nERROR\n", False),
        (b"a\noid 2\nb\n", b"oid 3\nb\n", False),
    ],
)
def test_only_what_differs_without_the_gateway_too_moves(again: bytes, gateway: bytes, moving: bool) -> None:
    assert moves(DIRECT, again, gateway) is moving


def test_an_exception_must_begin_as_it_says() -> None:
    answer = EXCEPTIONS["largeobject"].answer.encode()
    assert judged("largeobject", difference(b"a\n", b"ERROR:  " + answer)).found == "excepted"
    assert judged("largeobject", difference(b"a\n", b"ERROR:  another\n")).found == "differs"
    assert judged("select", difference(b"a\n", b"ERROR:  " + answer)).found == "differs"


@pytest.mark.parametrize(
    ("name", "script", "rest"),
    [
        ("strings", b"SET standard_conforming_strings TO off;\nselect 'a\\\\bcd' as f1;\nselect 1;\n", b"select 1;\n"),
        ("largeobject", b"\\lo_list\n\\lo_unlink 42\nSELECT lo_unlink(1);\n", b"\\lo_list\nSELECT lo_unlink(1);\n"),
        (
            "copyencoding",
            b"SET client_encoding TO UTF8;\nSET client_encoding TO LATIN1;\n",
            b"SET client_encoding TO UTF8;\n",
        ),
    ],
)
def test_what_an_exception_is_about_can_be_taken_out(name: str, script: bytes, rest: bytes) -> None:
    assert without(EXCEPTIONS[name].cut, script) == rest
