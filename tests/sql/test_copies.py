"""Which columns a target's own code makes of which others, read from its words. Against a real server: tests/corpus."""

from dataclasses import replace

import pytest

from gateway.sql.catalog import Catalog, Relation, Spread
from gateway.sql.copies import Code, Reference, fed, spread, spread_by
from gateway.sql.frames import CLOSED
from gateway.sql.parse import MAX_BYTES, read

CARDS = ("public", "cards")
LOG = ("public", "log")
RELATIONS = {
    CARDS: Relation(1, *CARDS, "r", {"id": 1, "number": 2, "shadow": 3}, {"id": "integer", "number": "text", "shadow": "text"}),
    LOG: Relation(2, *LOG, "r", {"no": 1, "entry": 2, "at": 3}, {"no": "integer", "entry": "jsonb", "at": "timestamp with time zone"}),
    ("public", "far"): Relation(3, "public", "far", "r", {"copy": 1}, {"copy": "text"}),
    ("public", "vault"): Relation(4, "public", "vault", "r", {"pan": 1}, {"pan": "text"}),
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


PAN = frozenset({"public.vault.pan"})


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN SELECT pan, 1 INTO NEW.shadow, NEW.id FROM vault; RETURN NEW; END",
        "BEGIN SELECT 1, f.pan INTO STRICT NEW.id, NEW.shadow FROM public.vault f; RETURN NEW; END",
        "BEGIN NEW.shadow := (SELECT pan FROM vault); RETURN NEW; END",
        "DECLARE v text; BEGIN SELECT pan INTO v FROM vault; IF true THEN new.shadow = v; END IF; RETURN NEW; END",
        "DECLARE n ALIAS FOR NEW; BEGIN SELECT pan INTO n.shadow FROM vault; RETURN NEW; END",
        "DECLARE r vault%ROWTYPE; BEGIN SELECT * INTO r FROM vault; NEW.shadow := r; RETURN NEW; END",
        "DECLARE r record; BEGIN FOR r IN SELECT * FROM vault LOOP NEW.shadow := r::text; END LOOP; RETURN NEW; END",
        "BEGIN SELECT f INTO NEW.shadow FROM vault f; RETURN NEW; END",
        "BEGIN EXECUTE 'SELECT pan FROM vault' INTO NEW.shadow; RETURN NEW; END",
        "BEGIN EXECUTE 'TABLE vault' INTO NEW.id, NEW.shadow; RETURN NEW; END",
        "DECLARE c CURSOR FOR SELECT pan FROM vault; BEGIN OPEN c; FETCH c INTO NEW.shadow; RETURN NEW; END",
        "BEGIN FOR NEW.id, NEW.shadow IN SELECT 1, pan FROM vault LOOP END LOOP; RETURN NEW; END",
        "BEGIN UPDATE vault SET pan = pan RETURNING pan INTO NEW.shadow; RETURN NEW; END",
        "BEGIN CALL look((SELECT pan FROM vault), NEW.shadow); RETURN NEW; END",
        "BEGIN PERFORM pan::int FROM vault; EXCEPTION WHEN others THEN GET STACKED DIAGNOSTICS NEW.shadow = MESSAGE_TEXT; RETURN NEW; END",
        'BEGIN "new"."shadow" := pan FROM vault; RETURN NEW; END',
        "BEGIN PERFORM '--'; SELECT pan INTO NEW.shadow FROM vault; RETURN NEW; END",
        "NEW.shadow := lookup()",
        "<<a>> BEGIN <<b>> NEW.shadow[1] := pan FROM vault; RETURN NEW; END",
    ],
)
def test_a_column_of_the_new_row_that_is_made_of_another_relation(text: str) -> None:
    found = made(Code(CARDS, text), functions={"lookup": "SELECT pan FROM vault"})
    assert found["cards.shadow"] >= PAN  # type: ignore[operator]
    assert "cards.number" not in found


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN SELECT id, pan, pan INTO NEW FROM vault; RETURN NEW; END",
        "DECLARE r cards%ROWTYPE; BEGIN SELECT 1, pan, pan INTO r FROM vault; NEW := r; RETURN NEW; END",
        "DECLARE r record; BEGIN SELECT 1, pan, pan INTO r FROM vault; RETURN r; END",
        "BEGIN FOR NEW IN SELECT 1, pan, pan FROM vault LOOP END LOOP; RETURN NEW; END",
        "BEGIN RETURN (SELECT ROW(1, pan, pan) FROM vault); END",
        "BEGIN CALL look((SELECT pan FROM vault), NEW); RETURN NEW; END",
    ],
)
def test_a_new_row_that_is_made_of_another_relation(text: str) -> None:
    found = made(Code(CARDS, text))
    assert all(found[f"cards.{each}"] >= PAN for each in ("id", "number", "shadow"))  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN INSERT INTO vault (pan) VALUES (NEW.number); NEW.shadow := now(); RETURN COALESCE(NEW, OLD); END",
        "BEGIN IF TG_OP = 'UPDATE' THEN NEW.shadow := count(*) FROM vault; END IF; RETURN NEW; END",
        "BEGIN SELECT 2 * 3, count( * ) INTO NEW.id FROM vault; RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END; END",
    ],
)
def test_what_another_relation_holds_is_not_read(text: str) -> None:
    found = made(Code(CARDS, text))
    assert not any(PAN & sources for sources in found.values())  # type: ignore[operator]


