"""Connecting to a target: TLS, our own StartupMessage, SCRAM-SHA-256. The database credential never leaves this file.

Manual 55.2.1 (start-up), 55.3 (SASL). The parameters sent are the caller's allow-list and ours; nothing of the client's
StartupMessage is forwarded as it came (enforcement.md 1.3).
"""

import asyncio
import secrets
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.errors import GatewayError, TargetUnavailable
from gateway.failures import in_words
from gateway.policy.model import Target
from gateway.relay.doorway import Doorway
from gateway.wire import frontend, scram, startup
from gateway.wire.backend import fields, read_parameter_status

#: Seconds for the whole login; beyond it the client gets 08006 instead of hanging.
LOGIN = 15.0
#: Bytes of results that the kernel may hold for a client that doesn't read (Linux doubles it). Left to itself it grows to
#: megabytes, and what a client gives up on has long run to its end: its cancel comes too late (psycopg's tests).
RECEIVED = 256 << 10
_MAX_MESSAGE = 1 << 20
_WRITES_AT_LOGIN = (
    "The gateway's sessions start read-only, and a login trigger of the target writes. "
    "Let it return where current_setting('transaction_read_only') is on."
)

_PROOF = "Its pg_hba.conf must ask for scram-sha-256 where the gateway logs in, and the password of that login be stored as such."

#: Ours, whatever the client asks: the parser and the target must read alike, and a hold must not be timed out under us.
PINNED = {
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}


_E, _K, _N, _R, _S, _V, _Z = b"EKNRSvZ"


@dataclass(slots=True)
class TargetLink:
    """A logged-in connection to a target, idle. `parameters` are its ParameterStatus reports; pid and secret its cancel key.

    `notices`: bodies of the NoticeResponses of the login (a collation that doesn't fit, a login trigger's words). `answer`: what
    was answered to what it was asked right behind the login, as (type, body); empty where nothing was. `since`: when it logged in,
    by the loop's clock.
    """

    door: Doorway
    target: Target
    parameters: dict[str, str]
    pid: int
    secret: bytes
    notices: list[bytes] = field(default_factory=list)
    answer: list[tuple[int, bytes]] = field(default_factory=list)
    since: float = 0.0

    def leave(self) -> None:
        """Say goodbye and close; nothing where it is closed already."""
        self.door.write(frontend.TERMINATE)
        self.door.close()

    async def cancel(self) -> None:
        """Send a CancelRequest and wait until the target has closed that connection, so that it can't hit what follows."""
        door: Doorway | None = None
        try:
            async with asyncio.timeout(LOGIN):
                door = await _dial(self.target)
                door.write(startup.cancel_request(self.pid, self.secret))
                while True:
                    await door.take(1)
        except (OSError, TimeoutError, GatewayError):
            return
        finally:
            if door is not None:
                door.close()


@dataclass(frozen=True, slots=True)
class Ask:
    """A question right behind the login: bytes that are answered up to one ReadyForQuery. Not asked where the target has reported this
    parameter by itself."""

    question: bytes = b""
    unless: str = ""


_NOTHING = Ask()


async def connect(target: Target, password: str, parameters: Mapping[str, str], ask: Ask = _NOTHING) -> TargetLink:
    """Dial, encrypt as `sslmode` asks, log in, and ask. Raises TargetUnavailable with a text that is safe to show."""
    try:
        async with asyncio.timeout(LOGIN):
            door = await _dial(target)
            try:
                return await _log_in(door, target, password, parameters, ask)
            except BaseException:
                door.close()
                raise
    except TimeoutError:
        raise TargetUnavailable(f"target {target.name} did not answer within {LOGIN:.0f} s") from None
    except (OSError, ValueError) as error:
        raise TargetUnavailable(f"target {target.name} can't be reached ({in_words(error)})") from error


async def _dial(target: Target) -> Doorway:
    if target.sslmode == "disable":
        door = Doorway()
        transport, _ = await asyncio.get_running_loop().create_connection(door.protocol, target.host, target.port)
        _tune(transport.get_extra_info("socket"))
        return door
    return await _dial_tls(target)


async def _dial_tls(target: Target) -> Doorway:
    loop = asyncio.get_running_loop()
    sock = await _socket(target.host, target.port)
    try:
        _tune(sock)
        await loop.sock_sendall(sock, startup.ssl_request())
        context = _offered(await loop.sock_recv(sock, 1), target)
        door = Doorway()
        await loop.create_connection(door.protocol, sock=sock, ssl=context, server_hostname=target.host)
    except BaseException:
        sock.close()
        raise
    return door


