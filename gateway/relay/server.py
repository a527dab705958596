"""The front door: from an accepted socket to a running Relay. Read `_meet` top-down.

    greet (TLS or refusal) -> password = token -> identity -> may it connect -> target -> ready -> relay

Nothing is asked of the target before the token is verified. Every refusal of identity, token, user or target is 28000.
Startup packets are read from the bare socket, byte for byte, so nothing can hide behind an SSLRequest
(CVE-2021-23214 class) and direct TLS is told by its first byte.
"""

import asyncio
import contextlib
import ipaddress
import itertools
import secrets
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import structlog

from gateway.audit.entry import Value
from gateway.audit.pattern import Pattern, text_value
from gateway.errors import (
    AuthenticationFailed,
    GatewayError,
    ProtocolViolation,
    SettingRefused,
    TargetUnavailable,
)
from gateway.identity.claims import Identity
from gateway.identity.issuers import Issuers
from gateway.masking.detectors import Detectors
from gateway.masking.diagnostics import scrub_name
from gateway.policy.decide import may_connect
from gateway.policy.model import Policy, Secret, Target
from gateway.policy.readers import login_of
from gateway.relay.cancel import CancelKeys, Forwarding
from gateway.relay.catalogs import Catalogs, key
from gateway.relay.doorway import Doorway
from gateway.relay.relay import Relay, Shell
from gateway.relay.spares import Spares, Terms
from gateway.relay.target import Ask, TargetLink, connect
from gateway.session import events as ev
from gateway.session.common import Commons
from gateway.session.errands import ASK_PATH, PATH, schemas, told_path
from gateway.session.gate import SETTING, Gate, read_bool
from gateway.session.grounds import Login
from gateway.session.meaning import REPORTED
from gateway.session.session import Session
from gateway.sql.settings import encoding_key, setting_class
from gateway.sql.statement import StatementClass
from gateway.wire import startup
from gateway.wire.backend import (
    AUTHENTICATION_CLEARTEXT_PASSWORD,
    AUTHENTICATION_OK,
    backend_key_data,
    fatal,
    negotiate_protocol_version,
    parameter_status,
    ready_for_query,
)
from gateway.wire.frontend import message, read_password
from gateway.wire.startup import Cancel, Encryption, Startup

log = structlog.get_logger()

#: Seconds until the password must have come (PostgreSQL's authentication_timeout is 60; a token needs no typing).
GREETING = 20.0
BACKLOG = 512
#: Seconds that what runs gets to end when the gateway stops, and then that its target gets to answer a cancel.
DRAIN = 5.0
CANCELLED = 2.0
#: Seconds that the kernel keeps a client which says nothing; only Linux does.
_DEFERRED = 1
_DEFER: int | None = getattr(socket, "TCP_DEFER_ACCEPT", None)
#: Seconds until the next client is taken when one couldn't be.
_PAUSE = 0.1
_PASSWORD = 64 << 10
_NEWEST_MINOR = 2
_TLS_CLIENT_HELLO = 0x16
_OURS = frozenset({"user", "database", "options", "replication"})
#: What is recorded of the StartupMessage of a refused client, and how many characters of each.
_SAYS = {"claimed": "user", "target": "database", "agent": "application_name"}
_LONGEST_SAID = 256
_REFUSED = "login refused: unknown token, user or target"
_HINT = "The password is a token (`hoop token`), the database is a target's name."
_ASK_PATH = Ask(ASK_PATH, unless=PATH)
#: too_many_connections, also of a role's or database's own limit.
_TOO_MANY = "53300"
_GROUPLESS = "the token names no groups"
_NO_GROUPS = "Your token names no groups: if rules go by them, its issuer has to put them into it."


@dataclass(frozen=True, slots=True)
class Doors:
    """How clients may come in. `tls` None: plain text, from loopback addresses only."""

    tls: ssl.SSLContext | None
    plaintext_loopback: bool
    replica: str
    mask_key: bytes
    digest_key: bytes
    cancel_key: bytes


