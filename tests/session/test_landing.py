"""Where the answers of a pipeline end. What becomes of them is in test_shortway.py, _writes and _pipelines."""

import pytest

from gateway.session.landing import _ends
from gateway.wire.frontend import message
from tests.playbook import BOUND, PARSED, columns, complete, error, row

READ = BOUND + columns("name") + row(b"Ann") + complete("SELECT 1")
WRITE = PARSED + BOUND + message(b"n", b"") + complete("UPDATE 1")


def test_each_ends_behind_its_tag() -> None:
    assert _ends(READ + WRITE, len(READ + WRITE)) == [len(READ), len(READ + WRITE)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        BOUND,
        READ + BOUND,
        READ + error("22012"),
        READ + message(b"I", b""),
        READ + message(b"N", b"") + WRITE,
        READ + WRITE[:-1],
        READ + b"C\0\0\0\0",
        READ + b"C\0\0\0\3",
        READ + b"D\xff\xff\xff\xff" + WRITE,
        READ + b"C\0\0",
        READ + b"C\x7f\xff\xff\xff",
    ],
)
def test_anything_else_is_none_of_them(data: bytes) -> None:
    assert _ends(data, len(data)) is None
