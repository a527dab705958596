"""Which modules are compiled when a wheel is built with HOOP_COMPILE=1 (setup.py), and whether those in use are.

What each statement of the short way passes through, each login and session, and how a text is read and judged (of gateway/sql not
what values are made of: statement.py is made faster by the interpreter). They run uncompiled just as well, and the same
tests run on both (`make compiled`). What mypyc (2.4) does otherwise than the interpreter, so look for it in each of these:
- `data[a:b]` of bytes fails where a > b, instead of being empty;
- a generator that is left before its end never runs its `with` and `finally`;
- a class that inherits from one in Python loses the defaults of its attributes;
- an argument or attribute of another class than the annotation says is refused, be it a test's fake (a Protocol takes any), and
  no method of an instance can be replaced;
- a table in a class's body can't name the class's own methods: it stands behind the class;
- a tuple is taken apart where it is read and put together anew where it is wanted whole: its `id` means nothing;
- nobody counts how deep functions call each other: no RecursionError, the stack overflows (gateway/sql/parse.py hands out no tree
  that is nested so deep);
- where `# type: ignore` hides that a value is of another type, TypeError is raised;
- an attribute can't be called what C has as a word behind its underscore (`_signed`).

What must not live here: how they are compiled.
"""

from importlib.util import find_spec

#: mypyc compiles them together, so that they call each other without the interpreter.
MODULES = (
    "gateway.audit.chain",
    "gateway.audit.entry",
    "gateway.audit.pattern",
    "gateway.audit.spool",
    "gateway.masking.cards",
    "gateway.masking.detectors",
    "gateway.masking.fields",
    "gateway.masking.glance",
    "gateway.masking.rows",
    "gateway.policy.conditions",
    "gateway.policy.decide",
    "gateway.policy.oracles",
    "gateway.policy.verdicts",
    "gateway.relay.doorway",
    "gateway.relay.server",
    "gateway.relay.spares",
    "gateway.relay.target",
    "gateway.relay.turn",
    "gateway.relay.wires",
    "gateway.session.answers",
    "gateway.session.common",
    "gateway.session.draft",
    "gateway.session.ending",
    "gateway.session.errands",
    "gateway.session.flight",
    "gateway.session.forwarding",
    "gateway.session.gate",
    "gateway.session.grounds",
    "gateway.session.hiding",
    "gateway.session.holding",
    "gateway.session.intake",
    "gateway.session.judging",
    "gateway.session.landing",
    "gateway.session.names",
    "gateway.session.naming",
    "gateway.session.plain",
    "gateway.session.reader",
    "gateway.session.renewal",
    "gateway.session.replies",
    "gateway.session.results",
    "gateway.session.secondtry",
    "gateway.session.session",
    "gateway.session.shortway",
    "gateway.session.spare",
    "gateway.session.spreading",
    "gateway.session.state",
    "gateway.session.story",
    "gateway.session.stream",
    "gateway.session.traits",
    "gateway.session.trial",
    "gateway.session.values",
    "gateway.sql.behind",
    "gateway.sql.catalog",
    "gateway.sql.commands",
    "gateway.sql.effects",
    "gateway.sql.frames",
    "gateway.sql.functions",
    "gateway.sql.likeness",
    "gateway.sql.lineage",
    "gateway.sql.lineage_expressions",
    "gateway.sql.lineage_queries",
    "gateway.sql.parse",
    "gateway.sql.queries",
    "gateway.sql.resolve",
    "gateway.sql.scope",
    "gateway.sql.settings",
    "gateway.sql.shape",
    "gateway.sql.tree",
    "gateway.wire.backend",
    "gateway.wire.frames",
    "gateway.wire.frontend",
    "gateway.wire.scram",
    "gateway.wire.startup",
    "gateway.wire.walk",
)


def in_use() -> list[str]:
    """Those of MODULES that this process runs compiled; none is imported for it."""
    found = {name: find_spec(name) for name in MODULES}
    return [name for name, spec in found.items() if spec and not str(spec.origin).endswith(".py")]
