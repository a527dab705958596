"""Masks: what people see of a value, and that it stays valid for its type."""

import json

import pytest

from gateway.masking.masks import MASKS, Kind, apply, kind_of

KEY = b"k" * 32
TEXT, BPCHAR, CHAR, JSON, JSONB, BYTEA, UUID, INT8, CITEXT = 25, 1042, 18, 114, 3802, 17, 2950, 20, 16999


@pytest.mark.parametrize(
    ("mask", "value", "shown"),
    [
        ("redact", "anything", "[redacted]"), ("last4", "4111 1111 1111 " + "1234", "**** **** **** 1234"), ("last4", "abcdefgh", "****efgh"),
        ("last4", "abc", "****"), ("partial", "ann@example.com", "a***@example.com"), ("partial", "Elizabeth", "E***h"), ("partial", "Bob", "***"),
    ],
)  # fmt: skip
def test_text_masks(mask: str, value: str, shown: str) -> None:
    for oid in (TEXT, CITEXT):
        assert apply(mask, value.encode(), oid, 0, KEY) == shown.encode()
    assert apply(mask, value.encode(), TEXT, 1, KEY) == shown.encode()


def test_hash_is_stable_keyed_and_ignores_the_padding_of_bpchar() -> None:
    one = apply("hash", b"ann", TEXT, 0, KEY)
    assert one == apply("hash", b"ann", TEXT, 1, KEY) == apply("hash", b"ann   ", BPCHAR, 0, KEY)
    assert one != apply("hash", b"bob", TEXT, 0, KEY)
    assert one != apply("hash", b"ann", TEXT, 0, b"j" * 32)
    assert one is not None
    assert one.startswith(b"hash:")


@pytest.mark.parametrize("mask", sorted(MASKS - {"null"}))
def test_json_stays_json(mask: str) -> None:
    for value in (b'"4111111111111111"', b"4111111111111111", b'{"a": [1, 2]}', b"null", b"true", b"not json"):
        for oid, code in ((JSON, 0), (JSON, 1), (JSONB, 0)):
            masked = apply(mask, value, oid, code, KEY)
            assert masked is not None
            assert isinstance(json.loads(masked), str)
        binary = apply(mask, b"\x01" + value, JSONB, 1, KEY)
        assert binary is not None
        assert binary[:1] == b"\x01"
        assert isinstance(json.loads(binary[1:]), str)
    assert apply(mask, b"\x02{}", JSONB, 1, KEY) is None


def test_json_scalars_show_their_last_four() -> None:
    assert apply("last4", b'"4111111111111111"', JSON, 0, KEY) == b'"**** **** **** 1111"'


def test_bytea() -> None:
    assert apply("redact", b"abc", BYTEA, 1, KEY) == b"[redacted]"
    assert apply("redact", b"\\x616263", BYTEA, 0, KEY) == b"\\x" + b"[redacted]".hex().encode()
    binary = apply("hash", b"abc", BYTEA, 1, KEY)
    assert binary is not None
    assert apply("hash", b"\\x616263", BYTEA, 0, KEY) == b"\\x" + binary.hex().encode()


@pytest.mark.parametrize("mask", sorted(MASKS))
def test_types_without_a_placeholder_become_null(mask: str) -> None:
    for oid, code in ((UUID, 0), (UUID, 1), (INT8, 0), (INT8, 1), (1009, 0), (CITEXT, 1), (2249, 1), (1114, 0)):
        assert apply(mask, b"x", oid, code, KEY) is None


@pytest.mark.parametrize("mask", sorted(MASKS))
def test_null_stays_null(mask: str) -> None:
    assert apply(mask, None, TEXT, 0, KEY) is None


def test_char_is_one_byte() -> None:
    assert apply("redact", b"x", CHAR, 1, KEY) == b"*"


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(ValueError, match="mask blur is not known"):
        apply("blur", b"x", TEXT, 0, KEY)
    with pytest.raises(ValueError, match="needs a key"):
        apply("hash", b"x", TEXT, 0, b"")


def test_kinds() -> None:
    assert kind_of(CITEXT, 0) is Kind.TEXT
    assert kind_of(CITEXT, 1) is Kind.UNKNOWN
    assert kind_of(16, 0) is Kind.HARMLESS


@pytest.mark.parametrize(
    ("oid", "text"), [(3926, b"[4,5)"), (4536, b"{[4,5)}"), (3927, b'{"[4,5)"}'), (1041, b"{10.0.0.1}")]
)
def test_the_text_of_ranges_and_arrays_takes_no_placeholder(oid: int, text: bytes) -> None:
    """psycopg reads them, and fails on anything that is no range and no array."""
    assert kind_of(oid, 0) is Kind.UNKNOWN
    for mask in MASKS:
        assert apply(mask, text, oid, 0, KEY) is None
