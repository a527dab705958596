"""A write whose constants or values the target has read under other settings: people are told that nobody knows what it changes."""

from dataclasses import replace

import pytest

from gateway.session import events as ev
from gateway.session.draft import _READ_OTHERWISE
from gateway.session.traits import sets_reading
from gateway.sql.parse import read
from gateway.sql.statement import StatementClass
from gateway.wire.frontend import FLUSH, SYNC, bind, execute, message, parse, query
from tests.playbook import BOUND, PARSED, Playbook, catalog, columns, complete, error, ready, row

DATED = "UPDATE customers SET name = 'x' WHERE name = '01/02/2024'"
PLAIN = "UPDATE customers SET name = $1 WHERE id = 5"
SET, RESET = "SET DateStyle = 'ISO, DMY'", "RESET DateStyle"


def said(play: Playbook, text: str, tag: str, status: str = "I") -> None:
    play.client(query(text))
    play.target(complete(tag) + ready(status))


def prepared(play: Playbook, text: str) -> None:
    play.client(parse("s", text), SYNC)
    play.target(PARSED + ready(play.session.talk.status))


def is_doubted(play: Playbook, *messages: bytes) -> bool:
    """Is what is held now opaque for that reason?"""
    play.client(*messages)
    held = play.session.holding._held
    assert held is not None
    last = [each.statement for part in held.batch.parts if part.reply for each in part.reply.executions][-1]
    return last.reason == _READ_OTHERWISE and StatementClass.OPAQUE in last.classes


@pytest.mark.parametrize("setting", [SET, "SET TIME ZONE 'UTC'", "SELECT set_config('datestyle', 'DMY', false)"])
def test_a_constant_that_was_read_before_a_setting(setting: str) -> None:
    play = Playbook()
    prepared(play, DATED)
    said(play, setting, setting.partition(" ")[0])
    assert is_doubted(play, bind("", "s"), execute(""), SYNC)


ALL = ("RESET ALL", "RESET")


@pytest.mark.parametrize(
    "before", [[], [(SET, "SET")], [(SET, "SET"), ALL]], ids=["nothing", "a setting", "another reset"]
)
def test_what_began_with_the_session_holds_behind_reset_all(before: list[tuple[str, str]]) -> None:
    """A pool sends it each time that a connection is given back, and what it prepared is used for hours."""
    play = Playbook()
    prepared(play, DATED)
    for text, tag in (*before, ALL):
        said(play, text, tag)
    assert not is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_what_was_prepared_behind_a_setting_is_doubted_behind_reset_all() -> None:
    play = Playbook()
    said(play, SET, "SET")
    prepared(play, DATED)
    said(play, *ALL)
    assert is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_a_reset_that_fails_takes_nothing_back() -> None:
    play = Playbook()
    prepared(play, DATED)
    said(play, SET, "SET")
    play.client(query("RESET ALL"))
    play.target(error("57014") + ready())
    said(play, "SELECT 1", "SELECT 1")
    assert is_doubted(play, bind("", "s"), execute(""), SYNC)


@pytest.mark.parametrize("end", ["", "ROLLBACK", "COMMIT"])
def test_a_reset_in_a_block_may_be_rolled_back(end: str) -> None:
    """Behind a COMMIT too it is not known: a setting may have been one of the transaction."""
    play = Playbook()
    prepared(play, DATED)
    said(play, SET, "SET")
    said(play, "BEGIN", "BEGIN", "T")
    said(play, "RESET ALL", "RESET", "T")
    if end:
        said(play, end, end)
    assert is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_a_reset_in_a_transaction_without_begin_falls_back_with_an_error() -> None:
    """A Query behind a Flush runs in one, which the next error ends without any ROLLBACK."""
    play = Playbook()
    prepared(play, DATED)
    said(play, SET, "SET")
    play.client(parse("", "SELECT 1"), bind("", ""), execute(""), FLUSH)
    play.target(PARSED + BOUND + row(b"1") + complete("SELECT 1"))
    said(play, "SELECT 1", "SELECT 1", "T")
    assert play.session.talk.drained
    said(play, "RESET ALL", "RESET", "T")
    play.client(query("SELECT 1 / 0"))
    play.target(error("22012") + ready())
    assert is_doubted(play, bind("", "s"), execute(""), SYNC)


@pytest.mark.parametrize("behind", [f"RESET ALL; {SET}", f"{SET}; RESET ALL; {SET}"])
def test_a_setting_behind_it_in_one_string(behind: str) -> None:
    play = Playbook()
    prepared(play, DATED)
    said(play, SET, "SET")
    play.client(query(behind))
    play.target(*[complete("SET")] * len(behind.split(";")), ready())
    assert is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_a_setting_that_is_on_its_way_behind_it() -> None:
    play = Playbook()
    prepared(play, DATED)
    said(play, SET, "SET")
    play.client(query("RESET ALL"), query(SET), query("RESET ALL"))
    play.target(complete("RESET") + ready(), complete("SET") + ready())
    assert is_doubted(play, query("EXECUTE s"))


