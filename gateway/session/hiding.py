"""What must not be seen: masks of results and of COPY, texts and values as people are told them, what errors may quote.

What lives here: from a result's columns to a masker, from a statement to what cards and the audit may show of it, and
placeholders of ours that come back in a write. What must not: how a value is masked (gateway.masking), what is
protected (grounds.py).
"""

from collections.abc import Sequence

from gateway.masking.columns import NUMBERS, MaskPlan, plan
from gateway.masking.copy import CopyMasker, CopyOptions
from gateway.masking.diagnostics import scrub_fields, scrub_names, scrub_sql
from gateway.masking.masks import REDACTED, Kind
from gateway.masking.placeholders import CopyWatch, in_statement, in_values
from gateway.masking.rows import RowMasker
from gateway.policy.decide import Answer, Verdict
from gateway.session.common import cost
from gateway.session.copying import columns_of, formats_of, options_of
from gateway.session.grounds import Grounds
from gateway.session.reader import Reader
from gateway.sql.catalog import Relation
from gateway.sql.lineage import Lines
from gateway.sql.literals import withheld
from gateway.sql.statement import Statement, StatementClass
from gateway.sql.tree import parts
from gateway.wire.backend import Column


class Hiding:
    """What one session is not shown, by the grounds of now."""

    def __init__(self, grounds: Grounds, reader: Reader) -> None:
        self._grounds = grounds
        self._reader = reader

    # --- results ------------------------------------------------------------------------------------------------------

    def masker(
        self,
        statement: Statement | None,
        columns: Sequence[Column],
        formats: Sequence[int],
        described: Sequence[Column] | None = None,
        *,
        approved: bool = False,
    ) -> RowMasker | None:
        """The masker of one result, or None where no value can need one.

        `described`: the columns as the target described them, where `columns` says more of where a value will be stored.
        `approved`: people let the statement go, and were told if its columns can't be traced.
        """
        if self._grounds.clear:
            return None
        planned = self._plan(statement, columns, formats, described, approved=approved)
        return RowMasker(planned, self._grounds.detectors, self._grounds.login.mask_key) if planned.touches else None

    def copier(self, statement: Statement | None, body: bytes, *, approved: bool = False) -> CopyMasker | None:
        """What masks the CopyData of a COPY TO STDOUT, or None; `body` is CopyOutResponse's. `approved`: as masker."""
        if self._grounds.clear:
            return None
        formats = formats_of(body)
        columns = columns_of(statement, formats, self._table_of(statement))
        planned = self._plan(statement, columns, formats, approved=approved)
        options = options_of(statement) if statement else CopyOptions()
        if not planned.touches and not (options.header and columns):  # a header has names, which code may have made
            return None
        return CopyMasker(planned.columns, options, self._grounds.detectors, self._grounds.login.mask_key)

    def _table_of(self, statement: Statement | None) -> Relation | None:
        """The table of `COPY t TO STDOUT`, None for a query."""
        catalog = self._grounds.catalog
        if statement is None or catalog is None or not statement.copy_columns or len(statement.reads) != 1:
            return None
        schema, name = parts(statement.reads[0])
        return catalog.relations.get((schema, name))

    def _plan(
        self,
        statement: Statement | None,
        columns: Sequence[Column],
        formats: Sequence[int],
        described: Sequence[Column] | None = None,
        *,
        approved: bool = False,
    ) -> MaskPlan:
        grounds = self._grounds
        sources = self._sources(statement, described or columns)
        return plan(
            columns,
            formats,
            sources,
            grounds.masks,
            grounds.login.target.name,
            grounds.tables,
            grounds.detectors,
            redacts=not (approved and grounds.holds_untraced),
            kept=self._kept(statement, sources),
        )

    def _kept(self, statement: Statement | None, sources: Lines | None) -> frozenset[Kind]:
        """The types that a column of unknown lineage may have and stay. None where the text as a whole can't be followed and
        protected columns are in its reach: arithmetic would hand out their numbers and dates. None either where the session
        has copied a protected column: it may be in a temporary table, which no catalog shows."""
        followed = sources is not None or (statement is not None and not self._grounds.touches_protected(statement))
        return NUMBERS if followed and not self._grounds.copied else frozenset()

    def _sources(self, statement: Statement | None, columns: Sequence[Column]) -> Lines | None:
        """The lineage of a result, but None for a column of which the target itself names another origin."""
        if not self._grounds.protects:
            return [frozenset[str]()] * len(columns)
        if statement is not None and statement.uncertain:
            return None
        meant = self._reader.meant(statement)
        given = self._reader.given(statement)
        if meant is None or given is None:
            return None
        explains = meant is not statement and statement is not None and statement.tag == "EXPLAIN"
        found = self._grounds.lineages.of(f"EXPLAIN {meant.sql}" if explains else meant.sql, len(columns), given)
        if found is None:
            return None
        return [each if self._agrees(each, column) else None for each, column in zip(found, columns, strict=True)]

    def _agrees(self, carried: frozenset[str] | None, column: Column) -> bool:
        """False where a name meant something else to the target than to us: a temporary table, one made just now."""
        if not column.table_oid or carried is None:
            return True
        schema, table, names = self._grounds.tables.get(column.table_oid, ("", "", {}))
        name = names.get(column.attnum)
        return f"{schema}.{table}.{name}" in carried if name else bool(table) and column.attnum <= 0

    def names(self, body: bytes) -> bytes:
        """The body of a RowDescription as the client may see it."""
        return body if self._grounds.clear else scrub_names(body, self._grounds.detectors)

    def seen_clear(self, statement: Statement) -> tuple[str, ...]:
        """The protected columns that its result may show to somebody who may see them; "*" where it may be any."""
        grounds = self._grounds
        if not grounds.clear or not grounds.masks:
            return ()
        if StatementClass.OPAQUE in statement.classes:
            return ("*",)
        names = {*statement.reads, *statement.writes}
        found = (
            f"{name}.{column.rpartition('.')[2]}"
            for name in names
            for column, _ in grounds.masks
            if grounds.covers(name, column)
        )
        return tuple(sorted({*found}))

    @property
    def unscanned(self) -> str:
        """Why no detector looks at results, "" where they do."""
        return "clear_for" if self._grounds.clear else "" if self._grounds.detectors.names else "no detectors"

    # --- what cards, the audit and the client are told ----------------------------------------------------------------

    def told(
        self, statement: Statement, values: Sequence[str | None] | None
    ) -> tuple[str, tuple[str | None, ...] | None]:
        """The statement's text and its bound values as cards and the audit may show them.

        What detectors know is masked, and so is every constant and value that is compared with a protected column or
        written to one: whoever asks for `card = '4111...'` has shown the card to all who read of it.
        """
        offsets, _ = self._of_protected(statement)
        shown = None if values is None else self.told_values(statement, values)
        return self.scrub(withheld(statement.sql, offsets, f"'{REDACTED}'")), shown

    def told_values(self, statement: Statement, values: Sequence[str | None]) -> tuple[str | None, ...]:
        """Its bound values alone: see `told`."""
        _, numbers = self._of_protected(statement)
        if not numbers and not self._grounds.own.suspicious("\0".join(filter(None, values)).encode("utf-8", "replace")):
            return tuple(values)
        return tuple(
            REDACTED if each is not None and at in numbers else each and self.scrub(each)
            for at, each in enumerate(values, 1)
        )

    def hides_values(self, statement: Statement) -> bool:
        """Does `told_values` redact any of its parameters, whatever is bound?"""
        return bool(self._of_protected(statement)[1])

    def compares_protected(self, statement: Statement) -> bool:
        """Does a constant or a parameter of it stand beside a protected column?"""
        return any(self._of_protected(statement))

    def _of_protected(self, statement: Statement) -> tuple[set[int], set[int]]:
        """Offsets of the constants and numbers of the parameters that stand beside a protected column."""
        grounds = self._grounds
        known = grounds.reading.beside.get(statement.sql)
        if known is None:  # one look for all rows of an executemany
            offsets, numbers = set[int](), set[int]()
            for _, constants, parameters in (
                grounds.lineages.beside(statement.sql, self._protects) if grounds.masks else ()
            ):
                offsets.update(constants)
                numbers.update(parameters)
            known = offsets, numbers
            grounds.reading.beside.put(statement.sql, known, cost(statement.sql))
        return known

    def _protects(self, carried: frozenset[str]) -> bool:
        return any(map(self._grounds.is_protected, carried))

    def scrub(self, text: str) -> str:
        """A text of the client's as it may be stored and shown: SQL, a value, what it says of itself."""
        return scrub_sql(text, self._grounds.detectors)

    def diagnostics(self, body: bytes, *, protected: bool) -> bytes:
        """The body of an ErrorResponse or NoticeResponse as the client may see it."""
        return scrub_fields(body, self._grounds.detectors, protected)

    # --- placeholders that come back ----------------------------------------------------------------------------------

    def masked_write(self, statements: Sequence[Statement], values: Sequence[str | None] | None) -> Verdict | None:
        """The refusal of a write that holds a placeholder of ours: it would put that over the real value."""
        writing = [each for each in statements if each.writes and StatementClass.WRITE in each.classes]
        found = next(filter(None, (in_statement(each.sql) for each in writing)), "") or in_values(values or ())
        return self.written_back(found) if writing and found and self._hides else None

    def writes_back(self, sql: str) -> bool:
        """Does this text of a write hold a placeholder of ours?"""
        return self._hides and bool(in_statement(sql))

    def watch_copy(self) -> CopyWatch | None:
        """What looks at the data of a COPY FROM STDIN, where this person is shown placeholders."""
        return CopyWatch() if self._hides else None

    def written_back(self, found: str) -> Verdict:
        """The refusal of what holds this placeholder of ours."""
        reason = f"it writes {found}, which stands for a value that was masked"
        hint = f"{reason}. Leave masked columns out of the statement, or ask someone who may see them."
        return Verdict(Answer.DENY, None, reason, message=hint)

    @property
    def _hides(self) -> bool:
        return bool(self._grounds.masks or self._grounds.detectors.names)
