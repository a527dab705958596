"""Packets without a type byte: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest. Manual: 55.2.1, 55.7.

What lives here: their shapes. Which settings a client may choose is gateway.sql's list, applied by the relay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.errors import ProtocolViolation

SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102
PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = PROTOCOL_3_0 | 2

#: MAX_STARTUP_PACKET_LENGTH in PostgreSQL (pqcomm.h); a token never travels here, so no client needs more.
MAX_STARTUP = 10_000
MIN_STARTUP = 8


@dataclass(frozen=True, slots=True)
class Startup:
    """A StartupMessage: the minor version the client asks for, and its parameters as sent."""

    minor: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cancel:
    """A CancelRequest: the key we gave out (protocol 3.2: up to 256 bytes of secret)."""

    pid: int
    secret: bytes


@dataclass(frozen=True, slots=True)
class Encryption:
    """SSLRequest or GSSENCRequest."""

    gss: bool


Opening = Startup | Cancel | Encryption


def packet_length(head: bytes) -> int:
    """How many bytes the packet has in all, from its first 4. Raises ProtocolViolation."""
    length = int.from_bytes(head, "big")
    if not MIN_STARTUP <= length <= MAX_STARTUP:
        raise ProtocolViolation("invalid length of startup packet")
    return length


def read(packet: bytes) -> Opening:
    """Read a whole startup packet, length word included. Raises ProtocolViolation."""
    code = int.from_bytes(packet[4:8], "big")
    if code in (SSL_REQUEST, GSSENC_REQUEST):
        if len(packet) != MIN_STARTUP:
            raise ProtocolViolation("bytes follow an encryption request")
        return Encryption(gss=code == GSSENC_REQUEST)
    if code == CANCEL_REQUEST:
        if not 13 <= len(packet) <= 12 + 256:
            raise ProtocolViolation("invalid length of cancel request")
        return Cancel(int.from_bytes(packet[8:12], "big"), packet[12:])
    if code >> 16 != 3:
        raise ProtocolViolation(
            f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: server supports 3.0 to 3.2",
            sqlstate="0A000",
        )
    return Startup(code & 0xFFFF, _parameters(packet[8:]))


def _parameters(body: bytes) -> dict[str, str]:
    if not body.endswith(b"\0") or (len(body) > 1 and not body.endswith(b"\0\0")):
        raise ProtocolViolation("invalid startup packet layout: expected terminator as last byte")
    try:
        words = [each.decode("utf-8") for each in body[:-1].split(b"\0")[:-1]]
    except UnicodeDecodeError:
        raise ProtocolViolation("the startup packet is not valid UTF-8") from None
    if len(words) % 2 or "" in words[::2]:
        raise ProtocolViolation("invalid startup packet layout: a parameter has no name or no value")
    names = words[::2]
    if len(set(names)) != len(names):
        raise ProtocolViolation("a startup parameter is given twice")
    return dict(zip(names, words[1::2], strict=True))


def options(text: str) -> list[tuple[str, str]]:
    """Read the `options` parameter: `-c name=value`, `-cname=value`, `--name=value`; backslash escapes a space.

    Raises ProtocolViolation for any other switch: nothing is dropped silently. Source: postgres.c, process_postgres_switches.
    """
    words = _words(text)
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(words):
        word = words[at]
        if word == "-c":
            at += 1
            setting = words[at] if at < len(words) else ""
        elif word.startswith(("-c", "--")):
            setting = word[2:]
        else:
            raise ProtocolViolation(f"startup option {word!r} is not supported", sqlstate="22023")
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise ProtocolViolation(f"startup option {word!r} needs a name and a value", sqlstate="22023")
        found.append((name.replace("-", "_"), value))
        at += 1
    return found


def _words(text: str) -> list[str]:
    words: list[str] = []
    current, started, escaped = "", False, False
    for char in text:
        if escaped:
            current, escaped = current + char, False
        elif char == "\\":
            escaped = started = True
        elif char.isspace():
            if started:
                words.append(current)
            current, started = "", False
        else:
            current, started = current + char, True
    if started:
        words.append(current)
    return words


def startup_message(parameters: Mapping[str, str]) -> bytes:
    """Our own StartupMessage to a target, protocol 3.0."""
    return _startup_message(tuple(parameters.items()))


@lru_cache(maxsize=64)
def _startup_message(parameters: tuple[tuple[str, str], ...]) -> bytes:
    """Few programs connect again and again."""
    body = PROTOCOL_3_0.to_bytes(4, "big")
    body += b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in parameters) + b"\0"
    return (len(body) + 4).to_bytes(4, "big") + body


def ssl_request() -> bytes:
    return (8).to_bytes(4, "big") + SSL_REQUEST.to_bytes(4, "big")


def cancel_request(pid: int, secret: bytes) -> bytes:
    """A CancelRequest to a target, with the target's own key."""
    body = CANCEL_REQUEST.to_bytes(4, "big") + pid.to_bytes(4, "big") + secret
    return (len(body) + 4).to_bytes(4, "big") + body
