"""The judgement: identity + target + statement -> Verdict. Strictest matching rule wins; nothing matches: DENY.

Pure; the clock arrives in Circumstances. Read `judge` top-down. A statement is taken apart into units (a class and one
relation); each must be allowed or held by some rule, and any rule that denies or holds one of them speaks for the whole
statement. What the conditions ask is in conditions.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from gateway.identity.claims import Identity
from gateway.policy.conditions import (
    OF_KIND,
    Circumstances,
    Need,
    Session,
    Unit,
    UnitCheck,
    asked_of_session,
    asked_of_unit,
    who_matches,
)
from gateway.policy.model import Conditions, HoldTerms, Policy, Rule, RuleEffect
from gateway.policy.oracles import guarded
from gateway.policy.verdicts import Answer, Verdict
from gateway.sql.statement import Script, Statement, StatementClass

__all__ = [
    "Answer",
    "Circumstances",
    "Verdict",
    "judge",
    "judge_explained",
    "judge_script",
    "may_connect",
    "rules_for",
    "sees_clear",
    "strictest",
]


_STRICTNESS: Final = {Answer.ALLOW: 0, Answer.HOLD: 1, Answer.DENY: 2}
_HOUSEKEEPING: Final = Verdict(Answer.ALLOW, None, "housekeeping")
_ONLY_HOUSEKEEPING: Final = frozenset({StatementClass.HOUSEKEEPING})
#: Relations that a reason names.
_NAMED: Final = 3
_NOTHING: Final[frozenset[str]] = frozenset()


def judge(policy: Policy, who: Identity, target: str, statement: Statement, at: Circumstances) -> Verdict:
    """Judge one statement: each of its classes must be allowed; the strictest answer over all of them wins."""
    if statement.classes == _ONLY_HOUSEKEEPING:
        return _HOUSEKEEPING
    rules = _rules_of(policy, who, target, at.application, at.client)
    matched: dict[int, _Live] = {}
    unmatched: Unit | None = None
    rests_on: set[str] = set()
    for unit in _units(statement, at, rests_on):
        found = [live for live in rules.about(unit) if live.matches(unit)]
        matched.update((live.index, live) for live in found)
        if not found and unmatched is None:
            unmatched = unit
    behind: dict[int, list[Unit]] = {}
    if rules.by_table:
        for unit in _units_behind(statement, at, rests_on):
            for live in rules.by_table:
                if (live.index in behind or live.index not in matched) and live.is_about(unit) and live.matches(unit):
                    behind.setdefault(live.index, []).append(unit)
                    matched[live.index] = live
    ordered = [matched[index] for index in sorted(matched)]
    besides = {matched[index].rule.name: _besides(units) for index, units in behind.items()}
    verdict = _verdict(ordered, unmatched, who, target, statement, besides)
    if policy.masking.stops and not sees_clear(policy, who):
        verdict = guarded(policy.masking, target, statement, verdict, [live.rule for live in rules.live])
    return replace(verdict, rests_on=frozenset(rests_on)) if rests_on else verdict


def judge_script(policy: Policy, who: Identity, target: str, script: Script, at: Circumstances) -> Verdict:
    """Judge a query string of any number of statements: the strictest answer of its parts.

    A text that wasn't read (unparsable here, too big) is opaque as a whole.
    """
    if script.unparsable is not None or script.too_big:
        why = script.facts.get("reason", "it is too big to be read here")
        if script.unparsable is not None:
            why = f"it can't be parsed: {script.unparsable}"
        return judge(policy, who, target, Statement(script.sql, "", frozenset({StatementClass.OPAQUE}), reason=why), at)
    return strictest(policy, (judge(policy, who, target, each, at) for each in script.statements))


def strictest(policy: Policy, verdicts: Iterable[Verdict]) -> Verdict:
    """Pick what speaks for several: deny over hold over allow; of holds the most approvals, then the first in the file.

    An empty string of statements is housekeeping, and housekeeping never speaks for the others.
    """
    every = list(verdicts)
    if len(every) == 1:
        return every[0]
    order = {rule.name: index for index, rule in enumerate(policy.rules)}
    rests_on = _NOTHING.union(*(verdict.rests_on for verdict in every))

    def rank(verdict: Verdict) -> tuple[int, int, int, int]:
        approvals = verdict.hold.reviewers.approvals if verdict.hold else 0
        by_rule = verdict.rule is not None
        return _STRICTNESS[verdict.answer], by_rule, approvals, -order.get(verdict.rule or "", 0)

    return replace(max(every, key=rank, default=_HOUSEKEEPING), rests_on=rests_on)


def judge_explained(policy: Policy, who: Identity, target: str, statement: Statement, at: Circumstances) -> Verdict:
    """Judge and say of each rule of the file why it matched or which condition it missed: `name (effect): not: groups`."""
    session = Session(who, target, at.application, at.client)
    units = [] if statement.classes == _ONLY_HOUSEKEEPING else list(_units(statement, at, set()))
    behind = list(_units_behind(statement, at, set()))
    tried = tuple(
        f"{rule.name} ({rule.effect.value}): "
        + _tried(rule, session, units if rule.effect is RuleEffect.ALLOW else units + behind)
        for rule in policy.rules
    )
    return replace(judge(policy, who, target, statement, at), tried=tried)


def may_connect(policy: Policy, who: Identity, target: str) -> bool:
    """True if some allow or hold rule could ever match this identity on this target (else 28000 at startup)."""
    if target not in policy.targets:
        return False
    rules = _rules_of(policy, who, target, None, None)
    return any(live.rule.effect is not RuleEffect.DENY for live in rules.live)


def sees_clear(policy: Policy, who: Identity) -> bool:
    """True if masking.clear_for names this identity."""
    return who_matches(policy.masking.clear_for_groups, policy.masking.clear_for_users, who)


def rules_for(
    policy: Policy, who: Identity, target: str, application: str | None, client: str | None
) -> tuple[Rule, ...]:
    """Return the rules that can match anything in such a session, in the file's order. None: whatever it may be."""
    return tuple(live.rule for live in _rules_of(policy, who, target, application, client).live)


