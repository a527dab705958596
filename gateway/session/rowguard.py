"""The drift guard: a released statement that changes more rows than its reviewer saw is rolled back (decision 4c; L4). Pure.

The count is CommandComplete's, so the way out must still be open when it comes:

    extended            the batch up to its Execute | Flush -> count -> what is left of it, or a sure-fail in front of that
    query, autocommit   BEGIN READ WRITE | the query -> count, ReadyForQuery T -> COMMIT or ROLLBACK; the client gets that one's I
    query, in a block   the query -> count -> nothing more, or a sure-fail behind it

A sure-fail is enough where others would set a savepoint: a failed transaction keeps nothing that is younger than the client's
own last savepoint, and that is older than the statement. Rows (RETURNING) are kept back until the count is known:
PostgreSQL runs such a statement to its end before the first row, and what nobody approved shall not be read either.
A limit of rows in the Execute is kept here and not on the target: it would hide the count.

What must not live here: when a batch goes (holding.py), reading the target's messages (answers.py).
"""

from enum import Enum

from gateway.approvals.request import Preview
from gateway.errors import TargetUnavailable
from gateway.policy.model import HoldTerms
from gateway.session import events as ev
from gateway.session.gate import TRIES
from gateway.session.guard import sure_fail
from gateway.session.names import Change, Space, kept
from gateway.session.replies import Batch, Execution, Part, Reply
from gateway.session.state import Conversation
from gateway.sql.statement import Statement, StatementClass
from gateway.wire.backend import command_tag, cut, error_response, tag_rows
from gateway.wire.frontend import FLUSH, execute, message, query, read_execute

#: As any refusal by policy (interface.md): a code of class 40 would make frameworks send it again by themselves.
REFUSED = "42501"
_TOO_MUCH = "54000"
#: Whose CommandComplete counts what their preview counts. MERGE inserts rows that no preview has seen, and WITH ... SELECT
#: counts what it returns.
_COUNTED = frozenset({"INSERT", "UPDATE", "DELETE"})
_SUSPENDED = message(b"s", b"")


def cap(batch: Batch, preview: Preview, terms: HoldTerms, *, open_batch: bool) -> tuple[int | None, str]:
    """How many rows the held statement may change; None and, where it may change rows at all, why no cap can be kept."""
    held = [part for part in batch.parts if part.held is not None]
    executions = [each for part in held if part.reply is not None for each in part.reply.executions]
    if not any(_changes_rows(each.statement) for each in executions):
        return None, ""
    if len(executions) != 1:
        return None, "several statements are held as one"
    statement = executions[0].statement
    if statement.tag not in _COUNTED or statement.inner_tags:
        return None, f"{statement.tag or 'it'} does not tell how many rows it changes"
    if held[0].raw[:1] == b"Q" and (open_batch or len(batch.parts) > 1):
        # An error in what went before makes the target skip it, up to a Sync that the client has yet to send.
        return None, "it stands behind messages without a Sync"
    over = terms.max_rows_over_preview
    if preview.rows is None or (preview.kind != "exact" and over is None):
        return None, "the rows could not be counted"
    return preview.rows + (over or 0), ""


def _changes_rows(statement: Statement) -> bool:
    return bool(statement.classes & {StatementClass.WRITE, StatementClass.OPAQUE})


class _Stage(Enum):
    COUNTING = "counting"
    COMMITTING = "committing"  # the count was right
    UNDOING = "undoing"  # it was not, or the statement failed


