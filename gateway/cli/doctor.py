"""`hoop doctor`: is everything there that `hoop serve` needs? One line each, with what to do. Changes nothing.

What lives here: the settings, files and policy of this machine, the order, how it is printed. How what stands around the
gateway is looked at is in surroundings.py. All are looked at, whatever the ones before said; those far away at the same time.
"""

import asyncio
import json
import logging
import os
import ssl
import time
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509

from bots.texts import count, line
from gateway import compiled, logs
from gateway.cli import surroundings
from gateway.cli.surroundings import Finding, State, ok, problem
from gateway.errors import PolicyError
from gateway.policies import read_policy
from gateway.policy.model import Policy
from gateway.policy.needs import missing, variables
from gateway.policy.shadowed import shadowed
from gateway.policy.unenforced import notes
from gateway.policy.unheard import CHANNELS, CONNECT, unheard, unknown_groups
from gateway.relay.credentials import Credentials
from gateway.settings import PAIR, Settings, SettingsError, read, unknown, unusable_pair
from gateway.store.postgres import CONNECTIONS

#: How long before its end a certificate is a problem: 14 days, or a third of its own lifetime where that is less.
RENEW = timedelta(days=14)


def doctor(
    policies: Annotated[
        Path | None, typer.Option(help="The policies file; default HOOP_POLICIES or policies.yaml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as one JSON object.")] = False,
) -> None:
    """Look at everything that the gateway needs, and say what to do about it. Nothing is changed.

    Settings, policy, TLS, store, replicas, cards that were given up, issuers, each login of each target, masked columns, chats. One line each: ok, note or problem and what to do. Exit 1 if there is a problem. Run it where the gateway runs.
    """
    environ = dict(os.environ)
    if policies is not None:
        environ["HOOP_POLICIES"] = str(policies)
    logs.configure("console", logging.CRITICAL)  # what a part logs beside is said by its line
    found = asyncio.run(examine(environ))
    sick = any(each.state is State.PROBLEM for each in found)
    typer.echo(json.dumps(as_object(found), ensure_ascii=False) if as_json else as_lines(found))
    raise typer.Exit(1 if sick else 0)


def as_lines(found: list[Finding]) -> str:
    """A line each, and a sentence."""
    lines = [f"{each.state.value:<8} {each.part}: {line(each.text, 400)}{_to_do(each)}" for each in found]
    problems = sum(each.state is State.PROBLEM for each in found)
    return "\n".join([*lines, count(problems, "problem") if problems else "all is well"])


def _to_do(each: Finding) -> str:
    return f" -> {line(each.fix, 400)}" if each.fix else ""


def as_object(found: list[Finding]) -> dict[str, Any]:
    """The same for a program."""
    return {
        "ok": all(each.state is not State.PROBLEM for each in found),
        "findings": [
            {"part": each.part, "state": each.state.value, "text": each.text, "fix": each.fix} for each in found
        ],
    }


async def examine(environ: Mapping[str, str]) -> list[Finding]:
    """Everything, in the order in which the gateway needs it."""
    settings, found = _settings(environ)
    file = settings.policies if settings else Path(environ.get("HOOP_POLICIES", "").strip() or "policies.yaml")
    policy, said = _policy(file)
    strange = unknown(environ, variables(policy) if policy else ())
    found += [*(Finding("settings", State.NOTE, each) for each in strange), *said]
    found += [*_certificate(settings), _spool(settings.spool), _workers(settings.workers)] if settings else []
    found.append(_compiled())
    insecure = settings.insecure_loopback if settings else environ.get("HOOP_INSECURE_LOOPBACK", "").strip() == "1"
    looks = [*_of_settings(settings, policy), *_of_policy(policy, environ, insecure)]
    return found + [each for some in await asyncio.gather(*looks) for each in some]


