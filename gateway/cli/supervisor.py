"""Several workers of one gateway: starts them, hands signals on, starts anew who has died. It owns their lives and nothing else.

    supervisor ==(a socket pair for each)== worker 1 ... worker N      each a replica; all on the same two ports (SO_REUSEPORT)
                 <- "started"
                 -> its end: the supervisor is gone, so the worker drains and ends

The first worker starts alone: it brings the store's schema up to date, looks after what the dead have left, and what keeps it
from starting is told once, and ends the whole with its code. What lives here: processes. What must not: statements, clients,
the store, policy. Why it is so: docs/adr/0002-workers.md.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from gateway.settings import Address, listening

#: What a worker writes once it serves.
STARTED: Final = b"started\n"
_ROOT: Final = Path(__file__).resolve().parents[2]  # where the gateway package lies, installed or not

#: The command of a worker, by its number and the descriptor of its end of the pair.
Command = Callable[[int, int], Sequence[str]]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a worker is started again. Seconds: before the second start, doubled each time up to `most`; one that served for
    `steady` begins anew. After `falls` ends in a row that were sooner the whole ends."""

    first: float = 0.5
    most: float = 30.0
    steady: float = 60.0
    falls: int = 6


@dataclass(slots=True)
class _Place:
    """One worker's place: who is in it now."""

    number: int
    process: asyncio.subprocess.Process | None = None
    up: asyncio.Event = field(default_factory=asyncio.Event)
    up_at: float = 0.0
    falls: int = 0
    reload: bool = False  # asked for while it was starting

    def send(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


def command(number: int, count: int, descriptor: int, folder: str) -> Sequence[str]:
    """How a worker is started (worker.py)."""
    return (sys.executable, "-P", "-m", "gateway.cli.worker", *map(str, (number, count, descriptor, folder)))


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """A worker's: the same package as ours, and nothing of the working directory (-P)."""
    before = environ.get("PYTHONPATH", "")
    return {**environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{before}" if before else str(_ROOT)}


class Supervisor:
    """`run` it once. `environment` is the workers'."""

    def __init__(
        self, count: int, command: Command, environment: Mapping[str, str], patience: Patience | None = None
    ) -> None:
        self._places = [_Place(number) for number in range(1, count + 1)]
        self._command = command
        self._environment = environment
        self._patience = patience or Patience()
        self._booted = False
        self._ending = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Until SIGTERM, SIGINT or an end that another start would not mend. Returns the exit code, once all have ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, 0)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        keepers: list[asyncio.Task[None]] = []
        for some in (self._places[:1], self._places[1:]):
            for place in some:
                keepers.append(loop.create_task(self._keep(place)))
                keepers[-1].add_done_callback(self._kept)
            await self._up_or_ending(some)
            if self._ending.is_set():
                break
        else:
            self._booted = True
            log.info("workers.started", workers=len(self._places))
        await self._ending.wait()
        for place in self._places:
            place.send(signal.SIGTERM)
        await asyncio.gather(*keepers)
        log.info("workers.stopped", code=self._code)
        return self._code

    def _end(self, code: int) -> None:
        self._code = self._code or code
        self._ending.set()

    def _kept(self, keeper: asyncio.Task[None]) -> None:
        """A place that nobody keeps any more, by a fault of ours, must not go unseen."""
        if not keeper.cancelled() and keeper.exception() is not None:
            self._end(1)

    def _reload(self) -> None:
        """The policies file again, in each: one that starts just now could be killed by the signal, and is told later."""
        for place in self._places:
            if place.up.is_set():
                place.send(signal.SIGHUP)
            else:
                place.reload = True

    async def _up_or_ending(self, places: Sequence[_Place]) -> None:
        async def all_up() -> None:
            for place in places:
                await place.up.wait()

        waits = [asyncio.ensure_future(all_up()), asyncio.ensure_future(self._ending.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    # --- one worker ---------------------------------------------------------------------------------------------------

    async def _keep(self, place: _Place) -> None:
        """One life after another."""
        while not self._ending.is_set():
            code = await self._life(place)
            served, lasted = place.up.is_set(), asyncio.get_running_loop().time() - place.up_at
            place.up.clear()
            if self._ending.is_set():
                self._end(_worst(code) if served else 0)  # one that had not started knows no signal yet
            elif not served and not self._booted:
                self._end(_worst(code))
            else:
                place.falls = 1 if served and lasted >= self._patience.steady else place.falls + 1
                await self._mourn(place, code, served=served)

    async def _life(self, place: _Place) -> int:
        """From its start to its end; returns its code, negative for a signal."""
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            with theirs:
                descriptor = theirs.fileno()
                command = self._command(place.number, descriptor)
                try:
                    place.process = await asyncio.create_subprocess_exec(
                        *command, env=self._environment, pass_fds=(descriptor,)
                    )
                except OSError as error:  # out of memory, of processes
                    log.error("worker.not_started", worker=place.number, problem=str(error))
                    return 1
            if self._ending.is_set():
                place.send(signal.SIGTERM)
            hearing = asyncio.get_running_loop().create_task(self._hear(place, ours))
            code = await place.process.wait()
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            return code

    async def _hear(self, place: _Place, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if await loop.sock_recv(ours, len(STARTED)):
            place.up_at = loop.time()
            place.up.set()
            if place.reload:
                place.reload = False
                place.send(signal.SIGHUP)

    async def _mourn(self, place: _Place, code: int, *, served: bool) -> None:
        """Say why it ended, and wait until it is time to start it again; or give up."""
        others = any(each.up.is_set() for each in self._places)
        if place.falls >= self._patience.falls and (served or not others):
            log.critical("workers.keep_dying", worker=place.number, why=_why(code), ends=place.falls)
            self._end(_worst(code) or 1)
            return
        wait = min(self._patience.most, self._patience.first * 2.0 ** (place.falls - 1))
        log.error("worker.ended", worker=place.number, why=_why(code), served=served, again_in=wait)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._ending.wait()


def _worst(code: int) -> int:
    """As an exit code of our own: a signal is a failure."""
    return code if code >= 0 else 1


def _why(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


# --- ports ----------------------------------------------------------------------------------------------------------------


@contextmanager
def reserved(name: str, address: Address) -> Iterator[Address]:
    """Keep a port for the workers, whatever becomes of them: bound, never listening, so that nobody connects to it.

    Gives the address with its port, where 0 asked for any. Raises OSError, which tells `name`, its variable, where somebody has
    it: without this look a second gateway would share it, which is what SO_REUSEPORT is for.
    """
    with listening(name, address):
        if address.port:
            _bound(address, socket.SO_REUSEADDR).close()
        made = _kept(address)
    with made as kept:
        yield Address(address.host, kept.getsockname()[1])


def _kept(address: Address) -> socket.socket:
    """Without SO_REUSEADDR, or the look of a gateway that starts while no worker of ours listens yet would not see it."""
    try:
        return _bound(address, socket.SO_REUSEPORT)
    except OSError:  # connections of a gateway that was one process, and is gone, are still ending
        return _bound(address, socket.SO_REUSEPORT, socket.SO_REUSEADDR)


def _bound(address: Address, *options: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        for each in options:
            made.setsockopt(socket.SOL_SOCKET, each, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address.host, address.port))
    except OSError:
        made.close()
        raise
    return made
