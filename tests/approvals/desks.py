"""Desks for the tests: what they answered, and one whose store is PostgreSQL."""

import time

from gateway.approvals.decisions import Answer, Decided, Refused
from gateway.approvals.desk import Desk
from gateway.approvals.request import ApprovalRequest, Refusal
from gateway.store.postgres import PostgresStore
from tests.bots.samples import PLAIN
from tests.fakes.stores import ListSpool

DEADLINE = 15.0
DIGEST = PLAIN.release_digest


def decided(answer: Answer) -> ApprovalRequest:
    assert isinstance(answer, Decided), answer
    return answer.request


def refused(answer: Answer) -> Refusal:
    assert isinstance(answer, Refused), answer
    return answer.refusal


class Replica:
    """A desk with connections and a chain of its own; not started, so that no poll takes part in a race."""

    def __init__(self, store: PostgresStore, name: str) -> None:
        self.store, self.spool = store, ListSpool(name)
        self.desk = Desk(store, self.spool, clock=time.time, link_max_age=3600.0)
