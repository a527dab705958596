"""Fuzzes what stands before a session: startup packets, the `options` parameter, and a SCRAM exchange with a server that lies.

The oracle for startup: what was read makes the same packet again; two parameters of one name, none without a name. For
SCRAM: no server that does not know the password is believed, and none makes us work for longer than its iterations allow.
"""

import base64
import hashlib
import hmac
import struct
from random import Random

from gateway.errors import ProtocolViolation, TargetUnavailable
from gateway.wire import startup
from gateway.wire.scram import Scram

_NAMES = (b"user", b"database", b"options", b"_pq_.x", b"replication", b"", b"search_path", b"\xff")
_VALUES = (b"ann", b"", b"-c a=b", b"true", b"x" * 300, b"caf\xc3\xa9", b"\xc3")
_CODES = (3 << 16, 3 << 16 | 2, 2 << 16, 80877102, 80877103, 80877104, 0, 0xFFFFFFFF)
_WORDS = ("-c", "-c a=b", "--a-b=c", "-ca=b", "\\", "\\ ", " ", "=", "--", "-d", "a", "\t", "é", "-c =x", "--x")
_PIECES = (
    b"r=",
    b"s=",
    b"i=",
    b"v=",
    b"e=",
    b",",
    b"=",
    b"nonce",
    b"4096",
    b"99999999999",
    b"0",
    b"c2FsdA==",
    b"\xff",
    b"-1",
)
PASSWORD, NONCE = "correct horse", "fyko+d2lbbFgONRv9qkxdawL"
PER_CASE = 50


def case(random: Random) -> int:
    """Some logins. Returns how many packets were tried."""
    for _ in range(PER_CASE):
        _startup(random)
        _options(random)
        _scram(random)
    return 3 * PER_CASE


# --- startup ----------------------------------------------------------------------------------------------------------


def _startup(random: Random) -> None:
    packet = _packet(random)
    try:
        length = startup.packet_length(packet[:4])
        assert 8 <= length <= startup.MAX_STARTUP
        if length != len(packet):
            return  # the caller reads as many bytes as the packet says, or waits until its deadline
        found = startup.read(packet)
    except ProtocolViolation:
        return
    assert _again(found) == packet, f"{found!r} was read from {packet!r}"


def _again(found: startup.Opening) -> bytes:
    match found:
        case startup.Startup(minor, parameters):
            assert "" not in parameters
            body = b"".join(part.encode() + b"\0" for pair in parameters.items() for part in pair)
            code, rest = 3 << 16 | minor, body + b"\0"
        case startup.Cancel(pid, secret):
            code, rest = 80877102, struct.pack("!I", pid) + secret
        case startup.Encryption(gss):
            code, rest = 80877104 if gss else 80877103, b""
    return struct.pack("!II", len(rest) + 8, code) + rest


def _packet(random: Random) -> bytes:
    body = b"".join(
        random.choice(_NAMES) + b"\0" + random.choice(_VALUES) + b"\0" for _ in range(random.choice((0, 1, 2, 5, 40)))
    )
    body = random.choice((body + b"\0", body + b"\0", body, body + b"x", random.randbytes(8), b""))
    length = len(body) + 8 if random.random() < 0.9 else random.choice((0, 3, 7, 10_001, 0x7FFFFFFF))
    return struct.pack("!II", length, random.choice(_CODES)) + body


def _options(random: Random) -> None:
    text = random.choice(("", " ")).join(random.choice(_WORDS) for _ in range(random.randint(0, 6)))
    try:
        found = startup.options(text)
    except ProtocolViolation:
        return
    assert all(name for name, _ in found), text
    kept = "".join(name + value for name, value in found)
    lost = [each for each in text if each.isalnum() and text.count(each) > kept.count(each) + text.count("-c")]
    assert not lost, f"{lost} of {text!r} is in none of {found}"


# --- SCRAM ------------------------------------------------------------------------------------------------------------


def _scram(random: Random) -> None:
    """A server that says anything, or that plays along without the password. An honest one is believed now and then."""
    honest = random.random() < 0.02
    exchange = Scram(PASSWORD, NONCE)
    opening = exchange.first()
    server_first = _server_first(random, honest=honest)
    refused = ""
    try:
        final = exchange.final(server_first)
        exchange.verify(_server_final(random, opening, server_first, final, honest=honest))
    except TargetUnavailable as error:
        refused = error.message
    assert PASSWORD not in refused
    assert honest is not bool(refused), f"honest: {honest}, refused: {refused!r}, it said {server_first!r}"


def _server_first(random: Random, *, honest: bool) -> bytes:
    nonce = NONCE + "server"
    if honest:
        return f"r={nonce},s=c2FsdA==,i=1".encode()
    kind = random.random()
    if kind < 0.3:
        return b"".join(random.choice(_PIECES) for _ in range(random.randint(0, 8)))
    if kind < 0.4:
        return random.randbytes(random.randint(0, 40))
    nonce = random.choice((nonce, nonce, NONCE, NONCE[:-1], "", nonce + "\u00e9"))
    salt = random.choice(("c2FsdA==", "c2FsdA==", "", "c2FsdA", "***", "A" * 1000, "=" * 4))
    count = random.choice(
        ("1", "2", "1", "0", "-1", "", "1e9", "1000001", "9" * 30, "\u0661", "\u00b2", " 1", "+1", "0x10")
    )
    return (
        f"{random.choice(('', '', 'm=ext,'))}r={nonce},s={salt},i={count}{random.choice(('', ',x=y', ',i=2'))}".encode()
    )


def _server_final(random: Random, opening: bytes, server_first: bytes, final: bytes, *, honest: bool) -> bytes:
    without_proof = final.rpartition(b",p=")[0]
    auth = b",".join((opening[3:], server_first, without_proof))
    password = PASSWORD if honest else random.choice(("", "guess", PASSWORD[:-1]))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", 1)
    signature = base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), auth, "sha256"))
    lies = (b"v=" + signature, b"v=", b"e=other-error", b"", b"v=" + final.rpartition(b"p=")[2], b"\xff", b"v=AAAA")
    return b"v=" + signature if honest else random.choice(lies)
