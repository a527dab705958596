"""Ways past the gateway that were found by reading it. Each let something run, or hang, before it was closed."""

import pytest

from gateway.approvals.request import State
from gateway.session import events as ev
from gateway.wire.frontend import FLUSH, SYNC, bind, execute, message, parse, query
from tests.playbook import BOUND, PARSED, POLICY, Playbook, catalog, complete, error, ready, row
from tests.session.test_session import DELETE, held, opened, ruled

#: A function of the user's on a server before 16; PostgreSQL 18's grammar has a keyword there and refuses the text.
FOREIGN = "SELECT system_user()"
ALLOW_DDL = POLICY.replace("statements: [write, ddl, session, opaque]", "statements: [write, session, opaque]").replace(
    "rules:", "rules:\n  - {name: ddl goes, effect: allow, statements: [ddl]}"
)


def test_a_text_that_only_the_target_can_read_is_opaque_in_a_query() -> None:
    play = Playbook()
    assert play.client(query(FOREIGN)) == [f"target P[{FOREIGN}] S"]
    assert play.target(PARSED, ready())[0] == "client N", "the target takes it and we can't read it: people decide"
    assert FOREIGN.encode() not in play.to_target()


def test_a_text_that_only_the_target_can_read_is_opaque_in_an_execute() -> None:
    play = Playbook()
    assert play.client(parse("", FOREIGN), bind("", ""), execute(""), SYNC)[0] == "client N"


def test_a_text_that_only_the_target_can_read_is_recorded() -> None:
    play = Playbook()
    play.client(parse("", FOREIGN), bind("", ""), execute(""), SYNC)
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    assert play.target(complete("ROLLBACK"), ready()) == ["hold REQ1"]
    opened(play)
    assert play.send(ruled(play, State.APPROVED)) == ["release REQ1"]
    assert play.send(ev.Released("REQ1"))[0] == "record statement"


def test_rollback_by_an_unverified_name_does_not_open_the_aborted_shortcut() -> None:
    play = Playbook(status="E")
    play.session.talk.names.unverified = True
    play.client(parse("r", "ROLLBACK"), SYNC)
    play.target(PARSED, ready("E"))
    lines = play.client(bind("", "r"), execute(""), parse("", DELETE), bind("", ""), execute(""), SYNC)
    assert lines[0] == "client N"
    assert DELETE.encode() not in play.to_target()


@pytest.mark.parametrize("size", [90, 97, 100, 101, 113])
def test_a_batch_that_opens_between_bind_and_execute_goes_on(size: int) -> None:
    """The target answers nothing before the Sync, so the batch's own names must not be waited for."""
    play = Playbook()
    play.client(parse("i", "SELECT $1::text"), SYNC)
    play.target(PARSED, ready())
    sent = b"".join(bind("", "i", [b"x" * size]) + execute("") for _ in range(2000)) + SYNC
    play.client(sent)
    assert play.to_target() == sent


def test_a_flush_between_bind_and_execute_goes_on() -> None:
    play = Playbook()
    play.client(parse("", "SELECT 1"), bind("", ""), FLUSH)
    assert play.client(execute(""), SYNC)[-1] == "target E S"


def test_a_held_batch_over_the_limit_is_refused_at_once_and_no_longer_kept() -> None:
    play = Playbook(POLICY + "limits: {max_held_bytes: 1MiB}\n")
    play.client(parse("", "DELETE FROM customers WHERE name = $1"))
    lines: list[str] = []
    for _ in range(100):
        lines += play.client(bind("", "", [b"x" * 60_000]), execute(""))
        assert play.session.batch.size < 2 << 20
    assert all("DELETE" not in line or "P[" in line for line in lines), "its Parse may go, its Execute may not"
    assert play.client(SYNC) == ["target S"]
    play.target(PARSED, *[BOUND] * 1)
    assert play.target(error("34000"))[-1] == "client E54000"
    assert play.target(ready()) == ["client ZI"]


