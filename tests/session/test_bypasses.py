"""Ways past the gateway that were found by reading it. Each let something run, or hang, before it was closed."""

from dataclasses import replace

import pytest

from gateway.approvals.request import State
from gateway.session import events as ev
from gateway.session.intake import HELD_MESSAGES
from gateway.session.replies import OPEN_AT, PER_TURN
from gateway.sql.statement import Script
from gateway.wire.frontend import FLUSH, SYNC, bind, execute, message, parse, query
from tests.playbook import BOUND, NOW, PARSED, POLICY, READS, Playbook, catalog, complete, error, parsed, ready, row
from tests.session.test_session import DELETE, approve, held, opened, ruled

#: A function of the user's on a server before 16; PostgreSQL 18's grammar has a keyword there and refuses the text.
FOREIGN = "SELECT system_user()"
ALLOW_DDL = POLICY.replace("statements: [write, ddl, session, opaque]", "statements: [write, session, opaque]").replace(
    "rules:", "rules:\n  - {name: ddl goes, effect: allow, statements: [ddl]}"
)


def test_a_text_that_only_the_target_can_read_is_opaque_in_a_query() -> None:
    play = Playbook()
    assert play.client(query(FOREIGN)) == [f"target P[{FOREIGN}\n;SELECT 1] S"]
    play.target(READS, ready())
    assert play.is_held, "the target takes it and we can't read it: people decide"
    assert FOREIGN.encode() not in play.to_target()


def test_a_text_that_only_the_target_can_read_is_opaque_in_an_execute() -> None:
    play = Playbook()
    assert play.client(parse("", FOREIGN), bind("", ""), execute(""), SYNC) == [f"target P[{FOREIGN}\n;SELECT 1] S"]
    assert play.target(READS, ready())
    assert play.is_held
    assert parse("", FOREIGN) not in play.to_target(), "Parse alone may run code"


def test_a_text_that_only_the_target_can_read_is_not_parsed_without_its_execute() -> None:
    """PostgreSQL 15 runs the CHECK of a domain over whose array a constant is cast when it prepares the text. Outside a
    transaction the session is read-only at that time; drivers that prepare first need it."""
    play = Playbook(status="T")
    play.client(parse("", FOREIGN), SYNC)
    play.target(complete("SAVEPOINT"), ready("T"))
    play.target(READS, ready("E"))
    play.target(complete("ROLLBACK"), complete("RELEASE"), ready("T"))
    assert FOREIGN.encode() not in play.to_target()
    outside = Playbook()
    outside.client(parse("", FOREIGN), SYNC)
    assert outside.target(READS, ready()) == [f"target P[{FOREIGN}] S"]


def test_in_a_transaction_the_question_leaves_it_as_it_was() -> None:
    play = Playbook(status="T")
    assert play.client(query(FOREIGN)) == ["target Q[SAVEPOINT hoop_reading]"]
    assert play.target(complete("SAVEPOINT"), ready("T")) == [f"target P[{FOREIGN}\n;SELECT 1] S"]
    back = ["target Q[ROLLBACK TO SAVEPOINT hoop_reading; RELEASE SAVEPOINT hoop_reading]"]
    assert play.target(READS, ready("E")) == back
    assert play.target(complete("ROLLBACK"), complete("RELEASE"), ready("T"))
    assert play.is_held


def test_a_text_that_only_the_target_can_read_is_recorded() -> None:
    play = Playbook()
    play.client(parse("", FOREIGN), bind("", ""), execute(""), SYNC)
    play.target(READS, ready())
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(complete("SHOW"), ready("T"))
    assert play.target(complete("ROLLBACK"), ready()) == ["hold REQ1"]
    opened(play)
    play.send(ruled(play, State.APPROVED))
    assert play.target(complete("SHOW"), ready()) == ["release REQ1"]
    assert play.send(ev.Released("REQ1")) == ["record statement", f"target P[{FOREIGN}] B E S"]


def test_rollback_by_an_unverified_name_does_not_open_the_aborted_shortcut() -> None:
    play = Playbook(status="E")
    play.client(parse("r", "ROLLBACK"), SYNC)
    play.target(PARSED, ready("E"))
    play.session.talk.names.doubts += 1
    play.client(bind("", "r"), execute(""), parse("", DELETE), bind("", ""), execute(""), SYNC)
    assert play.is_held
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
        assert play.session.draft.batch.size < 2 << 20
    assert all("DELETE" not in line or "P[" in line for line in lines), "its Parse may go, its Execute may not"
    assert play.client(SYNC) == ["target S"]
    play.target(PARSED, *[BOUND] * 1)
    assert play.target(error("34000"))[-1] == "client E54000"
    assert play.target(ready()) == ["client ZI"]


