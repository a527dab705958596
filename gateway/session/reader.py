"""From a text to what it means to the target: read, its names resolved, and again when a name or a value says more. Pure.

What lives here: texts, prepared statements and the names of EXECUTE, FETCH and MOVE. Reading a text is cached, for all
sessions that read alike (common.py). What must not: the grammar (gateway.sql), what names a client has given
(names.py), verdicts (judging.py).
"""

from collections.abc import Sequence
from dataclasses import replace

from gateway.session.common import LONGEST, cost
from gateway.session.grounds import Grounds
from gateway.session.names import Names, Portal, Prepared, Space
from gateway.session.replies import Batch
from gateway.session.traits import opaque, sets_nothing_of_account, uncertain, unreadable, without_catalog
from gateway.sql.bound import PLAIN_TYPES, read_bound
from gateway.sql.catalog import Catalog
from gateway.sql.effects import named
from gateway.sql.frames import UNKNOWN
from gateway.sql.likeness import likeness
from gateway.sql.parse import read
from gateway.sql.resolve import resolve, resolve_statement
from gateway.sql.shape import shape_of
from gateway.sql.statement import Script, Statement
from gateway.sql.tree import parts
from gateway.wire.frontend import Bind

_BY_NAME = {"EXECUTE": Space.STATEMENT, "FETCH": Space.PORTAL, "MOVE": Space.PORTAL}


