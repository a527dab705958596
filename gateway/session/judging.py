"""What a session knows about policy, catalog and masks, and the questions it asks of them. Pure.

What lives here: from a text to a verdict, from a result's columns to a masker. How a verdict changes the conversation is
in session.py. Reading a text is cached, for all sessions that read alike (common.py); judging it is not (rules may look at the
clock).
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from gateway.identity.claims import Identity
from gateway.masking.columns import NUMBERS, MaskPlan, literally, plan
from gateway.masking.copy import CopyMasker, CopyOptions
from gateway.masking.diagnostics import own, scrub_fields, scrub_names, scrub_sql
from gateway.masking.masks import REDACTED, Kind
from gateway.masking.placeholders import CopyWatch, in_statement, in_values
from gateway.masking.rows import RowMasker
from gateway.policy.decide import Answer, Circumstances, Verdict, judge, sees_clear, strictest
from gateway.policy.model import Policy, Target
from gateway.policy.oracles import tested
from gateway.session.common import LONGEST, Commons, Standing, cost
from gateway.session.copying import columns_of, formats_of, options_of
from gateway.session.names import Names, Portal, Prepared, Space
from gateway.session.replies import Batch
from gateway.sql.behind import passed_on
from gateway.sql.bound import PLAIN_TYPES, read_bound
from gateway.sql.catalog import Catalog, Relation, Spread
from gateway.sql.copies import fits, spread_by
from gateway.sql.effects import named
from gateway.sql.frames import UNKNOWN
from gateway.sql.functions import special_class
from gateway.sql.likeness import likeness
from gateway.sql.lineage import Lines
from gateway.sql.lineage_expressions import Copy
from gateway.sql.literals import withheld
from gateway.sql.parse import read
from gateway.sql.resolve import resolve, resolve_statement
from gateway.sql.restarts import calls_beside_from
from gateway.sql.severing import concerned, severs
from gateway.sql.shape import shape_of
from gateway.sql.statement import ALL, Control, Script, Statement, StatementClass
from gateway.sql.tree import UNQUALIFIED, dotted, parts
from gateway.wire.backend import Column
from gateway.wire.frontend import Bind

#: Texts that have met 25006, kept per session.
WRITERS = 256
WRITES = "the server says that it writes (25006)"

_BY_NAME = {"EXECUTE": Space.STATEMENT, "FETCH": Space.PORTAL, "MOVE": Space.PORTAL}


@dataclass(frozen=True, slots=True)
class Login:
    """Who is connected to what: fixed for the session's life. `mask_key` and `digest_key` are derived secrets."""

    session: str
    replica: str
    identity: Identity
    target: Target
    agent: str
    client: str
    mask_key: bytes
    digest_key: bytes


#: A place that values are written to: schema, relation, column; None is any.
Place = tuple[str | None, str | None, str | None]
#: A relation, as far as its name is known: schema, name.
Relative = tuple[str | None, str]
#: Columns that a session has copied protected ones to; with more than these everything is masked. fnmatch keeps 256 globs
#: compiled, the policy's own among them.
MAX_COPIED = 128
#: What puts no value anywhere.
_KEEP = frozenset({StatementClass.HOUSEKEEPING, StatementClass.READ})
#: A read that random() tells of later.
_SEEDS = frozenset({"setseed", "pg_catalog.setseed"})
#: What changes settings inside a query.
_SETS = frozenset({"set_config"})
_SETTINGS = "pg_catalog.pg_settings"

_GIVES_ROWS = frozenset({StatementClass.READ, StatementClass.WRITE, StatementClass.OPAQUE})
#: What reads tables again and may tell of their rows: code in an index or in statistics speaks.
_MAINTENANCE = frozenset({"ANALYZE", "CLUSTER", "REINDEX", "VACUUM"})
_GIVES_NONE = frozenset({"TRUNCATE TABLE", "LOCK TABLE", "NOTIFY", "MOVE", "DO"})