def test_executes_of_unknown_portals_do_not_pile_up() -> None:
    play = Playbook()
    for _ in range(2000):
        play.client(execute("x" * 200))
        assert len(play.session.draft.batch.parts) < 1000


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
    assert play.send(ev.CatalogChanged(catalog())) == [], "somebody else's reading, begun before this DDL"
    assert play.send(ev.CatalogReloaded(catalog()))[0] == "record statement"


def test_inside_the_transaction_of_such_ddl_what_follows_is_opaque() -> None:
    """The new function is seen by this transaction only: no catalog that we could read has it."""
    play = Playbook(ALLOW_DDL, status="T")
    play.client(query("CREATE FUNCTION public.lower(int) RETURNS int LANGUAGE sql AS 'SELECT 1'"))
    play.target(complete("CREATE FUNCTION"), ready("T"))
    assert play.client(query("SELECT lower(1)"))
    assert play.is_held


def test_such_ddl_and_its_use_in_one_string() -> None:
    play = Playbook(ALLOW_DDL)
    sql = "CREATE FUNCTION public.lower(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT lower(1)"
    assert play.client(query(sql))
    assert play.is_held


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
    play.session.talk.grounds.moved(("other",))
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


BIG = (
    "  two: {groups: [dba], approvals: 2, channels: ['slack:C1']}\nrules:\n"
    "  - {name: big ones take two, effect: hold, statements: [DELETE], rows: '>1000', reviewers: two}"
)


def test_a_count_over_a_rules_limit_takes_the_stricter_hold() -> None:
    play = Playbook(POLICY.replace("rules:", BIG))
    play.client(query(DELETE))
    play.preview(rows=5000)
    assert play.requests[-1].approvals_needed == 2
    opened(play)


def test_without_a_count_a_rule_about_rows_is_read_strictly() -> None:
    """The preview fails (it took too long): the statement may be a big one, so it takes two."""
    play = Playbook(POLICY.replace("rules:", BIG))
    play.client(query(DELETE))
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(row(b"public.customers", b"16400"), complete("SELECT 1"), ready("T"))
    play.target(parsed(), ready("T"))
    play.target(error("57014"), ready("E"))
    play.target(complete("ROLLBACK"), ready())
    (request,) = play.requests
    assert (request.preview.rows, request.preview.note) == (None, "no preview: it took longer than 2 s")
    assert (request.approvals_needed, request.rule) == (2, "big ones take two")


def test_a_small_count_does_not_loosen_what_was_judged_without_it() -> None:
    """The count is of one of the batch's statements, of a moment ago, and leaves out what triggers do."""
    play = Playbook(POLICY.replace("rules:", BIG))
    play.client(query(DELETE))
    play.preview(rows=1)
    assert play.requests[-1].approvals_needed == 2


def test_a_count_that_leaves_no_rule_refuses() -> None:
    """Only big writes have a rule here: a small one is held until it is counted, then nothing lets it."""
    only = POLICY.replace(
        "statements: [write, ddl, session, opaque]", "statements: [write, ddl, session, opaque], rows: '>1000'"
    )
    play = Playbook(only)
    play.client(query(DELETE))
    lines = play.preview(rows=5)
    assert play.requests == [], "nobody is asked"
    assert lines == ["record refused", "target Q[\x01]"]
    assert play.target(error("42601"), ready()) == ["client E42501 ZI"]


def test_a_deny_by_rows_is_no_question_to_people_or_to_the_target() -> None:
    play = Playbook(
        POLICY.replace("rules:", "rules:\n  - {name: none big, effect: deny, statements: [DELETE], rows: '>1000'}")
    )
    assert play.client(query(DELETE)) == ["record refused", "target Q[\x01]"]
    assert play.requests == []


def test_a_simple_query_drops_the_unnamed_statement_as_postgresql_does() -> None:
    play = Playbook()
    play.client(parse("", "SELECT 1"), SYNC)
    play.target(PARSED, ready())
    play.client(query("SET search_path = other"))
    play.target(complete("SET"), ready())
    assert play.target(row(b"other"), complete("SHOW"), ready()) == [], (
        "nothing is parsed again behind the client's back"
    )


