"""Which columns a target's own code makes of which others, read from its words. Against a real server: tests/corpus."""

import pytest

from gateway.sql.catalog import Relation
from gateway.sql.copies import Code, Reference, fed

CARDS = ("public", "cards")
LOG = ("public", "log")
RELATIONS = {
    CARDS: Relation(1, *CARDS, "r", {"id": 1, "number": 2, "shadow": 3}, {"id": "integer", "number": "text", "shadow": "text"}),
    LOG: Relation(2, *LOG, "r", {"no": 1, "entry": 2, "at": 3}, {"no": "integer", "entry": "jsonb", "at": "timestamp with time zone"}),
    ("public", "far"): Relation(3, "public", "far", "r", {"copy": 1}, {"copy": "text"}),
}  # fmt: skip
NUMBER = frozenset({"public.cards.number"})
ROW = frozenset(f"public.cards.{each}" for each in ("id", "number", "shadow"))


def made(
    *code: Code, functions: dict[str, str] | None = None, references: tuple[Reference, ...] = ()
) -> dict[str, object]:
    """ "relation.column" -> what it is made of."""
    found = fed(RELATIONS, code, references, functions or {})
    return {f"{name}.{column}": sources for (_, name), columns in found.items() for column, sources in columns.items() if sources}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN NEW.shadow := reverse(NEW.number); RETURN NEW; END",
        "BEGIN new.Shadow = upper(new.number); return new; END",
        "BEGIN IF NEW.id > 1 THEN NEW.shadow := NEW.number; END IF; RETURN NEW; END",
        "BEGIN SELECT NEW.number || 'x' INTO NEW.shadow; RETURN NEW; END",
        'BEGIN -- a comment\n NEW."shadow" := NEW.number; RETURN NEW; END',
    ],
)
def test_a_column_of_the_new_row_that_a_trigger_sets(text: str) -> None:
    sources = made(Code(CARDS, text))["cards.shadow"]
    assert isinstance(sources, frozenset)
    assert sources >= NUMBER


def test_a_trigger_that_sets_the_whole_row() -> None:
    assert "cards.shadow" in made(Code(CARDS, "BEGIN NEW := jsonb_populate_record(NEW, '{}'); RETURN NEW; END"))


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN NEW.shadow := now(); RETURN NEW; END",
        "BEGIN IF NEW.number = OLD.number THEN RETURN NULL; END IF; RETURN NEW; END",
        "BEGIN PERFORM pg_notify('changed', TG_TABLE_NAME); RETURN NULL; END",
        "BEGIN /* NEW.shadow := NEW.number; */ RETURN NEW; END",
    ],
)
def test_code_that_copies_nothing(text: str) -> None:
    assert made(Code(CARDS, text)) == {}


def test_a_log_carries_the_columns_that_are_named_and_all_of_a_row() -> None:
    one = made(Code(CARDS, "BEGIN INSERT INTO log (entry) VALUES (to_jsonb(NEW.number)); RETURN NULL; END"))
    assert one == {"log.entry": NUMBER}
    every = made(Code(CARDS, "BEGIN INSERT INTO public.log VALUES (NEW.id, to_jsonb(NEW)); RETURN NEW; END"))
    assert every == {"log.entry": ROW, "log.no": frozenset({"public.cards.id"})}


def test_the_relation_may_be_named_by_an_argument_or_by_a_function_that_is_called() -> None:
    dynamic = (
        "BEGIN EXECUTE format('INSERT INTO %I (entry) VALUES ($1)', TG_ARGV[0]) USING to_jsonb(NEW); RETURN NULL; END"
    )
    assert made(Code(CARDS, dynamic, args=("log",)))["log.entry"] == ROW
    called = {"keep": "BEGIN INSERT INTO log (entry) VALUES (x); END"}
    assert (
        made(Code(CARDS, "BEGIN PERFORM keep(to_jsonb(OLD)); RETURN NULL; END"), functions=called)["log.entry"] == ROW
    )


def test_transition_tables_are_whole_rows() -> None:
    text = "BEGIN INSERT INTO log (entry) SELECT to_jsonb(n) FROM inserted n; RETURN NULL; END"
    assert made(Code(CARDS, text, by_rows=False))["log.entry"] == ROW


def test_rules_and_the_trigger_for_text_search() -> None:
    rule = "CREATE RULE r AS ON INSERT TO public.cards DO INSERT INTO log (entry) VALUES (to_jsonb(new.number))"
    assert made(Code(CARDS, rule)) == {"log.entry": NUMBER}
    search = Code(
        CARDS, "tsvector_update_trigger_byid", "tsvector_update_trigger", ("shadow", "pg_catalog.simple", "number")
    )
    assert made(search) == {"cards.shadow": NUMBER}


def test_foreign_keys_hold_the_values_that_they_refer_to_and_copies_are_followed() -> None:
    key = Reference(("public", "far"), ("copy",), LOG, ("entry",))
    log = Code(CARDS, "BEGIN INSERT INTO log (entry) VALUES (to_jsonb(NEW.number)); RETURN NULL; END")
    found = made(log, references=(key,))
    assert found["far.copy"] == frozenset({"public.log.entry"}) | NUMBER


def test_two_columns_that_are_made_of_each_other_end() -> None:
    both = "BEGIN NEW.shadow := NEW.number; NEW.number := NEW.shadow; RETURN NEW; END"
    assert made(Code(CARDS, both))["cards.shadow"] == NUMBER