@dataclass(frozen=True, slots=True)
class _Live:
    """A rule that can match in a session, with what is left to ask of each statement."""

    index: int
    rule: Rule
    need: Need
    asks_kind: tuple[UnitCheck, ...]
    asks: tuple[UnitCheck, ...]
    unless: Conditions | None = None
    unless_asks: tuple[UnitCheck, ...] = ()
    unless_need: Need = Need.SURE

    def is_about(self, unit: Unit) -> bool:
        return all(ask(self.rule.when, unit, self.need) for ask in self.asks_kind)

    def asks_tables(self) -> bool:
        """Does it depend on which relation it is? Other rules say of what stands behind a name what they say of the name."""
        return any(each is not None and each.tables is not None for each in (self.rule.when, self.unless))

    def matches(self, unit: Unit) -> bool:
        for ask in self.asks:
            if not ask(self.rule.when, unit, self.need):
                return False
        return self.unless is None or not self._excepted(unit)

    def _excepted(self, unit: Unit) -> bool:
        unless, need = self.unless, self.unless_need
        return unless is not None and all(ask(unless, unit, need) for ask in self.unless_asks)


@dataclass(slots=True)
class _SessionRules:
    """The rules of a session, and which of them are about a class, tag and WHERE: few remain to be asked each time.

    It holds the policy itself, so that the id in the cache's key can't come to mean another policy. The inner cache is
    bounded by the words there are: 7 classes, the parser's tags, WHERE or none (and no inner tags, whose number is not).
    """

    policy: Policy
    live: tuple[_Live, ...]
    by_table: tuple[_Live, ...]  # the holds and denies that ask for tables
    by_kind: dict[tuple[str, str, bool | None], tuple[_Live, ...]] = field(default_factory=dict)

    def about(self, unit: Unit) -> tuple[_Live, ...]:
        if unit.statement.inner_tags:
            return tuple(live for live in self.live if live.is_about(unit))
        key = (unit.kind, unit.statement.tag, unit.statement.where)
        found = self.by_kind.get(key)
        if found is None:
            found = self.by_kind[key] = tuple(live for live in self.live if live.is_about(unit))
        return found


