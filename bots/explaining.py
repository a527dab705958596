"""`/hoop policy explain SQL` and `/hoop policy show [RULE]`: what the policy would answer to the asker. Nothing is executed.

What lives here: the dry run's words, and which rules somebody may read: auditors all of them, anybody else those that could
match them on a target that they may use. What does not: the judgement (gateway.policy.decide), reading a catalog.
"""

import difflib
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from bots.answers import Answer, Verb, Viewer
from bots.commands import no_groups
from bots.previews import Cell, Table
from bots.texts import count, cut, line, literal
from gateway.approvals.request import Person
from gateway.errors import GatewayError
from gateway.identity.claims import Identity
from gateway.policy import decide
from gateway.policy.decide import Circumstances, Verdict, judge, judge_script, may_connect, rules_for
from gateway.policy.model import DAYS, Conditions, HoldTerms, Hours, Policy, Rule, Target
from gateway.policy.readers import login_of
from gateway.sql.behind import passed_on
from gateway.sql.catalog import Catalog
from gateway.sql.parse import read
from gateway.sql.resolve import resolve
from gateway.sql.statement import Script, Statement, StatementClass

HELP = (
    "/hoop policy explain SQL [on TARGET] - what the policy would answer to you. Nothing is run.",
    "/hoop policy show [RULE] - the rules that may concern you.",
    "Example: /hoop policy explain DELETE FROM orders WHERE id = 7 on shop",
)
_ON = re.compile(r"\s+on\s+(?P<target>[^\s;]+)\s*$", re.IGNORECASE)
_SHOWN = 8

_WORDS = {decide.Answer.ALLOW: "Allowed", decide.Answer.HOLD: "Held", decide.Answer.DENY: "Denied"}


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who asks what of which target; `catalog` None: it could not be read."""

    policy: Policy
    who: Identity
    target: Target
    script: Script
    catalog: Catalog | None


class Explaining:
    """`policy` gives the one in force, `catalog` what names mean on a target (as somebody logs in there), None if unknown."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        catalog: Callable[[Target], Awaitable[Catalog | None]],
        *,
        auditor: Callable[[Person], bool],
        clock: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._catalog = catalog
        self._auditor = auditor
        self._clock = clock

    def verb(self) -> Verb:
        """The command."""
        return Verb(self.answer, HELP)

    async def answer(self, text: str, viewer: Viewer) -> Answer:
        """The answer to "explain ..." or "show ..."."""
        word, rest = (*text.split(maxsplit=1), "", "")[:2]
        match word.lower():
            case "explain" if rest.strip():
                return await self._explain(rest.strip(), viewer.person)
            case "show":
                return self._show(rest.strip().strip('"'), viewer.person)
            case _:
                return Answer("Explain what, or show what?", HELP)

    # explain -----------------------------------------------------------------------------------------------------------

    async def _explain(self, text: str, person: Person) -> Answer:
        policy, who = self._policy(), _identity(person)
        try:
            sql, named = split(text)
            script = read(sql)
        except GatewayError as error:
            return Answer("This can't be explained", (line(error.message),))
        usable = _usable(policy, who)
        target = named or (next(iter(usable)) if len(usable) == 1 else "")
        if target not in usable:
            return _which(target, usable, person)
        login = login_of(policy, who, policy.targets[target])
        catalog = await self._catalog(login)
        asked = _Asked(policy, who, login, resolve(script, catalog, ("public",)), catalog)
        return _explained(asked, Circumstances(self._clock()), person)

    # show --------------------------------------------------------------------------------------------------------------

    def _show(self, name: str, person: Person) -> Answer:
        rules = self._rules(person)
        if not name:
            rows = tuple((Cell(line(each.name, 60)), Cell(each.effect.value), Cell(_asks(each))) for each in rules)
            lines = () if rows else (f"No rule could match you. {no_groups(person)}".strip(),)
            return Answer(
                f"Policy: {count(len(rules), 'rule')} that may concern you",
                lines,
                table=Table(("rule", "effect", "statements"), rows) if rows else None,
                footer="The strictest rule that matches wins; where none matches the answer is deny." if rows else "",
            )
        found = next((each for each in rules if each.name.casefold() == name.casefold()), None)
        if found is None:
            near = difflib.get_close_matches(name, [each.name for each in rules], n=1, cutoff=0.4)
            hint = f'Did you mean "{line(near[0], 60)}"?' if near else "/hoop policy show lists them."
            return Answer(f"No rule {line(name, 60)} that may concern you", (hint,))
        return Answer(
            f'Rule "{line(found.name, 80)}": {found.effect.value}', tuple(_of_rule(found, self._auditor(person)))
        )

    def _rules(self, person: Person) -> list[Rule]:
        policy, who = self._policy(), _identity(person)
        if self._auditor(person):
            return list(policy.rules)
        theirs = [rules_for(policy, who, each, None, None) for each in _usable(policy, who)]
        return [rule for rule in policy.rules if any(rule in each for each in theirs)]


