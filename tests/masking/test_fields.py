"""One field value by its type, and fields replaced inside a tuple; whole rows are in test_rows.py."""

import json
import struct
from collections.abc import Sequence

import pytest

from gateway.errors import ProtocolViolation
from gateway.masking.columns import ColumnPlan
from gateway.masking.detectors import Detectors, Hit
from gateway.masking.fields import FieldMasker, replace_candidates, replace_fields, replace_in_json, scan

KEY = b"k" * 32
CARD, HIDDEN = "4000001234567899", "**** **** **** 7899"
CARDS = Detectors.build(["card"], {})
TEXT, BINARY = 0, 1


def fields(*values: bytes | None) -> bytes:
    return b"".join(struct.pack("!i", -1) if each is None else struct.pack("!i", len(each)) + each for each in values)


def array(oid: int, *elements: bytes | None) -> bytes:
    return struct.pack("!iiiii", 1, 0, oid, len(elements), 1) + fields(*elements)


# --- one value -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("oid", "code", "value", "expected"),
    [
        (25, TEXT, f"card {CARD}".encode(), f"card {HIDDEN}".encode()),
        (18, TEXT, b"4", b"4"),
        (23, BINARY, b"\0\0\0\1", b"\0\0\0\1"),
        (20, TEXT, CARD.encode(), None),
        (1700, TEXT, f"{CARD}.00".encode(), None),
        (1016, TEXT, f"{{1,{CARD}}}".encode(), None),
        (1009, TEXT, f"{{a,{CARD}}}".encode(), f"{{a,{HIDDEN}}}".encode()),
        (3926, TEXT, f"[1,{CARD})".encode(), None),
        (2249, TEXT, f"(1,{CARD})".encode(), f"(1,{HIDDEN})".encode()),
        (17, TEXT, f"as it stands {CARD}".encode(), f"as it stands {HIDDEN}".encode()),
        (17, TEXT, b"\\x" + CARD.encode().hex().encode() + b"0", None),
        (17, TEXT, b"\\x0102", b"\\x0102"),
        (17, BINARY, CARD.encode(), HIDDEN.encode()),
        (3802, BINARY, b"\x01" + CARD.encode(), b'\x01"' + HIDDEN.encode() + b'"'),
        (99999, TEXT, CARD.encode(), HIDDEN.encode()),
        (99999, BINARY, CARD.encode(), None),
    ],
)
def test_a_value_stays_one_of_its_type_or_becomes_null(
    oid: int, code: int, value: bytes, expected: bytes | None
) -> None:
    found, names = scan(value, oid, code, CARDS)
    assert found == expected
    assert (found is value) == (not names)


@pytest.mark.parametrize("size", [9, 16, 1_785, 1_786, 100_000])
def test_a_binary_int8_of_another_length_is_none_and_becomes_null(size: int) -> None:
    """No client can read it, and what stands in it is no number; one of 4,300 digits Python would not even write down."""
    for value in (b"\x7f" * size, CARD.encode().ljust(size, b"x")):
        assert scan(value, 20, BINARY, CARDS) == (None, frozenset({"malformed"}))


def test_a_clean_value_is_the_very_same_object() -> None:
    for oid, code, value in ((25, TEXT, b"words"), (3802, BINARY, b"\x01[1]"), (1009, BINARY, array(25, b"a", None))):
        assert scan(value, oid, code, CARDS) == (value, frozenset())
        assert scan(value, oid, code, CARDS)[0] is value


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (1009, b"\0\0\0\1"),
        (1009, struct.pack("!iiiiii", 1, 0, 25, 1, 1, 99) + b"x"),
        (2249, struct.pack("!iii", 1, 25, 99) + b"x"),
        (2249, struct.pack("!ii", 1, 25)),
    ],
)
def test_an_array_or_record_that_can_not_be_taken_apart_becomes_null(oid: int, value: bytes) -> None:
    assert scan(value, oid, BINARY, CARDS) == (None, frozenset({"malformed"}))


def test_nesting_has_an_end() -> None:
    def nested(levels: int) -> bytes:
        value = CARD.encode()
        for at in range(levels):
            value = struct.pack("!iii", 1, 2249 if at else 25, len(value)) + value
        return value

    found, names = scan(nested(30), 2249, BINARY, CARDS)
    assert names == {"card"}
    assert found is not None
    assert HIDDEN.encode() in found
    found, names = scan(nested(40), 2249, BINARY, CARDS)
    assert names == {"nesting"}, "what lies too deep is not looked at, so it is not shown"
    assert found is not None
    assert CARD.encode() not in found