def test_executes_of_unknown_portals_do_not_pile_up() -> None:
    play = Playbook()
    for _ in range(2000):
        play.client(execute("x" * 200))
        assert len(play.session.batch.parts) < 1000


def test_copy_data_sent_before_the_target_asks_for_it_is_kept() -> None:
    play = Playbook(
        POLICY.replace("statements: [write, ddl", "statements: [ddl").replace(
            "statements: [INSERT]", "statements: [write]"
        )
    )
    play.client(query("COPY customers FROM STDIN"), message(b"d", b"1\n"), message(b"c", b""))
    assert play.target(message(b"G", b"\0\0\0")) == ["client G", "target d c"]


def test_after_ddl_nothing_is_judged_by_the_old_catalog() -> None:
    play = Playbook(ALLOW_DDL)
    play.client(query("CREATE FUNCTION public.lower(int) RETURNS int LANGUAGE sql AS 'SELECT 1'"))
    assert "reloadcatalog" in play.target(complete("CREATE FUNCTION"), ready())
    assert play.client(query("SELECT lower(1)")) == [], "the catalog is being read again"
    assert play.send(ev.CatalogChanged(catalog()))[0] == "record statement"


def test_inside_the_transaction_of_such_ddl_what_follows_is_opaque() -> None:
    """The new function is seen by this transaction only: no catalog that we could read has it."""
    play = Playbook(ALLOW_DDL, status="T")
    play.client(query("CREATE FUNCTION public.lower(int) RETURNS int LANGUAGE sql AS 'SELECT 1'"))
    play.target(complete("CREATE FUNCTION"), ready("T"))
    assert play.client(query("SELECT lower(1)"))[0] == "client N"


def test_such_ddl_and_its_use_in_one_string() -> None:
    play = Playbook(ALLOW_DDL)
    sql = "CREATE FUNCTION public.lower(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT lower(1)"
    assert play.client(query(sql))[0] == "client N"


def test_a_table_made_in_a_transaction_can_be_read_in_it() -> None:
    play = Playbook(ALLOW_DDL, status="T")
    play.client(query("CREATE TABLE fresh (id int)"))
    play.target(complete("CREATE TABLE"), ready("T"))
    assert play.client(query("SELECT 1"))[0] == "record statement"


def test_the_digest_is_made_again_at_the_release() -> None:
    """What the store compares is what would run now, not what was noted when the question was asked."""
    play = Playbook()
    held(play, query(DELETE))
    first = play.requests[-1].release_digest
    play.session.talk.judge.moved(("other",))
    play.send(ruled(play, State.APPROVED))
    play.recheck()
    (release,) = [each for each in play.effects if isinstance(each, ev.Release)]
    assert release.digest != first


def test_an_approval_that_can_not_be_released_is_withdrawn() -> None:
    play = Playbook()
    held(play, query(DELETE))
    play.send(ruled(play, State.APPROVED))
    play.recheck()
    lines = play.send(ev.NotReleased("REQ1", play.requests[-1], "stale card"))
    assert "withdraw REQ1" in lines, "nobody may think that it still waits"
    assert all(DELETE not in line for line in lines)


def test_a_count_over_a_rules_limit_takes_the_stricter_hold() -> None:
    policy = POLICY.replace(
        "rules:",
        "  two: {groups: [dba], approvals: 2, channels: ['slack:C1']}\nrules:\n"
        "  - {name: big ones take two, effect: hold, statements: [DELETE], rows: '>1000', reviewers: two}",
    )
    play = Playbook(policy)
    play.client(query(DELETE))
    play.preview(rows=5000)
    assert play.requests[-1].approvals_needed == 2
    opened(play)


def test_a_simple_query_drops_the_unnamed_statement_as_postgresql_does() -> None:
    play = Playbook()
    play.client(parse("", "SELECT 1"), SYNC)
    play.target(PARSED, ready())
    play.client(query("SET search_path = other"))
    play.target(complete("SET"), ready())
    assert play.target(row(b"other"), complete("SHOW"), ready()) == [], (
        "nothing is parsed again behind the client's back"
    )
