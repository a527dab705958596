"""Questions of ours to the target: asked one at a time, answered in order, their value handed on."""

import pytest

from gateway.session.errands import Errand, Messages, Questions, failure, path_question, rows
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
    questions = path_question("hoop")
    next(questions)
    with pytest.raises(StopIteration) as end:
        questions.send(answer(row(shown.encode())))
    assert end.value.value == path