def test_what_is_written_is_what_the_words_say() -> None:
    text = "BEGIN INSERT INTO log (entry) SELECT to_jsonb(pan) FROM vault WHERE pan <> NEW.number; RETURN NULL; END"
    assert made(Code(CARDS, text)) == {"log.entry": PAN | NUMBER}
    itself = "BEGIN UPDATE cards SET shadow = pan FROM vault ON CONFLICT DO UPDATE SET id = 1; RETURN NULL; END"
    assert made(Code(CARDS, itself))["cards.shadow"] >= PAN  # type: ignore[operator]
    dynamic = "BEGIN EXECUTE 'INSERT INTO ' || 'log' || ' SELECT pan FROM vault'; RETURN NULL; END"
    assert made(Code(CARDS, dynamic))["log.entry"] >= PAN  # type: ignore[operator]


def test_parents_children_views_and_generated_columns() -> None:
    part = Relation(9, "public", "log_1", "r", {"no": 1, "entry": 2, "at": 3}, RELATIONS[LOG].types, parents=(LOG,))
    view = Relation(8, "public", "seen", "v", {"x": 1}, {"x": "text"}, shows=((CARDS, ("number",)),))
    plain = Relation(
        7, "public", "plain", "r", {"a": 1, "b": 2}, {"a": "text", "b": "text"}, generated={"b": "upper(a)"}
    )
    more = RELATIONS | {("public", each.name): each for each in (part, view, plain)}
    code = (
        Code(("public", "vault"), "BEGIN NEW.pan := x FROM seen; RETURN NEW; END"),
        Code(("public", "log_1"), "BEGIN NEW.entry := b FROM plain; RETURN NEW; END"),
    )
    found = fed(more, code, (), {})
    assert found["public", "vault"]["pan"] == NUMBER | {"public.seen.x"}
    assert found["public", "log_1"]["entry"] >= {"public.plain.a", "public.plain.b"}
    assert found["public", "log"]["entry"] >= {"public.plain.a", "public.plain.b"}
    through = Code(("public", "vault"), "BEGIN INSERT INTO seen VALUES (NEW.pan); RETURN NEW; END")
    assert fed(more, [through], (), {})[CARDS]["number"] == PAN


def test_partitions_with_one_trigger_name_their_parent_alone() -> None:
    parts = {
        ("public", f"p{each}"): Relation(
            each, "public", f"p{each}", "r", {"number": 1, "shadow": 2}, {}, parents=(CARDS,)
        )
        for each in range(20, 60)
    }
    text = "BEGIN NEW.shadow := NEW.number; RETURN NEW; END"
    found = fed(RELATIONS | parts, [Code(each, text) for each in (CARDS, *parts)], (), {})
    assert found[CARDS]["shadow"] == NUMBER
    assert found["public", "p20"]["shadow"] == NUMBER | {"public.p20.number", "public.cards.shadow"}


