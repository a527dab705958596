"""`hoop serve`: the gateway, until SIGTERM or SIGINT. SIGHUP reads the policies file again.

One process, or with --workers several of them under a supervisor (supervisor.py), each of which runs `run` as the one does.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer
import uvloop

from gateway import logs, settings
from gateway.cli.supervisor import STARTED, Supervisor, command, environment, reserved
from gateway.errors import ChatRefused, GatewayError, PolicyError
from gateway.policies import read_policy
from gateway.policy.model import Policy
from gateway.policy.needs import missing, variables
from gateway.settings import Settings

if (
    TYPE_CHECKING
):  # a supervisor is no gateway: without its libraries it takes a third of the memory and of the time to start
    from gateway.app import Gateway

USAGE = 2
log = structlog.get_logger()


class Refusal(Exception):
    """Settings or policy can't be used: what is wrong, and the exit code."""

    code = USAGE

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def serve(
    policies: Annotated[
        Path | None, typer.Option(help="The policies file; default HOOP_POLICIES or policies.yaml.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the ports, one a core; default HOOP_WORKERS or 1.")
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
    if workers is not None:
        environ["HOOP_WORKERS"] = str(workers)
    try:
        chosen, policy = prepared(environ)
    except Refusal as refusal:
        for problem in refusal.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(refusal.code) from None
    logs.configure(chosen.log)
    for hint in settings.unknown(environ, variables(policy)):
        log.warning("settings.unknown", hint=hint)
    sys.exit(supervise(chosen, environ) if chosen.workers > 1 else _alone(chosen, policy))


def _alone(chosen: Settings, policy: Policy) -> int:
    from gateway.app import Gateway  # noqa: PLC0415 - see above

    return uvloop.run(run(Gateway(chosen, policy)))


def prepared(environ: Mapping[str, str]) -> tuple[Settings, Policy]:
    """What the gateway is made of. Raises Refusal with everything that is wrong."""
    try:
        chosen = settings.read(environ)
        policy = read_policy(chosen.policies)
    except (settings.SettingsError, PolicyError) as error:
        raise Refusal(error.problems) from error
    if lacking := missing(policy, chosen.web):
        raise Refusal(lacking)
    return chosen, policy


def supervise(chosen: Settings, environ: Mapping[str, str]) -> int:
    """Several workers, until they have ended. Returns the exit code."""
    try:
        with (
            tempfile.TemporaryDirectory(prefix="hoop-", ignore_cleanup_errors=True) as folder,
            reserved("HOOP_LISTEN", chosen.listen) as wire,
            reserved("HOOP_HTTP", chosen.http) as http,
        ):
            ports = {"HOOP_LISTEN": str(wire), "HOOP_HTTP": str(http)}
            made = Supervisor(
                chosen.workers,
                lambda number, end: command(number, chosen.workers, end, folder),
                environment({**environ, **ports}),
            )
            return asyncio.run(made.run())
    except OSError as error:
        typer.echo(_said(error), err=True)
        return USAGE


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


#: For glibc's mallopt (malloc.h): below this many bytes nothing gets a mapping of its own (M_MMAP_THRESHOLD), and so many free ones stay
#: at the heap's end (M_TRIM_THRESHOLD).
_MALLOC = {-3: 8 << 20, -1: 16 << 20}


def _keep_memory() -> None:
    """Do not give back what a big value took: the next one would get pages that have to be found and cleared, two fifths of what a
    megabyte costs. Another libc than glibc has no such function."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for what, size in _MALLOC.items():
            mallopt(what, size)


def _ended(lifeline: socket.socket, stopping: asyncio.Event) -> None:
    """Nothing is ever sent to a worker, so what can be read is the end."""
    asyncio.get_running_loop().remove_reader(lifeline)
    stopping.set()


async def run(gateway: "Gateway", lifeline: socket.socket | None = None) -> int:
    """Start, wait for a signal (or for the audit to break), stop. Returns the exit code. `lifeline`, of a worker: its supervisor is
    told there that it has started, and its end says that the supervisor is gone, which is as good as SIGTERM."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload)
    if lifeline is not None:
        loop.add_reader(lifeline, _ended, lifeline, stopping)
    try:
        await gateway.start()
    except (GatewayError, ChatRefused, OSError) as error:
        typer.echo(_said(error), err=True)
        return USAGE
    _collect_seldom()
    _keep_memory()
    if lifeline is not None:
        with contextlib.suppress(OSError):  # it is gone: that is heard already
            lifeline.send(STARTED)
    waits = [loop.create_task(each.wait()) for each in (stopping, gateway.broken)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if lifeline is not None:
        loop.remove_reader(lifeline)
    await gateway.stop()
    return 1 if gateway.broken.is_set() else 0
