"""A cursor WITH HOLD runs its query at COMMIT, where no guard is round it."""

from gateway.wire.frontend import query
from tests.playbook import Playbook


def test_a_cursor_that_lives_on_runs_its_code_at_commit_where_no_guard_is() -> None:
    play = Playbook(status="T")
    play.client(query("DECLARE c CURSOR WITH HOLD FOR SELECT reader()"))
    assert play.session.holding.active
    play = Playbook(status="T")
    play.client(query("DECLARE c CURSOR FOR SELECT reader()"))
    assert not play.session.holding.active