class Judge:
    """Reads and judges texts for one login under one policy, catalog and search_path."""

    def __init__(
        self,
        login: Login,
        policy: Policy,
        catalog: Catalog | None,
        search_path: tuple[str, ...] = ("public",),
        commons: Commons | None = None,
    ) -> None:
        """`commons`: of the sessions of this process; without them it shares nothing."""
        self.login = login
        self.agent = login.agent
        self.epoch = 0  # goes on whenever a text may be judged, or its result masked, otherwise than before
        self.policy, self.catalog, self.search_path = policy, catalog, search_path
        self._commons = commons or Commons()
        self._wandered = False  # the search_path changed: a cursor may still read what a name meant before
        self._copied_to: dict[
            tuple[str, str], None
        ] = {}  # masks of columns that this session has copied protected ones to
        self._defined: set[str] = (
            set()
        )  # names of tables in this session's DDL, perhaps too short-lived for any catalog
        self._heirs: list[tuple[Relative, Relative]] = []  # tables that this session has made of others: child, parent
        self.doubts_settings = False  # a statement of this session may have put protected values into settings
        self._big: dict[str, Script] = {}
        self._writers: OrderedDict[str, None] = OrderedDict()
        self._read_anew()

    def adopt(self, policy: Policy) -> None:
        """Judge by this policy from now on."""
        self.policy = policy
        self._read_anew()

    def _read_anew(self) -> None:
        """Texts are read anew: what they mean, or what is protected, has changed."""
        self.epoch += 1
        login = self.login
        clear = sees_clear(self.policy, login.identity)
        copied = tuple(self._copied_to)
        standing = Standing(login.target.name, login.target.user, self.search_path, clear, copied, self.doubts_settings)
        self._shared = standing.shared
        self.reading = reading = self._commons.reading(self.policy, self.catalog, standing)
        self.detectors, self.protects, self._clear = reading.detectors, reading.protects, clear
        self.own = own(reading.detectors)  # where it suspects nothing among some bytes, `scrub` changes no text of them
        self._masks, self._tables, self._lineages = reading.masks, reading.tables, reading.lineages

    @property
    def like_others(self) -> bool:
        """Has this session done nothing that makes it judge or mask a text otherwise than others of the same standing?"""
        return self._shared and not (self._heirs or self._defined or self._writers)

    @property
    def stamp(self) -> tuple[int, int]:
        """As long as it is the same, the same is told of a statement."""
        return self.epoch, len(self._heirs)

    def twin(self) -> "Judge":
        """One of the same standing that belongs to no session: what it finds holds for all that are like others."""
        login = replace(self.login, session="", agent=self.agent)
        return Judge(login, self.policy, self.catalog, self.search_path, self._commons)

    def refresh(self, catalog: Catalog | None) -> None:
        """Know the target by these facts from now on."""
        lost = self._lost(catalog) if self.protects else set[str]()
        self.catalog = catalog
        self._note_copied(lost)
        self._read_anew()

    def _lost(self, new: Catalog | None) -> set[str]:
        """Columns that were made of protected ones and aren't any more: a trigger is gone, what it has written isn't."""
        if self.catalog is None or new is None or new is self.catalog:
            return set()
        found = set[str]()
        for key, relation in self.catalog.relations.items():
            now = new.relations.get(key)
            for column, sources in relation.fed.items() if now else ():
                gone = sources - now.fed.get(column, frozenset()) if now else sources
                if any(map(self._is_protected, gone)):
                    found.add(self._glob((*key, column)))
        return found

    def runs(self, statement: Statement) -> None:
        """It is on its way to the target: note what it may do with protected values that later statements could show."""
        if not self.protects:
            return
        if not self.doubts_settings and _may_set(statement) and self.touches_protected(statement):
            self.doubts_settings = True
            self._read_anew()
        self._heirs += [each for each in self._lineages.heirs(statement.sql) if each not in self._heirs]
        new = {self._glob(place) for place, _ in self._copies(statement)}
        if StatementClass.DDL in statement.classes:
            self._defined |= concerned(statement.sql) | self._written_by_triggers(statement)
            if (new or self._copied_to) and severs(statement.sql):  # what was copied may be called otherwise by now
                new |= {self._glob((None, name, None)) for name in self._defined}
        if new - self._copied_to.keys():
            self._mask_too(new)

    def _written_by_triggers(self, statement: Statement) -> set[str]:
        """The tables that a trigger's function writes to, where the statement makes one."""
        known = self.catalog.function_writes if self.catalog and statement.tag == "CREATE TRIGGER" else {}
        called = {parts(each)[-1] for each in statement.functions}
        return {name for each in called & known.keys() for _, name in known[each].to}

    def _mask_too(self, globs: set[str]) -> None:
        """Mask what these match in this session too."""
        self._note_copied(globs)
        self._read_anew()

    def _note_copied(self, globs: set[str]) -> None:
        """These are to be masked; everything, where that gets too much."""
        if len(self._copied_to) + len(globs) > MAX_COPIED:
            self._copied_to.clear()
            globs = {self._glob((None, None, None))}
        self._copied_to |= dict.fromkeys((each, "redact") for each in sorted(globs))

    def _glob(self, place: Place) -> str:
        return ".".join(
            (literally(self.login.target.name), *("*" if each is None else literally(each) for each in place))
        )

    def passed_on(self, statement: Statement) -> tuple[str, ...]:
        """The tables that foreign keys and triggers change with it; of what writes nowhere else nothing has to be worked out."""
        if self.catalog is None or not any(writes for _, writes in statement.behind):
            return ()
        return passed_on(statement, self.catalog)

    def copies(self, statement: Statement) -> tuple[tuple[str, str], ...]:
        """The protected columns that it copies into others, as (from, to): "schema.table.column", "*" for what isn't known."""
        found = (
            (source, ".".join("*" if each is None else each for each in place))
            for place, sources in self._copies(statement)
            for source in sources
        )
        return tuple(dict.fromkeys(found))

    def _copies(self, statement: Statement) -> list[tuple[Place, list[str]]]:
        """Each place that it writes protected columns to and that isn't protected itself, with these columns."""
        if not self._masks:
            return []
        meant = self._meant(statement)
        spread = spread_by(meant or statement, self.catalog) if self.catalog else []
        if statement.classes <= _KEEP and not spread and _SEEDS.isdisjoint(statement.functions):
            return []
        given = self._given(statement)
        copies = self._lineages.copies(meant.sql, given) if meant and given is not None else None
        by_code = [copy for code in spread for copy in self._by_code(code, frozenset())]
        if copies is None:
            copies = self._unfollowed(meant or statement)
            read = self._within_reach(meant or statement)
            by_code += [copy for code in spread for copy in self._by_code(code, read)]
        elif meant is not statement:  # CREATE TABLE ... AS EXECUTE
            copies = [*copies, *(self._lineages.copies(statement.sql) or ())]
        found = [((s, t, c), self._protected_of(carried, statement)) for s, t, c, carried in copies] + by_code
        for (_, table, column), sources in found:  # it grows: rows of a child show in its parents
            found += [((*parent, column), sources) for (_, child), parent in self._heirs if child == table]
        return [
            (place, sources)
            for place, sources in found
            if sources and not self._is_protected(".".join("*" if each is None else each for each in place))
        ]

    def _by_code(self, code: Spread, given: frozenset[str]) -> list[tuple[Place, list[str]]]:
        """What code may write of what it reads, and of what it was `given` for all that is known."""
        relations = self.catalog.relations if self.catalog else {}
        sources = {name: kind for name, kind in code.reads.items() if self._is_protected(name)}
        found: list[tuple[Place, list[str]]] = [
            ((None, name, None), sorted({*sources, *given})) for name in code.creates
        ]
        found += [((None, None, None if name == "*" else name), sorted(sources)) for name in code.sets]
        if code.anywhere:
            found.append(((None, None, None), sorted(sources)))
        for key in code.to:
            for column in relations[key].columns:
                kind = relations[key].types.get(column, "")
                held = {name for name, its in sources.items() if fits(kind, (its,))}
                found.append(((*key, column), sorted(held | given)))
        return [(place, carried) for place, carried in found if carried]

    def _read_by(self, statement: Statement) -> set[str]:
        """The relations that it reads, behind views and by functions too."""
        return {*statement.reads, *(name for name, written in statement.behind if not written)}

    def _protected_of(self, carried: frozenset[str], statement: Statement) -> list[str]:
        """The protected columns among these, and if it isn't known what else is carried, all that the statement reads."""
        found = set(filter(self._is_protected, carried))
        return sorted(found | self._within_reach(statement) if UNKNOWN in carried else found)

    def _within_reach(self, statement: Statement) -> frozenset[str]:
        """The protected columns that it reads; any, where code or a table says nothing of
        what it holds."""
        names = self._read_by(statement)
        read = frozenset(
            f"{name}.{column.rpartition('.')[2]}"
            for name in names
            for column, _ in self._masks
            if self._covers(name, column)
        )
        hidden = self._copied_to and any(self._relation(name) is None for name in names)
        return read.union(self._protected()) if hidden or self._runs_what_nobody_reads(statement) else read

    def _runs_what_nobody_reads(self, statement: Statement) -> bool:
        """Is it opaque for more than functions whose words tell what they read?"""
        called = {parts(each)[-1] for each in statement.functions}
        told = (
            self.catalog is not None
            and bool(called)
            and called.isdisjoint(self.catalog.user_functions - self.catalog.contained_functions)
        )
        named = statement.names is None or statement.names.body is not None
        return StatementClass.OPAQUE in statement.classes and not (
            told and named and not any(special_class(each) is StatementClass.OPAQUE for each in called)
        )

    def _unfollowed(self, statement: Statement) -> list[Copy]:
        """Of a text that can't be followed: it may write any protected column that it reads, wherever it writes."""
        read = self._within_reach(statement)
        places = [parts(each)[-2:] for each in statement.writes if read]
        return [(names[0] if len(names) > 1 else None, names[-1], None, read) for names in places]

    def moved(self, search_path: tuple[str, ...]) -> None:
        """Unqualified names resolve by this path from now on."""
        if search_path != self.search_path:
            self.search_path = search_path
            self._wandered = True
            self._read_anew()

    def answered(self, sql: str, script: Script) -> None:
        """The parser process has read a big text; it is kept until it was judged once."""
        self._big[sql] = script

    def read(self, sql: str) -> Script | None:
        """The text, read and resolved; None where the parser process must read it first."""
        known = self.reading.texts.get(sql)
        if known is not None:
            return known
        form = shape_of(sql) if len(sql) <= LONGEST else None
        like = None if form is None else self.reading.likes.get(form)
        if like is not None:
            return like.of(sql)
        script = read(sql)
        if script.too_big:
            if sql not in self._big:
                return None
            script = self._big.pop(sql)
        if script.unparsable is not None:
            # Nothing is known of it. Without a statement there would be nothing to judge and nothing to record.
            script = replace(script, statements=(_unreadable(sql, script.unparsable),))
        script = self._resolved(script)
        if len(sql) <= LONGEST:
            self.reading.texts.put(sql, script, cost(sql))
            like = None if form is None else likeness(script)
            if form is not None and like is not None:
                self.reading.likes.put(form, like, cost(sql))
        return script

    def _resolved(self, script: Script) -> Script:
        """What the names mean on the target. Where its catalog can't be read, nobody knows what a name would run."""
        script = resolve(script, self.catalog, self.search_path)
        if self.catalog is not None:
            return replace(script, statements=tuple(map(self._with_conditions, script.statements)))
        return replace(script, statements=tuple(map(_without_catalog, script.statements)))

    def writes(self, statement: Statement) -> None:
        """The server says that it writes: from now on nobody takes it for a read."""
        self.epoch += 1
        self._writers[_text(statement)] = None
        if len(self._writers) > WRITERS:
            self._writers.popitem(last=False)

    def has_written(self, statement: Statement) -> bool:
        return bool(self._writers) and _text(statement) in self._writers

    def wants_to_write(self, statement: Statement) -> bool:
        """Is it tried as a read although code that it calls holds a write?"""
        if not statement.guarded or self.catalog is None:
            return False
        return not self.catalog.writing_functions.isdisjoint(parts(each)[-1] for each in statement.functions)

    def restarts(self, statement: Statement) -> bool:
        """Would going on with it behind the guard's savepoint begin a function of the user's anew?"""
        names = self.catalog.restarting_functions if self.catalog else frozenset()
        called = {parts(each)[-1] for each in statement.functions} & names
        return bool(called) and calls_beside_from(_text(statement), called)

    def _with_conditions(self, statement: Statement) -> Statement:
        """The statement with what its conditions read behind views and names, where a mask could be concerned."""
        found = self._lineages.tested(statement.sql) if self.protects else frozenset[str]()
        if UNKNOWN in found:
            found = frozenset(self._protected()) if self.touches_protected(statement) else found - {UNKNOWN}
        known = statement.protected_predicates
        return (
            replace(statement, protected_predicates=tuple(dict.fromkeys((*known, *sorted(found)))))
            if found
            else statement
        )

    def _protected(self) -> Iterator[str]:
        """Each protected column as policy writes it, without the target."""
        target = self.login.target.name
        for each in self.policy.masking.columns:
            of, _, column = each.column.partition(".")
            if fnmatchcase(target, of):
                yield column

    def tested(self, statement: Statement) -> tuple[str, ...]:
        """The protected columns that its conditions read: an oracle, which no mask stops and the audit counts."""
        return tested(self.policy.masking, self.login.target.name, statement) if self.protects else ()

    @property
    def under(self) -> tuple[int | None, tuple[str, ...]]:
        """What names are resolved by now: the catalog's version and search_path."""
        return self.catalog.version if self.catalog else None, self.search_path

    def fresh(self, prepared: Prepared) -> Script:
        """What a prepared statement means now: PostgreSQL resolves its names again under the search_path of each Bind."""
        under = self.under
        if prepared.read_under != under:
            prepared.script = self._resolved(prepared.script)
            prepared.read_under = under
        return prepared.script

    def bound(self, prepared: Prepared, bind: Bind) -> Script:
        """What it means at a Bind: a parameter's own type, given by number, may run code too."""
        script = self._configured(self.fresh(prepared), prepared.types, bind)
        if self.catalog is None or self.catalog.user_type_oids.isdisjoint(prepared.types):
            return script
        reason = "a parameter is of a type that runs user code"
        return replace(script, statements=tuple(opaque(each, reason) for each in script.statements))

    def _configured(self, script: Script, types: Sequence[int], bind: Bind) -> Script:
        """With the values that set_config() is bound with: they say as much as literals. Not what another type may change."""
        wanted = {number for each in script.statements for number in each.configures}
        values = {number: text[0] for number in wanted if (text := _bound_text(number, types, bind)) is not None}
        read_again = read_bound(script.statements[0].sql, values) if values and len(script.statements) == 1 else None
        if read_again is None:
            return script
        read_again = replace(read_again, fingerprint=script.statements[0].fingerprint)
        return self._resolved(replace(script, statements=(read_again,)))

    def runs_at_bind(self, script: Script) -> bool:
        """May Bind alone run user code? The planner calls functions of constants; a parameter may take the type of the column
        that it is written to, and then a domain's CHECK reads its value."""
        return any(
            StatementClass.OPAQUE in each.classes or any(map(self._checks, each.writes)) for each in script.statements
        )

    def runs_at_parse(self, script: Script) -> bool:
        """May Parse alone run user code? A constant that is cast to an array or row over a domain meets its CHECK there.
        Of a text that can't be read nothing is known."""
        if any(each.tag == UNREADABLE for each in script.statements):
            return True
        known = self.catalog.user_types if self.catalog else frozenset()
        return any(parts(each)[-1] in known for statement in script.statements for each in statement.written.types)

    def _checks(self, relation: str) -> bool:
        """Has a column of it a type that runs user code?"""
        found = self.catalog.relations.get(tuple(parts(relation)[-2:])) if self.catalog and "." in relation else None  # type: ignore[arg-type] # two parts
        if found is None or self.catalog is None:
            return False
        names = (each.partition("(")[0].rstrip("[]").rpartition(".")[2].strip('"') for each in found.types.values())
        return not self.catalog.user_types.isdisjoint(names)

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
        if before is None or before is self.catalog:
            return False
        names = [*statement.reads, *(name for name, _ in statement.behind)]
        keys = [(schema, name) for schema, name in (parts(each)[-2:] for each in names if "." in each)]
        now = self.catalog.relations if self.catalog else {}
        pairs = ((before.relations.get(key), now.get(key)) for key in keys)
        return any(a is None or b is None or replace(a, reltuples=b.reltuples) != b for a, b in pairs)

    def verdict(self, statements: Sequence[Statement], now: float, rows: int | None = None) -> Verdict:
        """The strictest verdict over the statements of one message; the first of the strictest names the rule."""
        at = Circumstances(now, self.agent, self.login.client, rows)
        if self._holds_untraced and self.protects:
            statements = [replace(each, untraced=True) if self._is_untraced(each) else each for each in statements]
        if self.policy.masking.copies != "allow":
            statements = [replace(each, spreads=found) if (found := self.copies(each)) else each for each in statements]
        verdicts = [judge(self.policy, self.login.identity, self.login.target.name, each, at) for each in statements]
        return strictest(self.policy, verdicts) if verdicts else Verdict(Answer.ALLOW, None, "empty")

    @property
    def _holds_untraced(self) -> bool:
        return self.policy.masking.unresolved == "hold"

    def _is_untraced(self, statement: Statement) -> bool:
        """Does it give a result of which isn't known what it carries? DECLARE and PREPARE give none: FETCH and EXECUTE do."""
        meant = self._meant(statement)
        named = meant is statement and statement.names is not None
        if named or statement.tag in _GIVES_NONE or not statement.classes & _GIVES_ROWS:
            return False
        outputs = None if statement.uncertain or meant is None else self._lineages.outputs(meant.sql)
        return outputs is None or any(each.carried is None for each in outputs)

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

    @property
    def _hides(self) -> bool:
        return bool(self._masks or self.detectors.names)

    def written_back(self, found: str) -> Verdict:
        """The refusal of what holds this placeholder of ours."""
        reason = f"it writes {found}, which stands for a value that was masked"
        hint = f"{reason}. Leave masked columns out of the statement, or ask someone who may see them."
        return Verdict(Answer.DENY, None, reason, message=hint)

    def compares_protected(self, statement: Statement) -> bool:
        """Does a constant or a parameter of it stand beside a protected column?"""
        return any(self._of_protected(statement))

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
        return tuple(
            REDACTED if each is not None and at in numbers else each and self.scrub(each)
            for at, each in enumerate(values, 1)
        )

    def _of_protected(self, statement: Statement) -> tuple[set[int], set[int]]:
        """Offsets of the constants and numbers of the parameters that stand beside a protected column."""
        known = self.reading.beside.get(statement.sql)
        if known is None:  # one look for all rows of an executemany
            offsets, numbers = set[int](), set[int]()
            for _, constants, parameters in self._lineages.beside(statement.sql, self._protects) if self._masks else ():
                offsets.update(constants)
                numbers.update(parameters)
            known = offsets, numbers
            self.reading.beside.put(statement.sql, known, cost(statement.sql))
        return known

    def _protects(self, carried: frozenset[str]) -> bool:
        return any(map(self._is_protected, carried))

    def _is_protected(self, source: str) -> bool:
        return any(fnmatchcase(f"{self.login.target.name}.{source}", glob) for glob, _ in self._masks)

    def scrub(self, text: str) -> str:
        """A text of the client's as it may be stored and shown: SQL, a value, what it says of itself."""
        return scrub_sql(text, self.detectors)

    def hides_values(self, statement: Statement) -> bool:
        """Does `told_values` redact any of its parameters, whatever is bound?"""
        return bool(self._of_protected(statement)[1])

    def diagnostics(self, body: bytes, *, protected: bool) -> bytes:
        """The body of an ErrorResponse or NoticeResponse as the client may see it."""
        return scrub_fields(body, self.detectors, protected)

    def names(self, body: bytes) -> bytes:
        """The body of a RowDescription as the client may see it."""
        return body if self._clear else scrub_names(body, self.detectors)

    def touches_protected(self, statement: Statement) -> bool:
        """True where an error text could quote a protected value: the statement's relations hold a masked column."""
        if not self.protects:
            return False
        if statement.guarded or StatementClass.OPAQUE in statement.classes:
            return True  # it may read any table
        names = {*statement.reads, *statement.writes, *(name for name, _ in statement.behind)}
        if statement.tag in _MAINTENANCE and not (names and all(map(self._relation, names))):
            return True  # an index, a schema, the whole database
        if StatementClass.WRITE in statement.classes:
            written = (*statement.writes, *(name for name, writes in statement.behind if writes))
            names.update(dotted(key) for each in map(self._relation, written) if each for key in each.code_reads)
        return any(self._covers(name, column) for name in names for column, _ in self._masks) or any(
            source == UNKNOWN or self._is_protected(source)
            for each in filter(None, map(self._relation, names))
            for sources in each.fed.values()
            for source in sources
        )

    def _relation(self, name: str) -> Relation | None:
        """The relation of a whole name; None where the catalog has none."""
        schema, table = parts(name)[-2:] if "." in name else ("", name)
        return self.catalog.relations.get((schema, table)) if self.catalog else None

    def _covers(self, relation: str, column: str) -> bool:
        """Can this mask's column be one of the relation's? A view may show any; a partition shows its parents'."""
        target = self.login.target.name
        known = self._relation(relation)
        if known is None:
            return _matches(target, relation, column)
        if known.kind not in "rp":
            return fnmatchcase(target, column.split(".", 1)[0])
        names = (relation, *(dotted(parent) for parent in known.parents))
        return any(_matches(target, each, column) for each in names) and any(
            fnmatchcase(each, column.rsplit(".", maxsplit=1)[-1]) for each in known.columns
        )

    def seen_clear(self, statement: Statement) -> tuple[str, ...]:
        """The protected columns that its result may show to somebody who may see them; "*" where it may be any."""
        if not self._clear or not self._masks:
            return ()
        if StatementClass.OPAQUE in statement.classes:
            return ("*",)
        names = {*statement.reads, *statement.writes}
        found = (
            f"{name}.{column.rpartition('.')[2]}"
            for name in names
            for column, _ in self._masks
            if self._covers(name, column)
        )
        return tuple(sorted({*found}))

    @property
    def unscanned(self) -> str:
        """Why no detector looks at results, "" where they do."""
        return "clear_for" if self._clear else "" if self.detectors.names else "no detectors"

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
        if self._clear:
            return None
        planned = self._plan(statement, columns, formats, described, approved=approved)
        return RowMasker(planned, self.detectors, self.login.mask_key) if planned.touches else None

    def copier(self, statement: Statement | None, body: bytes, *, approved: bool = False) -> CopyMasker | None:
        """What masks the CopyData of a COPY TO STDOUT, or None; `body` is CopyOutResponse's. `approved`: as masker."""
        if self._clear:
            return None
        formats = formats_of(body)
        columns = columns_of(statement, formats, self._copied(statement))
        planned = self._plan(statement, columns, formats, approved=approved)
        options = options_of(statement) if statement else CopyOptions()
        if not planned.touches and not (options.header and columns):  # a header has names, which code may have made
            return None
        return CopyMasker(planned.columns, options, self.detectors, self.login.mask_key)

    def _copied(self, statement: Statement | None) -> Relation | None:
        """The table of `COPY t TO STDOUT`, None for a query."""
        if statement is None or self.catalog is None or not statement.copy_columns or len(statement.reads) != 1:
            return None
        schema, name = parts(statement.reads[0])
        return self.catalog.relations.get((schema, name))

    def _plan(
        self,
        statement: Statement | None,
        columns: Sequence[Column],
        formats: Sequence[int],
        described: Sequence[Column] | None = None,
        *,
        approved: bool = False,
    ) -> MaskPlan:
        sources = self._sources(statement, described or columns)
        return plan(
            columns,
            formats,
            sources,
            self._masks,
            self.login.target.name,
            self._tables,
            self.detectors,
            redacts=not (approved and self._holds_untraced),
            kept=self._kept(statement, sources),
        )

    def _kept(self, statement: Statement | None, sources: Lines | None) -> frozenset[Kind]:
        """The types that a column of unknown lineage may have and stay. None where the text as a whole can't be followed and
        protected columns are in its reach: arithmetic would hand out their numbers and dates. None either where the session
        has copied a protected column: it may be in a temporary table, which no catalog shows."""
        followed = sources is not None or (statement is not None and not self.touches_protected(statement))
        return NUMBERS if followed and not self._copied_to else frozenset()

    def _sources(self, statement: Statement | None, columns: Sequence[Column]) -> Lines | None:
        """The lineage of a result, but None for a column of which the target itself names another origin."""
        if not self.protects:
            return [frozenset[str]()] * len(columns)
        if statement is not None and statement.uncertain:
            return None
        meant = self._meant(statement)
        given = self._given(statement)
        if meant is None or given is None:
            return None
        explains = meant is not statement and statement is not None and statement.tag == "EXPLAIN"
        found = self._lineages.of(f"EXPLAIN {meant.sql}" if explains else meant.sql, len(columns), given)
        if found is None:
            return None
        return [each if self._agrees(each, column) else None for each, column in zip(found, columns, strict=True)]

    def _given(self, statement: Statement | None) -> tuple[frozenset[str], ...] | None:
        """What the parameters carry that EXECUTE gives to the statement behind its name."""
        use = statement.names if statement else None
        if statement is None or use is None or use.verb != "EXECUTE":
            return ()
        return self._lineages.arguments(statement.sql)

    def _meant(self, statement: Statement | None) -> Statement | None:
        """The statement whose columns come: what stands behind the name of EXECUTE and FETCH."""
        use = statement.names if statement else None
        if use is None or use.verb not in _BY_NAME:
            return statement
        if use.verb == "EXECUTE" or use.body is None or not self._wandered:
            return use.body
        now = resolve_statement(use.body, self.catalog, self.search_path)
        return use.body if now.reads == use.body.reads else None

    def _agrees(self, carried: frozenset[str] | None, column: Column) -> bool:
        """False where a name meant something else to the target than to us: a temporary table, one made just now."""
        if not column.table_oid or carried is None:
            return True
        schema, table, names = self._tables.get(column.table_oid, ("", "", {}))
        name = names.get(column.attnum)
        return f"{schema}.{table}.{name}" in carried if name else bool(table) and column.attnum <= 0


