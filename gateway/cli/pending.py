"""`hoop pending`: what waits for a decision now, as `/hoop pending` in a chat.

Whoever can run this has the store's DSN, so nothing is hidden from them, as from who runs `hoop audit`. What lives here: how
the requests look in a terminal and to a program. What does not: deciding; that takes a person whom a chat or an issuer knows.
"""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bots.cards import title
from bots.texts import count, line, span
from gateway.approvals.request import ApprovalRequest, State
from gateway.cli.audit import StoreOption, with_store
from gateway.cli.listing import Listing, show

#: Requests that are listed: the newest ones.
MOST = 1000
#: Characters of a request's id (gateway/relay/server.py).
_ID = 10


def pending(
    *,
    store: StoreOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: pending, a list.")] = False,
) -> None:
    """List what waits for a decision: who asks, for what, until when, how many approvals are given, and by whom it is decided.

    Newest first, 1,000 at most. Nothing is decided here: reviewers do that in their chat, or on the gateway's page.
    """
    waiting = with_store(store, lambda opened: opened.find(states=frozenset({State.PENDING}), limit=MOST))
    now = time.time()
    if as_json:
        typer.echo(json.dumps({"pending": [as_object(each, now) for each in waiting]}, ensure_ascii=False))
    elif waiting:
        show(listing(waiting, now))
    else:
        typer.echo("Nothing waits for a decision.")


def listing(waiting: Sequence[ApprovalRequest], now: float) -> Listing:
    """One row a request; times in the zone of this terminal. It fits into 80 columns."""
    zone = datetime.now().astimezone().tzname()
    return Listing(
        ("id", "what", "who", "waits", "approvals"),
        [_row(each, now) for each in waiting],
        f"{count(len(waiting), 'request')}, times in {zone}",
        whole=((0, _ID),),  # ids are copied, so they stay in one piece
    )


def _row(request: ApprovalRequest, now: float) -> tuple[str, ...]:
    agent = f"\nas {line(request.agent, 60)}" if request.agent else ""
    given = f"{len(request.approvals)} of {request.approvals_needed}"
    ends = datetime.fromtimestamp(request.expires_at).astimezone()
    until = "time is up" if request.expires_at <= now else f"until {ends:%H:%M:%S}"
    return (
        line(request.id, 60),
        title(request),
        f"{line(request.requester.user, 60)}{agent}",
        f"{span(max(0.0, now - request.opened_at))}\n{until}",
        f"{given}\n{line(request.reviewers, 60)}",
    )


def as_object(request: ApprovalRequest, now: float) -> dict[str, Any]:
    """For a program: times in UTC, `age_s` in seconds, `approvals` are those who gave one."""
    return {
        "id": request.id,
        "user": request.requester.user,
        "subject": request.requester.subject,
        "agent": request.agent,
        "target": request.target,
        "environment": request.environment,
        "statements": [
            {"tag": each.tag, "tables": list(each.relations), "sql": each.sql} for each in request.statements
        ],
        "rule": request.rule,
        "reviewers": request.reviewers,
        "approvals": [each.by.user for each in request.approvals],
        "approvals_needed": request.approvals_needed,
        "opened_at": _utc(request.opened_at),
        "expires_at": _utc(request.expires_at),
        "age_s": round(max(0.0, now - request.opened_at), 3),
    }


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
