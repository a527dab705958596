"""COPY TO STDOUT: text, csv with any quote, binary; whatever the split into bodies."""

import csv
import io
import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolViolation
from gateway.masking.cards import luhn
from gateway.masking.columns import ColumnPlan
from gateway.masking.copy import CopyMasker, CopyOptions
from gateway.masking.detectors import Detectors

KEY = b"k" * 32
DETECTORS = Detectors.build(["card", "api_key", "private_key"], {})
SCAN, MASK, NULL = (
    ColumnPlan("scan", name="note"),
    ColumnPlan("mask", "last4", "public.t.card", name="card"),
    ColumnPlan("mask", "null", "s"),
)
PASSING = ColumnPlan("pass")


def card() -> str:
    body = "4" + "13579" * 2 + "2468"
    return next(body + str(d) for d in range(10) if luhn(body + str(d)))


CARD = card()
HIDDEN = f"**** **** **** {CARD[-4:]}"


def run(columns: list[ColumnPlan], options: CopyOptions, *bodies: bytes) -> bytes:
    masker = CopyMasker(columns, options, DETECTORS, KEY)
    return b"".join(masker.data(body) for body in bodies) + masker.end()


def test_text() -> None:
    body = f"1\t{CARD}\tpaid {CARD}\n2\t\\N\t\\N\n3\t\tplain\\tor\\\\not\n".encode()
    out = run([ColumnPlan("pass"), MASK, SCAN], CopyOptions(), body)
    assert out == f"1\t{HIDDEN}\tpaid {HIDDEN}\n2\t\\N\t\\N\n3\t****\tplain\\tor\\\\not\n".encode()


def test_a_clean_body_is_the_same_object() -> None:
    body = b"1\tplain\n"
    assert CopyMasker([SCAN, SCAN], CopyOptions(), DETECTORS, KEY).data(body) is body
    quoted = b'1,"a ""b"", c"\n'
    assert CopyMasker([SCAN, SCAN], CopyOptions("csv"), DETECTORS, KEY).data(quoted) is quoted


def copy_data(body: bytes) -> bytes:
    return b"d" + struct.pack("!i", 4 + len(body)) + body


def test_a_run_of_messages_goes_on_unread_up_to_its_first_candidate() -> None:
    clean, dirty = copy_data(b"1\tplain\n"), copy_data(f"2\t{CARD}\n".encode())
    masker = CopyMasker([SCAN, SCAN], CopyOptions(), DETECTORS, KEY)
    assert masker.changes(clean * 3, 0, 3 * len(clean)) == ([], 3 * len(clean))
    run = b"before" + clean + dirty + clean
    row = 6 + len(clean)
    hidden = copy_data(f"2\t{HIDDEN}\n".encode())
    assert masker.changes(run, 6, len(run)) == ([(row, row + len(dirty), hidden)], len(run))


@pytest.mark.parametrize("length", range(30, 60))
def test_no_length_of_a_message_hides_what_its_body_begins_with(length: int) -> None:
    """The byte before the body may be a digit or a letter."""
    run = copy_data(b"plain\n") + copy_data(CARD.encode() + b" " * (length - 5 - len(CARD)) + b"\n")
    changes, _ = CopyMasker([SCAN], CopyOptions(), DETECTORS, KEY).changes(run, 0, len(run))
    assert [row for row, *_ in changes] == [len(copy_data(b"plain\n"))]


@pytest.mark.parametrize(
    ("columns", "options", "body"),
    [
        ([SCAN, MASK], CopyOptions(), b"1\tplain\n"),
        ([SCAN, SCAN], CopyOptions("csv"), b'1,"a\n'),
        ([SCAN, SCAN], CopyOptions("csv", header=True), b"id,note\n"),
        ([SCAN, SCAN], CopyOptions(delimiter=b"-"), b"1-plain\n"),
        ([ColumnPlan("scan", format=1)], CopyOptions("binary"), b"\0\1\0\0\0\1a"),
    ],
    ids=["a masked column", "a quote", "a header", "a delimiter that hides", "binary"],
)
def test_each_message_is_read(columns: list[ColumnPlan], options: CopyOptions, body: bytes) -> None:
    masker, run = CopyMasker(columns, options, DETECTORS, KEY), copy_data(body) * 2
    assert not masker.skims or masker.changes(run, 0, len(run))[1] < len(run)


