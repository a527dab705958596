"""Cutting the client's byte stream into frontend messages. What lives here: lengths and caps; no meaning.

A frame is (type byte, the whole message with its header), so that what is forwarded is what was sent.
Manual: 55.7 Message Formats. Sizes are checked on the header, before anything is buffered (PostgreSQL itself drops a
connection whose length is impossible; a cap of ours answers with a text).
"""

from gateway.errors import ProtocolViolation

HEADER = 5

#: The largest message, header excluded, that is taken by type. Source: enforcement.md 4.3 (54), widened for COPY rows.
CAPS = {
    ord("Q"): 4 << 20,
    ord("P"): 4 << 20,
    ord("B"): 16 << 20,
    ord("d"): 16 << 20,
    ord("F"): 1 << 20,
    ord("p"): 64 << 10,
}
DEFAULT_CAP = 64 << 10

#: Frontend messages after startup. Anything else ends the connection, as PostgreSQL does.
KNOWN = frozenset(b"QPBDECSHFXdcfp")

Frame = tuple[int, bytes]


class Frames:
    """Feed bytes, take whole frames. Memory held is at most one incomplete message of its type's cap.

    An incomplete message is gathered in a list: re-joining at each chunk would be quadratic for a 16 MiB Bind.
    """

    __slots__ = ("_held", "_parts", "_wanted")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held = 0
        self._wanted = HEADER

    @property
    def partial(self) -> bool:
        """Is a part of a message here whose rest is still to come?"""
        return bool(self._parts)

    def feed(self, data: bytes) -> list[Frame]:
        """Take a chunk and return the frames it completes. Raises ProtocolViolation."""
        if self._parts:
            self._parts.append(data)
            self._held += len(data)
            if self._held < self._wanted:
                return []
            data = b"".join(self._parts)
            self._parts.clear()
        frames, at, size = [], 0, len(data)
        while True:
            if size - at < HEADER:
                self._wanted = HEADER
                break
            end = at + 1 + _length(data, at)
            if end > size:
                self._wanted = end - at
                break
            frames.append((data[at], data[at:end]))
            at = end
        if at < size:
            self._parts.append(data[at:])
        self._held = size - at
        return frames


def _length(data: bytes, at: int) -> int:
    kind = data[at]
    length = int.from_bytes(data[at + 1 : at + HEADER], "big")
    if kind not in KNOWN:
        raise ProtocolViolation(f"invalid frontend message type {kind}")
    if length < 4:
        raise ProtocolViolation(f"invalid message length {length} in message type {chr(kind)}")
    cap = CAPS.get(kind, DEFAULT_CAP)
    if length - 4 > cap:
        raise ProtocolViolation(
            f"message type {chr(kind)} of {length - 4} bytes is over the limit of {cap}",
            hint="Send less in one message; COPY takes data in pieces.",
        )
    return length
