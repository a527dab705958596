"""How far a quorum is, in words that the waiting client and the thread of a card share. Pure."""

from gateway.approvals.entries import name_of
from gateway.approvals.request import ApprovalRequest, said


def progress(request: ApprovalRequest) -> str:
    """ "1 of 2 approved by bob@example.com, needs one more"; "" for one that has no approval, or needs none any more."""
    given, needed = len(request.approvals), request.approvals_needed
    if not 0 < given < needed:
        return ""
    by = ", ".join(said(name_of(each.by), 80) for each in request.approvals)
    return f"{given} of {needed} approved by {by}, needs {'one' if needed - given == 1 else needed - given} more"
