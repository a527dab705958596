"""YAML text as sections: syntax errors, bombs, and the small readers."""

import pytest

from gateway.errors import PolicyError
from gateway.policy.document import MAX_TEXT, Section, duration, nearest, open_document, size, whole


def problem(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        open_document(text, "p.yaml", "top", ())
    (only,) = caught.value.problems
    return only


def test_a_syntax_error_has_its_line() -> None:
    assert problem("a: 1\nb: [1\nc: 2\n").startswith("p.yaml:3: ")
    assert problem("a: 1\n\tb: 2\n").startswith("p.yaml:2: ")


def test_an_empty_file_and_control_characters_are_refused() -> None:
    assert "empty" in problem("# nothing\n")
    assert problem("a: 1\nb: \x07\n").startswith("p.yaml:")


def test_a_big_file_is_refused_before_it_is_read() -> None:
    assert "limit" in problem("a" * (MAX_TEXT + 1))


def test_a_deep_file_is_refused() -> None:
    assert "nest" in problem("[" * 100_000)
    assert "nested deeper" in problem("a: " + "[" * 40 + "]" * 40)


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases" in problem("\n".join(lines))


def test_an_alias_of_itself_is_refused() -> None:
    assert "aliases" in problem("a: &a [*a]\n")


def test_a_plain_alias_works() -> None:
    top = open_document("a: &who [x, y]\nb: *who\n", "p.yaml", "top", ("a", "b"))
    assert top.words("b") == ("x", "y")
    top.problems.check()


def test_two_documents_in_one_file_are_refused() -> None:
    assert problem("a: 1\n---\nb: 2\n").startswith("p.yaml:2: ")


def test_a_word_stands_for_a_list_of_one() -> None:
    top = open_document("a: x\n", "p.yaml", "top", ("a",))
    assert top.words("a") == ("x",)


def test_null_is_absent() -> None:
    top = open_document("a: null\nb:\n", "p.yaml", "top", ("a", "b"))
    assert isinstance(top, Section)
    assert "a" not in top
    assert top.words("b") is None


@pytest.mark.parametrize(
    ("word", "seconds"), [("30s", 30), ("10m", 600), ("1h", 3600), ("1h30m", 5400), ("250ms", 0.25)]
)
def test_durations(word: str, seconds: float) -> None:
    assert duration(word) == seconds


@pytest.mark.parametrize("word", ["", "10", "m", "10 m", "-1s", "1.5h", "10min", "0s", "31d", "1h!"])
def test_bad_durations(word: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(word)


@pytest.mark.parametrize(
    ("word", "count"), [("16MiB", 16 << 20), ("512 KiB", 512 << 10), ("65536", 65536), ("1MB", 10**6)]
)
def test_sizes(word: str, count: int) -> None:
    assert size(word) == count


@pytest.mark.parametrize("word", ["16M", "0", "-1", "1.5MiB", "16mib", ""])
def test_bad_sizes(word: str) -> None:
    with pytest.raises(ValueError, match="16MiB"):
        size(word)


def test_whole_numbers_have_bounds() -> None:
    assert whole(1, 3)("3") == 3
    for word in ("0", "4", "1.0", "one", "+2"):
        with pytest.raises(ValueError, match="from 1 to 3"):
            whole(1, 3)(word)


def test_the_nearest_name_or_all_of_them() -> None:
    assert nearest("grops", ["groups", "users"]) == '; did you mean "groups"?'
    assert nearest("xyz", ["b", "a"]) == " (known: a, b)"
    assert nearest("xyz", []) == ""