#: Bounded: 4,096 sessions of 20 rules are about 10 MB; then it starts again.
_MAX_SESSIONS: Final = 4096
_SESSIONS: Final[dict[tuple[object, ...], _SessionRules]] = {}


def _rules_of(policy: Policy, who: Identity, target: str, application: str | None, client: str | None) -> _SessionRules:
    key = (id(policy), who.user, who.email, who.groups, target, application, client)
    found = _SESSIONS.get(key)
    if found is None:
        if len(_SESSIONS) >= _MAX_SESSIONS:
            _SESSIONS.clear()
        live = tuple(_narrow(policy, Session(who, target, application, client)))
        tabled = (each for each in live if each.rule.effect is not RuleEffect.ALLOW and each.asks_tables())
        found = _SESSIONS[key] = _SessionRules(policy, live, tuple(tabled))
    return found


def _narrow(policy: Policy, session: Session) -> Iterator[_Live]:
    """Ask each rule what is fixed for the session, and keep what is left."""
    for index, rule in enumerate(policy.rules):
        need, opposite = _needs(rule, session)
        if _missed_by_session(rule.when, session, need) is not None:
            continue
        asked = asked_of_unit(rule.when)
        asks_kind = tuple(check for name, check in asked if name in OF_KIND)
        asks = tuple(check for name, check in asked if name not in OF_KIND)
        unless = rule.unless
        if unless is None or _missed_by_session(unless, session, opposite) is not None:
            yield _Live(index, rule, need, asks_kind, asks)
        elif left := tuple(check for _, check in asked_of_unit(unless)):
            yield _Live(index, rule, need, asks_kind, asks, unless, left, opposite)


def _needs(rule: Rule, session: Session) -> tuple[Need, Need]:
    """Return how sure `when` and `unless` must be: an allow surely matches, a hold or deny possibly (conditions.py).

    Before the session's facts are known (may_connect) the question is whether an allow could ever match.
    """
    if rule.effect is RuleEffect.ALLOW and session.application is not None:
        return Need.SURE, Need.POSSIBLE
    return Need.POSSIBLE, Need.SURE


def _missed_by_session(when: Conditions, session: Session, need: Need) -> str | None:
    return next((name for name, check in asked_of_session(when) if not check(when, session, need)), None)


def _units(statement: Statement, at: Circumstances, rests_on: set[str]) -> Iterator[Unit]:
    """Take a statement apart: each relation with the classes of its use, and each class that touches no relation.

    What is only read beside a write counts as read: DELETE ... USING secrets needs the right to read secrets.
    """
    kinds, changing, reading = _kinds(statement.classes)
    covered: tuple[str, ...] = ()
    for relation in statement.writes:
        covered = changing
        for kind in changing:
            yield Unit(statement, kind, relation, at, rests_on)
    for relation in statement.reads:
        if relation in statement.writes and "read" not in kinds:
            continue
        covered = (*covered, *reading)
        for kind in reading:
            yield Unit(statement, kind, relation, at, rests_on)
    for kind in kinds:
        if kind not in covered:
            yield Unit(statement, kind, None, at, rests_on)


def _units_behind(statement: Statement, at: Circumstances, rests_on: set[str]) -> Iterator[Unit]:
    """What it touches without naming it: only rules that hold or deny it ask."""
    _, changing, reading = _kinds(statement.classes)
    for relation, written in statement.behind:
        for kind in changing if written else reading:
            yield Unit(statement, kind, relation, at, rests_on)


