"""Fuzzes what cuts and reads the client's bytes: messages of every type, damaged, cut anywhere.

The oracle cuts the whole stream by itself (struct, no code of gateway.wire): what comes out must be the frames that went
in, or a ProtocolViolation in the chunk that completes the bad header. What a reader took apart must make the same bytes
again: the text that is judged and the text that is forwarded are one.
"""

import struct
from collections.abc import Callable
from random import Random

from gateway.errors import ProtocolViolation
from gateway.wire import frontend
from gateway.wire.frames import CAPS, DEFAULT_CAP, HEADER, KNOWN, Frame, Frames

_TEXTS = (b"", b"s", b"SELECT 1", b"DELETE FROM t", b"caf\xc3\xa9", b"\xff\xfe", b"x" * 70, b"\xed\xa0\x80", b"a\nb")
_NUMBERS = (0, 1, 2, 3, 0x7FFF, 0x8000, 0xFFFF)
_TYPES = bytes(sorted(KNOWN))
PER_CASE = 400


def case(random: Random) -> int:
    """One connection's bytes. Returns how many frames came through."""
    sent = [_damaged(random, _message(random)) for _ in range(PER_CASE)]
    chunks = _cut(random, b"".join(sent))
    came, refused_at = _taken(chunks)
    expected, bad_at = _expected(chunks)
    assert came == expected, _difference(came, expected)
    assert refused_at == bad_at, f"refused in chunk {refused_at}, the bad header ended in chunk {bad_at}"
    for kind, raw in came:
        _read(kind, raw)
    return len(came)


def _taken(chunks: list[bytes]) -> tuple[list[Frame], int | None]:
    """The frames, and the chunk at which they were refused; on the way, that no more is held than may be."""
    frames, came = Frames(), list[Frame]()
    for at, chunk in enumerate(chunks):
        try:
            came += frames.feed(chunk)
        except ProtocolViolation:
            return came, at
        held = frames._held
        kind = frames._parts[0][0] if frames._parts else 0
        cap = CAPS.get(kind, DEFAULT_CAP) + HEADER if held >= HEADER else HEADER
        assert held < cap, f"{held} bytes are held of a message of type {kind}"
    return came, None


def _expected(chunks: list[bytes]) -> tuple[list[Frame], int | None]:
    """The same from the definition: a frame counts with the chunk that completes it, unless that has a bad header too."""
    data, came, at, seen = b"".join(chunks), list[Frame](), 0, 0
    for number, chunk in enumerate(chunks):
        seen += len(chunk)
        complete = []
        while seen - at >= HEADER:
            kind, length = struct.unpack_from("!BI", data, at)
            if kind not in _TYPES or length < 4 or length - 4 > CAPS.get(kind, DEFAULT_CAP):
                return came, number
            if at + 1 + length > seen:
                break
            complete.append((kind, data[at : at + 1 + length]))
            at += 1 + length
        came += complete
    return came, None


def _difference(came: list[Frame], expected: list[Frame]) -> str:
    at = next(
        (at for at, (a, b) in enumerate(zip(came, expected, strict=False)) if a != b), min(len(came), len(expected))
    )
    return f"frame {at}: came {came[at : at + 1]}, sent {expected[at : at + 1]}"


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(kind: int, raw: bytes) -> None:
    reader = _READERS.get(kind)
    if reader is None:
        return
    read, write = reader
    try:
        value = read(raw)
    except ProtocolViolation:
        return
    again = write(value)
    assert again == raw, f"{value!r} was read from {raw!r}"


def _parse(value: frontend.Parse) -> bytes:
    types = struct.pack(f"!H{len(value.parameter_types)}I", len(value.parameter_types), *value.parameter_types)
    return _framed("P", _text(value.name) + _text(value.sql) + types)


def _bind(value: frontend.Bind) -> bytes:
    given = b"".join(
        struct.pack("!i", -1) if each is None else struct.pack("!i", len(each)) + each for each in value.parameters
    )
    return _framed(
        "B",
        _text(value.portal)
        + _text(value.statement)
        + _int16s(value.parameter_formats)
        + struct.pack("!H", len(value.parameters))
        + given
        + _int16s(value.result_formats),
    )


