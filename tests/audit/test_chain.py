"""The chain: a true one has no finding; every way to touch it has one that says what and where."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.chain import (
    Anchor,
    ChainCheck,
    Wrong,
    checkpoint_holds,
    genesis,
    is_sealed,
    keyed,
    seal,
    sealed_entry,
    sign_checkpoint,
    verify_chain,
)
from gateway.audit.entry import Entry, Value, canonical

KEY = b"0123456789abcdef0123456789abcdef"
R = "host:1700000000:0"
AT = "2026-11-22T10:00:00.000000Z"


def chain(count: int, replica: str = R, key: bytes = KEY, start: int = 1, prev: str | None = None) -> list[Entry]:
    entries: list[Entry] = []
    head = prev or genesis(key, replica)
    for seq in range(start, start + count):
        body: dict[str, Value] = {"seq": seq, "replica": replica, "at": AT, "kind": "statement", "sql": f"SELECT {seq}"}
        entries.append(seal(key, head, body))
        head = entries[-1].hash
    return entries


def kept(entries: list[Entry]) -> list[dict[str, Any]]:
    return [json.loads(entry.text) for entry in entries]


def found(rows: list[dict[str, Any]], *anchors: Anchor, key: bytes = KEY) -> list[tuple[int, Wrong]]:
    return [(finding.seq, finding.wrong) for finding in verify_chain(key, R, rows, anchors)]


def test_hash_is_hmac_of_prev_and_entry() -> None:
    entry = chain(1)[0]
    expected = hmac.new(KEY, (genesis(KEY, R) + canonical(entry.body)).encode(), hashlib.sha256).hexdigest()
    assert entry.hash == expected
    assert json.loads(entry.text) == {**entry.body, "hash": expected}
    assert entry.text.endswith(f',"prev":"{genesis(KEY, R)}","hash":"{expected}"}}')
    assert is_sealed(keyed(KEY), entry.text)
    assert sealed_entry(keyed(KEY), entry.text) == entry


@pytest.mark.parametrize("replica", [R, 'a "quoted" one\\', "größe:1:0"])
def test_a_sealed_line_is_read_by_what_stands_first(replica: str) -> None:
    body: dict[str, Value] = {"seq": 7, "replica": replica, "at": AT, "kind": "finished"}
    entry = seal(KEY, genesis(KEY, replica), {**body, "sql": '"prev":"', "tag": "SELECT"})
    assert sealed_entry(keyed(KEY), entry.text) == entry


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("SELECT 1", "SELECT 2"),
        lambda text: text.replace('"seq":1', '"seq":2'),
        lambda text: text.replace(",", ", "),
        lambda text: text + " ",
        lambda text: text[:-1],
        lambda text: text.replace('"hash":"', '"hash":"0')[:-1],
        lambda text: text.replace("host", "h\udcffst"),
        lambda text: "[" + text[1:],
        lambda _: "",
    ],
)
def test_a_line_that_was_touched_is_not_sealed(change: Callable[[str], str]) -> None:
    text = chain(1)[0].text
    assert is_sealed(keyed(KEY), text)
    assert change(text) != text
    assert sealed_entry(keyed(KEY), change(text)) is None


def test_a_true_chain_has_no_finding() -> None:
    entries = chain(50)
    anchors = [Anchor(R, entry.seq, entry.hash, "a checkpoint") for entry in entries]
    assert found(kept(entries), *anchors, Anchor("other", 99, "f" * 64, "x")) == []


def edit(rows: list[dict[str, Any]]) -> None:
    rows[4]["sql"] = "SELECT 2"


def add_field(rows: list[dict[str, Any]]) -> None:
    rows[4]["colour"] = "red"


def delete(rows: list[dict[str, Any]]) -> None:
    del rows[4]


def delete_two(rows: list[dict[str, Any]]) -> None:
    del rows[4:6]


def delete_first(rows: list[dict[str, Any]]) -> None:
    del rows[0]


def swap(rows: list[dict[str, Any]]) -> None:
    rows[4], rows[5] = rows[5], rows[4]


def repeat(rows: list[dict[str, Any]]) -> None:
    rows.insert(5, rows[3])


def renumber(rows: list[dict[str, Any]]) -> None:
    rows[4]["seq"] = 6


def delete_and_renumber(rows: list[dict[str, Any]]) -> None:
    del rows[4]
    for row in rows[4:]:
        row["seq"] -= 1


def rehash(rows: list[dict[str, Any]]) -> None:
    rows[4]["sql"] = "SELECT 2"
    for index in range(4, len(rows)):
        rows[index] = kept([reseal(b"another key that is long enough..", rows[index], rows[index - 1]["hash"])])[0]


def rehash_without_key(rows: list[dict[str, Any]]) -> None:
    rows[4]["sql"] = "SELECT 2"
    for index in range(4, len(rows)):
        body = {**rows[index], "prev": rows[index - 1]["hash"]}
        del body["hash"]
        rows[index] = {**body, "hash": hashlib.sha256((body["prev"] + canonical(body)).encode()).hexdigest()}


def rehash_all(rows: list[dict[str, Any]]) -> None:
    rows[:] = kept(chain(len(rows), key=b"another key that is long enough.."))


def unreadable(rows: list[dict[str, Any]]) -> None:
    rows[4] = {"seq": 5, "hash": "nonsense"}


def graft(rows: list[dict[str, Any]]) -> None:
    """An entry of another replica's chain in the place of one of ours."""
    rows[4] = kept(chain(10, replica="host:1700000000:1"))[4]