@pytest.mark.parametrize(
    ("text", "to", "reads", "creates"),
    [
        ("BEGIN INSERT INTO log (entry) SELECT to_jsonb(pan) FROM vault; END", {LOG}, {"public.vault.pan"}, set()),
        ("BEGIN IF true THEN INSERT INTO log VALUES ($1); END IF; END", {LOG}, set(), set()),
        ("BEGIN CREATE TEMP TABLE IF NOT EXISTS t AS TABLE vault; END", set(), {"public.vault.pan"}, {"t"}),
        ("BEGIN MERGE INTO log USING vault ON true WHEN MATCHED THEN UPDATE SET entry = pan WHEN NOT MATCHED THEN INSERT (entry) VALUES (pan); END",
         {LOG}, {"public.vault.pan", "public.log.entry"}, set()),
        ("BEGIN PERFORM keep(pan) FROM vault; END", {LOG}, {"public.vault.pan"}, set()),
        ("BEGIN EXECUTE 'INSERT INTO ' || 'log' || ' VALUES (1)'; END", {LOG}, set(), set()),
        ("BEGIN x := '\"'; INSERT INTO log SELECT pan FROM vault; y := '\"'; END", {LOG}, {"public.vault.pan"}, set()),
    ],
)  # fmt: skip
def test_what_code_spreads(text: str, to: set[object], reads: set[str], creates: set[str]) -> None:
    found = spread({"f": text}, RELATIONS, {"keep": "INSERT INTO log VALUES ($1)"})["f"]
    assert (set(found.to), set(found.creates)) == (to, creates)
    assert found.reads.keys() >= reads


def test_code_that_writes_nothing_is_left_out() -> None:
    assert spread({"f": "SELECT pan FROM vault FOR UPDATE"}, RELATIONS, {}) == {}


def test_what_a_statement_spreads_by_its_functions_and_by_do() -> None:
    keep = Spread(frozenset({LOG}), {}, frozenset())
    catalog = Catalog(1, 180000, RELATIONS, frozenset(), frozenset({"keep"}), function_writes={"keep": keep})
    for sql in ("SELECT keep(pan) FROM vault", "CALL keep(1)", "DO 'BEGIN PERFORM keep(1); END'"):
        assert spread_by(read(sql).statements[0], catalog) == [keep]
    (own,) = spread_by(read("DO 'BEGIN INSERT INTO log SELECT pan FROM vault; END'").statements[0], catalog)
    assert own.to == {LOG}
    assert own.reads == {"public.vault.pan": "text"}


def test_a_column_of_more_sources_than_anybody_reads_is_closed() -> None:
    wide = Relation(5, "public", "wide", "r", {f"c{each}": each for each in range(1, 1500)})
    found = fed(RELATIONS | {("public", "wide"): wide}, [Code(CARDS, "NEW := (SELECT * FROM wide)")], (), {})
    assert found[CARDS]["shadow"] == CLOSED


def test_of_a_long_text_the_words_alone_count() -> None:
    catalog = Catalog(1, 180000, RELATIONS, frozenset(), frozenset())
    do, defined = (
        read("DO 'x'").statements[0],
        read("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'").statements[0],
    )
    text = "SELECT pan FROM vault" + "\n" * MAX_BYTES
    (by_do,), (later,) = (spread_by(replace(each, sql=text), catalog) for each in (do, defined))
    assert by_do == Spread(frozenset({("public", "vault")}), {"public.vault.pan": "text"}, frozenset(), anywhere=True)
    assert later == replace(by_do, anywhere=False)


@pytest.mark.parametrize("part", ["for ", "call new ", "a", '"', "return ", "from a ", "new.a", "into a,", "* "])
def test_texts_that_repeat_themselves_are_read_at_once(part: str) -> None:
    """Half a second each would be no problem; a text that is read again from each of its words takes minutes."""
    spread({"f": "insert execute " + part * (300_000 // len(part))}, RELATIONS, {})
    fed(RELATIONS, [Code(CARDS, part * (60_000 // len(part)))], (), {})
