"""Rows: runs of DataRow messages in, the same number of messages and columns out; clean runs are the same object."""

import hashlib
import itertools
import json
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolViolation
from gateway.masking import fields
from gateway.masking.cards import luhn
from gateway.masking.detectors import Detectors
from gateway.masking.rows import ColumnPlan, MaskPlan, RowMasker

KEY = b"k" * 32
DETECTORS = Detectors.build(["card", "api_key", "jwt", "private_key"], {})
Row = Sequence[bytes | None]


def card(seed: int = 0, prefix: str = "4") -> str:
    body = (prefix + f"{seed:015d}"[::-1])[:15]
    return next(body + str(d) for d in range(10) if luhn(body + str(d)))


def message(values: Row) -> bytes:
    fields = b"".join(struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values)
    return struct.pack("!cih", b"D", 6 + len(fields), len(values)) + fields


def parse(run: bytes) -> list[list[bytes | None]]:
    rows, at = [], 0
    while at < len(run):
        kind, length, count = struct.unpack_from("!cih", run, at)
        assert kind == b"D"
        end, at, row = at + 1 + length, at + 7, []
        for _ in range(count):
            (size,) = struct.unpack_from("!i", run, at)
            row.append(None if size < 0 else run[at + 4 : at + 4 + size])
            at += 4 + max(size, 0)
        assert at == end
        rows.append(row)
    return rows


def scans(*oids: int, code: int = 0) -> MaskPlan:
    return MaskPlan(tuple(ColumnPlan("scan", type_oid=oid, format=code, name=f"c{i}") for i, oid in enumerate(oids)))


def masked_value(value: bytes, oid: int, code: int = 0) -> bytes | None:
    [[out]] = parse(RowMasker(scans(oid, code=code), DETECTORS, KEY).rows(message([value])))
    return out


def test_a_clean_run_is_the_same_object() -> None:
    run = message([b"1", b"words"]) * 500
    assert RowMasker(scans(25, 25), DETECTORS, KEY).rows(run) is run


def test_only_the_dirty_field_changes() -> None:
    masker = RowMasker(scans(25, 25), DETECTORS, KEY)
    clean = message([b"a", None])
    run = clean * 3 + message([b"b", f"card {card()} ok".encode()]) + clean * 3
    assert masker.rows(run) == clean * 3 + message([b"b", f"card **** **** **** {card()[-4:]} ok".encode()]) + clean * 3
    assert masker.counts == {("c1", "card"): 1}


@pytest.mark.parametrize("padding", range(80))
def test_a_card_at_the_start_of_a_value_whose_length_byte_is_a_digit_or_letter(padding: int) -> None:
    value = card().encode() + b" " + b"x" * padding
    out = masked_value(value, 25)
    assert out == f"**** **** **** {card()[-4:]} ".encode() + b"x" * padding


class Looks:
    """The pattern of binary numbers, noting how many bytes it was asked to look at: each look for a suspect asks it."""

    def __init__(self) -> None:
        self.bytes = 0
        self._pattern = fields._BINARY_NUMBERS

    def search(self, data: bytes, start: int, end: int) -> object:
        self.bytes += end - start
        return self._pattern.search(data, start, end)


def test_binary_ids_that_are_all_candidates_do_not_make_each_row_look_to_the_end_of_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [[struct.pack("!q", 7 * 10**17 + 10_007 * n), b"plain words"] for n in range(4000)]
    run = b"".join(map(message, rows)) + message([b"\0" * 8, b"x" * 9000]) + message([b"\0" * 8, card().encode()])
    looks = Looks()
    monkeypatch.setattr(fields, "_BINARY_NUMBERS", looks)
    out = RowMasker(scans(20, 25, code=1), DETECTORS, KEY).rows(run)
    assert parse(out)[-1][1] == f"**** **** **** {card()[-4:]}".encode()
    assert 0 < looks.bytes < 200 * len(run), "a row at a time it is the half of 4000 times"


def test_masked_columns_are_replaced_and_others_scanned() -> None:
    plan = MaskPlan(
        (
            ColumnPlan("mask", "last4", "public.t.card", 25, 0, "card"),
            ColumnPlan("scan", name="note"),
            ColumnPlan("pass"),
        )
    )
    masker = RowMasker(plan, DETECTORS, KEY)
    number = card(7)
    run = message([number.encode(), number.encode(), number.encode()]) + message([None, b"", None])
    hidden = f"**** **** **** {number[-4:]}".encode()
    assert parse(masker.rows(run)) == [[hidden, hidden, number.encode()], [None, b"", None]]
    assert masker.counts == {("card", "public.t.card"): 1, ("note", "card"): 1}


