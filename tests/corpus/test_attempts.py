"""The corpus of secrets itself: each numbered line of the page has attempts, and what its search finds."""

from pathlib import Path

import pytest

from tests.corpus.attempts import _case, _query, filled, load, ways_of
from tests.corpus.forms import forms, found_in

BOOK = load(Path(__file__).with_name("masking.yaml"))


def test_each_numbered_line_of_chapter_4_4_has_attempts() -> None:
    sources = {each.source for each in BOOK.attempts} | {source for source, _ in BOOK.held}
    assert {str(number) for number in range(61, 80)} - sources == set()


def test_the_corpus_is_of_some_size() -> None:
    """It never shrinks; whoever takes attempts out must lower this in the same change, and say why."""
    assert len(BOOK.attempts) >= 405
    assert len(BOOK.held) >= 17


def test_every_way_is_used() -> None:
    used = {way for each in BOOK.attempts for way in each.ways}
    assert used == {
        "simple", "text", "binary", "pieces", "prepared", "cursor", "binary cursor", "copy", "copy csv", "copy binary",
    }  # fmt: skip
    assert list(ways_of("SHOW x", 1)) == ["simple", "text"]


def test_secrets_stand_in_for_their_names() -> None:
    secrets = {"card": ("1", "2")}
    assert filled("a ':card' b::card :pin", secrets, 1) == "a '2' b::card :pin"


@pytest.mark.parametrize("wrong", [{"sql": "SELECT 1", "way": []}, {"sql": "SELECT 1", "ways": ["fax"]}])
def test_what_the_format_does_not_know_is_an_error(wrong: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError)):
        _query("61", 1, wrong)
    with pytest.raises(ValueError, match="says"):
        _case({"name": "x", "from": "own", "says": []})


def test_what_leaves_something_is_taken_back_and_forgotten() -> None:
    sent = ways_of("INSERT INTO other SELECT 1 RETURNING id", 1)["prepared"]
    assert [each[0][5:-1] for each, _ in sent][-2:] == [b"ROLLBACK", b"DEALLOCATE ALL"]


@pytest.mark.parametrize(
    "raw",
    [
        b"x4929381332664295y", b"5924662331839294", b"34393239333831333332363634323935", b"4929-3813-3266-4295",
        b"NDkyOTM4MTMzMjY2NDI5NQ==", b"eDQ5MjkzODEzMzI2NjQyOTU", b"\x00\x11\x83?\x07K\xbf\xe7", b"\x13A\x0e\xe5\x0c\xc2\x10\xc7",
        b"D\0\1\0\0\0\x014D\0\1\0\0\0\x019D\0\1\0\0\0\x012D\0\1\0\0\0\x019D\0\1\0\0\0\x013D\0\1\0\0\0\x018D\0\1\0\0\0\x011D\0\1\0\0\0\x013",
        "４９２９３８１３３２６６４２９５".encode(), b"EJCJDIBDDCGGECJF",
    ],
    ids=range(11),
)  # fmt: skip
def test_a_secret_is_found_in_each_of_its_forms(raw: bytes) -> None:
    assert found_in(raw, forms("4929381332664295"))


def test_a_mask_is_no_form() -> None:
    assert found_in(b"[redacted] **** **** **** 4295 SELECT 4929", forms("4929381332664295")) == []