@dataclass(frozen=True, slots=True)
class Farewell:
    """How many sessions there were when the gateway stopped: nothing ran in those `ended`, what ran came to its end by itself
    (`drained`), was `cancelled` on its target, or its end was not seen (`unknown`)."""

    ended: int = 0
    drained: int = 0
    cancelled: int = 0
    unknown: int = 0


@dataclass(slots=True)
class Guest:
    """A client that has said hello; `identity` once its token was found good."""

    door: Doorway
    hello: Startup
    address: str
    identity: Identity | None = None


class Server:
    """Listens, and knows the sessions of this process. `password` reads a target's secret, `tell` reaches the other replicas."""

    def __init__(
        self,
        doors: Doors,
        policy: Policy,
        issuers: Issuers,
        shell: Shell,
        catalogs: Catalogs,
        password: Callable[[Target, Secret], Coroutine[Any, Any, str]],
        saw: Callable[[Identity], Coroutine[Any, Any, None]],
        tell: Callable[[Sequence[str]], Awaitable[None]],
        spares: Spares | None = None,
    ) -> None:
        self._doors = doors
        self.policy = policy
        self._issuers = issuers
        self._shell = shell
        self._catalogs = catalogs
        self._password = password
        self._saw = saw
        self._keys = CancelKeys(doors.cancel_key)
        self._tell = tell
        self._forwarding = Forwarding(tell)
        self._spares = spares or Spares(0)
        self._relays: dict[Relay, Session] = {}
        self._empty = asyncio.Event()  # set by the last session that ends
        self._meetings: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None
        self._pause: asyncio.TimerHandle | None = None  # while no more can be accepted
        self._session_numbers = itertools.count(1)
        #: Chores of sessions, ended ones too: what must be done before the store may close.
        self.working: set[asyncio.Task[None]] = set()
        self._prefix = secrets.token_hex(4)
        self._commons = Commons()

    # --- life ---------------------------------------------------------------------------------------------------------

    def listen(self, host: str, port: int, *, shared: bool = False) -> int:
        """Begin to listen; returns the port. `shared`: with other processes (SO_REUSEPORT). Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
        sock.setblocking(False)
        # A client speaks first: it is met when it does, and once less is waited for. One that says nothing comes behind this time.
        if _DEFER is not None:
            sock.setsockopt(socket.IPPROTO_TCP, _DEFER, _DEFERRED)
        self._listening = sock
        asyncio.get_running_loop().add_reader(sock, self._accept, sock)
        bound: int = sock.getsockname()[1]
        return bound

    async def close(self) -> Farewell:
        """Take no more sessions and end those that are (57P01, holds withdrawn and told): at once where nothing runs, else when
        that has ended, within DRAIN; what takes longer is cancelled on its target, and the answer waited for."""
        if self._pause is not None:
            self._pause.cancel()
        listening, self._listening = self._listening, None
        if listening is not None:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        for meeting in list(self._meetings):
            meeting.cancel()
        self._spares.close()
        await self._forwarding.close()
        self._empty.clear()
        ended = await self._end(ev.Why.DRAINING, 0)
        drained = await self._gone(DRAIN)
        cancelled = await self._end(ev.Why.OVERDUE, CANCELLED)
        return Farewell(ended, drained, cancelled, unknown=await self._end(ev.Why.STOPPED, 0))

    async def _end(self, why: ev.Why, patience: float) -> int:
        """How many sessions have ended by it."""
        before = len(self._relays)
        for relay in list(self._relays):
            relay.feed(ev.Ended(why))
        await self._gone(patience)
        return before - len(self._relays)

    async def _gone(self, patience: float) -> int:
        """Wait for the sessions to end, so many seconds at most; how many have."""
        before = len(self._relays)
        if before and patience:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._empty.wait()
        return before - len(self._relays)

    def adopt(self, policy: Policy) -> None:
        """Judge by this policy from now on, in running sessions too."""
        self.policy = policy
        for relay in list(self._relays):
            relay.feed(ev.PolicyChanged(policy))

    def catalog_changed(self, target: Target, catalog: object) -> None:
        for relay in list(self._relays):
            if key(relay.target) == key(target):
                relay.feed(ev.CatalogChanged(catalog))  # type: ignore[arg-type] # Catalog or None, as Catalogs gives it

    def targets_in_use(self) -> list[Target]:
        """As somebody is logged in there: a target with a reader may be in it twice."""
        return list({key(relay.target): relay.target for relay in self._relays}.values())

    @property
    def sessions(self) -> int:
        return len(self._relays)

    def session_ids(self) -> list[str]:
        """Of the sessions of this process."""
        return [relay.session for relay in self._relays]

    def end_session(self, session: str, told: str) -> None:
        """Somebody has ended it: `told` says who and why."""
        for relay in [each for each in self._relays if each.session == session]:
            relay.feed(ev.Ended(ev.Why.REVOKED, told))

    def _accept(self, listening: socket.socket) -> None:
        """Take one client; the loop comes again for the next. sock_accept would watch the socket anew for each."""
        loop = asyncio.get_running_loop()
        try:
            sock, address = listening.accept()
        except BlockingIOError:  # it has gone again
            return
        except OSError as error:  # out of file descriptors: say so and go on
            log.error("accept.failed", problem=str(error))
            loop.remove_reader(listening)
            self._pause = loop.call_later(_PAUSE, loop.add_reader, listening, self._accept, listening)
            return
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        meeting = loop.create_task(self._meet(sock, str(address[0])))
        self._meetings.add(meeting)
        meeting.add_done_callback(partial(self._met, sock))

    def _met(self, sock: socket.socket, meeting: asyncio.Task[None]) -> None:
        self._meetings.discard(meeting)
        if meeting.cancelled():
            sock.close()  # it may not have begun

    # --- one client ---------------------------------------------------------------------------------------------------

    async def _meet(self, sock: socket.socket, address: str) -> None:
        guest: Guest | None = None
        try:
            async with asyncio.timeout(GREETING):
                guest = await self._greet(sock, address)
                if guest is None:
                    return
                token = await _token(guest)
            identity, target = await self._admit(guest, token)
            await self._start(guest, identity, target)
        except GatewayError as error:
            self._turn_away(guest, sock, address, error)
        except asyncio.CancelledError:  # the gateway stops: whoever is at the door must not be left standing there
            self._drop(guest, sock)
            raise
        except (OSError, ConnectionError, TimeoutError, ValueError, ssl.SSLError) as error:
            log.info("client.lost", client=address, problem=type(error).__name__)
            self._drop(guest, sock)
        except Exception:
            log.exception("client.failed", client=address)
            self._turn_away(guest, sock, address, GatewayError("internal error during login"))

    def _turn_away(self, guest: Guest | None, sock: socket.socket, address: str, error: GatewayError) -> None:
        detail = self._scrub(str(getattr(error, "detail", "") or error.message))
        hello = guest.hello.parameters if guest else {}
        says = {field: self._scrub(hello.get(name, ""))[:_LONGEST_SAID] for field, name in _SAYS.items()}
        who = guest.identity if guest else None
        known = says | ({"subject": who.subject, "user": who.user} if who else {})
        known = {field: value for field, value in known.items() if value}
        log.warning("client.refused", client=address, sqlstate=error.sqlstate, reason=detail, **known)
        try:
            self._shell.spool.record("refused", client=address, sqlstate=error.sqlstate, reason=detail, **known)
            self._shell.spool.flush()
        except GatewayError as broken:
            log.critical("audit.not_written", reason=broken.message)  # the client is turned away all the same
        if guest is not None:
            guest.door.write(fatal(error))
        else:
            try:
                sock.send(fatal(error))
            except OSError:
                log.debug("client.gone", client=address)
        self._drop(guest, sock)

    def _scrub(self, text: str) -> str:
        """What a client says of itself, as it may be recorded: secrets are sometimes put into any field."""
        masking = self.policy.masking
        return scrub_name(text, Detectors.build(masking.detect, masking.patterns))

    @staticmethod
    def _drop(guest: Guest | None, sock: socket.socket) -> None:
        if guest is not None:
            guest.door.close()
        else:
            sock.close()

    async def _greet(self, sock: socket.socket, address: str) -> Guest | None:
        """From the first byte to a StartupMessage over an allowed transport; None where the connection is done."""
        loop = asyncio.get_running_loop()
        tls = self._doors.tls
        if await _first_byte(sock) == _TLS_CLIENT_HELLO:
            if tls is None:
                raise ProtocolViolation("TLS is not configured here")
            return await self._greet_inside_tls(sock, tls, address, direct=True)
        while True:
            opening = startup.read(await _packet(sock))
            match opening:
                case Cancel():
                    self._cancel(opening)
                    sock.close()
                    return None
                case Encryption(gss):
                    if gss or tls is None:
                        await loop.sock_sendall(sock, b"N")
                        continue
                    _nothing_behind(sock)
                    await loop.sock_sendall(sock, b"S")
                    return await self._greet_inside_tls(sock, tls, address, direct=False)
                case Startup():
                    if not (self._doors.plaintext_loopback and ipaddress.ip_address(address).is_loopback):
                        raise AuthenticationFailed("TLS is required: connect with sslmode=require or stricter")
                    door = Doorway()
                    await loop.connect_accepted_socket(door.protocol, sock)
                    return Guest(door, opening, address)

    async def _greet_inside_tls(
        self, sock: socket.socket, tls: ssl.SSLContext, address: str, *, direct: bool
    ) -> Guest | None:
        loop = asyncio.get_running_loop()
        door = Doorway()  # kept here: uvloop returns its own SSLProtocol in the place of ours
        transport, _ = await loop.connect_accepted_socket(door.protocol, sock, ssl=tls, ssl_handshake_timeout=GREETING)
        if direct and transport.get_extra_info("ssl_object").selected_alpn_protocol() != "postgresql":
            door.close()
            raise ConnectionError("direct TLS without ALPN postgresql")
        try:
            head = await door.take(4)
            opening = startup.read(head + await door.take(startup.packet_length(head) - 4))
            if isinstance(opening, Encryption):
                raise ProtocolViolation("an encryption request inside TLS")
        except GatewayError as error:  # told here: outside nobody could write into TLS
            door.write(fatal(error))
            door.close()
            raise ConnectionError(error.message) from error
        if isinstance(opening, Cancel):
            self._cancel(opening)
            door.close()
            return None
        return Guest(door, opening, address)

    def _cancel(self, opening: Cancel) -> None:
        digest = self._keys.digest(opening.pid, opening.secret)
        if not self._keys.use(digest):
            self._forwarding.forward(digest)

    def heard(self, channel: str, payload: str) -> None:
        """The store's ear: a key that landed on another replica may be one of ours."""
        if channel == "cancel":
            self._keys.use(payload)

    async def _admit(self, guest: Guest, token: str) -> tuple[Identity, Target]:
        """Who is it, and may it come to this target? Unknown target and no grant give one text."""
        identity = guest.identity = await self._issuers.verify(token)
        hello = guest.hello.parameters
        user, name = hello.get("user", ""), hello.get("database", hello.get("user", ""))
        if user.lower() not in {"hoop", identity.user.lower(), (identity.email or "").lower()} - {""}:
            raise AuthenticationFailed(
                f'user "{user}" is not the token\'s user', hint=f'Connect as "{identity.user}" or as "hoop".'
            )
        target = self.policy.targets.get(name)
        if target is None or not may_connect(self.policy, identity, name):
            if not identity.groups:  # of the token alone: it says nothing of the target
                raise AuthenticationFailed(_REFUSED, hint=f"{_HINT} {_NO_GROUPS}", detail=f"{_REFUSED}; {_GROUPLESS}")
            raise AuthenticationFailed(_REFUSED, hint=_HINT)
        return identity, target

    async def _start(self, guest: Guest, identity: Identity, target: Target) -> None:
        target = login_of(self.policy, identity, target)
        chosen = settings(guest.hello.parameters)
        wish = read_bool(chosen.pop(SETTING, "off")) is True
        link, terms = await self._reach(identity, target, chosen)
        try:
            path = _path(link)
            await self._saw(identity)
            catalog = await self._catalogs.get(target)  # the last wait: a newer one is told to those that are there
            login = Login(
                f"{self._prefix}-{next(self._session_numbers)}",
                self._doors.replica,
                identity,
                target,
                chosen.get("application_name", ""),
                guest.address,
                self._doors.mask_key,
                self._doors.digest_key,
            )
            self._record_start(login)
            self._shell.spool.flush()
        except BaseException:
            link.door.close()  # nobody owns it yet
            raise
        reported = SETTING in link.parameters
        gate = Gate.wishing(wish=wish, reported=reported)
        session = Session(login, self.policy, catalog, _request_ids(), gate, "I", path, self._commons)
        if reported:
            link.parameters[SETTING] = "on" if wish else "off"
        relay = Relay(session, guest.door, link, self._shell, lambda: self._aside(target), self._ended)
        self._relays[relay] = session
        minor = min(guest.hello.minor, _NEWEST_MINOR)
        secret = self._keys.give(relay.cancel, link.pid, 32 if minor == _NEWEST_MINOR else 4)
        session.talk.reported = {name: value for name, value in link.parameters.items() if name in REPORTED}
        relay.ongoing = self._ongoing
        relay.give_on = partial(self._spares.keep, terms)
        relay.forget_key = lambda: self._keys.forget(link.pid, secret)
        notices = [session.talk.hiding.diagnostics(each, protected=False) for each in link.notices]
        guest.door.write(_welcome(link, notices, secret))
        relay.start(guest.door)

    def _record_start(self, login: Login) -> None:
        told = login.identity, self._scrub(login.agent), login.client, login.target.name, login.target.user
        try:
            started = _started(*told, self.policy.version)
        except ValueError:  # U+0000 in a name: the spool cleans it
            self._shell.spool.record("session_started", session=login.session, **_start(*told, self.policy.version))
        else:
            self._shell.spool.record_alike(started, (text_value(login.session),))

    async def _reach(self, who: Identity, target: Target, chosen: Mapping[str, str]) -> tuple[TargetLink, Terms]:
        """A connection to the target, logged in or as if it were, and the terms on which it may be given on."""
        try:
            catalog = await self._catalogs.get(target)  # a target that is new is read before anybody waits there
            password = await self._password(target, target.password)
            terms = Terms(who.issuer, who.subject, target, password, (*chosen.items(), (SETTING, "on")))
            spare = None if catalog is None or catalog.greets else self._spares.take(terms)
            return spare or await self._log_in(terms), terms
        except GatewayError:
            self._shell.metrics.connects_failed.labels(target.name).inc()
            raise

    async def _log_in(self, terms: Terms) -> TargetLink:
        new = partial(connect, terms.target, terms.password, dict(terms.parameters), _ASK_PATH)
        try:
            return await new()
        except TargetUnavailable as error:  # those that are kept must be in nobody's way
            if error.sqlstate != _TOO_MANY or not await self._spares.make_room(terms.target):
                raise
        return await new()

    async def _aside(self, target: Target) -> TargetLink:
        return await connect(
            target,
            await self._password(target, target.password),
            {"application_name": "hoop preview", SETTING: "on"},
        )

    def _ongoing(self, work: asyncio.Task[None]) -> None:
        self.working.add(work)
        work.add_done_callback(self.working.discard)

    def _ended(self, relay: Relay) -> None:
        self._relays.pop(relay, None)
        if not self._relays:
            self._empty.set()


