"""What a reviewer may choose from."""

import pytest

from gateway.approvals.grants import Scope, Terms, offers


@pytest.mark.parametrize(
    ("minutes", "uses", "offered"),
    [
        (60, 20, [(15, None), (60, None), (None, 5), (None, 20)]),
        (240, None, [(15, None), (60, None), (240, None)]),
        (10, None, [(10, None)]),
        (None, 3, [(None, 3)]),
        (None, 5, [(None, 5)]),
    ],
)
def test_the_usual_ones_and_the_rule_s_own_most(
    minutes: int | None, uses: int | None, offered: list[tuple[int | None, int | None]]
) -> None:
    found = offers(Terms("shape", minutes, uses, 1))
    assert found == tuple(Scope(*each) for each in offered)


def test_nothing_is_offered_where_nothing_may_be_granted() -> None:
    assert offers(None) == ()