def split(text: str) -> tuple[str, str]:
    """The SQL and the target behind it ("" for none). Raises GatewayError for what is no text.

    ON is a reserved word: what parses as a whole has an ON of its own at its end, a join's.
    """
    found = _ON.search(text)
    if found is None or (read(text).unparsable is None and not read(text).too_big):
        return text, ""
    return text[: found.start()], found["target"]


def _identity(person: Person) -> Identity:
    return Identity(person.issuer, person.subject, person.user, person.email, person.groups, 0.0)


def _usable(policy: Policy, who: Identity) -> list[str]:
    return [name for name in policy.targets if may_connect(policy, who, name)]


def _which(target: str, usable: list[str], person: Person) -> Answer:
    """One text for a target that is not there and one that they may not use, as at login."""
    if not usable:
        why = no_groups(person) or "No rule lets you connect to any, so each statement of yours is refused at login."
        return Answer("You may use no target", (why,))
    ask = f"No target {line(target, 40)} that you may use" if target else "On which target?"
    return Answer(ask, (f"You may use: {', '.join(line(each, 40) for each in usable)}.", HELP[2]))


def _explained(asked: _Asked, at: Circumstances, person: Person) -> Answer:
    policy, who, target, script = asked.policy, asked.who, asked.target, asked.script
    verdict = judge_script(policy, who, target.name, script, at)
    several = len(script.statements) > 1
    rows = tuple(
        _statement(k, each, judge(policy, who, target.name, each, at)) for k, each in enumerate(script.statements, 1)
    )
    return Answer(
        title=_title(verdict),
        lines=tuple(_lines(asked, verdict, person)),
        table=Table(("#", "statement", "classes", "answer"), rows[:_SHOWN]) if several else None,
        code=cut(literal(script.sql), 1200),
        footer="A dry run: nothing of it was sent to the database.",
    )


def _title(verdict: Verdict) -> str:
    word = _WORDS[verdict.answer]
    if verdict.rule is not None:
        return f'{word} by rule "{line(verdict.rule, 100)}"'
    return f"{word}: {line(verdict.reason, 200)}"


def _lines(asked: _Asked, verdict: Verdict, person: Person) -> list[str]:
    lines = [f"For {line(asked.who.user, 80)} on {asked.target.name} ({line(asked.target.environment, 40)})"]
    lines += [f"Why: {line(verdict.reason, 400)}"] if verdict.rule is not None else []
    lines += [f"You would be told: {line(verdict.message, 300)}"] if verdict.message else []
    lines += _waits(verdict.hold) if verdict.hold is not None else []
    if len(asked.script.statements) == 1:
        lines += _does(asked.script.statements[0])
    lines += _passed_on(asked)
    lines += (
        ["It can't be parsed here: the database's own parser would be asked first."] if asked.script.unparsable else []
    )
    lines += (
        ["A rule asks how many rows it touches, not known here: this is the strict answer."]
        if "rows" in verdict.rests_on
        else []
    )
    lines += ["A rule asks for the hour: at another time the answer may differ."] if "hours" in verdict.rests_on else []
    lines += ["The target's catalog could not be read: this goes by the text alone."] if asked.catalog is None else []
    return [*lines, *filter(None, (no_groups(person),))]


