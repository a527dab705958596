"""`hoop check`: is a policies file right, and do its own `tests:` pass? Reads one file, connects to nothing."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from bots.texts import count
from gateway.errors import PolicyError
from gateway.policy.cases import CaseResult, run
from gateway.policy.model import Policy, load
from gateway.policy.readers import readers
from gateway.policy.shadowed import shadowed
from gateway.policy.unenforced import notes
from gateway.policy.unheard import unheard, unknown_groups
from gateway.sql.parse import read
from gateway.sql.resolve import resolve
from gateway.sql.statement import Script


def check(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", envvar="HOOP_POLICIES", help="The policies file.")] = Path(
        "policies.yaml"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Answer as one JSON object.")] = False,
) -> None:
    """Validate a policies file and run its tests. Exit 1 if the file has an error or a test fails."""
    text = read_policies(file)
    try:
        policy = load(text, str(file))
    except PolicyError as error:
        _print_problems(file, error.problems, as_json)
        raise typer.Exit(1) from None
    results = run(policy, _read_offline, time.time())
    if as_json:
        typer.echo(json.dumps(_as_json(file, [], results) | {"notes": _notes(policy), "readers": _readers(policy)}))
    else:
        _print_results(file, policy, results)
    if any(result.problem for result in results):
        raise typer.Exit(1)


def _read_offline(sql: str) -> Script:
    """Read without a catalog: what isn't on the gateway's own lists is opaque, as on the wire before a catalog is there."""
    return resolve(read(sql), None, ("public",))


def read_policies(file: Path) -> str:
    """Read the file's text, or end with exit code 2 and the reason."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 text (byte {error.start})"
    except OSError as error:
        reason = str(error.strerror)
    typer.echo(f"hoop: {file} can't be read: {reason}", err=True)
    raise typer.Exit(2)


def _print_problems(file: Path, problems: list[str], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_as_json(file, problems, ())))
        return
    for problem in problems:
        typer.echo(problem, err=True)
    typer.echo(f"{count(len(problems), 'problem')} in {file}", err=True)


def _print_results(file: Path, policy: Policy, results: tuple[CaseResult, ...]) -> None:
    failed = [result for result in results if result.problem]
    for result in failed:
        typer.echo(f"{file}:{result.test.line}: {result.test.sql}: {result.problem}", err=True)
    for note in _notes(policy):
        typer.echo(f"{file}: note: {note}", err=True)
    for name, who in _readers(policy).items():
        used = f"reader login for {', '.join(who)}" if who else _UNUSED
        typer.echo(f'{file}: target "{name}": {used}')
    passed = f"{len(results) - len(failed)} of {len(results)} tests pass" if results else "it has no tests"
    typer.echo(f"{file}: {count(len(policy.rules), 'rule')}, {count(len(policy.targets), 'target')}; {passed}")


_UNUSED = (
    "its reader login is not used, because every rule's people may do more than read (no mistake: it costs nothing)"
)


def _notes(policy: Policy) -> list[str]:
    return [*notes(policy), *shadowed(policy), *unheard(policy), *unknown_groups(policy)]


def _readers(policy: Policy) -> dict[str, list[str]]:
    """Target -> who logs in there as its reader, of those whom the rules name; only targets that have one."""
    return {name: readers(policy, target) for name, target in policy.targets.items() if target.reader_user is not None}


def _as_json(file: Path, problems: list[str], results: tuple[CaseResult, ...]) -> dict[str, Any]:
    ok = not problems and not any(result.problem for result in results)
    return {"file": str(file), "ok": ok, "problems": problems, "tests": [_case_as_json(result) for result in results]}


def _case_as_json(result: CaseResult) -> dict[str, Any]:
    test, verdict = result.test, result.verdict
    return {
        "line": test.line,
        "sql": test.sql,
        "expect": test.expect,
        "verdict": verdict.answer.value if verdict else None,
        "rule": verdict.rule if verdict else None,
        "passed": not result.problem,
        "problem": result.problem,
    }
