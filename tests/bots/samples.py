"""Requests to draw: one plain one to change with `dataclasses.replace`, one for each state, and a hypothesis strategy of wild ones."""

from dataclasses import replace

from hypothesis import strategies as st

from gateway.approvals.grants import Grant, Terms
from gateway.approvals.request import Approval, ApprovalRequest, HeldStatement, Person, Preview, Question, State
from gateway.approvals.seen import Seen

ISSUER = "https://issuer.example"
NOW = 1_764_066_000.0  # 2025-11-25 10:20 UTC


def person(name: str, *groups: str) -> Person:
    return Person(ISSUER, f"sub-{name}", f"{name}@example.com", f"{name}@example.com", frozenset(groups))


ANN = person("ann", "engineering")
BOB = person("bob", "dba")
CAROL = person("carol", "dba")
EVE = person("eve", "engineering")

DELETE = HeldStatement(
    tag="DELETE",
    sql="DELETE FROM customers WHERE last_seen < $1",
    relations=("public.customers",),
    where=True,
    parameters=(("2020-01-01",),),
)
UPDATE = HeldStatement(
    tag="UPDATE",
    sql="UPDATE customers SET plan = 'free', credit = 0 WHERE plan = 'trial' AND country IN ('DE', 'FR')",
    relations=("public.customers",),
    where=True,
)
ROWS = Preview(
    rows=42,
    columns=("id", "name", "plan", "last_seen"),
    before=(("1", "Ada", "free", "2019-05-01"), ("7", "Grace", None, "2018-11-30")),
    relation="public.customers",
)

PLAIN = ApprovalRequest(
    id="01J9Z3K7Q8",
    state=State.PENDING,
    requester=ANN,
    session="8f31c2",
    replica="gate-1",
    agent="cursor",
    client="10.0.0.7",
    claimed_reason="clean up customers that never came back",
    target="shop",
    environment="production",
    statements=(DELETE,),
    preview=ROWS,
    rule="writes wait for a DBA",
    why="DELETE is a write on production",
    reviewers="dba",
    reviewer_groups=frozenset({"dba"}),
    reviewer_users=frozenset(),
    approvals_needed=1,
    channels=("slack:C1",),
    opened_at=NOW,
    expires_at=NOW + 600,
    release_digest="ab" * 32,
    content_digest="9f2c1d" * 10,
)

_APPROVED = replace(PLAIN, rev=2, approvals=(Approval(BOB, "slack", NOW + 60),), decided_by=BOB, decided_at=NOW + 60)

#: What a second connection saw of a transaction that others wait for.
SEEN = Seen(
    NOW + 1,
    in_transaction=True,
    held=(
        ("public.orders", "SHARE ROW EXCLUSIVE"),
        ("public.customers", "ROW EXCLUSIVE"),
        ("public.plans", "ACCESS SHARE"),
    ),
    more=2,
    open_for=252.0,
    blocked=3,
    table_rows=349.0,
)

#: With what its rule lets people grant, and that grant.
TERMS = Terms("shape", 60, 20, 100, vary=True)
GRANT = Grant("shape", NOW + 960, 20, 100, vary=True)
GRANTABLE = replace(PLAIN, grantable=TERMS)

#: Every state, as the store would hold it.
STATES: dict[State, ApprovalRequest] = {
    State.PENDING: PLAIN,
    State.APPROVED: replace(_APPROVED, state=State.APPROVED),
    State.RELEASED: replace(_APPROVED, state=State.RELEASED, released_at=NOW + 61),
    State.EXECUTED: replace(_APPROVED, state=State.EXECUTED, rows=42, duration_ms=12.3, transaction="committed"),
    State.FAILED: replace(_APPROVED, state=State.FAILED, sqlstate="23503", duration_ms=3.0),
    State.UNKNOWN: replace(_APPROVED, state=State.UNKNOWN, reason="target gone"),
    State.DENIED: replace(
        PLAIN, state=State.DENIED, rev=2, decided_by=BOB, decided_at=NOW + 60, reason="Use the archive job."
    ),
    State.EXPIRED: replace(PLAIN, state=State.EXPIRED, rev=2),
    State.WITHDRAWN: replace(PLAIN, state=State.WITHDRAWN, rev=2, reason="the client cancelled"),
    State.SUPERSEDED: replace(PLAIN, state=State.SUPERSEDED, rev=2, reason="rule no writes now denies it"),
    State.UNDELIVERABLE: replace(PLAIN, state=State.UNDELIVERABLE, rev=2, reason="not_in_channel"),
}