class RowGuard:
    """The statement of `part` under its cap. `own`: it runs in a transaction of ours."""

    def __init__(self, talk: Conversation, part: Part) -> None:
        assert part.reply is not None  # noqa: S101 - a held part has one
        assert part.allowed is not None  # noqa: S101 - it has a cap
        self._talk = talk
        self.reply: Reply = part.reply
        self.allowed = part.allowed
        self.own = self.reply.kind == ord("Q") and talk.status == "I"
        self.tail: list[bytes] = []  # what is left of an extended batch
        self._portal, self._limit = "", 0
        self._stage = _Stage.COUNTING
        self._body = b""
        self._rows: list[bytes] = []
        self._size = 0
        self._asked = 0
        self.sent = part.raw
        if self.reply.kind == ord("E"):
            asked = read_execute(part.raw)
            self._portal, self._limit = asked.portal, asked.max_rows
            self.sent = execute(asked.portal) + FLUSH

    @property
    def before(self) -> bytes:
        """What goes before a query in autocommit. If it fails, the session's default keeps the query to reading."""
        return query("BEGIN READ WRITE")

    # --- what the target says -----------------------------------------------------------------------------------------

    def keep(self, rows: bytes) -> None:
        """Rows for the client, masked: kept until the count is known; too many bytes of them are as bad as too many rows."""
        self._size += len(rows)
        if self._size <= self._most:
            self._rows.append(rows)
        else:
            self._rows.clear()

    @property
    def _most(self) -> int:
        return self._talk.grounds.policy.limits.max_held_bytes

    def counted(self, body: bytes) -> bytes | None:
        """CommandComplete: the body to go on with; None while, or because, the client gets none."""
        if self._stage is _Stage.UNDOING:
            return None
        if self._stage is _Stage.COMMITTING:
            return self._body
        count = tag_rows(command_tag(body)) or 0
        if count > self.allowed:
            self._refuse(count, _excess(self._execution, self.allowed, count))
        elif self._size > self._most:
            self._refuse(count, _too_much(self._execution, self._most))
        elif self.own:
            self._body = body
        else:
            return body
        return None

    def told(self, body: bytes) -> bytes | None:
        """The statement stays: give the client its rows, and what ends them."""
        talk = self._talk
        rows = cut(b"".join(self._rows))
        limited = bool(self._limit) and len(rows) >= self._limit
        shown = b"".join(rows[: self._limit] if limited else rows)
        if shown:
            talk.emit(ev.ToClient(shown))
        if limited:
            talk.emit(ev.ToClient(_SUSPENDED))
            if self.reply.portal is not None:
                self.reply.portal.released = True
            if len(rows) > self._limit:
                # The target has nothing left in it: whoever goes on with it hears that it is no more.
                talk.names.apply(Change(Space.PORTAL, kept(self._portal)))
        if not self.own:
            self._end(b"".join(self.tail))
        return None if limited else body

    def failed(self) -> None:
        """The statement, or what went before it in its batch, has failed: nothing is left to decide."""
        if self._stage is _Stage.COMMITTING and self._rows:
            self._talk.emit(ev.ToClient(b"".join(self._rows)))  # PostgreSQL sends them before it looks at constraints
        if self.own:
            self._stage = _Stage.UNDOING
        else:
            self._end(b"".join(self.tail))

    @property
    def undoing(self) -> bool:
        """Is what the target says now only about how it takes back?"""
        return self._stage is _Stage.UNDOING

    def ready(self, status: str) -> bool:
        """ReadyForQuery behind the query. False: it is not the client's yet, and more was asked. Raises TargetUnavailable."""
        if self._stage is _Stage.COUNTING and self._body:
            self._stage = _Stage.COMMITTING
            self._ask(query("COMMIT"))
            return False
        if self.own and status != "I":
            self._stage = _Stage.UNDOING
            self._ask(query("ROLLBACK"))
            return False
        if self.undoing and status == "T":
            self._ask(sure_fail(ord("Q")))
            return False
        self._talk.rowguard = None
        return True

    # --- what is asked of it ------------------------------------------------------------------------------------------

    @property
    def _execution(self) -> Execution:
        execution = self.reply.execution
        assert execution is not None  # noqa: S101 - the guard is of one statement, and it is not over
        return execution

    def _ask(self, text: bytes) -> None:
        """A cancel may hit it once or twice."""
        self._asked += 1
        if self._asked > TRIES:
            raise TargetUnavailable("the target does not end the transaction of an approved statement")
        self._talk.emit(ev.ToTarget(text))

    def _refuse(self, count: int, refusal: tuple[str, str, bytes]) -> None:
        """Record that it is rolled back, tell the client, and see to it that nothing of it stays."""
        talk, execution = self._talk, self._execution
        sqlstate, why, text = refusal
        execution.rows = count if sqlstate == REFUSED else 0  # the card tells a count as the reason
        talk.finish(execution, sqlstate, count, why)
        if execution.request:
            talk.failed[execution.request] = (sqlstate, execution)
        self.reply.at += 1
        self._rows.clear()
        if self.reply.kind == ord("E"):
            talk.replies[0] = Reply(ord("E"), denial=text)
            self._end(sure_fail(ord("E")) + b"".join(self.tail))
            return
        self._stage = _Stage.UNDOING
        talk.broke = True
        talk.emit(ev.ToClient(text))

    def _end(self, last: bytes) -> None:
        self._talk.rowguard = None
        if last:
            self._talk.emit(ev.ToTarget(last))


def _excess(execution: Execution, allowed: int, count: int) -> tuple[str, str, bytes]:
    """(SQLSTATE, what the audit says, ErrorResponse)."""
    why = f"rolled back: {_rows(allowed)} approved, {_rows(count)} would have changed"
    text = error_response(
        REFUSED,
        f"{why}; nothing has changed",
        detail=f"request {execution.request}, rule: {execution.verdict.rule}, approved by {execution.decided_by}",
        hint="The rows have changed since the reviewer saw them. Send it again: a new request is opened, with the new count.",
    )
    return REFUSED, why, text


def _too_much(execution: Execution, most: int) -> tuple[str, str, bytes]:
    why = f"rolled back: an approved statement may return {most} bytes of rows"
    text = error_response(
        _TOO_MUCH,
        f"{why}; nothing has changed",
        detail=f"request {execution.request}: its rows are kept back until their number is known",
        hint="Leave RETURNING out, or do it in smaller parts.",
    )
    return _TOO_MUCH, why, text


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