def _waits(terms: HoldTerms) -> list[str]:
    who = terms.reviewers
    names = [f"group {line(each, 60)}" for each in sorted(who.groups)] + [line(each, 80) for each in sorted(who.users)]
    where = f", asked in {', '.join(line(each, 60) for each in who.channels)}" if who.channels else ""
    needed, most = count(who.approvals, "approval"), terms.timeout
    limit = f"{most / 60:g} min" if most >= 60 else f"{most:g} s"
    lines = [f"Waits for {needed} of {line(who.name, 60)} ({' or '.join(names)}){where}, at most {limit}"]
    lines += ["Approved on the gateway's own page, after a fresh sign-in"] if terms.approve_via == "web" else []
    glass = terms.break_glass
    return [*lines, f"{line(glass.name, 60)} may break the glass: approve it alone"] if glass is not None else lines


def _passed_on(asked: _Asked) -> list[str]:
    """The tables that change with it, of all its statements."""
    if asked.catalog is None:
        return []
    found = dict.fromkeys(name for each in asked.script.statements for name in passed_on(each, asked.catalog))
    return [f"Changed too, by foreign keys or triggers: {line(', '.join(found), 300)}"] if found else []


def _does(statement: Statement) -> list[str]:
    named = (
        ("Classes", _classes(statement)),
        ("Reads", ", ".join(statement.reads)),
        ("Writes", ", ".join(statement.writes)),
    )
    lines = [f"{name}: {line(text, 300)}" for name, text in named if text]
    return [*lines, f"Opaque: {line(statement.reason, 300)}"] if statement.reason else lines


def _classes(statement: Statement) -> str:
    return ", ".join(each.value for each in StatementClass if each in statement.classes)


def _statement(number: int, statement: Statement, verdict: Verdict) -> tuple[Cell, ...]:
    by = f' by "{line(verdict.rule, 60)}"' if verdict.rule is not None else ""
    answer = f"{_WORDS[verdict.answer].lower()}{by}"
    return (Cell(str(number)), Cell(line(statement.tag, 40)), Cell(_classes(statement)), Cell(answer))


def _asks(rule: Rule) -> str:
    what = [*sorted(rule.when.classes or ()), *sorted(rule.when.tags or ())]
    return line(", ".join(what) or "any", 100)


def _of_rule(rule: Rule, full: bool) -> list[str]:
    lines = [f"{name}: {text}" for name, text in _conditions(rule.when, full)]
    if rule.unless is not None:
        lines += [f"unless {name}: {text}" for name, text in _conditions(rule.unless, full)]
    lines += _waits(rule.hold) if rule.hold is not None else []
    return [*lines, f"The client is told: {line(rule.message, 300)}"] if rule.message else lines


def _conditions(when: Conditions, full: bool) -> list[tuple[str, str]]:
    """What a rule asks; whom else it is about is for those who may see everything."""
    asked = [(each.name, getattr(when, each.name)) for each in fields(when)]
    skipped = () if full else ("groups", "users")
    shown = [(name, value) for name, value in asked if value is not None and name not in skipped]
    return [(name.replace("_", " "), line(_SAID.get(name, _listed)(value), 300)) for name, value in shown]


def _listed(value: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, value)))


def _hours(hours: Hours) -> str:
    days = ", ".join(DAYS[each] for each in sorted(hours.days))
    start, end = (f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (hours.start, hours.end))
    return f"{days} from {start} to {end} {hours.tz}"


_SAID: dict[str, Callable[[Any], str]] = {
    "where": lambda there: "present" if there else "absent",
    "rows": lambda rows: f"{rows[0]}{rows[1]}",
    "hours": _hours,
}