def test_masked_columns_need_no_detectors() -> None:
    plan = MaskPlan((ColumnPlan("mask", "null", "public.t.card", 20, 1, "card"),))
    assert parse(RowMasker(plan, None, KEY).rows(message([b"12345678"]))) == [[None]]


def test_a_plan_that_touches_nothing_looks_at_nothing() -> None:
    run = b"anything"
    assert RowMasker(MaskPlan((ColumnPlan("pass"),)), DETECTORS, KEY).rows(run) is run


def test_numbers_become_null() -> None:
    number = card()
    assert masked_value(number.encode(), 20) is None
    assert masked_value(struct.pack("!q", int(number)), 20, 1) is None
    assert masked_value(number.encode(), 1700) is None
    digits = [int(number[i : i + 4]) for i in range(0, 16, 4)]
    while digits and not digits[-1]:
        digits.pop()
    assert masked_value(struct.pack(f"!hhHh{len(digits)}h", len(digits), 3, 0, 0, *digits), 1700, 1) is None


@pytest.mark.parametrize("size", [1, 2_000])
def test_a_text_where_the_target_said_binary_int8_does_not_pass(size: int) -> None:
    masker = RowMasker(scans(20, 25, code=1), DETECTORS, KEY)
    run = message([f"{card()} {'x' * size}".encode(), b"y" * 3_000])
    assert parse(masker.rows(run)) == [[None, b"y" * 3_000]]
    assert masker.counts == {("c0", "malformed"): 1}


@pytest.mark.parametrize("prefix", ["4", "51", "2221", "2720", "62", "65", "3528", "9792", "81"])
def test_every_issuer_is_found_in_a_binary_int8(prefix: str) -> None:
    assert masked_value(struct.pack("!q", int(card(3, prefix))), 20, 1) is None


def test_other_numbers_stay() -> None:
    for number in (0, -1, 42, 1764079091000, 2**62, int(card()) + 1):
        assert masked_value(struct.pack("!q", number), 20, 1) == struct.pack("!q", number)
    assert masked_value(struct.pack("!hhHh", 0, 0, 0xC000, 0), 1700, 1) == struct.pack("!hhHh", 0, 0, 0xC000, 0)


@pytest.mark.parametrize(("oid", "code", "head"), [(114, 0, b""), (3802, 0, b""), (3802, 1, b"\x01")])
def test_json_stays_json(oid: int, code: int, head: bytes) -> None:
    number = card()
    value = f'{{"a": "card {number}", "b": {number}, "c": [1, "x\\n{number}"], "d": 1.5}}'.encode()
    out = masked_value(head + value, oid, code)
    assert out is not None
    hidden = f"**** **** **** {number[-4:]}"
    assert json.loads(out[len(head) :]) == {"a": f"card {hidden}", "b": hidden, "c": [1, f"x\n{hidden}"], "d": 1.5}


def test_json_with_a_secret_over_several_tokens_is_redacted_whole() -> None:
    secret = hashlib.sha256(b"key").hexdigest()
    out = masked_value(json.dumps({"api_key": secret}).encode(), 114)
    assert out is not None
    assert secret not in str(json.loads(out))


def test_bytea_in_hex_is_read() -> None:
    number = card()
    out = masked_value(b"\\x" + f"id {number}".encode().hex().encode(), 17)
    assert out == b"\\x" + f"id **** **** **** {number[-4:]}".encode().hex().encode()


def array(elements: Row, oid: int) -> bytes:
    body = b"".join(struct.pack("!i", -1) if e is None else struct.pack("!i", len(e)) + e for e in elements)
    return struct.pack("!iiiii", 1, 1, oid, len(elements), 1) + body


def test_binary_arrays_and_records_are_taken_apart() -> None:
    number, hidden = card().encode(), f"**** **** **** {card()[-4:]}".encode()
    assert masked_value(array([b"a", number, None], 25), 1009, 1) == array([b"a", hidden, None], 25)
    assert masked_value(array([struct.pack("!q", int(number)), None], 20), 1016, 1) == array([None, None], 20)
    record = struct.pack("!iii", 2, 25, len(number)) + number + struct.pack("!ii", 23, 4) + b"\0\0\0\1"
    out = struct.pack("!iii", 2, 25, len(hidden)) + hidden + struct.pack("!ii", 23, 4) + b"\0\0\0\1"
    assert masked_value(record, 2249, 1) == out


