"""How far a quorum is, in words."""

from dataclasses import replace

import pytest

from gateway.approvals.quorum import progress
from gateway.approvals.request import Approval
from tests.bots.samples import BOB, CAROL, NOW, PLAIN


@pytest.mark.parametrize(
    ("given", "needed", "text"),
    [
        ((BOB,), 2, "1 of 2 approved by bob@example.com, needs one more"),
        ((BOB, CAROL), 4, "2 of 4 approved by bob@example.com, carol@example.com, needs 2 more"),
        ((), 2, ""),
        ((BOB, CAROL), 2, ""),
    ],
)
def test_what_is_said(given: tuple[object, ...], needed: int, text: str) -> None:
    approvals = tuple(Approval(each, "slack", NOW) for each in given)  # type: ignore[arg-type]  # they are persons
    assert progress(replace(PLAIN, approvals=approvals, approvals_needed=needed)) == text