def settings(parameters: Mapping[str, str]) -> dict[str, str]:
    """The client's startup settings, if each is on the list that SET has too. Raises SettingRefused by its name (22023)."""
    if "replication" in parameters:
        raise SettingRefused('startup setting "replication" is not allowed through the gateway')
    found = {name: value for name, value in parameters.items() if name not in _OURS and not name.startswith("_pq_.")}
    found.update(startup.options(parameters.get("options", "")))
    for name, value in list(found.items()):
        if name.lower() == "client_encoding":
            if encoding_key(value) not in ("utf8", "unicode", "sqlascii", ""):
                raise SettingRefused(f'client_encoding "{value}" is not supported', hint="Set PGCLIENTENCODING=UTF8.")
            del found[name]
        elif name.lower() == SETTING:
            if read_bool(value) is None:
                raise SettingRefused(f'startup setting "{name}" requires a Boolean value')
            found[SETTING] = found.pop(name)
        elif setting_class(name, value)[0] is not StatementClass.HOUSEKEEPING:
            raise SettingRefused(f'startup setting "{name}" is not allowed through the gateway')
    return found


def _path(link: TargetLink) -> tuple[str, ...] | None:
    """The search_path that a session begins with; servers from version 18 on report it by themselves."""
    reported = link.parameters.get(PATH)
    return told_path(link.answer, link.target.user) if reported is None else schemas(reported, link.target.user)