def _of_settings(settings: Settings | None, policy: Policy | None) -> list[Coroutine[Any, Any, list[Finding]]]:
    if settings is None:
        return [_now([Finding("store, chats", State.NOTE, "not looked at: the settings come first")])]
    looks = [surroundings.store(settings.store, policy)]
    looks += [_now(surroundings.unset_chats(policy, settings.slack, settings.teams))] if policy else []
    looks += [_now([problem("web", each) for each in missing(policy, settings.web)])] if policy else []
    if policy and settings.web is None:
        looks += [_now([Finding("web", State.NOTE, each, CONNECT) for each in unknown_groups(policy)])]
    if settings.web and policy and not missing(policy, settings.web):
        looks += [_listed(surroundings.web(settings, policy))]
    looks += [surroundings.slack(settings.slack, policy)] if settings.slack else []
    if settings.teams:
        looks += [_listed(surroundings.teams(settings.teams, insecure_loopback=settings.insecure_loopback))]
    return looks


def _of_policy(
    policy: Policy | None, environ: Mapping[str, str], insecure: bool
) -> list[Coroutine[Any, Any, list[Finding]]]:
    if policy is None:
        return [_now([Finding("issuers, targets", State.NOTE, "not looked at: the policies file comes first")])]
    credentials = Credentials(environ)
    issuers = [_listed(surroundings.issuer(each, insecure_loopback=insecure)) for each in policy.issuers]
    logins = [surroundings.target(each, credentials) for each in policy.targets.values()]
    return [*issuers, *logins, surroundings.masked(policy, credentials)]


async def _now(found: list[Finding]) -> list[Finding]:
    return found


async def _listed(look: Coroutine[Any, Any, Finding]) -> list[Finding]:
    return [await look]


# --- this machine ------------------------------------------------------------------------------------------------------


def _settings(environ: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    try:
        settings = read(environ)
    except SettingsError as error:
        return None, [problem("settings", each) for each in error.problems]
    return settings, [ok("settings", "all are readable")]


def _policy(file: Path) -> tuple[Policy | None, list[Finding]]:
    try:
        policy = read_policy(file)
    except PolicyError as error:
        return None, [problem("policy", each) for each in error.problems]
    sizes = f"{count(len(policy.rules), 'rule')}, {count(len(policy.targets), 'target')}"
    valid = ok("policy", f"{file} is valid: {sizes} (hoop check runs its tests)")
    said = [Finding("policy", State.NOTE, each) for each in (*notes(policy), *shadowed(policy))]
    return policy, [valid, *said, *(problem("policy", each, CHANNELS) for each in unheard(policy))]


def _certificate(settings: Settings) -> list[Finding]:
    if settings.tls_cert is None or settings.tls_key is None:
        return [Finding("tls", State.NOTE, "none: plain text, on loopback only")]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
        first = x509.load_pem_x509_certificates(settings.tls_cert.read_bytes())[0]
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        return [problem("tls", unusable_pair(error), PAIR)]
    starts, ends = first.not_valid_before_utc, first.not_valid_after_utc
    left = ends - datetime.fromtimestamp(time.time(), UTC)
    text = f"the certificate {'is good until' if left > timedelta() else 'ended on'} {ends:%Y-%m-%d %H:%M} UTC"
    if left >= min(RENEW, (ends - starts) / 3):
        return [ok("tls", text)]
    return [problem("tls", text, "renew it: a gateway that runs takes the new files within 2 s")]


def _compiled() -> Finding:
    count_of = f"{len(compiled.in_use())} of {len(compiled.MODULES)} modules"
    return Finding(
        "compiled", State.NOTE, f"{count_of} of the hot path are compiled; HOOP_COMPILE=1 builds such a wheel"
    )


def _workers(workers: int) -> Finding:
    cpus = len(os.sched_getaffinity(0))
    text = f"{count(workers, 'worker')}, {count(cpus, 'CPU')}; up to {workers * CONNECTIONS:,} connections to the store"
    if workers > cpus:
        return Finding("workers", State.NOTE, f"{text}; more workers than CPUs gain nothing")
    if workers < cpus:
        return Finding("workers", State.NOTE, f"{text}; HOOP_WORKERS={cpus} would use all of them")
    return ok("workers", text)


def _spool(directory: Path) -> Finding:
    there = next(each for each in (directory, *directory.absolute().parents) if each.is_dir())
    if os.access(there, os.W_OK | os.X_OK):
        return ok("spool", f"{directory} can be written to")
    return problem(
        "spool", f"{directory} can't be written to by this user", "HOOP_SPOOL is a directory of the gateway's own"
    )