# --- JSON ------------------------------------------------------------------------------------------------------------------


def hit(value: bytes, part: bytes, mask: str = "[x]") -> Hit:
    start = value.index(part)
    return Hit(start, start + len(part), mask, "card")


@pytest.mark.parametrize(
    ("value", "parts", "expected"),
    [
        (b'{"a": "one two"}', [b"two"], {"a": "one [x]"}),
        (b'{"a": 12, "b": 3}', [b"12"], {"a": "[x]", "b": 3}),
        (b'["one", "two"]', [b"one", b"two"], ["[x]", "[x]"]),
        (b'{"key": "v"}', [b'"key"'], {"[x]": "v"}),
        (b'{"a": 1, "b": 2}', [b'1, "b": 2'], "[redacted]"),
        (b'{"a": "one', [b"one"], "[redacted]"),
    ],
)
def test_placeholders_keep_json_json(value: bytes, parts: Sequence[bytes], expected: object) -> None:
    assert json.loads(replace_in_json(value, [hit(value, part) for part in parts])) == expected


# --- tuples ----------------------------------------------------------------------------------------------------------------


def masker(*plans: ColumnPlan, detectors: Detectors | None = CARDS) -> FieldMasker:
    return FieldMasker(plans, detectors, KEY)


SCAN, PASS = ColumnPlan("scan", name="note"), ColumnPlan("pass", name="id")
REDACT = ColumnPlan("mask", "redact", "public.t.card", name="card")


def test_masked_fields_are_replaced_and_null_stays_null() -> None:
    found = masker(PASS, REDACT, REDACT)
    data = b"head" + fields(b"1", b"secret", None)
    changed, at = replace_fields(data, 4, len(data), 3, found.masked)
    assert changed == fields(b"1", b"[redacted]", None)
    assert at == len(data)
    assert found.counts == {("card", "public.t.card"): 1}


def test_nothing_to_replace_is_none() -> None:
    data = fields(b"1", None)
    assert replace_fields(data, 0, len(data), 2, masker(PASS, PASS).masked) == (None, len(data))


@pytest.mark.parametrize("data", [b"\0\0\0", struct.pack("!i", 9) + b"x", struct.pack("!i", -2)])
def test_a_tuple_that_does_not_fit_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        replace_fields(data, 0, len(data), 1, masker(REDACT).masked)
    with pytest.raises(ProtocolViolation):
        replace_candidates(data, 0, len(data), masker(SCAN), 0)


def test_only_scanned_fields_with_a_candidate_are_looked_at() -> None:
    found = masker(SCAN, PASS, SCAN)
    first, second = fields(b"clean", CARD.encode(), CARD.encode()), fields(b"a", b"b", b"c")
    data = first + second
    changed = replace_candidates(data, 0, len(first), found, found.first(data, 0, len(first)))
    assert changed == fields(b"clean", CARD.encode(), HIDDEN.encode()), "a column that passes keeps even a card"
    assert found.counts == {("note", "card"): 1}


def test_what_is_behind_the_tuple_is_left_alone() -> None:
    first, found = fields(CARD.encode()), masker(SCAN)
    assert replace_candidates(first * 2, 0, len(first), found, 4) == fields(HIDDEN.encode())
    assert found.counts == {("note", "card"): 1}


def test_where_to_look_first() -> None:
    number = struct.pack("!q", int(CARD))
    data = fields(b"words", number)
    assert masker(SCAN, PASS).first(data, 0, len(data)) == -1
    binary = masker(SCAN, ColumnPlan("scan", type_oid=20, format=BINARY))
    assert binary.first(data, 0, len(data)) == data.index(number) - 4, (
        "a card in binary shows only by its length and size"
    )
    assert masker(PASS, REDACT).first(data, 0, len(data)) == -1, "nothing is scanned"
    hidden = masker(ColumnPlan("scan", type_oid=17))
    assert (hidden.first(data, 3, len(data)), hidden.first(data, len(data), len(data))) == (3, -1), (
        "hex hides a card from any look at bytes"
    )
    assert masker(SCAN, detectors=None).first(fields(CARD.encode()), 0, 20) == -1