def test_a_parse_that_nobody_can_read_is_the_targets_syntax_error_and_asks_nobody() -> None:
    play = Playbook()
    assert play.client(parse("", "SELEC"), bind("", ""), execute(""), SYNC) == ["target P[SELEC\n;SELECT 1] S"]
    assert play.target(error("42601", 'near ";"'), ready()) == ["target P[SELEC] S"], (
        "its own words are of the text alone"
    )
    assert play.target(error("42601"), ready()) == ["record refused", "client E42601", "target S"]
    assert play.target(ready()) == ["client ZI"]


def test_names_are_what_the_target_keeps_of_them() -> None:
    """It keeps 63 bytes: three names that differ behind that are one to it."""
    play = Playbook()
    name = "a" * 63
    play.client(parse(name + "x", "SELECT 1"), SYNC)
    play.target(PARSED, ready())
    play.client(message(b"C", b"S" + (name + "z").encode() + b"\0"), SYNC)
    play.target(message(b"3", b""), ready())
    play.client(parse(name + "y", DELETE), SYNC)
    play.target(PARSED, ready())
    assert play.client(bind("", name + "x"), execute(""), SYNC)
    assert play.is_held


def test_a_portal_bound_to_an_unknown_statement_forgets_what_it_was() -> None:
    """Should the target know that statement, then it is not the portal's old one that would run."""
    play = Playbook()
    play.client(query("BEGIN"))
    play.target(complete("BEGIN"), ready("T"))
    play.client(parse("s", "SELECT 1"), bind("", "s"), SYNC)
    play.target(PARSED, BOUND, ready("T"))
    play.client(bind("", "unknown"), execute(""), SYNC)
    assert b"\x01hoop refused" in play.to_target()


def test_after_an_error_without_a_sync_on_its_way_all_is_skipped_as_the_target_does() -> None:
    play = Playbook()
    play.client(parse("", "SELECT 1/0"), bind("", ""), execute(""), FLUSH)
    play.target(PARSED, BOUND, error("22012"))
    assert play.client(query("SELECT 'a'"), query(DELETE), parse("", DELETE), bind("", ""), execute("")) == []
    assert play.client(SYNC) == ["target S"]
    assert play.target(ready()) == ["client ZI"]
    assert play.client(query("SELECT 2")) == ["record statement", "target Q[SELECT 2]"]


def test_a_query_in_an_unfinished_batch_that_fails_is_owed_nothing() -> None:
    play = Playbook()
    play.client(parse("", "SELECT nonsense"), query("SELECT 1"))
    play.target(error("42703"))
    assert play.client(query("SELECT 2"), SYNC) == ["target S"]
    assert play.target(ready()) == ["client ZI"]
    assert not play.session.talk.replies


def test_a_hold_in_an_open_batch_that_fails_is_withdrawn() -> None:
    play = Playbook()
    play.client(parse("", "SELECT 1/0"), bind("", ""), execute(""), FLUSH)
    play.client(parse("", DELETE), bind("", ""), execute(""), SYNC)
    play.send(ev.SideAnswered(None, "not here"))
    opened(play)
    lines = play.target(PARSED, BOUND, error("22012"))
    assert lines[-1].startswith("withdraw")
    assert play.send(ruled(play, State.WITHDRAWN))[-1] == "target S"
    assert play.target(ready()) == ["client ZI"]


def test_nothing_is_sent_behind_a_copy_from_stdin_before_its_answer() -> None:
    play = Playbook()
    play.client(query("COPY customers FROM STDIN"))
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(row(b"public.customers", b"16400"), complete("SELECT 1"), ready("T"))
    play.target(parsed(), ready("T"))
    play.target(complete("ROLLBACK"), ready())
    opened(play)
    approve(play)
    assert play.client(message(b"d", b"1\tx\n"), message(b"c", b""), query("SELECT 1")) == []
    assert play.target(message(b"G", b"\0\0\0")) == ["client G", "target d c"]
    assert play.target(complete("COPY 1"), ready())[-1] == "target Q[SELECT 1]"


def test_the_name_that_refusals_rest_on_can_not_be_declared() -> None:
    play = Playbook()
    lines = play.client(query('DECLARE U&"\\0001hoop refused" CURSOR FOR SELECT 1'))
    assert lines[0].startswith("client E08P01")