def test_text_escapes_are_read_and_written() -> None:
    out = run([SCAN], CopyOptions(), f"a\\\\b\\n{CARD}\\tc\n".encode())
    assert out == f"a\\\\b\\n{HIDDEN}\\tc\n".encode()


SPACED = " ".join(CARD[at : at + 4] for at in range(0, 16, 4))
SECRET = "aB3dE5fG7hJ9kLmN2pQr"


@pytest.mark.parametrize(
    ("options", "raw", "shown"),
    [
        (CopyOptions(), SPACED.replace(" ", "\\t"), HIDDEN),
        (CopyOptions(), f"bearer\\t{SECRET}4x", "bearer\\t[api_key]"),
        (CopyOptions(), "password\\n= 'hunter22'", "password\\n= '[password]'"),
        (CopyOptions(), f"token\\\\\\\\={SECRET}", "token\\\\\\\\=[api_key]"),
        (CopyOptions(), f"\\\\t {CARD}", f"\\\\t {HIDDEN}"),
        (CopyOptions(delimiter=b","), f"token\\,={SECRET}", f"token\\,={SECRET}"),
        (CopyOptions("csv"), f'"{{""token"": ""{SECRET}""}}"', '"{""token"": ""[api_key]""}"'),
        (CopyOptions("csv"), f'"token"""": {SECRET}"', '"token"""": [api_key]"'),
    ],
)
def test_no_escape_hides_what_a_value_holds(options: CopyOptions, raw: str, shown: str) -> None:
    line = raw.encode() + b"\n"
    plain = b"plain\n"
    assert run([SCAN], options, plain, line, plain) == plain + shown.encode() + b"\n" + plain
    data, masker = b"".join(map(copy_data, (plain, line, plain))), CopyMasker([SCAN], options, DETECTORS, KEY)
    changes, behind = masker.changes(data, 0, len(data))
    expected = [] if raw == shown else [copy_data(shown.encode() + b"\n")]
    assert ([new for *_, new in changes], behind) == (expected, len(data))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (CopyOptions(), b"a\\tb\\\\c\t\\N\n"),
        (CopyOptions("csv"), b'"a ""b"" c","d\n"\n'),
    ],
)
def test_clean_rows_with_escapes_go_on_as_they_are(options: CopyOptions, line: bytes) -> None:
    masker, data = CopyMasker([SCAN, SCAN], options, DETECTORS, KEY), copy_data(line) * 3
    assert masker.data(line) is line
    assert masker.changes(data, 0, len(data)) == ([], len(data))


def test_a_message_that_ends_inside_a_row_is_where_a_run_ends() -> None:
    masker = CopyMasker([SCAN, SCAN], CopyOptions("csv"), DETECTORS, KEY)
    data = copy_data(b"a,b\n") + copy_data(b'a,"b\n') + copy_data(b'c"\n')
    assert masker.changes(data, 0, len(data)) == ([(9, 19, b"")], 19)
    assert not masker.skims
    assert masker.data(b'c"\n') == b'a,"b\nc"\n'


def test_a_hyphen_as_delimiter_hides_nothing() -> None:
    spaced = "\\-".join(CARD[i : i + 4] for i in range(0, 16, 4))
    assert run([SCAN, SCAN], CopyOptions(delimiter=b"-"), f"1-{spaced}\n".encode()) == f"1-{HIDDEN}\n".encode()


def test_a_backslash_before_the_delimiter_does_not_split() -> None:
    out = run([NULL, SCAN], CopyOptions(delimiter=b"|", null=b"NIL"), b"a\\|b|c\n")
    assert out == b"NIL|c\n"


@pytest.mark.parametrize("plan", [MASK, PASSING])
def test_a_name_in_the_header_that_a_detector_knows_is_masked(plan: ColumnPlan) -> None:
    options = CopyOptions(format="csv", header=True)
    assert CARD.encode() not in run([plan, PASSING], options, f"{CARD},other\n".encode(), b"1,2\n")
    assert run([PASSING, PASSING], options, b"id,other\n1,", b"2\n") == b"id,other\n1,2\n"


def test_header_passes_and_the_rows_behind_it_do_not() -> None:
    assert run([MASK], CopyOptions(header=True), b"card\n", f"{CARD}\n".encode()) == f"card\n{HIDDEN}\n".encode()