def test_an_unknown_binary_type_with_a_secret_becomes_null() -> None:
    assert masked_value(b"\0\1" + card().encode(), 16999, 1) is None
    assert masked_value(b"\0\1abc", 16999, 1) == b"\0\1abc"


@pytest.mark.parametrize(
    "run",
    [
        message([card().encode()])[:-1], message([card().encode(), b"x"]), b"E" + message([card().encode()])[1:],
        struct.pack("!cihi", b"D", 6 + 20, 1, 99) + card().encode(), message([card().encode()]) + b"D", struct.pack("!cihi", b"D", 26, 1, -2) + card().encode(),
        struct.pack("!cihi", b"D", 27, 1, 16) + card().encode() + b"x",
    ],
)  # fmt: skip
def test_a_run_that_is_not_what_was_planned_is_refused(run: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        RowMasker(MaskPlan((ColumnPlan("mask", "redact", "s"),)), DETECTORS, KEY).rows(run)


def test_a_pattern_that_spans_everything_hides_no_row() -> None:
    odd = Detectors.build(["card"], {"all": r"(?s)zz.*"})
    masker = RowMasker(scans(25), odd, KEY)
    assert parse(masker.rows(message([b"zz1"]) + message([card().encode()]) + message([b"a"]))) == [
        [b"[all]"], [f"**** **** **** {card()[-4:]}".encode()], [b"a"],
    ]  # fmt: skip


def test_a_pattern_that_matches_nothing_at_all_is_harmless() -> None:
    empty = Detectors.build([], {"empty": "^$|x*"})
    run = message([b"a", None]) + message([b"", b"b"])
    assert RowMasker(scans(25, 25), empty, KEY).rows(run) is run


WORDS = st.text(alphabet="abcdef ghi-xyz.,:é\n", max_size=70).map(str.encode)
VALUES = st.one_of(st.none(), WORDS, st.integers(0, 99999).map(lambda n: str(n).encode()), st.binary(max_size=0))


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=20))
def test_clean_runs_are_identical(rows: list[Row]) -> None:
    run = b"".join(map(message, rows))
    assert RowMasker(scans(25, 25), DETECTORS, KEY).rows(run) is run


def dirty(seed: int) -> bytes:
    number = card(seed)
    spaced = " ".join(number[i : i + 4] for i in range(0, 16, 4))
    return (number, f"pay {spaced} now", f"{number}, {spaced}", f"x={number}")[seed % 4].encode()


@given(
    st.lists(st.tuples(VALUES, st.one_of(VALUES, st.integers(0, 10**9).map(dirty))), min_size=1, max_size=12),
    st.data(),
    st.sampled_from(["scan", "mask"]),
)
def test_no_card_remains_whatever_the_split_into_runs(rows: list[Row], data: st.DataObject, second: str) -> None:
    plan = MaskPlan((ColumnPlan("scan"), ColumnPlan("mask", "last4", "s") if second == "mask" else ColumnPlan("scan")))
    masker = RowMasker(plan, DETECTORS, KEY)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(rows)), max_size=4)) | {0, len(rows)})
    runs = [b"".join(map(message, rows[a:b])) for a, b in itertools.pairwise(cuts)]
    out = b"".join(masker.rows(run) for run in runs)
    parsed = parse(out)
    assert [len(r) for r in parsed] == [2] * len(rows)
    for before, after in zip(rows, parsed, strict=True):
        assert [v is None for v in before] == [v is None for v in after]
        for value in after:
            assert DETECTORS.clean(value or b"")[0] == (value or b"")
    whole = b"".join(map(message, rows))
    assert out == RowMasker(plan, DETECTORS, KEY).rows(whole)


def test_random_looking_tables_stay() -> None:
    rows = [[hashlib.md5(str(i).encode()).hexdigest().encode(), str(1764079091000 + i).encode()] for i in range(3000)]
    run = b"".join(map(message, rows))
    assert RowMasker(scans(25, 20), DETECTORS, KEY).rows(run) is run
