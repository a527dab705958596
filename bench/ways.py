"""Ways to the same database, to compare the gateway with: direct, pgbouncer, haproxy, a relay that does nothing.

    direct                no process in between                       gateway          the detectors look at every row
    bare relay            bench.relay                                 gateway, clear   for somebody who may see everything clear
    relay by turns        the same as the gateway sends               recording relay  with two entries a transaction
    pgbouncer             as Debian ships it: 4 KiB buffers           haproxy          TCP mode, one thread
    pgbouncer 64 KiB      pkt_buf = 65536

Each way exists plain and with TLS to the client (plain to the target). haproxy can't answer PostgreSQL's SSLRequest, so
its clients begin with TLS at once. What is not installed has no row, and a note says so.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from bench.stack import Stack
from gateway.demo.sample import SHOP_USER

GATEWAY, CLEAR, BOUNCER, BIG_BOUNCER, HAPROXY, RELAY, TURNS, RECORDER, DIRECT = (
    "gateway",
    "gateway, clear",
    "pgbouncer",
    "pgbouncer 64 KiB",
    "haproxy",
    "bare relay",
    "relay by turns",
    "recording relay",
    "direct",
)
_BOUNCER = """[databases]
shop = host=127.0.0.1 port={target} dbname=shop user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = session
server_reset_query = DISCARD ALL
unix_socket_dir =
max_client_conn = 4000
default_pool_size = 1000
client_tls_sslmode = allow
client_tls_cert_file = {cert}
client_tls_key_file = {key}
{more}
"""
_HAPROXY = """global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend plain
  bind 127.0.0.1:{port}
  default_backend target
frontend tls
  bind 127.0.0.1:{tls_port} ssl crt {both} alpn postgresql
  default_backend target
backend target
  server target 127.0.0.1:{target}
"""
_STARTED = 10.0  # seconds

Tls = Literal["", "postgres", "direct"]


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach the database: a port, a password, and the process in between (None: there is none).

    `tls`: none, after PostgreSQL's SSLRequest, or from the first byte.
    """

    name: str
    port: int
    password: str = field(repr=False)
    pid: int | None = None
    tls: Tls = ""

    @property
    def environment(self) -> dict[str, str]:
        """For libpq."""
        return {
            "PGPASSWORD": self.password,
            "PGSSLMODE": "require" if self.tls else "disable",
            "PGSSLNEGOTIATION": self.tls or "postgres",
        }


@dataclass(frozen=True, slots=True)
class Ways:
    """All that there are on this machine, and what is missing."""

    plain: Sequence[Way]
    tls: Sequence[Way]
    missing: Sequence[str]

    def of(self, *names: str) -> list[Way]:
        """The plain ways of these names, in their order, without those that are missing."""
        return [way for name in names for way in self.plain if way.name == name]

    def of_tls(self, *names: str) -> list[Way]:
        """The same over TLS."""
        return [way for name in names for way in self.tls if way.name == name]


@asynccontextmanager
async def all_ways(stack: Stack) -> AsyncIterator[Ways]:
    """Start everything that is installed, next to a running gateway."""
    plain = [
        Way(DIRECT, stack.postgres.port, stack.password),
        Way(CLEAR, stack.wire, stack.issuer.mint("bob", lifetime=3600), stack.pid),
        Way(GATEWAY, stack.wire, stack.issuer.mint("cursor", lifetime=3600), stack.pid),
    ]
    missing, tls = [], [replace(way, tls="postgres") for way in plain[1:]]
    async with AsyncExitStack() as others:
        plain.append(await others.enter_async_context(bare_relay(stack)))
        plain.append(await others.enter_async_context(_relay(stack, TURNS, "-")))
        spool = others.enter_context(tempfile.TemporaryDirectory(prefix="hoop-bench-"))
        plain.append(await others.enter_async_context(_relay(stack, RECORDER, spool)))
        if shutil.which("pgbouncer"):
            for name, more in ((BOUNCER, ""), (BIG_BOUNCER, "pkt_buf = 65536")):
                way = await others.enter_async_context(_pgbouncer(stack, name, more))
                plain.append(way)
                tls.append(replace(way, tls="postgres"))
        else:
            missing.append("pgbouncer is MISSING, so there are no ratios to it: apt-get install pgbouncer")
        if shutil.which("haproxy"):
            way, encrypted = await others.enter_async_context(_haproxy(stack))
            plain.append(way)
            tls.append(encrypted)
        else:
            missing.append("haproxy is MISSING, so there is no row for it: apt-get install haproxy")
        yield Ways(plain, tls, missing)


@asynccontextmanager
async def bare_relay(stack: Stack) -> AsyncIterator[Way]:
    """A process of bench.relay in front of the target."""
    async with _relay(stack, RELAY) as way:
        yield way


@asynccontextmanager
async def _relay(stack: Stack, name: str, *spool: str) -> AsyncIterator[Way]:
    port = _free_port()
    async with _process(sys.executable, "-m", "bench.relay", str(port), str(stack.postgres.port), *spool) as pid:
        await _listening(port)
        yield Way(name, port, stack.password, pid)


@asynccontextmanager
async def _pgbouncer(stack: Stack, name: str, more: str) -> AsyncIterator[Way]:
    port = _free_port()
    with _public_folder() as base:
        config = base / "pgbouncer.ini"
        files = {"cert": stack.certificate.cert, "key": stack.certificate.key}
        config.write_text(
            _BOUNCER.format(
                target=stack.postgres.port, user=SHOP_USER, password=stack.password, port=port, more=more, **files
            )
        )
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        async with _process("pgbouncer", "-q", *user, str(config)) as pid:
            await _listening(port)
            yield Way(name, port, stack.password, pid)


@asynccontextmanager
async def _haproxy(stack: Stack) -> AsyncIterator[tuple[Way, Way]]:
    """Its plain way and the one with TLS, which are two ports."""
    port, tls_port = _free_port(), _free_port()
    with _public_folder() as base:
        config = base / "haproxy.cfg"
        config.write_text(
            _HAPROXY.format(port=port, tls_port=tls_port, target=stack.postgres.port, both=stack.certificate.both)
        )
        async with _process("haproxy", "-db", "-f", str(config)) as pid:
            await _listening(port)
            way = Way(HAPROXY, port, stack.password, pid)
            yield way, replace(way, port=tls_port, tls="direct")


@contextmanager
def _public_folder() -> Iterator[Path]:
    """A folder that others may read: as root pgbouncer runs as nobody."""
    with tempfile.TemporaryDirectory(prefix="hoop-bench-") as base:
        Path(base).chmod(0o755)
        yield Path(base)


@asynccontextmanager
async def _process(*command: str) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(*command)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _listening(port: int) -> None:
    async with asyncio.timeout(_STARTED):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