def unlink(rows: list[dict[str, Any]]) -> None:
    """Only someone with the key can do this: a second history from #5 on, sealed by our key onto another past."""
    other = chain(6, start=5, prev="a" * 64)
    rows[4:] = kept(other)


def reseal(key: bytes, row: dict[str, Any], prev: str) -> Entry:
    return seal(key, prev, {name: value for name, value in row.items() if name not in ("prev", "hash")})


@pytest.mark.parametrize(
    ("touch", "expected"),
    [
        (edit, [(5, Wrong.EDITED)]),
        (add_field, [(5, Wrong.EDITED)]),
        (delete, [(5, Wrong.MISSING)]),
        (delete_two, [(5, Wrong.MISSING)]),
        (delete_first, [(1, Wrong.MISSING)]),
        (swap, [(5, Wrong.OUT_OF_ORDER)]),
        (repeat, [(4, Wrong.REPEATED)]),
        (renumber, [(6, Wrong.RENUMBERED)]),
        (delete_and_renumber, [(seq, Wrong.RENUMBERED) for seq in range(5, 10)] + [(5, Wrong.MISSING)]),
        (rehash, [(5, Wrong.REHASHED)]),
        (rehash_without_key, [(5, Wrong.REHASHED)]),
        (rehash_all, [(1, Wrong.REHASHED)]),
        (unreadable, [(5, Wrong.UNREADABLE), (5, Wrong.MISSING)]),
        (graft, [(5, Wrong.EDITED), (6, Wrong.UNLINKED)]),
        (unlink, [(5, Wrong.UNLINKED)]),
    ],
)
def test_touched(touch: Callable[[list[dict[str, Any]]], None], expected: list[tuple[int, Wrong]]) -> None:
    rows = kept(chain(10))
    touch(rows)
    assert found(rows) == expected


def test_a_cut_end_shows_against_a_checkpoint_only() -> None:
    entries = chain(10)
    anchor = Anchor(R, 10, entries[-1].hash, "a checkpoint")
    assert found(kept(entries[:7])) == []
    assert found(kept(entries[:7]), anchor) == [(8, Wrong.CUT)]
    assert found([], anchor) == [(0, Wrong.GONE)]


def test_another_history_contradicts_a_checkpoint() -> None:
    assert found(kept(chain(10)), Anchor(R, 4, "a" * 64, "a checkpoint")) == [(4, Wrong.CONTRADICTED)]


def test_another_key_fits_nothing() -> None:
    assert found(kept(chain(10)), key=b"the wrong key") == [(1, Wrong.REHASHED)]


def test_a_chain_under_another_name_is_not_that_chain() -> None:
    rows = kept(chain(3, replica="host:1700000000:1"))
    for row in rows:
        row["replica"] = R
    assert found(rows) == [(1, Wrong.REHASHED)]


def test_findings_say_where_and_what_in_words() -> None:
    rows = kept(chain(10))
    delete_two(rows)
    assert [str(finding) for finding in verify_chain(KEY, R, rows)] == [f"{R} #5: #5 to #6 were taken out"]


def test_checkpoint_signatures() -> None:
    signature = sign_checkpoint(KEY, R, 7, "a" * 64)
    assert checkpoint_holds(KEY, R, 7, "a" * 64, signature)
    assert not checkpoint_holds(KEY, R, 8, "a" * 64, signature)
    assert not checkpoint_holds(KEY, R + "1", 7, "a" * 64, signature)
    assert not checkpoint_holds(b"other", R, 7, "a" * 64, signature)
    assert not checkpoint_holds(KEY, R, 7, "a" * 64, "ünïcode")


LINES = [entry.text for entry in chain(6)]


@settings(max_examples=300)
@given(st.data())
def test_any_single_edit_of_any_line_is_found(data: st.DataObject) -> None:
    """Insert, replace or delete one character anywhere in a kept line; the last line has an anchor like all others."""
    number = data.draw(st.integers(0, len(LINES) - 1))
    line = LINES[number]
    at = data.draw(st.integers(0, len(line) - 1))
    put = data.draw(st.text(st.characters(codec="utf-8"), max_size=1))
    edited = data.draw(st.sampled_from([line[:at] + put + line[at + 1 :], line[:at] + put + line[at:]]))
    check = ChainCheck(KEY, R)
    for text in (*LINES[:number], edited, *LINES[number + 1 :]):
        try:
            body = json.loads(text)
        except ValueError:
            check.unreadable()
        else:
            check.see(body, text) if isinstance(body, dict) else check.unreadable()
    check.end()
    assert bool(check.findings) == (edited != line)


@pytest.mark.parametrize("key", [b"k", b"k" * 64, b"k" * 100])
def test_the_seal_is_hmac_sha_256(key: bytes) -> None:
    """RFC 2104, by the library that verifies; the same again, because the key is worked in once."""
    sealed = keyed(key)
    for text in ("", "é", "x" * 1000, ""):
        assert sealed(text.encode()) == hmac.digest(key, text.encode(), "sha256").hex()