def _tune(sock: socket.socket) -> None:
    """What the loop does not do itself: it sets TCP_NODELAY."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)


def _offered(answer: bytes, target: Target) -> ssl.SSLContext:
    if answer != b"S":
        raise TargetUnavailable(f"target {target.name} does not offer TLS and sslmode is {target.sslmode}")
    return tls_context(target)


async def _socket(host: str, port: int) -> socket.socket:
    """The first address of `host` that takes a connection."""
    loop = asyncio.get_running_loop()
    failed: OSError = OSError(f"no address for {host}")
    for family, kind, proto, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except OSError as error:
            failed = error
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failed


def tls_context(target: Target) -> ssl.SSLContext:
    """libpq's sslmode as an SSLContext: require does not verify, verify-ca not the name, verify-full both."""
    context = ssl.create_default_context(cafile=target.sslrootcert)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = target.sslmode == "verify-full"
    context.verify_mode = ssl.CERT_NONE if target.sslmode == "require" else ssl.CERT_REQUIRED
    return context


async def _log_in(door: Doorway, target: Target, password: str, parameters: Mapping[str, str], ask: Ask) -> TargetLink:
    wanted = {"user": target.user, "database": target.database, **parameters, **PINNED}
    login = _Login(door, target, password, ask)
    door.write(startup.startup_message(wanted))
    await door.converse(_MAX_MESSAGE, login.answer)
    return login.link


class _Login:
    """What to say to each message of the target, and what it has told. First it proves who it is, then it greets, then it is asked."""

    def __init__(self, door: Doorway, target: Target, password: str, ask: Ask) -> None:
        self.link = TargetLink(door, target, {}, 0, b"", since=asyncio.get_running_loop().time())
        self._stage = self._authenticate
        self._exchange = scram.Scram(password, secrets.token_urlsafe(24))
        self._proved = False
        self._ask = ask

    def answer(self, kind: int, raw: bytes) -> bytes | None:
        """What to say to a message; None when nothing more is owed. Raises TargetUnavailable."""
        return self._stage(kind, raw)

    def _authenticate(self, kind: int, raw: bytes) -> bytes | None:
        target = self.link.target
        if kind != _R:
            raise _refused(target, kind, raw)
        method, data = int.from_bytes(raw[5:9], "big"), raw[9:]
        if method == 0 and self._proved:
            self._stage = self._greeted
            return b""
        if method == 10 and scram.MECHANISM.encode() in data.split(b"\0"):
            return frontend.sasl_initial_response(scram.MECHANISM, self._exchange.first())
        if method == 11:
            return frontend.sasl_response(self._exchange.final(data))
        if method == 12:
            self._exchange.verify(data)
            self._proved = True
            return b""
        # Also `trust` and cleartext: a target that asks for no proof may be anyone (0 without 12 before it).
        raise TargetUnavailable(f"target {target.name} does not offer SCRAM-SHA-256", hint=_PROOF)

    def _greeted(self, kind: int, raw: bytes) -> bytes | None:
        link = self.link
        if kind == _Z:
            if not self._ask.question or self._ask.unless in link.parameters:
                return None
            self._stage = self._answered
            return self._ask.question
        if kind == _K:
            link.pid, link.secret = int.from_bytes(raw[5:9], "big"), raw[9:]
        elif kind != _V and not self._told(kind, raw):
            raise _refused(link.target, kind, raw)
        return b""

    def _answered(self, kind: int, raw: bytes) -> bytes | None:
        if not self._told(kind, raw):
            self.link.answer.append((kind, raw[5:]))
        return None if kind == _Z else b""

    def _told(self, kind: int, raw: bytes) -> bool:
        """Take what a target may say at any time."""
        if kind == _S:
            name, value = _status(raw)
            self.link.parameters[name] = value
        elif kind == _N:
            self.link.notices.append(raw[5:])
        return kind in (_S, _N)


@lru_cache(maxsize=256)
def _status(raw: bytes) -> tuple[str, str]:
    """A whole ParameterStatus, read. A target says the same some fifteen at each login."""
    return read_parameter_status(raw[5:])


def _refused(target: Target, kind: int, raw: bytes) -> TargetUnavailable:
    if kind != _E:
        return TargetUnavailable(f"target {target.name} sent an unexpected message during login")
    found = fields(raw[5:])
    code = found.get("C", "08006")
    # 28xxx is our credential's trouble, not the client's: its text names the database user, so it goes to the log only.
    if code.startswith("28"):
        return TargetUnavailable(f"target {target.name} refused the gateway's own login")
    hint = _WRITES_AT_LOGIN if code == "25006" else ""
    return TargetUnavailable(f"target {target.name}: {found.get('M', 'login refused')}", hint=hint, sqlstate=code)