def _may_set(statement: Statement) -> bool:
    """May it put what it reads into a setting?"""
    opaque, writes = StatementClass.OPAQUE in statement.classes, _SETTINGS in statement.writes
    return opaque or writes or not _SETS.isdisjoint(parts(each)[-1] for each in statement.functions)


def _text(statement: Statement) -> str:
    """What it runs: behind EXECUTE and FETCH that is the text that was given the name."""
    body = statement.names.body if statement.names else None
    return (body or statement).sql


def _bound_text(number: int, types: Sequence[int], bind: Bind) -> tuple[str | None] | None:
    """A parameter's value where it can only be text (in its binary format too those bytes); None where it isn't known."""
    if number > len(bind.parameters) or (types[number - 1] if number <= len(types) else 0) not in PLAIN_TYPES:
        return None
    value = bind.parameters[number - 1]
    try:
        return (None if value is None else value.decode(),)
    except UnicodeDecodeError:
        return None


#: The tag of what can't be read: nothing is known of it, not even whether it ends a transaction.
UNREADABLE = "UNKNOWN"


def _unreadable(sql: str, why: str) -> Statement:
    """A text that our grammar refuses. The target may take it: an older one has functions where ours has keywords."""
    return Statement(sql, UNREADABLE, frozenset({StatementClass.OPAQUE}), reason=f"it can't be read here: {why}")