def _int16s(values: tuple[int, ...]) -> bytes:
    return struct.pack(f"!H{len(values)}h", len(values), *values)


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _framed(kind: str, body: bytes) -> bytes:
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


_READERS: dict[int, tuple[Callable[[bytes], object], Callable[..., bytes]]] = {
    ord("Q"): (frontend.read_query, lambda value: _framed("Q", _text(value))),
    ord("P"): (frontend.read_parse, _parse),
    ord("B"): (frontend.read_bind, _bind),
    ord("E"): (
        frontend.read_execute,
        lambda value: _framed("E", _text(value.portal) + struct.pack("!i", value.max_rows)),
    ),
    ord("D"): (frontend.read_named, lambda value: _framed("D", value.kind.encode() + _text(value.name))),
    ord("C"): (frontend.read_named, lambda value: _framed("C", value.kind.encode() + _text(value.name))),
    ord("p"): (frontend.read_password, lambda value: _framed("p", _text(value))),
}

# --- making -----------------------------------------------------------------------------------------------------------


def _message(random: Random) -> bytes:
    kind = random.choice(_TYPES)
    return _framed(chr(kind), _BODIES.get(kind, _empty)(random))


def _string(random: Random) -> bytes:
    return random.choice(_TEXTS) + b"\0"


def _empty(_random: Random) -> bytes:
    return b""


def _parse_body(random: Random) -> bytes:
    count = random.choice((0, 0, 1, 3))
    return _string(random) + _string(random) + struct.pack("!H", count) + random.randbytes(4 * count)


def _bind_body(random: Random) -> bytes:
    formats = b"".join(struct.pack("!H", random.choice(_NUMBERS)) for _ in range(random.choice((0, 1, 2))))
    values = [random.choice((None, b"", b"42", b"\0\xff")) for _ in range(random.choice((0, 1, 2)))]
    given = b"".join(b"\xff" * 4 if each is None else struct.pack("!I", len(each)) + each for each in values)
    return b"".join(
        (
            _string(random),
            _string(random),
            struct.pack("!H", len(formats) // 2),
            formats,
            struct.pack("!H", len(values)),
            given,
            struct.pack("!H", len(formats) // 2),
            formats,
        )
    )


_BODIES: dict[int, Callable[[Random], bytes]] = {
    ord("Q"): _string,
    ord("P"): _parse_body,
    ord("B"): _bind_body,
    ord("E"): lambda random: _string(random) + random.randbytes(4),
    ord("D"): lambda random: random.choice(b"SPX").to_bytes() + _string(random),
    ord("C"): lambda random: random.choice(b"SP").to_bytes() + _string(random),
    ord("d"): lambda random: random.randbytes(random.choice((0, 1, 40))),
    ord("f"): _string,
    ord("p"): _string,
    ord("F"): lambda random: random.randbytes(12),
}


def _damaged(random: Random, raw: bytes) -> bytes:
    """One message in ten is not as it should be; one in two thousand breaks the stream."""
    luck = random.random()
    if luck > 0.1 or len(raw) == HEADER:
        return raw
    body = bytearray(raw[HEADER:])
    if luck < 0.0005:
        length = random.choice((0, 3, 4, len(body) + 5, 70_000, 5 << 20, 17 << 20, 0x7FFFFFFF, 0xFFFFFFFF))
        return random.choice((raw[:1], random.randbytes(1))) + struct.pack("!I", length) + body
    if luck < 0.04:
        body[random.randrange(len(body))] = random.randrange(256)
    elif luck < 0.07:
        del body[random.randrange(len(body)) :]
    else:
        body += random.randbytes(random.choice((1, 2, 30)))
    return _framed(chr(raw[0]), bytes(body))


def _cut(random: Random, data: bytes) -> list[bytes]:
    """Into chunks of one size or of all sizes, as sockets give them."""
    size = random.choice((1, 2, 5, 6, 40, 300, 4096, len(data)))
    chunks, at = [], 0
    while at < len(data):
        end = at + (size if size < 40 or random.random() < 0.5 else random.randint(1, size))
        chunks.append(data[at:end])
        at = end
    return chunks