def _start(who: Identity, agent: str, client: str, target: str, login: str, policy: str) -> dict[str, Value]:
    """What is recorded of a session that begins, but for the session."""
    return {
        "subject": who.subject,
        "user": who.user,
        "groups": [*sorted(who.groups)],
        "agent": agent,
        "client": client,
        "target": target,
        "login": login,
        "policy": policy,
    }


@lru_cache(maxsize=256)
def _started(who: Identity, agent: str, client: str, target: str, login: str, policy: str) -> Pattern:
    """The same as an entry: pools begin sessions that are alike."""
    return Pattern("session_started", _start(who, agent, client, target, login, policy), ["session"])


def _welcome(link: TargetLink, notices: list[bytes], secret: bytes) -> bytes:
    return b"".join(
        (
            AUTHENTICATION_OK,
            _reports(tuple(link.parameters.items())),
            backend_key_data(link.pid, secret),
            *(message(b"N", each) for each in notices),
            ready_for_query("I"),
        )
    )


@lru_cache(maxsize=64)
def _reports(parameters: tuple[tuple[str, str], ...]) -> bytes:
    """The ParameterStatus messages; a target says the same to most."""
    return b"".join(parameter_status(name, value) for name, value in parameters)


async def _token(guest: Guest) -> str:
    """Ask for the password and return it. Negotiates the protocol version first where the client wants a newer one."""
    unknown = [name for name in guest.hello.parameters if name.startswith("_pq_.")]
    if guest.hello.minor > _NEWEST_MINOR or unknown:
        agreed = startup.PROTOCOL_3_0 | min(guest.hello.minor, _NEWEST_MINOR)
        guest.door.write(negotiate_protocol_version(agreed, unknown))
    guest.door.write(AUTHENTICATION_CLEARTEXT_PASSWORD)
    kind, raw = await guest.door.message(_PASSWORD)
    if kind != ord("p"):
        raise ProtocolViolation("expected a password message")
    token = read_password(raw)
    if not token:
        raise AuthenticationFailed("empty password: the password is a token", hint=_HINT)
    return token