@lru_cache(maxsize=128)  # the sets of seven classes
def _kinds(classes: frozenset[StatementClass]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the classes' names, those that a written relation stands under, and those of a relation only read."""
    real = classes - _ONLY_HOUSEKEEPING or frozenset({StatementClass.OPAQUE})
    kinds = tuple(each.value for each in StatementClass if each in real)
    changing = tuple(kind for kind in kinds if kind != "read") or kinds
    return kinds, changing, ("read",) if {"read", "write"} & set(kinds) else kinds


def _besides(units: list[Unit]) -> str:
    """What the statement touches without naming it, in words."""
    names = list(dict.fromkeys(each.relation or "" for each in units))
    changes = any(each.kind != "read" for each in units)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"for {', '.join(names[:_NAMED])}{more}, which this {'changes' if changes else 'reads'} as well"


def _verdict(
    matched: list[_Live],
    unmatched: Unit | None,
    who: Identity,
    target: str,
    statement: Statement,
    besides: Mapping[str, str],
) -> Verdict:
    """Choose among the matching rules (in the file's order); a unit that no rule matched is denied. `besides`: of rules by name."""
    rules = [live.rule for live in matched]
    denying = next((rule for rule in rules if rule.effect is RuleEffect.DENY), None)
    if denying:
        also = besides.get(denying.name, "")
        reason = f'rule "{denying.name}" denies it' + (f" {also}" if also else "")
        return Verdict(Answer.DENY, denying.name, reason, denying.message, besides=also)
    if unmatched:
        return Verdict(Answer.DENY, None, _no_rule(unmatched, who, target, statement))
    holds = [(rule, rule.hold) for rule in rules if rule.hold is not None]
    if holds:
        rule, terms = max(holds, key=lambda pair: pair[1].reviewers.approvals)  # max keeps the first of equals
        also = besides.get(rule.name, "")
        return Verdict(Answer.HOLD, rule.name, _held(rule, terms, statement, also), rule.message, terms, besides=also)
    return Verdict(Answer.ALLOW, rules[0].name, f'rule "{rules[0].name}" allows it')


def _held(rule: Rule, terms: HoldTerms, statement: Statement, also: str) -> str:
    wanted = terms.reviewers.approvals
    people = f"{wanted} approval{'s' if wanted > 1 else ''} of {terms.reviewers.name}"
    why = f" (opaque: {statement.reason})" if statement.reason else ""
    return f'rule "{rule.name}" asks for {people}' + (f" {also}" if also else "") + why


def _no_rule(unit: Unit, who: Identity, target: str, statement: Statement) -> str:
    what = f"{unit.kind} on {unit.relation}" if unit.relation else unit.kind
    if unit.kind == "opaque" and statement.reason:
        what = f"opaque ({statement.reason})"
    return f"no rule allows {who.user} on {target} what this does: {what}"


def _tried(rule: Rule, session: Session, units: list[Unit]) -> str:
    """Name the first condition that the unit which came furthest missed, or say that the rule matched."""
    need, opposite = _needs(rule, session)
    missed = _missed_by_session(rule.when, session, need)
    if missed:
        return f"not: {missed}"
    if not units:
        return "not asked: housekeeping needs no rule"
    furthest = max((_misses(rule, session, unit, need, opposite) for unit in units), key=lambda miss: miss[0])
    return furthest[1]


def _misses(rule: Rule, session: Session, unit: Unit, need: Need, opposite: Need) -> tuple[int, str]:
    asked = asked_of_unit(rule.when)
    for passed, (name, check) in enumerate(asked):
        if not check(rule.when, unit, need):
            return passed, f"not: {name}{_unknown(name, unit)}"
    unless = rule.unless
    if (
        unless is not None
        and _missed_by_session(unless, session, opposite) is None
        and all(check(unless, unit, opposite) for _, check in asked_of_unit(unless))
    ):
        return len(asked), "not: unless"
    return len(asked) + 1, "matched" + _unknown("rows" if rule.when.rows is not None else "", unit)


def _unknown(name: str, unit: Unit) -> str:
    return " (their number is not known)" if name == "rows" and unit.at.rows is None else ""
