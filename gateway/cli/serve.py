"""`hoop serve`: the gateway, until SIGTERM or SIGINT. SIGHUP reads the policies file again."""

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gateway import logs, settings
from gateway.app import Gateway, read_policy
from gateway.errors import ChatRefused, GatewayError, PolicyError
from gateway.policy.needs import missing

USAGE = 2


def serve(
    policies: Annotated[
        Path | None, typer.Option(help="The policies file; default HOOP_POLICIES or policies.yaml.")
    ] = None,
) -> None:
    """Run the gateway; settings come from the environment (.env.example lists them all).

    Needed: HOOP_STORE, HOOP_AUDIT_KEY, HOOP_SECRET, HOOP_TLS_CERT and HOOP_TLS_KEY (or HOOP_INSECURE_LOOPBACK=1 on
    loopback), for reviewers in Slack SLACK_BOT_TOKEN and SLACK_SIGNING_SECRET or SLACK_APP_TOKEN, and for reviewers in
    Teams TEAMS_APP_ID, TEAMS_APP_PASSWORD and TEAMS_TENANT_ID. For /hoop link and rules with approve_via: web
    HOOP_WEB_CLIENT_ID, HOOP_WEB_CLIENT_SECRET and HOOP_PUBLIC_URL.
    Each secret may also be a file: NAME_FILE. What is wrong is told before anything starts: exit code 2.
    """
    environ = dict(os.environ)
    if policies is not None:
        environ["HOOP_POLICIES"] = str(policies)
    try:
        chosen = settings.read(environ)
        policy = read_policy(chosen.policies)
    except settings.SettingsError as error:
        _refuse(error.problems)
    except PolicyError as error:
        _refuse(error.problems)
    if lacking := missing(policy, chosen.web):
        _refuse(lacking)
    logs.configure(chosen.log)
    sys.exit(uvloop.run(run(Gateway(chosen, policy))))


def _refuse(problems: list[str]) -> None:
    for problem in problems:
        typer.echo(problem, err=True)
    raise typer.Exit(USAGE)


def _said(error: Exception) -> str:
    hint = error.hint if isinstance(error, GatewayError) else ""
    return f"hoop serve: {error}" + (f"; {hint}" if hint else "")


#: New objects that start a look for garbage in cycles. By Python's default, 700, a statement of 8 kB starts many: they took
#: half of its time (docs/performance.md).
_NEW_OBJECTS = 20_000


def _collect_seldom() -> None:
    """What start-up made stays for good; trees of statements are freed without the collector's help."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 50)


async def run(gateway: Gateway) -> int:
    """Start, wait for a signal (or for the audit to break), stop. Returns the exit code."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload)
    try:
        await gateway.start()
    except (GatewayError, ChatRefused, OSError) as error:
        typer.echo(_said(error), err=True)
        return USAGE
    _collect_seldom()
    waits = [loop.create_task(each.wait()) for each in (stopping, gateway.broken)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await gateway.stop()
    return 1 if gateway.broken.is_set() else 0