async def _first_byte(sock: socket.socket) -> int:
    """Look at the first byte without taking it. Raises ConnectionError at the end of the stream."""
    try:
        seen = sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        await _readable(sock)
        seen = sock.recv(1, socket.MSG_PEEK)
    if not seen:
        raise ConnectionError("closed before the first byte")
    return seen[0]


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = loop.create_future()

    def arrived() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(sock, arrived)
    try:
        await readable
    finally:
        loop.remove_reader(sock)


async def _packet(sock: socket.socket) -> bytes:
    head = await _exactly(sock, 4)
    return head + await _exactly(sock, startup.packet_length(head) - 4)


async def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        try:  # most often it is there: asking the loop would cost ten system calls
            more = sock.recv(count - len(data))
        except BlockingIOError:
            await _readable(sock)
            continue
        if not more:
            raise ConnectionError("closed inside a startup packet")
        data += more
    return data


def _nothing_behind(sock: socket.socket) -> None:
    """Refuse bytes sent behind an SSLRequest before TLS has begun: they would be taken for encrypted ones."""
    try:
        stuffed = sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return
    if stuffed:
        raise ProtocolViolation("received unencrypted data after SSL request")


_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _request_ids() -> Iterator[str]:
    """Request ids: 4 characters of time (they sort by the hour), 6 of chance, in Crockford's base 32."""
    while True:
        hours = int(time.time()) >> 10
        head = "".join(_ALPHABET[(hours >> shift) & 31] for shift in (15, 10, 5, 0))
        yield head + "".join(secrets.choice(_ALPHABET) for _ in range(6))