#: DDL that gives no function, operator, type or view another meaning: what follows in its transaction reads as before.
_PLAIN_DDL = frozenset(
    [
        "CREATE TABLE",
        "CREATE TABLE AS",
        "SELECT INTO",
        "CREATE INDEX",
        "DROP INDEX",
        "ALTER INDEX",
        "COMMENT",
        "CREATE SEQUENCE",
        "ALTER SEQUENCE",
        "DROP SEQUENCE",
        "DROP TABLE",
        "REFRESH MATERIALIZED VIEW",
        "GRANT",
        "REVOKE",
        "VACUUM",
        "ANALYZE",
        "REINDEX",
        "CLUSTER",
        "CHECKPOINT",
    ]
)
_ANY_CODE = frozenset({"DO", "CALL"})


def changes_catalog(statement: Statement) -> bool:
    """May running it change what the catalog says?"""
    return bool(statement.classes & {StatementClass.DDL, StatementClass.ADMIN}) or statement.tag in _ANY_CODE


def redefines(statement: Statement) -> bool:
    """May running it change what a name that is judged by the catalog does?"""
    return changes_catalog(statement) and statement.tag not in _PLAIN_DDL


def needs_catalog(statement: Statement) -> bool:
    """Does judging it rest on what names mean?"""
    written = statement.written
    return bool(statement.functions or statement.reads or statement.writes or written.operators or written.types)