def test_a_reset_behind_what_is_on_its_way() -> None:
    """The first answer is not its own."""
    play = Playbook()
    prepared(play, DATED)
    said(play, SET, "SET")
    play.client(query("SELECT 1"), query("RESET ALL"))
    play.target(complete("SELECT 1") + ready())
    play.target(error("57014") + ready())
    assert is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_everything_that_is_discarded() -> None:
    play = Playbook()
    said(play, SET, "SET")
    said(play, "DISCARD ALL", "DISCARD ALL")
    names = play.session.talk.names
    assert names.readings == names.at_reset


ZONE = message(b"S", b"TimeZone\0Asia/Tokyo\0")


def test_a_reset_that_changes_what_nobody_has_set() -> None:
    """Code has set it at the login, of which the catalog said nothing."""
    play = Playbook()
    prepared(play, DATED)
    play.client(query("RESET ALL"))
    play.target(complete("RESET") + ZONE + ready())
    assert is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_what_was_prepared_behind_it_is_known() -> None:
    play = Playbook()
    play.client(query("RESET ALL"))
    play.target(complete("RESET") + ZONE + ready())
    prepared(play, DATED)
    said(play, *ALL)
    assert not is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_what_a_setting_is_told_to_be_is_no_surprise() -> None:
    play = Playbook()
    prepared(play, DATED)
    play.client(query("SET TimeZone = 'Asia/Tokyo'"))
    play.target(complete("SET") + ZONE + ready())
    play.client(query("RESET ALL"))
    play.target(complete("RESET") + message(b"S", b"TimeZone\0UTC\0") + ready())
    assert not is_doubted(play, bind("", "s"), execute(""), SYNC)


@pytest.mark.parametrize("sent", [False, True], ids=["before RESET ALL", "behind it"])
def test_a_catalog_that_tells_later_of_code_at_the_login(*, sent: bool) -> None:
    play = Playbook()
    prepared(play, DATED)
    if sent:
        said(play, *ALL)
    play.send(ev.CatalogChanged(replace(catalog(), greets=True)))
    if not sent:
        said(play, *ALL)
        assert play.session.talk.path_stale
        play.target(columns("search_path") + row(b"public") + complete("SHOW") + ready())
    assert is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_what_was_prepared_behind_the_setting_is_known() -> None:
    play = Playbook()
    said(play, SET, "SET")
    prepared(play, DATED)
    assert not is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_other_settings_change_no_reading() -> None:
    play = Playbook()
    prepared(play, DATED)
    said(play, "SET work_mem = '1MB'", "SET")
    assert not is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_a_text_without_constants_is_read_by_its_values() -> None:
    play = Playbook()
    prepared(play, PLAIN)
    said(play, SET, "SET")
    assert not is_doubted(play, bind("", "s", [b"x"]), execute(""), SYNC)


def test_a_value_that_was_bound_before() -> None:
    play = Playbook()
    said(play, "BEGIN", "BEGIN", "T")
    prepared(play, PLAIN)
    play.client(bind("p", "s", [b"01/02/2024"]), SYNC)
    play.target(BOUND + ready("T"))
    said(play, SET, "SET", "T")
    assert is_doubted(play, execute("p"), SYNC)


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
def test_a_setting_that_falls_back(end: str) -> None:
    play = Playbook()
    said(play, "BEGIN", "BEGIN", "T")
    said(play, "SET LOCAL DateStyle = 'ISO, DMY'", "SET", "T")
    prepared(play, DATED)
    said(play, end, end)
    assert is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_a_transaction_without_settings_changes_nothing() -> None:
    play = Playbook()
    said(play, SET, "SET")
    prepared(play, DATED)
    said(play, "BEGIN", "BEGIN", "T")
    said(play, "ROLLBACK", "ROLLBACK")
    assert not is_doubted(play, bind("", "s"), execute(""), SYNC)


def test_a_name_of_prepare() -> None:
    play = Playbook()
    said(play, f"PREPARE s AS {DATED}", "PREPARE")
    said(play, SET, "SET")
    assert is_doubted(play, query("EXECUTE s"))


def test_a_setting_in_front_of_it_in_one_string() -> None:
    play = Playbook()
    assert is_doubted(play, query(f"{SET}; {DATED}"))


def test_a_setting_in_front_of_it_in_one_batch() -> None:
    play = Playbook()
    prepared(play, PLAIN)
    assert is_doubted(
        play, parse("", SET), bind("", ""), execute(""), bind("", "s", [b"01/02/2024"]), execute(""), SYNC
    )


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        ("RESET ALL", False),
        ("DISCARD ALL", False),
        ("RESET TimeZone", True),
        ("SET work_mem = 1", False),
        ("SELECT 1", False),
    ],
)
def test_what_sets_how_constants_are_read(text: str, *, sets: bool) -> None:
    assert sets_reading(read(text).statements[0]) is sets