@pytest.mark.parametrize("quote", ['"', "'", "1", "4", "~"])
@pytest.mark.parametrize("escape", [None, "\\", "7"])
def test_csv_with_any_quote_and_escape(quote: str, escape: str | None) -> None:
    mark = escape or quote
    value = "".join(mark + c if c in (quote, mark) else c for c in f"a\n{CARD}, b")
    options = CopyOptions("csv", quote=quote.encode(), escape=escape.encode() if escape else None)
    out = run([ColumnPlan("pass"), SCAN], options, f"x,{quote}{value}{quote}\nx,\n".encode()).decode()
    wanted = "".join(mark + c if c in (quote, mark) else c for c in f"a\n{HIDDEN}, b")
    assert out == f"x,{quote}{wanted}{quote}\nx,\n"


def test_csv_null_and_empty_string() -> None:
    assert run([MASK, NULL], CopyOptions("csv"), b',x\n"",\n') == b',\n"****",\n'


def test_masked_json_in_csv_is_quoted() -> None:
    column = ColumnPlan("mask", "redact", "s", type_oid=114)
    out = run([column], CopyOptions("csv"), b'"{""a"": 1}"\n').decode()
    assert next(csv.reader(io.StringIO(out))) == ['"[redacted]"']


def binary(*rows: list[bytes | None]) -> bytes:
    out = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
    for row in rows:
        out += struct.pack("!h", len(row))
        out += b"".join(struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in row)
    return out + struct.pack("!h", -1)


def test_binary() -> None:
    columns = [
        ColumnPlan("pass"),
        ColumnPlan("mask", "last4", "s", format=1),
        ColumnPlan("scan", type_oid=20, format=1),
    ]
    number = struct.pack("!q", int(CARD))
    body = binary([b"a", CARD.encode(), number], [None, None, struct.pack("!q", 5)])
    assert run(columns, CopyOptions("binary"), body) == binary(
        [b"a", HIDDEN.encode(), None], [None, None, struct.pack("!q", 5)]
    )


def test_binary_that_is_cut_or_no_copy_is_refused() -> None:
    column = ColumnPlan("mask", "redact", "s", format=1)
    with pytest.raises(ProtocolViolation, match="inside a tuple"):
        run([column], CopyOptions("binary"), binary([b"abc"])[:-4])
    with pytest.raises(ProtocolViolation, match="without its signature"):
        run([column], CopyOptions("binary"), b"1\tx\n")


@pytest.mark.parametrize("options", [CopyOptions(), CopyOptions("csv"), CopyOptions("binary")])
def test_another_number_of_columns_is_refused(options: CopyOptions) -> None:
    body = binary([b"a", b"b"]) if options.format == "binary" else b"a,b\tc\td\n"
    with pytest.raises(ProtocolViolation, match="columns where 1 "):
        run([MASK], options, body)


FIELD = st.one_of(st.text(alphabet='ab ,"\n\t\\é', max_size=8), st.just(f"pay {CARD}!"))


def text_row(fields: list[str]) -> bytes:
    table = {"\\": "\\\\", "\t": "\\t", "\n": "\\n"}
    return ("\t".join("".join(table.get(c, c) for c in f) for f in fields) + "\n").encode()


def csv_row(fields: list[str]) -> bytes:
    return (",".join('"' + f.replace('"', '""') + '"' for f in fields) + "\n").encode()


@given(
    st.lists(st.lists(FIELD, min_size=2, max_size=2), max_size=6), st.data(), st.sampled_from(["text", "csv", "binary"])
)
def test_any_split_into_bodies_gives_the_same_bytes_and_no_card(
    rows: list[list[str]], data: st.DataObject, kind: str
) -> None:
    encoded: list[list[bytes | None]] = [[f.encode() for f in row] for row in rows]
    bodies = {
        "text": b"".join(map(text_row, rows)),
        "csv": b"".join(map(csv_row, rows)),
        "binary": binary(*encoded),
    }
    options = {"text": CopyOptions(), "csv": CopyOptions("csv"), "binary": CopyOptions("binary")}[kind]
    columns = [ColumnPlan("scan", format=int(kind == "binary"))] * 2
    body = bodies[kind]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=5)) | {0, len(body)})
    out = run(columns, options, *(body[a:b] for a, b in itertools.pairwise(cuts)))
    assert CARD.encode() not in out
    if kind != "binary":
        assert out == body.replace(CARD.encode(), HIDDEN.encode())
