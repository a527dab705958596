"""May it go? What a session's policy says of its statements, and which of them run code or write. Pure.

What lives here: verdicts, and the parts that they are found with: grounds.py (what it is judged by), reader.py (what a
text means), spreading.py (where values go), hiding.py (what is seen of them). How a verdict changes the conversation is
in draft.py. What must not: anything that keeps a verdict (rules may look at the clock).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from gateway.policy.decide import Answer, Circumstances, Verdict, judge, strictest
from gateway.session.grounds import Grounds
from gateway.session.hiding import Hiding
from gateway.session.reader import Reader
from gateway.session.spreading import Spreading
from gateway.session.traits import UNREADABLE, text_of
from gateway.sql.catalog import Catalog
from gateway.sql.restarts import calls_beside_from
from gateway.sql.statement import Script, Statement, StatementClass
from gateway.sql.tree import parts

#: Texts that have met 25006, kept per session.
WRITERS = 256
WRITES = "the server says that it writes (25006)"

_GIVES_ROWS = frozenset({StatementClass.READ, StatementClass.WRITE, StatementClass.OPAQUE})
_GIVES_NONE = frozenset({"TRUNCATE TABLE", "LOCK TABLE", "NOTIFY", "MOVE", "DO"})


class Judge:
    """Judges statements on these grounds. `agent`: the application's name, as the client says it now."""

    def __init__(self, grounds: Grounds) -> None:
        self.grounds = grounds
        self.agent = grounds.login.agent
        self.reader = Reader(grounds)
        self.spreading = Spreading(grounds, self.reader)
        self.hiding = Hiding(grounds, self.reader)
        self._writers: OrderedDict[str, None] = OrderedDict()
        self._at_bind: tuple[Script | None, Catalog | None, bool] = (None, None, False)

    @property
    def like_others(self) -> bool:
        """Has this session done nothing that makes it judge or mask a text otherwise than others of the same standing?"""
        return self.grounds.shared and not (self.spreading.has_made or self._writers)

    @property
    def stamp(self) -> tuple[int, int]:
        """As long as it is the same, the same is told of a statement."""
        return self.grounds.epoch, self.spreading.heirs

    def twin(self) -> "Judge":
        """One of the same standing that belongs to no session: what it finds holds for all that are like others."""
        grounds = self.grounds
        login = replace(grounds.login, session="", agent=self.agent)
        return Judge(Grounds(login, grounds.policy, grounds.catalog, grounds.search_path, grounds.commons))

    def verdict(self, statements: Sequence[Statement], now: float, rows: int | None = None) -> Verdict:
        """The strictest verdict over the statements of one message; the first of the strictest names the rule."""
        grounds = self.grounds
        at = Circumstances(now, self.agent, grounds.login.client, rows)
        if grounds.holds_untraced and grounds.protects:
            statements = [replace(each, untraced=True) if self._is_untraced(each) else each for each in statements]
        if grounds.policy.masking.copies != "allow":
            spreading = self.spreading
            statements = [
                replace(each, spreads=found) if (found := spreading.copies(each)) else each for each in statements
            ]
        login = grounds.login
        verdicts = [judge(grounds.policy, login.identity, login.target.name, each, at) for each in statements]
        return strictest(grounds.policy, verdicts) if verdicts else Verdict(Answer.ALLOW, None, "empty")

    def _is_untraced(self, statement: Statement) -> bool:
        """Does it give a result of which isn't known what it carries? DECLARE and PREPARE give none: FETCH and EXECUTE do."""
        meant = self.reader.meant(statement)
        named = meant is statement and statement.names is not None
        if named or statement.tag in _GIVES_NONE or not statement.classes & _GIVES_ROWS:
            return False
        outputs = None if statement.uncertain or meant is None else self.grounds.lineages.outputs(meant.sql)
        return outputs is None or any(each.carried is None for each in outputs)

    def writes(self, statement: Statement) -> None:
        """The server says that it writes: from now on nobody takes it for a read."""
        self.grounds.epoch += 1
        self._writers[text_of(statement)] = None
        if len(self._writers) > WRITERS:
            self._writers.popitem(last=False)

    def has_written(self, statement: Statement) -> bool:
        return bool(self._writers) and text_of(statement) in self._writers

    def wants_to_write(self, statement: Statement) -> bool:
        """Is it tried as a read although code that it calls holds a write?"""
        if not statement.guarded or self.grounds.catalog is None:
            return False
        return not self.grounds.catalog.writing_functions.isdisjoint(parts(each)[-1] for each in statement.functions)

    def restarts(self, statement: Statement) -> bool:
        """Would going on with it behind the guard's savepoint begin a function of the user's anew?"""
        names = self.grounds.catalog.restarting_functions if self.grounds.catalog else frozenset()
        called = {parts(each)[-1] for each in statement.functions} & names
        return bool(called) and calls_beside_from(text_of(statement), called)

    def runs_at_bind(self, script: Script) -> bool:
        """May Bind alone run user code? The planner calls functions of constants; a parameter may take the type of the column
        that it is written to, and then a domain's CHECK reads its value."""
        catalog = self.grounds.catalog
        asked, before, found = self._at_bind
        if asked is not script or before is not catalog:  # one look for all rows of an executemany
            found = any(
                StatementClass.OPAQUE in each.classes or any(map(self._checks, each.writes))
                for each in script.statements
            )
            self._at_bind = script, catalog, found
        return found

    def runs_at_parse(self, script: Script) -> bool:
        """May Parse alone run user code? A constant that is cast to an array or row over a domain meets its CHECK there.
        Of a text that can't be read nothing is known."""
        if any(each.tag == UNREADABLE for each in script.statements):
            return True
        known = self.grounds.catalog.user_types if self.grounds.catalog else frozenset()
        return any(parts(each)[-1] in known for statement in script.statements for each in statement.written.types)

    def _checks(self, relation: str) -> bool:
        """Has a column of it a type that runs user code?"""
        catalog = self.grounds.catalog
        found = catalog.relations.get(tuple(parts(relation)[-2:])) if catalog and "." in relation else None  # type: ignore[arg-type] # two parts
        if found is None or catalog is None:
            return False
        names = (each.partition("(")[0].rstrip("[]").rpartition(".")[2].strip('"') for each in found.types.values())
        return not catalog.user_types.isdisjoint(names)
