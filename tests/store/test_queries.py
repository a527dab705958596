"""The SQL files: every piece has a name, every query is used, every use has a query."""

import re
from pathlib import Path

import pytest

from gateway.store import postgres, signins
from gateway.store.queries import load_migrations, load_queries


def test_each_query_is_one_statement_and_used() -> None:
    source = "".join(Path(str(each.__file__)).read_text() for each in (postgres, signins))
    used = set(re.findall(r'Q\["(\w+)"\]', source)) | set(re.findall(r'_fetch\("(\w+)"', source))
    loaded = load_queries()
    assert set(loaded) == used
    assert all(text.endswith(";") and text.count(";") == 1 for text in map(_bare, loaded.values()))


def test_migrations_are_numbered_from_one() -> None:
    found = load_migrations()
    assert [each.number for each in found] == list(range(1, len(found) + 1))
    assert all(each.title and each.script.rstrip().endswith(";") for each in found)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;", "stands twice"),
        ("-- migration 2: b\nSELECT 1;", "numbered"),
    ],
)
def test_mistakes_in_the_files_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, what: str) -> None:
    for name in ("queries.sql", "schema.sql"):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("gateway.store.queries.resources.files", lambda _package: tmp_path)
    with pytest.raises(ValueError, match=what):
        load_queries() if "name" in text else load_migrations()


def _bare(sql: str) -> str:
    return re.sub(r"--[^\n]*", "", sql).strip()
