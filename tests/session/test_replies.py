"""A reply knows which of its statements the target is at; a batch knows whether it must wait for people."""

from gateway.policy.decide import Answer, Verdict
from gateway.session.replies import Batch, Execution, Part, Reply
from gateway.sql.statement import Statement, StatementClass

ALLOW = Verdict(Answer.ALLOW, None, "")


def execution(number: int) -> Execution:
    statement = Statement("SELECT 1", "SELECT", frozenset({StatementClass.READ}))
    return Execution(number, statement, ALLOW, "SELECT 1", None)


def test_a_reply_walks_its_statements() -> None:
    reply = Reply(ord("Q"), executions=[execution(1), execution(2)])
    assert reply.execution is reply.executions[0]
    reply.at = 2
    assert reply.execution is None


def test_a_batch_holds_when_one_part_does() -> None:
    batch = Batch()
    batch.add(Part(b"12345", None))
    assert not batch.holds
    batch.add(Part(b"123", None, held=Verdict(Answer.HOLD, "r", "")))
    assert batch.holds
    assert batch.size == 8
