"""The vocabulary: values that can be cache keys and can't be changed."""

from dataclasses import FrozenInstanceError

import pytest

from gateway.sql.parse import read


def test_statements_are_values() -> None:
    first, second = (read("SELECT c.a FROM t c WHERE b = 1").statements[0] for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(FrozenInstanceError):
        first.tag = "DELETE"  # type: ignore[misc]  # that it fails is the point
