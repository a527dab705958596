"""`hoop explain`: what would policy answer to this statement, and why? Nothing is executed.

The target's catalog is read (names, functions, columns), unless --offline; then functions, operators and types that
aren't on the gateway's own lists are opaque. Unqualified names are `public` ones: search_path is a session's own.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from gateway.cli.check import read_policies
from gateway.cli.masks import Masks, masks_of
from gateway.errors import GatewayError, PolicyError
from gateway.identity.claims import Identity
from gateway.policy.cases import person
from gateway.policy.decide import Answer, Circumstances, Verdict, judge_explained, judge_script, may_connect
from gateway.policy.document import nearest
from gateway.policy.model import HoldTerms, Policy, Target, load
from gateway.policy.readers import login_of
from gateway.policy.unmatched import is_pattern, unmatched
from gateway.relay import side
from gateway.relay.credentials import CredentialMissing, Credentials
from gateway.sql.behind import passed_on
from gateway.sql.catalog import Catalog
from gateway.sql.parse import read
from gateway.sql.resolve import resolve
from gateway.sql.statement import Script, Statement, StatementClass

CatalogLoader = Callable[[Target], Coroutine[None, None, Catalog]]


async def _load_catalog(target: Target) -> Catalog:
    password = await Credentials(os.environ).password(target.password)
    return await side.load_catalog(target, password)


#: How a target's catalog is read; a name of this module so that tests need no target.
load_catalog: CatalogLoader = _load_catalog


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks, where, under what: everything but the statement."""

    policy: Policy
    who: Identity
    target: str
    at: Circumstances
    catalog: Catalog | None


def explain(
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help='The statement; - reads JSON lines {"sql": ...} from standard input.')
    ],
    *,
    target: Annotated[str, typer.Option("--target", help="A target of the policies file.")],
    user: Annotated[str, typer.Option("--user", help="Whose statement it is, as in `users:`.")],
    group: Annotated[list[str] | None, typer.Option("--group", help="A group of theirs; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as one JSON object.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Don't read the target's catalog.")] = False,
    application: Annotated[str, typer.Option("--application", help="The application_name to suppose.")] = "",
    client: Annotated[str, typer.Option("--client", help="The client's address to suppose.")] = "",
    policies: Annotated[Path, typer.Option("--policies", envvar="HOOP_POLICIES", help="The policies file.")] = Path(
        "policies.yaml"
    ),
) -> None:
    """Say what policy answers to a statement, and why. Nothing is executed; exit 0 whatever the verdict."""
    policy = _policy(policies)
    if target not in policy.targets:
        _stop(f'unknown target "{target}"{nearest(target, policy.targets)}')
    at = Circumstances(time.time(), application, client)
    who = person(user, frozenset(group or ()))
    catalog = None if offline else _catalog(login_of(policy, who, policy.targets[target]))
    question = Question(policy, who, target, at, catalog)
    if sql == "-":
        _answer_lines(question, sys.stdin)
        return
    try:
        script = _read(sql, catalog)
    except GatewayError as error:
        _stop(error.message)
    typer.echo(json.dumps(as_object(question, script)) if as_json else as_text(question, script))


def as_object(question: Question, script: Script) -> dict[str, Any]:
    """Return the answer for programs (interface.md, hoop explain --json)."""
    verdict = _verdict(question, script)
    statements = script.statements
    kinds = frozenset[StatementClass]().union(*(each.classes for each in statements))
    if not statements and (script.unparsable is not None or script.too_big):
        kinds = frozenset({StatementClass.OPAQUE})
    masks = _masks(question, script)
    passed = _unique(name for each in statements for name in _passed_on(each, question.catalog))
    return {
        "verdict": verdict.answer.value,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "effects": [kind.value for kind in StatementClass if kind in kinds],
        "reads": _unique(name for each in statements for name in each.reads),
        "writes": _unique(name for each in statements for name in each.writes),
        "statements": [{"tag": each.tag, "where": each.where} for each in statements],
        "masks": list(masks.found),
        **({"passed_on": passed} if passed else {}),
        **({"masks_unknown": masks.unknown} if masks.unknown else {}),
    }


def as_text(question: Question, script: Script) -> str:
    """Return the answer for people: verdict, effects, and for each statement the rules tried."""
    found, verdict = as_object(question, script), _verdict(question, script)
    lines = [f"{found['verdict'].upper()}: {found['reason']}"]
    if verdict.message:
        lines.append(f"message: {verdict.message}")
    if verdict.hold is not None:
        lines.append(_waits(verdict.hold))
    if script.unparsable is not None:
        lines.append("note: on the wire the target's own parser is asked first: what it refuses gets its syntax error")
        lines.append("      and asks nobody; the answer above is for a text that the target takes.")
    if verdict.answer is Answer.DENY:
        lines.extend(_strangers(question))
    if "rows" in verdict.rests_on:
        lines.append(
            "note: a rule asks how many rows it would touch, which is not known here: this is the strict answer."
        )
        lines.append("      On the wire it is the same; what the preview counts can only make it stricter.")
    lines.extend(f"{name}: {', '.join(found[name])}" for name in ("effects", "reads", "writes") if found[name])
    if "passed_on" in found:
        lines.append(f"changed too, by foreign keys or triggers: {', '.join(found['passed_on'])}")
    for number, statement in enumerate(script.statements, 1):
        judged = judge_explained(question.policy, question.who, question.target, statement, question.at)
        lines.append(f"statement {number} ({statement.tag or 'unknown'}): {judged.answer.value}")
        lines.extend(f"  {tried}" for tried in judged.tried)
    if verdict.answer is not Answer.DENY:
        lines.extend([*_mask_lines(_masks(question, script)), *_unmasked(question)])
    return "\n".join(lines)