_ROLES = frozenset({"role", "session_authorization"})
_FINISHING = frozenset({Control.COMMIT, Control.PREPARE})


def unsettles(statement: Statement) -> bool:
    """May running it change names, settings and definitions that its text doesn't name? What is behind it is then in doubt."""
    return statement.unsettles or StatementClass.OPAQUE in statement.classes


def fires_deferred(statement: Statement) -> bool:
    """Do constraints and triggers run in it that statements before it have put off?"""
    return statement.control in _FINISHING or statement.tag == "SET CONSTRAINTS"


def moves_role(statement: Statement) -> bool:
    """May running it change the current role?"""
    return unsettles(statement) or any(name.lower() in _ROLES for name, _ in statement.settings)


def _without_catalog(statement: Statement) -> Statement:
    """Opaque if it names anything, inside PREPARE and DECLARE too; drivers' housekeeping goes on."""
    use = statement.names
    if use is not None and use.body is not None:
        statement = replace(statement, names=replace(use, body=_without_catalog(use.body)))
    if not needs_catalog(statement) or statement.classes <= {StatementClass.HOUSEKEEPING}:
        return statement
    return opaque(statement, "the target's catalog can't be read: what its names run is not known")


def moves_path(statement: Statement) -> bool:
    """May running it change search_path? By name, by resetting everything, or by code that can't be seen through."""
    return (
        moves_role(statement)
        or statement.tag == "DISCARD ALL"
        or any(name.lower() in ("search_path", ALL) for name, _ in statement.settings)
    )