@pytest.mark.parametrize("back", ["ROLLBACK TO a", "ROLLBACK", "COMMIT"])
def test_what_takes_search_path_back_is_waited_for(back: str) -> None:
    play = Playbook()
    for sql in ("BEGIN", "SAVEPOINT a"):
        play.client(query(sql))
        play.target(complete(sql), ready("T"))
    play.client(query("SET search_path = other"))
    play.target(complete("SET"), ready("T"))
    play.target(row(b"other"), ready("T"))
    assert play.client(query(back), query("SELECT * FROM orders"))[-1] == f"target Q[{back}]"
    assert play.target(complete("ROLLBACK"), ready("T"))[-1] == "target Q[SHOW search_path]"


def test_behind_what_takes_search_path_back_an_unqualified_name_is_opaque() -> None:
    play = Playbook()
    play.client(query("BEGIN"))
    play.target(complete("BEGIN"), ready("T"))
    play.client(query("SET search_path = other"))
    play.target(complete("SET"), ready("T"))
    play.target(row(b"other"), ready("T"))
    assert not play.to_target().endswith(b"orders\0")
    play.client(query("ROLLBACK; SELECT * FROM orders"))
    assert b"FROM orders" not in play.to_target()


def passed(play: Playbook, sql: str, tag: str, status: str = "I") -> None:
    """An allowed statement runs; what the session asks afterwards stays unanswered."""
    play.client(query(sql))
    assert sql in play.to_target().decode()
    play.target(complete(tag), ready(status))
    play.send(ev.CatalogReloaded(catalog()))


def test_a_temporary_view_is_opaque_for_good() -> None:
    play = Playbook(ALLOW_DDL)
    passed(play, "CREATE TEMP VIEW tv AS SELECT evil()", "CREATE VIEW")
    assert play.client(query("SELECT * FROM tv"))
    assert play.is_held


def test_a_temporary_table_in_front_of_another_is_opaque_and_one_of_its_own_name_is_not() -> None:
    play = Playbook(ALLOW_DDL)
    passed(play, "CREATE TEMP TABLE mine AS SELECT 1 AS id", "SELECT 1")
    passed(play, "SELECT * FROM mine", "SELECT 1")
    passed(play, "CREATE TEMP TABLE orders (id int)", "CREATE TABLE")
    passed(play, "SELECT * FROM public.orders", "SELECT 1")
    assert play.client(query("SELECT id FROM orders"))
    assert play.is_held


HANDS_OFF = POLICY.replace("rules:", "rules:\n  - {name: hands off, effect: deny, tables: [public.customers]}")


def test_a_temporary_table_is_shown_as_one_and_judged_by_the_name_it_stands_in_front_of() -> None:
    play = Playbook()
    play.client(query("CREATE TEMP TABLE customers AS SELECT * FROM orders"))
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(row(b"public.customers", b"16400"), complete("SELECT 1"), ready("T"))
    play.target(parsed(), ready("T"))
    play.target(complete("ROLLBACK"), ready())
    [shown] = play.requests[0].statements
    assert (shown.relations, shown.changes) == (("pg_temp.customers", "public.orders"), "pg_temp.customers")
    play = Playbook(HANDS_OFF)
    play.client(query("CREATE TEMP TABLE customers (id int)"))
    [refused] = play.recorded("refused")
    assert (refused["sqlstate"], refused["rule"]) == ("42501", "hands off")
    assert refused["tables"] == ["pg_temp.customers"]


def test_a_path_that_begins_with_pg_temp_makes_temporary_tables() -> None:
    play = Playbook(ALLOW_DDL)
    play.session.talk.grounds.moved(("pg_temp", "public"))
    passed(play, "CREATE TABLE orders (id int)", "CREATE TABLE")
    assert play.client(query("SELECT id FROM orders")) == ["reloadcatalog"]
    assert play.send(ev.CatalogReloaded(catalog()))
    assert play.is_held


@pytest.mark.parametrize("size", [10, 5_000, 9_000])
def test_a_text_of_any_size_that_our_grammar_refuses_is_judged_behind_a_parse(size: int) -> None:
    """It was read twice, and a big one is known once: the second time it counted as an empty query, and ran."""
    sql = f"DELETE FROM customers; {FOREIGN}{' ' * size}"
    play = Playbook()
    play.client(parse("a", "SELECT 1"), query(sql))
    if any(isinstance(each, ev.Ask) for each in play.effects):
        play.send(ev.Answered(sql, Script(sql, (), unparsable="syntax error")))
    assert query(sql) not in play.to_target()
    assert play.session.talk.phase.value == "held"


