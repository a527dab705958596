"""Placeholders of ours in a client's text and values."""

import pytest

from gateway.masking.masks import MASKS, apply
from gateway.masking.placeholders import CopyWatch, in_statement, in_values

KEY = b"k" * 32


@pytest.mark.parametrize("mask", sorted(MASKS - {"null"}))
@pytest.mark.parametrize("value", [b"4929381332664295", b"ann@example.com", b"short", b"a longer text than that"])
def test_what_every_mask_makes_is_found(mask: str, value: bytes) -> None:
    made = apply(mask, value, 25, 0, KEY)
    assert made is not None
    assert in_values([None, made.decode()]) == made.decode()
    assert in_statement(f"UPDATE t SET a = '{made.decode()}' WHERE id = 1") == made.decode()


@pytest.mark.parametrize("text", ["call [phone] today", "key=[api_key]", "pay with **** **** **** 4295 today"])
def test_what_detectors_put_inside_a_text_is_found(text: str) -> None:
    assert in_values([text])
    assert in_statement(f"INSERT INTO t VALUES (1, $tag$ {text} $tag$)")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE t SET a = 'x' WHERE tags[1] = 'y'",
        "UPDATE t SET a = a * 2, b = '**bold** and [a link](x)'",
        "UPDATE t SET a = 'hash:abc', b = '[a]'",
        "UPDATE t SET a = 'x' -- not [redacted]",
        "SELECT 1",
    ],
)
def test_what_only_looks_like_one(sql: str) -> None:
    assert in_statement(sql) == ""


def test_values_without_any() -> None:
    assert in_values([None, "", "x", "**", "a*b"]) == ""


def watched(*bodies: bytes) -> str:
    watch = CopyWatch()
    return next(filter(None, map(watch.found, bodies)), "") or watch.end()


@pytest.mark.parametrize("mask", sorted(MASKS - {"null"}))
@pytest.mark.parametrize("value", [b"4929381332664295", b"ann@example.com", b"short", b"a longer text than that"])
@pytest.mark.parametrize("form", ["text", "csv", "quoted", "binary", "last"])
def test_what_every_mask_makes_is_found_in_a_copy(form: str, mask: str, value: bytes) -> None:
    made = apply(mask, value, 25, 0, KEY) or b""
    binary = b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\1" + len(made).to_bytes(4, "big") + made + b"\xff\xff"
    row = {
        "text": b"1\t%b\t2\n" % made,
        "csv": b"1,%b,2\n" % made,
        "quoted": b'1,"%b",2\n' % made,
        "binary": binary,
        "last": b"1\t%b" % made,
    }[form]
    assert watched(row)
    assert watched(b"a\tb\n" * 50 + row)
    for at in range(1, len(row)):
        assert watched(row[:at], row[at:]), at


@pytest.mark.parametrize(
    "body",
    [b"1\t2\n", b"1\t**\tx**\n", b"a ***b*** c\t**bold**\n", b"1\t****and more than four\n", b"\0\1\0\0\0\x0c****whatever", b""],
)  # fmt: skip
def test_what_only_looks_like_one_in_a_copy(body: bytes) -> None:
    assert watched(body) == ""
    assert watched(*(body[at : at + 1] for at in range(len(body)))) == ""