#: Settings by which constants and bound values are read (PostgreSQL manual, Locale and Formatting; array_nulls, xmloption ...).
_READ_BY = frozenset(
    {
        "datestyle",
        "intervalstyle",
        "timezone",
        "timezone_abbreviations",
        "lc_monetary",
        "default_text_search_config",
        "xmloption",
        "array_nulls",
        "transform_null_equals",
        ALL,
    }
)


def sets_reading(statement: Statement) -> bool:
    """Does it change a setting by which constants are read?"""
    return statement.tag == "DISCARD ALL" or any(name.lower() in _READ_BY for name, _ in statement.settings)


def unqualified(statement: Statement) -> set[str]:
    """The relations that are written without a schema, or with that of temporary ones."""
    found = (parts(key) for key in (*statement.written.reads, *statement.written.writes))
    return {names[-1] for names in found if names[0] == UNQUALIFIED or names[0].startswith("pg_temp")}


def shown_writes(statement: Statement) -> tuple[str, ...]:
    """What it writes, as people are shown it: a relation that it makes for its session alone is of pg_temp. It is judged by the name
    that it stands in front of, so that no rule or mask is got around by TEMP."""
    made = statement.writes
    if not statement.temporary or len(made) != 1:  # beside another its name isn't known for certain
        return made
    return (dotted(["pg_temp", parts(made[0])[-1]]),)


def needs_path(statement: Statement) -> bool:
    """Is a relation written without its schema, so that search_path says which one it is?"""
    written = statement.written
    return any(key.startswith(f"{UNQUALIFIED}.") for key in (*written.reads, *written.writes))


def opaque(statement: Statement, reason: str) -> Statement:
    """The statement as one whose meaning is not known; what is known of it stays, so that rules about that still match."""
    return replace(statement, classes=statement.classes | {StatementClass.OPAQUE}, reason=reason, guarded=False)


def uncertain(statement: Statement, reason: str) -> Statement:
    """Opaque, and its names may mean other things by now: what its columns carry can't be known either."""
    return replace(opaque(statement, reason), uncertain=True)


def _matches(target: str, relation: str, column: str) -> bool:
    parts = column.split(".")
    wanted = f"{target}.{relation}".split(".")
    return all(fnmatchcase(name, glob) for name, glob in zip(wanted, parts[:3], strict=False))