# --- wild ones --------------------------------------------------------------------------------------------------------

_NASTY = st.sampled_from(
    [
        "<!channel>", "<@U123>", "```", "`", "*bold*", "&lt;", "\u202e", "\u200b", "\x00", "\x1b[2J", "😀" * 50, "\n" * 60,
        "{{DATE(2001-02-03T04:05:06Z, SHORT)}}", "{{TIME(2001-02-03T04:05:06Z)}}", "[x](https://evil.example)", "<at>bob</at>",
        " " * 300, "<https://evil.example|click>", ":x:", "e\u0301" * 20, "\ud800", "'", '"', "--", "$$", "\\",
    ]
)  # fmt: skip
_TEXT = st.lists(st.one_of(_NASTY, st.text(max_size=20)), max_size=3).map("".join)
SQL = st.one_of(_TEXT, st.tuples(_TEXT, _NASTY, st.integers(1, 100)).map(lambda t: t[0] + t[1] * t[2] + t[0]))
_VALUE = st.one_of(st.none(), _TEXT)
_ROW = st.lists(_VALUE, max_size=4).map(lambda row: tuple(row * 2))
_HELD = st.builds(
    HeldStatement,
    tag=st.one_of(st.sampled_from(["DELETE", "UPDATE", "DROP TABLE", "TRUNCATE", "DO"]), _TEXT),
    sql=SQL,
    relations=st.lists(_TEXT, max_size=4).map(tuple),
    where=st.sampled_from([True, False, None]),
    parameters=st.lists(_ROW, max_size=2).map(tuple),
    executions=st.integers(1, 5000),
    passed_on=st.lists(_TEXT, max_size=6).map(tuple),
    locks=st.lists(st.tuples(_TEXT, st.sampled_from(["ACCESS EXCLUSIVE", "SHARE", "ROW SHARE"])), max_size=6).map(
        tuple
    ),
)
_NUMBER = st.one_of(st.none(), st.integers(0, 10**9))
_SEEN = st.builds(
    Seen,
    at=st.just(NOW),
    in_transaction=st.booleans(),
    held=st.one_of(st.none(), st.lists(st.tuples(_TEXT, _TEXT), max_size=3).map(tuple)),
    more=st.integers(0, 10**6),
    open_for=_NUMBER,
    blocked=_NUMBER,
    table_rows=_NUMBER,
    problem=_TEXT,
)
_PREVIEW = st.builds(
    Preview,
    rows=st.one_of(st.none(), st.integers(0, 10**9)),
    kind=st.sampled_from(["exact", "estimate"]),
    columns=st.lists(_TEXT, max_size=8).map(tuple),
    before=st.lists(_ROW, max_size=3).map(tuple),
    after=st.lists(_ROW, max_size=2).map(tuple),
    note=_TEXT,
)


def _dressed(
    base: ApprovalRequest, held: list[HeldStatement], preview: Preview, texts: list[str], seen: Seen | None
) -> ApprovalRequest:
    user, agent, why, rule, reason, target = texts
    return replace(
        base,
        statements=tuple(held),
        preview=preview,
        requester=replace(base.requester, user=user, groups=frozenset(texts)),
        agent=agent,
        claimed_reason=why,
        why=why,
        rule=rule,
        reviewers=rule,
        reason=reason,
        changes=reason if base.state is State.DENIED else "",
        questions=(Question(BOB, "slack", NOW, reason),) * len(held),
        target=target,
        environment=agent,
        client=user,
        where_held=rule,
        seen=seen,
    )


WILD = st.builds(
    _dressed,
    st.sampled_from(list(STATES.values())),
    st.lists(_HELD, min_size=0, max_size=3).map(lambda held: held * 3),
    _PREVIEW,
    st.lists(_TEXT, min_size=6, max_size=6),
    st.one_of(st.none(), _SEEN),
)
