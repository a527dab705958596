"""A Script goes to JSON and comes back equal."""

import runpy
from pathlib import Path

import pytest

from gateway.sql.parse import read
from gateway.sql.portable import dump, load

TABLE = runpy.run_path(str(Path(__file__).with_name("statements.py")))["ALL"]


@pytest.mark.parametrize("sql", [row[-1] for row in TABLE])
def test_there_and_back(sql: str) -> None:
    script = read(f"/* reason: x */ {sql}")
    assert load(dump(script), script.sql) == script


@pytest.mark.parametrize(
    "text", ["SELEC", "", "SELECT " + "1" * 9000, "SELECT 1; DELETE FROM t", "SELECT current_setting('a'), 1"]
)
def test_scripts_without_or_with_several_statements(text: str) -> None:
    assert load(dump(read(text)), text) == read(text)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"statements": [{"classes": ["none"]}]}', b"\xff"])
def test_what_dump_did_not_write_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        load(data, "")
