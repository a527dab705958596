"""Questions of ours to the target: asked one at a time, answered in order, their value handed on."""

import pytest

from gateway.errors import TargetUnavailable
from gateway.session.errands import Errand, Messages, Questions, Standing, failure, rows, standing_question, told_path
from gateway.wire.backend import error_response
from gateway.wire.frontend import query
from tests.playbook import row, split


def answer(*messages: bytes) -> Messages:
    return [(ord(kind), body) for kind, body in split(b"".join(messages))]


def two_questions() -> Questions:
    first = yield query("SELECT 1")
    second = yield query("SELECT 2")
    return (len(rows(first)), len(rows(second)))


def test_questions_go_out_one_by_one_and_the_value_comes_back() -> None:
    got: list[object] = []
    errand = Errand(two_questions(), got.append)
    assert errand.next() == query("SELECT 1")
    errand.answer(answer(row(b"1")))
    assert errand.next() == query("SELECT 2")
    errand.answer(answer(row(b"1"), row(b"2")))
    assert errand.next() is None
    errand.finish()
    assert got == [(1, 2)]


def test_the_path_that_was_told() -> None:
    assert told_path(answer(row(b'"$user", public, "A ""b"')), "hoop") == ("hoop", "public", 'A "b')
    assert told_path(answer(row(b"")), "hoop") == ()
    assert told_path(answer(error_response("57014", "cancelled")), "hoop") is None
    assert told_path([], "hoop") is None


@pytest.mark.parametrize("said", [row(b"\xff"), row()])
def test_a_path_that_makes_no_sense(said: bytes) -> None:
    with pytest.raises(TargetUnavailable):
        told_path([(ord("D"), said[5:])], "hoop")


def test_failure_finds_the_error() -> None:
    found = failure(answer(error_response("42P01", "no such table")))
    assert found is not None
    assert found["C"] == "42P01"
    assert failure(answer(row(b"1"))) is None


@pytest.mark.parametrize(
    ("shown", "path"),
    [
        ('"$user", public', ("hoop", "public")),
        ("", ()),
        ('""', ()),
        ('"A""b", c', ('A"b', "c")),
        ("alt,pg_catalog", ("alt", "pg_catalog")),
    ],
)
def test_search_path_as_show_prints_it(shown: str, path: tuple[str, ...]) -> None:
    questions = standing_question("hoop", names=False)
    next(questions)
    with pytest.raises(StopIteration) as end:
        questions.send(answer(row(shown.encode())))
    assert end.value.value == Standing(path)


def test_what_names_mean_is_asked_behind_search_path() -> None:
    questions = standing_question("hoop", names=True)
    next(questions)
    questions.send(answer(row(b"public")))
    with pytest.raises(StopIteration) as end:
        questions.send(
            answer(
                row(b"s", b"a", b"SELECT 1", b"true"), row(b"p", b"\xff", b"SELECT 2", b""), row(b"t", b"x", b"", b"")
            )
        )
    assert end.value.value == Standing(("public",), {"a": ("SELECT 1", True)}, {"\udcff": "SELECT 2"}, frozenset({"x"}))


def test_a_target_that_does_not_say_leaves_names_as_they_are() -> None:
    questions = standing_question("hoop", names=True)
    next(questions)
    questions.send(answer(row(b"public")))
    with pytest.raises(StopIteration) as end:
        questions.send(answer(error_response("57014", "too slow")))
    assert end.value.value == Standing(("public",), None)
