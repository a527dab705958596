"""Reads schema.sql and queries.sql: named pieces of SQL text. Nothing here builds SQL or runs it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_MARK = re.compile(r"^-- (?P<what>name|migration \d+): (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One section of schema.sql: run once, in order of `number`."""

    number: int
    title: str
    script: str


def load_queries() -> Mapping[str, str]:
    """The queries of queries.sql by name. Raises ValueError for a name that stands twice."""
    found = _pieces("queries.sql")
    queries = {title: text for _, title, text in found}
    if len(queries) < len(found):
        raise ValueError("a name stands twice in queries.sql")
    return queries


def load_migrations() -> list[Migration]:
    """The migrations of schema.sql in order. Raises ValueError unless they are numbered 1, 2, 3 ..."""
    found = [Migration(int(what.split()[1]), title, text) for what, title, text in _pieces("schema.sql")]
    if [each.number for each in found] != list(range(1, len(found) + 1)):
        raise ValueError("the migrations of schema.sql are not numbered 1, 2, 3 ...")
    return found


def _pieces(file: str) -> list[tuple[str, str, str]]:
    """(what, title, SQL) of each marked piece; a piece ends where the next begins."""
    text = resources.files("gateway.store").joinpath(file).read_text(encoding="utf-8")
    marks = list(_MARK.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [
        (mark["what"], mark["title"].strip(), text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=True)
    ]
