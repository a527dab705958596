"""The corpus itself: each numbered line of the page has a case, and the format refuses what it doesn't know."""

from pathlib import Path

import pytest

from tests.corpus.book import _case, _message, _repeated, load

BOOK = load(Path(__file__).with_name("bypass.yaml"))


def test_each_numbered_evasion_of_chapters_4_1_to_4_3_has_a_case() -> None:
    sources = {each.source for each in BOOK.cases}
    sections = [("4.1", range(1, 24)), ("4.2", range(24, 48)), ("4.3", range(48, 61))]
    missing = {f"{section} {number}" for section, numbers in sections for number in numbers} - sources
    assert missing == set()


@pytest.mark.parametrize("section", ["1.1", "1.2", "1.3", "1.4"])
def test_each_part_of_chapter_1_has_cases(section: str) -> None:
    assert [each for each in BOOK.cases if each.source.startswith(section)]


def test_the_corpus_is_of_some_size() -> None:
    """It never shrinks; whoever takes cases out must lower this in the same change, and say why."""
    assert sum(len(each.steps) for each in (*BOOK.cases, *BOOK.pairs)) >= 1050
    assert len(BOOK.reads) >= 180


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x", "from": "own", "says": []},
        {"name": "x", "from": "own", "say": [{"maybe": "SELECT 1"}]},
        {"name": "x", "from": "own", "say": ["SELECT 1"]},
        {"name": "x", "from": "own", "say": [{"allow": ["bindd"]}]},
        {"name": "x", "from": "own", "say": [{"allow": "SELECT 1", "write": "SELECT 2"}]},
    ],
)
def test_what_the_format_does_not_know_is_an_error(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"x: |unknown"):
        _case(wrong)


def test_lines_and_repetitions() -> None:
    assert _message("bind p = s (1, 2)")[5:10] == b"p\0s\0\0"
    assert _message("bind =")[5:9] == b"\0\0\0\0"
    assert _message("execute p max 3")[5:] == b"p\0\0\0\0\3"
    assert _repeated("a<<+1*3>>b") == "a+1+1+1b"
