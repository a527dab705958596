"""Fuzzes the reading of SQL: no text makes it fail or stall, and what it says holds however the text is dressed.

- nothing but ProtocolViolation is raised (a NUL, a lone surrogate), by reading, resolving, lineage or preview;
- a case of `PER_CASE` texts costs at most `COST` seconds of CPU;
- what goes over to the parser process comes back the same;
- what serves other texts of its shape is what reading such a text gives;
- a comment in front and blanks behind change no class, and a statement of a string has on its own the classes that it has in it.
"""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

from gateway.errors import ProtocolViolation
from gateway.sql.catalog import Catalog
from gateway.sql.likeness import likeness
from gateway.sql.lineage import Lineages
from gateway.sql.parse import read
from gateway.sql.portable import dump, load
from gateway.sql.preview import preview
from gateway.sql.resolve import resolve
from gateway.sql.shape import _CONSTANT, shape_of
from gateway.sql.statement import Script, StatementClass
from tests.fuzz import texts
from tests.playbook import catalog

_STRINGS = (b"''", b"'it''s'", b"'-- /* $$ '", "'é'".encode(), b"'customers'", b"'role'", b"'limit 5'")
_NUMBERS, _DECIMALS = (b"0", b"7", b"999999999"), (b"0.0", b"12.345")

PER_CASE = 20
COST = 2.0
PATH = ("public",)


def case(directory: Path | None) -> Callable[[Random], int]:
    """Cases over the texts in this directory too."""
    known, _ = catalog(), texts.known(directory)
    return lambda random: _case(random, directory, known)


def _case(random: Random, directory: Path | None, known: Catalog) -> int:
    functions = tuple(sorted(known.safe_functions | known.user_functions | {"nextval", "dblink", "ts_stat"}))
    lineages = Lineages(known, PATH)
    began = time.process_time()
    tried = [*islice(texts.some(random, directory, functions), PER_CASE)]
    for text in tried:
        try:
            _try(random, text, known, lineages)
        except Exception as error:
            error.add_note(repr(text))
            raise
    took = time.process_time() - began
    assert took < COST, f"{took:.1f} s for {tried!r}"
    return PER_CASE


def classify(text: str, known: Catalog) -> Script | None:
    """As a session reads and resolves it; None where it is refused for not being text."""
    try:
        return resolve(read(text), known, PATH)
    except ProtocolViolation:
        return None


def _try(random: Random, text: str, known: Catalog, lineages: Lineages) -> None:
    script = classify(text, known)
    if script is None:
        return
    assert load(dump(script), text) == script, "it comes back from the parser process as another"
    for each in script.statements:
        assert each.classes, "a statement of no class"
        if StatementClass.READ in each.classes:
            lineages.of(each.sql, random.choice((0, 1, 3)))
        if StatementClass.WRITE in each.classes:
            preview(each.sql)
    _with_other_constants(random, text, script, known)
    if random.random() < 0.1:
        _dressed(text, script, known)


def _with_other_constants(random: Random, text: str, script: Script, known: Catalog) -> None:
    like = likeness(script)
    if like is None or shape_of(text) is None:
        return

    def other(found: re.Match[bytes]) -> bytes:
        kind = _STRINGS if found[0].startswith(b"'") else _DECIMALS if b"." in found[0] else _NUMBERS
        return random.choice(kind)

    changed = _CONSTANT.sub(other, text.encode()).decode()
    assert shape_of(changed) == shape_of(text), "with other constants it has another shape"
    assert like.of(changed) == classify(changed, known), "with other constants it is another"


def _dressed(text: str, script: Script, known: Catalog) -> None:
    other = classify(f"/* dressed */ {text}\n ", known)
    assert other is not None
    assert [each.classes for each in other.statements] == [each.classes for each in script.statements], (
        "dressed it is another"
    )
    for each in script.statements if len(script.statements) > 1 else ():
        alone = classify(each.sql, known)
        assert alone is not None
        found = [replace(one, sql="") for one in alone.statements]
        assert found == [replace(each, sql="")], f"alone it is another: {each.sql!r}"