def test_a_flood_of_messages_leaves_other_sessions_their_turn() -> None:
    play = Playbook()
    effects = play.session.handle(ev.FromClient(query("SELECT 1") * (PER_TURN + 7)), NOW)
    assert effects[-2:] == [ev.GoOn(), ev.PauseClient()]
    assert len(play.session.intake.inbox) == 7
    assert play.session.handle(ev.FromClient(b""), NOW) == [], "the turn is the others'"
    assert play.session.handle(ev.GoOn(), NOW)[-1] == ev.ResumeClient()
    assert not play.session.intake.inbox


def test_a_long_batch_goes_on_when_the_target_could_answer_its_first_part() -> None:
    """PostgreSQL sends an error at once, and a driver that sees it stops sending the rest (asyncpg's executemany)."""
    play = Playbook()
    play.client(parse("s", "SELECT $1"), SYNC)
    play.target(PARSED, ready())
    row_of_values = bind("", "s", (b"x" * (OPEN_AT // 2),)) + execute("")
    effects = play.session.handle(ev.FromClient(row_of_values * 8), NOW)
    assert effects[-2:] == [ev.GoOn(), ev.PauseClient()]
    left = len(play.session.intake.inbox)
    assert left == 13, "three messages are 64 KiB"
    while play.session.intake.inbox:
        assert play.to_target() == b""
        play.effects = play.session.handle(ev.GoOn(), NOW)
        assert left - 4 <= len(play.session.intake.inbox) < left
        left = len(play.session.intake.inbox)
        play.effects = []


def test_a_held_batch_of_too_many_small_messages_is_refused() -> None:
    play = Playbook()
    play.client(parse("", DELETE), bind("", ""), execute(""))
    play.client((bind("", "") + execute("")) * (HELD_MESSAGES // 2))
    play.client((bind("", "") + execute("")) * 1000)
    assert len(play.session.draft.batch.parts) <= HELD_MESSAGES + 2
    play.client(SYNC)
    play.target(PARSED, BOUND, error("34000"))
    assert b"C54000\0" in play.to_client()


@pytest.mark.parametrize("back", ["RESET ALL", "DISCARD ALL", "RESET search_path", "SET search_path TO DEFAULT"])
def test_search_path_is_asked_for_after_everything_that_takes_it_back(back: str) -> None:
    """Servers before 18 don't report search_path: a table was judged by the path from before RESET ALL."""
    play = Playbook()
    play.client(query("SET search_path = other"))
    play.target(complete("SET"), ready())
    play.target(row(b"other"), complete("SHOW"), ready())
    play.client(query(back))
    assert play.target(complete(back.split(maxsplit=1)[0]), ready())[-1] == "target Q[SHOW search_path]"


@pytest.mark.parametrize(("chosen", "schema"), [(b"other", "other"), (b"none", "boss")])
def test_the_users_schema_on_the_path_is_that_of_the_role_that_was_set(chosen: bytes, schema: str) -> None:
    """`"$user"` follows SET ROLE; a table was judged by the login's schema."""
    play = Playbook(
        POLICY.replace("statements: [write, ddl, session, opaque]", "statements: [write]")
        + "  - {name: roles, effect: allow, statements: [session]}\n"
    )
    play.client(query("SET ROLE other"))
    assert play.target(complete("SET"), ready())[-1] == "target Q[SHOW search_path]"
    assert play.target(row(b'"$user", public'), complete("SHOW"), ready()) == [
        "target Q[SHOW role; SHOW session_authorization]"
    ]
    play.target(row(chosen), complete("SHOW"), row(b"boss"), complete("SHOW"), ready())
    assert play.session.talk.grounds.search_path == (schema, "public")


ALONE = ("SELECT evil()", "DELETE FROM customers WHERE id = evil()")


@pytest.mark.parametrize("text", ALONE)
def test_a_bind_of_user_code_goes_only_with_its_execute(text: str) -> None:
    """The planner calls an IMMUTABLE function of constants at Bind: in a transaction of the client's that writes."""
    play = Playbook(status="T")
    play.client(parse("s", text), SYNC)
    play.target(PARSED, ready("T"))
    play.client(bind("p", "s"), SYNC)
    assert b"\x01hoop refused" in play.to_target()
    assert play.target(error("26000"), ready("T")) == ["client E42501 ZT"]
    play.client(bind("q", "s"), query("SELECT 1"))
    assert b"\x01hoop refused" in play.to_target(), "nor with another statement's execution"


def test_a_bind_of_user_code_is_refused_with_its_execute() -> None:
    play = Playbook(status="I")
    play.client(parse("", "SELECT evil()"), bind("", ""), execute(""), SYNC)
    play.target(complete("BEGIN"), complete("SET"), ready("T"))
    play.target(complete("SHOW"), ready("T"))
    play.target(complete("ROLLBACK"), ready())
    opened(play)
    lines = play.send(ruled(play, State.DENIED))
    assert lines[-1] == "target P[SELECT evil()] B E S"
    assert play.to_target().count(b"\x01hoop refused") >= 2, "the Bind can't run it either"
    assert "client 1 E42501 ZI" in play.target(PARSED, error("26000"), ready())


def test_a_bind_with_a_parameter_of_a_checked_type_is_opaque() -> None:
    play = Playbook()
    play.send(ev.CatalogChanged(replace(catalog(), user_type_oids=frozenset({16999}))))
    play.client(parse("", "SELECT $1", [16999]), bind("", "", [b"7"]), SYNC)
    assert b"\x01hoop refused" in play.to_target()


def test_a_bind_that_writes_into_a_checked_column_goes_only_with_its_execute() -> None:
    play = Playbook()
    facts = catalog()
    checked = replace(facts.relations["public", "customers"], types={"id": "public.positive[]"})
    relations = {**facts.relations, ("public", "customers"): checked}
    play.send(ev.CatalogChanged(replace(facts, relations=relations, user_types=frozenset({"positive"}))))
    play.client(parse("", "UPDATE customers SET id = $1"), bind("", "", [b"{7}"]), SYNC)
    assert b"\x01hoop refused" in play.to_target()


def test_a_parameter_of_prepare_is_cast_by_execute() -> None:
    play = Playbook()
    play.send(ev.CatalogChanged(replace(catalog(), user_types=frozenset({"positive"}))))
    assert play.client(query("PREPARE p (positive) AS SELECT 1"))
    assert play.is_held


def test_a_parse_that_casts_a_constant_to_a_checked_type_goes_only_with_its_execute() -> None:
    """array_in and record_in call domain_in, and parsing calls those: the CHECK runs before anything is executed."""
    play = Playbook(status="T")
    play.send(ev.CatalogChanged(replace(catalog(), user_types=frozenset({"positive"}))))
    play.client(parse("s", "SELECT '{7}'::positive[]"), SYNC)
    assert b"'{7}'" not in play.to_target()
    assert play.target(error("42601"), ready("T")) == ["client E42501 ZT"]
    assert play.client(parse("", "SELECT '{7}'::positive[]"), bind("", ""), execute(""), SYNC)
    assert play.is_held
    assert b"'{7}'" not in play.to_target()


def test_without_a_catalog_nothing_that_names_anything_is_a_read() -> None:
    """A view may call anything, an operator may be anybody's: nobody can say while the catalog can't be read."""
    play = Playbook()
    play.send(ev.CatalogChanged(None))
    assert play.client(query("SELECT 1")) == ["record statement", "target Q[SELECT 1]"]
    play.target(complete("SELECT 1"), ready())
    assert play.client(query("SELECT pg_advisory_unlock_all()"))[0] == "record statement", "drivers do that"
    play.target(complete("SELECT 1"), ready())
    play.client(query("PREPARE p AS SELECT * FROM v"))
    play.target(complete("PREPARE"), ready())
    assert play.client(query("EXECUTE p"))
    assert play.is_held


@pytest.mark.parametrize(
    "text", ["SELECT * FROM customers", "SELECT 1 + 1", "SELECT lower('X')", "SELECT 'a'::public.t"]
)
def test_without_a_catalog_names_are_opaque(text: str) -> None:
    play = Playbook()
    play.send(ev.CatalogChanged(None))
    assert play.client(query(text))
    assert play.is_held


@pytest.mark.parametrize("sqlstate", ["57014", "53200"])
def test_a_question_that_was_cancelled_says_nothing_of_the_text(sqlstate: str) -> None:
    """The text alone would be prepared next, which may run code; in a block the failed question has aborted it."""
    play = Playbook(status="T")
    play.client(query(FOREIGN))
    play.target(complete("SAVEPOINT"), ready("T"))
    lines = play.target(error(sqlstate), ready("E"))
    assert lines == ["record refused", f"client E{sqlstate} ZE"]
    assert play.recorded("refused")[0]["sqlstate"] == sqlstate
    assert FOREIGN.encode() not in play.to_target()
