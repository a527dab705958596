"""Code that ran may have changed what names mean: they are asked for, and until then nothing is judged by them (decision 5)."""

import pytest

from gateway.session.errands import _NAMES
from gateway.wire.frontend import SYNC, bind, execute, parse, query
from tests.playbook import BOUND, PARSED, POLICY, Playbook, complete, error, ready, row

OPAQUE_GOES = POLICY.replace("session, opaque]", "session]").replace(
    "rules:", "rules:\n  - {name: code goes, effect: allow, statements: [opaque]}"
)
#: Code goes by itself, and writes wait: what a name means decides which of the two it is.
DO = "DO $$ BEGIN END $$"
READ = "SELECT 1"
S3 = (b"s", b"s3", READ.encode(), b"false")


def ran(*shown: bytes, status: str = "I", policy: str = OPAQUE_GOES) -> Playbook:
    """s3 is a read, then code runs, then the target shows these names; conversations go on from there."""
    play = Playbook(policy, status=status)
    play.client(parse("s3", READ), SYNC)
    play.target(PARSED, ready(status))
    assert play.client(query(DO)) == ["record statement", f"target Q[{DO}]"]
    assert play.target(complete("DO"), ready(status))[-1] == "target Q[SHOW search_path]"
    assert play.target(row(b"public"), complete("SHOW"), ready(status)) == [f"target Q[{_NAMES}]"]
    play.target(*shown, complete("SELECT"), ready(status))
    if status == "I":
        play.reload()
    return play


def test_a_name_that_means_the_same_is_used_as_before() -> None:
    play = ran(row(*S3))
    assert play.client(bind("", "s3"), execute(""), SYNC) == ["record statement", "target B E S"]
    assert play.recorded("statement")[0]["rule"] == "reads"


@pytest.mark.parametrize(
    "shown",
    [
        (),
        (b"s", b"s3", b"DELETE FROM customers", b"false"),
        (b"s", b"s3", READ.encode(), b"true"),
        (b"p", b"s3", READ.encode(), b""),
    ],
)
def test_a_name_that_means_something_else_does_not_run(shown: tuple[bytes, ...]) -> None:
    play = ran(*([row(*shown)] if shown else []))
    play.client(bind("", "s3"), execute(""), SYNC)
    assert execute("") not in play.to_target()
    assert not play.recorded("statement")


def test_execute_by_sql_of_a_name_that_means_something_else_is_opaque() -> None:
    play = Playbook(
        POLICY.replace("session, opaque]", "session]") + "  - {name: do, effect: allow, statements: [DO]}\n"
    )
    play.client(query("PREPARE s3 AS SELECT 1"))
    play.target(complete("PREPARE"), ready())
    play.client(query(DO))
    play.target(complete("DO"), ready())
    play.target(row(b"public"), complete("SHOW"), ready())
    play.target(row(b"s", b"s3", b"PREPARE s3 AS DELETE FROM customers", b"true"), complete("SELECT"), ready())
    play.reload()
    assert play.client(query("EXECUTE s3"))[0] == "record refused"
    play.target(error("42601"), ready())
    play.target(row(b"public"), complete("SHOW"), ready())
    play.target(complete("SELECT"), ready())
    play.client(query("PREPARE s4 AS SELECT 1"))
    play.target(complete("PREPARE"), ready())
    assert play.client(query("EXECUTE s4")) == ["record statement", "target Q[EXECUTE s4]"], "it was given afterwards"


def test_in_one_batch_with_code_a_name_from_before_is_opaque_and_one_from_behind_is_not() -> None:
    play = Playbook()
    play.client(parse("s3", READ), SYNC)
    play.target(PARSED, ready())
    play.client(
        parse("d", DO), bind("", "d"), execute(""), bind("", "s3"), execute(""),
        parse("s4", READ), bind("", "s4"), execute(""), SYNC,
    )  # fmt: skip
    assert play.is_held
    parts = play.session.holding._held.parts  # type: ignore[union-attr] # it is held
    assert [execution.statement.tag for part in parts if part.reply for execution in part.reply.executions] == [
        "DO",
        "UNKNOWN",
    ]


def test_a_portal_bound_before_code_ran_is_opaque() -> None:
    play = Playbook(status="T")
    play.client(parse("s3", READ), bind("p3", "s3"), execute("p3", 1), SYNC)
    play.target(PARSED, BOUND, row(b"1"), b"s\0\0\0\4", ready("T"))
    play.client(parse("", DO), bind("", ""), execute(""), execute("p3"), SYNC)
    parts = play.session.holding._held.parts  # type: ignore[union-attr] # it is held
    assert len(parts) == 2, "the DO and what goes on with p3"


def test_a_cursor_that_is_still_the_same_is_fetched_from() -> None:
    declared = "DECLARE c CURSOR FOR SELECT 1"
    play = Playbook(OPAQUE_GOES, status="T")
    play.client(query(declared))
    play.target(complete("DECLARE CURSOR"), ready("T"))
    play.client(query(DO))
    play.target(complete("DO"), ready("T"))
    play.target(row(b"public"), complete("SHOW"), ready("T"))
    play.target(row(b"p", b"c", declared.encode(), b""), complete("SELECT"), ready("T"))
    play.client(query("FETCH c"))
    assert play.recorded("statement")[0]["rule"] == "reads"


def test_a_target_that_does_not_say_leaves_the_name_in_doubt() -> None:
    play = Playbook(OPAQUE_GOES)
    play.client(parse("s3", READ), SYNC)
    play.target(PARSED, ready())
    play.client(query(DO))
    play.target(complete("DO"), ready())
    play.target(row(b"public"), complete("SHOW"), ready())
    play.target(error("57014"), ready())
    play.reload()
    play.client(bind("", "s3"), execute(""), SYNC)
    assert play.recorded("statement")[0]["rule"] == "code goes"


def test_in_an_aborted_transaction_a_doubtful_name_goes_to_the_target_and_what_follows_is_judged() -> None:
    """It runs nothing but the end of a transaction; a driver may keep its ROLLBACK prepared."""
    play = Playbook(status="T")
    play.client(parse("r", "ROLLBACK"), SYNC)
    play.target(PARSED, ready("T"))
    play.session.talk.names.doubts += 1
    play.client(query("SELECT 1/0"))
    play.target(error("22012"), ready("E"))
    assert play.client(bind("", "r"), execute(""), SYNC) == ["record statement", "target B E S"]


def test_temporary_relations_that_code_made_are_known() -> None:
    play = ran(row(*S3), row(b"t", b"orders", b"", b""))
    play.client(query("SELECT id FROM orders"))
    assert play.recorded("statement")[0]["rule"] == "code goes", "which orders that is, is not known"
    play.target(complete("SELECT 0"), ready())


def test_a_refused_do_does_not_leave_names_in_doubt_for_good() -> None:
    denied = POLICY.replace("session, opaque]", "session]")
    play = Playbook(denied)
    play.client(parse("s3", READ), SYNC)
    play.target(PARSED, ready())
    play.client(query(DO))
    assert play.target(error("42601"), ready())[-1] == "target Q[SHOW search_path]"
    play.target(row(b"public"), complete("SHOW"), ready())
    play.target(row(*S3), complete("SELECT"), ready())
    assert play.client(bind("", "s3"), execute(""), SYNC) == ["record statement", "target B E S"]
