"""Stored renderings: how each standing of a request looks in each chat, as JSON to be read in a diff.

    python -m tests.bots.rendering      (make renderings) draws all of them anew; look at the diff before you commit it

The tests of bots.slack.blocks and bots.teams.adaptive compare what is drawn with what is stored in renderings/, and hold the
stored ones to the limits. What must not live here: limits, and what a card says (bots.cards).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bots.cards import card
from bots.seals import seal
from bots.slack.blocks import message
from bots.teams.adaptive import base_card
from gateway.approvals.request import (
    BY_REQUESTER,
    REVOKED,
    Approval,
    ApprovalRequest,
    HeldStatement,
    Preview,
    Question,
    State,
)
from gateway.approvals.seen import Seen
from tests.bots.samples import BOB, DELETE, GRANT, GRANTABLE, NOW, PLAIN, SEEN, STATES, TERMS, UPDATE

STORED = Path(__file__).parent / "renderings"
KEY = b"k" * 32
_EXECUTED, _FAILED = STATES[State.EXECUTED], STATES[State.FAILED]
_BROKEN: dict[str, Any] = {
    "approvals_needed": 2,
    "glass": "sre",
    "broken": "Payments are down since 10:00, nobody else is awake.",
}

#: Every state of architecture.md (Words) and, of those that differ on a card, every fate (bots.outcomes).
STANDINGS: dict[str, ApprovalRequest] = {
    **{state.value: request for state, request in STATES.items()},
    "pending, foreign keys pass it on": replace(
        PLAIN, statements=(replace(DELETE, passed_on=("public.order_items", "public.orders")),)
    ),
    "pending, a share of its table": replace(PLAIN, seen=Seen(NOW, table_rows=349.0)),
    "pending, others wait": replace(PLAIN, where_held="in transaction", seen=SEEN),
    "pending, locks not known": replace(
        PLAIN,
        where_held="in transaction",
        seen=Seen(NOW, in_transaction=True, problem="the target did not say within 1 s"),
    ),
    "pending, stops others": replace(
        PLAIN,
        statements=(
            HeldStatement(
                "ALTER TABLE",
                "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers, ADD note text",
                ("public.customers", "public.orders"),
                locks=(("public.orders", "ACCESS EXCLUSIVE"), ("public.customers", "SHARE ROW EXCLUSIVE")),
            ),
        ),
        preview=Preview(rows=None, note="no preview for this kind of statement"),
        claimed_reason="orders get notes",
    ),
    "pending, high risk": replace(PLAIN, statements=(replace(DELETE, where=False),)),
    "pending, one of two": replace(PLAIN, rev=2, approvals_needed=2, approvals=(Approval(BOB, "slack", NOW + 60),)),
    "pending, escalated": replace(
        PLAIN,
        rev=2,
        mentions=("slack:S0DBA",),
        escalate_to=("slack:C2",),
        escalate_at=NOW + 60,
        escalated_at=NOW + 60,
    ),
    "pending, asked": replace(PLAIN, rev=2, questions=(Question(BOB, "slack", NOW + 60, "Why all of these?"),)),
    "pending, time is up": replace(PLAIN, expires_at=NOW + 60),
    "pending, on its page": replace(PLAIN, approve_via="web", page="https://gate.example.com/approve/01J9Z3K7Q8"),
    "pending, with glass": replace(PLAIN, approvals_needed=2, glass="sre"),
    "approved, glass broken": replace(STATES[State.APPROVED], **_BROKEN),
    "executed, glass broken": replace(_EXECUTED, **_BROKEN),
    "expired, glass broken": replace(STATES[State.APPROVED], state=State.EXPIRED, rev=3, **_BROKEN),
    "pending, long": replace(PLAIN, statements=(replace(DELETE, sql=f"SELECT {', '.join(map(str, range(2000)))}"),)),
    "pending, may be granted": GRANTABLE,
    "pending, a grant is proposed": replace(GRANTABLE, approved_before=3),
    "pending, batch": replace(PLAIN, statements=(DELETE, UPDATE)),
    "pending, long batch": replace(PLAIN, statements=(DELETE, UPDATE) * 4, full_view=True),
    "denied, changes requested": replace(STATES[State.DENIED], reason="", changes="Only rows of 2019, please."),
    "approved, kept": replace(STATES[State.APPROVED], kept=True),
    "approved, with a grant": replace(STATES[State.APPROVED], grantable=TERMS, grant=GRANT),
    "executed, its grant revoked": replace(
        _EXECUTED, grant=replace(GRANT, revoked_at=NOW + 65, revoked_by="bob@example.com", why="the audit asks for it")
    ),
    "executed, under a grant": replace(_EXECUTED, under="01J9Z0GRNT", decided_via="grant"),
    "withdrawn by its requester": replace(STATES[State.WITHDRAWN], reason=BY_REQUESTER, decided_at=NOW + 60),
    "executed, open": replace(_EXECUTED, transaction="open"),
    "executed, rolled back": replace(_EXECUTED, transaction="rolled back"),
    "executed, partly committed": replace(_EXECUTED, transaction="partly committed"),
    "executed, prepared": replace(_EXECUTED, transaction="prepared"),
    "executed, its end was not seen": replace(_EXECUTED, transaction="its end was not seen"),
    "failed, counted": replace(_FAILED, sqlstate="42501", rows=50, row_cap=42),
    "withdrawn, revoked": replace(
        STATES[State.APPROVED], state=State.WITHDRAWN, rev=3, reason=f"{REVOKED} bob@example.com: not today"
    ),
    "withdrawn after approval": replace(
        STATES[State.APPROVED], state=State.WITHDRAWN, rev=3, reason="gateway gone (its process ended)"
    ),
}


def slack(request: ApprovalRequest) -> dict[str, Any]:
    """The arguments of chat.postMessage that are ours to choose."""
    drawn = message(card(request, NOW + 70), seal(KEY, request))
    return {"text": drawn.text, "blocks": drawn.blocks}


def teams(request: ApprovalRequest) -> dict[str, Any]:
    """The activity's summary and its card, as everybody sees it."""
    drawn = base_card(card(request, NOW + 70), seal(KEY, request))
    return {"summary": drawn.summary, "card": drawn.content}


CHATS: Mapping[str, Callable[[ApprovalRequest], dict[str, Any]]] = {"slack": slack, "teams": teams}


def place(chat: str, standing: str) -> Path:
    return STORED / chat / f"{standing.replace(', ', '-').replace(' ', '-')}.json"


def stored(chat: str, standing: str) -> dict[str, Any]:
    """The stored rendering. Raises FileNotFoundError for one that `renew` has not drawn yet."""
    found: dict[str, Any] = json.loads(place(chat, standing).read_text("utf-8"))
    return found


def renew() -> None:
    """Draw all of them anew; one whose standing is gone goes, too."""
    for chat, draw in CHATS.items():
        (STORED / chat).mkdir(parents=True, exist_ok=True)
        for old in (STORED / chat).glob("*.json"):
            old.unlink()
        for standing, request in STANDINGS.items():
            text = json.dumps(draw(request), indent=1, ensure_ascii=False)
            place(chat, standing).write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    renew()