def _waits(terms: HoldTerms) -> str:
    who = terms.reviewers
    names = [f"group {name}" for name in sorted(who.groups)] + sorted(who.users)
    where = f", asked in {', '.join(who.channels)}" if who.channels else ""
    where += f" (later in {', '.join(who.escalation.channels)} too)" if who.escalation is not None else ""
    limit = f"{terms.timeout / 60:g} min" if terms.timeout >= 60 else f"{terms.timeout:g} s"
    return f"waits for: {who.approvals} of {' or '.join(names)}{where}, at most {limit}"


def _strangers(question: Question) -> list[str]:
    """A group that the file never names is most often a typing error, and looks like a denial; so does no group."""
    whens = [when for rule in question.policy.rules for when in (rule.when, rule.unless) if when is not None]
    known = frozenset[str]().union(*(when.groups or () for when in whens))
    if not question.who.groups and known:
        return [f"note: no --group was given; rules name {', '.join(sorted(known))}"]
    known |= question.policy.masking.clear_for_groups or frozenset()
    return [
        f'note: no rule names the group "{each}"{nearest(each, known)}' for each in sorted(question.who.groups - known)
    ]


def _verdict(question: Question, script: Script) -> Verdict:
    if not may_connect(question.policy, question.who, question.target):
        reason = f"no rule lets {question.who.user} connect to {question.target}"
        return Verdict(Answer.DENY, None, reason)
    return judge_script(question.policy, question.who, question.target, script, question.at)


def _masks(question: Question, script: Script) -> Masks:
    return masks_of(question.policy, question.who, question.target, script, question.catalog)


def _mask_lines(masks: Masks) -> list[str]:
    lines = [f"mask: {each['column']} ({each['source']}): {each['mask']}, by {each['entry']}" for each in masks.found]
    lines += [f"masks: not known: {masks.unknown}"] if masks.unknown else []
    return [*lines, *(f"masks: {note}" for note in masks.notes)]


def _unmasked(question: Question) -> list[str]:
    """A masking column that does not exist is most often a typing error, and looks like a mask."""
    if question.catalog is None:
        return []
    found = unmatched(question.policy, question.target, question.catalog.relations.values())
    return [
        f"note: nothing is masked by {entry}: no column of {question.target} is called that{hint}"
        for entry, hint in found.items()
        if not is_pattern(entry)
    ]


def _answer_lines(question: Question, lines: Iterable[str]) -> None:
    """Answer each JSON line by a line; one that can't be read gets {"error": ...} and makes the exit code 2."""
    broken = False
    for line in lines:
        if not line.strip():
            continue
        answer = _answer_line(question, line)
        broken = broken or "error" in answer
        typer.echo(json.dumps(answer))
        sys.stdout.flush()
    if broken:
        raise typer.Exit(2)


def _answer_line(question: Question, line: str) -> dict[str, Any]:
    try:
        asked = json.loads(line)
    except ValueError as error:
        return {"error": f"no JSON: {error}"}
    if not isinstance(asked, dict) or not isinstance(asked.get("sql"), str):
        return {"error": 'a line looks like {"sql": "SELECT 1"}'}
    try:
        return as_object(question, _read(asked["sql"], question.catalog))
    except GatewayError as error:
        return {"error": error.message}


def _read(sql: str, catalog: Catalog | None) -> Script:
    return resolve(read(sql), catalog, ("public",))


def _policy(file: Path) -> Policy:
    try:
        return load(read_policies(file), str(file))
    except PolicyError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(2) from None


def _catalog(target: Target) -> Catalog:
    try:
        return asyncio.run(load_catalog(target))
    except CredentialMissing as error:
        _stop(f"{target.name}: {error.detail}; use --offline to explain without its catalog")
    except GatewayError as error:
        _stop(f"{target.name}: {error.message}; use --offline to explain without its catalog")


def _stop(message: str) -> NoReturn:
    typer.echo(f"hoop explain: {message}", err=True)
    raise typer.Exit(2)


def _passed_on(statement: Statement, catalog: Catalog | None) -> tuple[str, ...]:
    return passed_on(statement, catalog) if catalog is not None else ()


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
