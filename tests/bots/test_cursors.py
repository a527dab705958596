"""Cursors: what was signed comes back, nothing else does."""

import pytest

from bots.cursors import EXPORT, cursor, opened

KEY = b"k" * 32


@pytest.mark.parametrize(("query", "offset"), [("user:ann", 8), ("", 0), ("text:\u202e\ud800", EXPORT)])
def test_there_and_back(query: str, offset: int) -> None:
    text = cursor(KEY, query, offset)
    assert opened(KEY, text) == (query, offset)
    assert opened(b"x" * 32, text) is None
    assert opened(KEY, text[:-1] + ("0" if text[-1] != "0" else "1")) is None


@pytest.mark.parametrize("text", ["", ".", "x.y", "\udcff.\udcff", "WyJhIiwgOF0=." + "0" * 32])
def test_what_is_none_of_ours(text: str) -> None:
    assert opened(KEY, text) is None