class Reader:
    """Reads texts by the grounds of now."""

    def __init__(self, grounds: Grounds) -> None:
        self._grounds = grounds
        self._big: dict[str, Script] = {}

    def answered(self, sql: str, script: Script) -> None:
        """The parser process has read a big text; it is kept until it was judged once."""
        self._big[sql] = script

    def read(self, sql: str) -> Script | None:
        """The text, read and resolved; None where the parser process must read it first."""
        reading = self._grounds.reading
        known = reading.texts.get(sql)
        if known is not None:
            return known
        form = shape_of(sql) if len(sql) <= LONGEST else None
        like = None if form is None else reading.likes.get(form)
        if like is not None:
            return like.of(sql)
        script = read(sql)
        if script.too_big:
            if sql not in self._big:
                return None
            script = self._big.pop(sql)
        if script.unparsable is not None:
            # Nothing is known of it. Without a statement there would be nothing to judge and nothing to record.
            script = replace(script, statements=(unreadable(sql, script.unparsable),))
        script = self._resolved(script)
        if len(sql) <= LONGEST:
            reading.texts.put(sql, script, cost(sql))
            like = None if form is None else likeness(script)
            if form is not None and like is not None:
                reading.likes.put(form, like, cost(sql))
        return script

    def _resolved(self, script: Script) -> Script:
        """What the names mean on the target. Where its catalog can't be read, nobody knows what a name would run."""
        catalog = self._grounds.catalog
        script = resolve(script, catalog, self._grounds.search_path)
        if catalog is not None:
            return replace(script, statements=tuple(map(self._with_conditions, script.statements)))
        return replace(script, statements=tuple(map(without_catalog, script.statements)))

    def _with_conditions(self, statement: Statement) -> Statement:
        """The statement with what its conditions read behind views and names, where a mask could be concerned."""
        grounds = self._grounds
        found = grounds.lineages.tested(statement.sql) if grounds.protects else frozenset[str]()
        if UNKNOWN in found:
            found = frozenset(grounds.protected()) if grounds.touches_protected(statement) else found - {UNKNOWN}
        known = statement.protected_predicates
        return (
            replace(statement, protected_predicates=tuple(dict.fromkeys((*known, *sorted(found)))))
            if found
            else statement
        )

    def fresh(self, prepared: Prepared) -> Script:
        """What a prepared statement means now: PostgreSQL resolves its names again under the search_path of each Bind."""
        under = self._grounds.under
        if prepared.read_under != under:
            prepared.script = self._resolved(prepared.script)
            prepared.read_under = under
        return prepared.script

    def bound(self, prepared: Prepared, bind: Bind) -> Script:
        """What it means at a Bind: a parameter's own type, given by number, may run code too."""
        script = self._configured(self.fresh(prepared), prepared.types, bind)
        catalog = self._grounds.catalog
        if catalog is None or catalog.user_type_oids.isdisjoint(prepared.types):
            return script
        reason = "a parameter is of a type that runs user code"
        return replace(script, statements=tuple(opaque(each, reason) for each in script.statements))

    def _configured(self, script: Script, types: Sequence[int], bind: Bind) -> Script:
        """With the values that set_config() is bound with: they say as much as literals, but for settings that nothing here goes by.
        Not what another type may change."""
        wanted = {
            number for each in script.statements if not sets_nothing_of_account(each) for number in each.configures
        }
        values = {number: text[0] for number in wanted if (text := _bound_text(number, types, bind)) is not None}
        read_again = read_bound(script.statements[0].sql, values) if values and len(script.statements) == 1 else None
        if read_again is None:
            return script
        read_again = replace(read_again, fingerprint=script.statements[0].fingerprint)
        return self._resolved(replace(script, statements=(read_again,)))

    def expand(self, statement: Statement, batch: Batch, names: Names) -> Statement:
        """Put the meaning of a name in the place of EXECUTE, FETCH and MOVE; an unknown name stays opaque."""
        use = statement.names
        if use is None or use.verb not in _BY_NAME or use.name is None:
            return statement
        space = _BY_NAME[use.verb]
        found: Prepared | Portal | None
        if space is Space.STATEMENT:
            found = batch.statements[use.name] if use.name in batch.statements else names.statements.get(use.name)
            script = self.fresh(found) if found else None
        else:
            found = batch.portals[use.name] if use.name in batch.portals else names.portals.get(use.name)
            script = found.script if found else None
        if found is not None and names.doubtful(found):
            return opaque(statement, f"what {use.name} means can't be known: code ran that may have changed it")
        if script is None or len(script.statements) != 1:
            return opaque(statement, f"{use.verb} of a name that this session has not defined")
        meant = script.statements[0]
        # `named` keeps what the parameters of EXECUTE call beside what the body does.
        expanded = replace(named(statement, meant), sql=statement.sql, names=replace(use, body=meant))
        if isinstance(found, Portal) and self._has_changed(meant, found.under):
            return uncertain(expanded, f"what {use.name} reads was changed since it was declared")
        return expanded

    def _has_changed(self, statement: Statement, before: Catalog | None) -> bool:
        """Is one of the relations that it reads, or of those behind them, another than in the catalog of `before`?"""
        catalog = self._grounds.catalog
        if before is None or before is catalog:
            return False
        names = [*statement.reads, *(name for name, _ in statement.behind)]
        keys = [(schema, name) for schema, name in (parts(each)[-2:] for each in names if "." in each)]
        now = catalog.relations if catalog else {}
        pairs = ((before.relations.get(key), now.get(key)) for key in keys)
        return any(a is None or b is None or replace(a, reltuples=b.reltuples) != b for a, b in pairs)

    def given(self, statement: Statement | None) -> tuple[frozenset[str], ...] | None:
        """What the parameters carry that EXECUTE gives to the statement behind its name."""
        use = statement.names if statement else None
        if statement is None or use is None or use.verb != "EXECUTE":
            return ()
        return self._grounds.lineages.arguments(statement.sql)

    def meant(self, statement: Statement | None) -> Statement | None:
        """The statement whose columns come: what stands behind the name of EXECUTE and FETCH."""
        use = statement.names if statement else None
        if use is None or use.verb not in _BY_NAME:
            return statement
        if use.verb == "EXECUTE" or use.body is None or not self._grounds.wandered:
            return use.body
        now = resolve_statement(use.body, self._grounds.catalog, self._grounds.search_path)
        return use.body if now.reads == use.body.reads else None


def _bound_text(number: int, types: Sequence[int], bind: Bind) -> tuple[str | None] | None:
    """A parameter's value where it can only be text (in its binary format too those bytes); None where it isn't known."""
    if number > len(bind.parameters) or (types[number - 1] if number <= len(types) else 0) not in PLAIN_TYPES:
        return None
    value = bind.parameters[number - 1]
    try:
        return (None if value is None else value.decode(),)
    except UnicodeDecodeError:
        return None
