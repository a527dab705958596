"""Placeholders of ours in a client's text and values."""

import pytest

from gateway.masking.masks import MASKS, apply
from gateway.masking.placeholders import in_statement, in_values

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
