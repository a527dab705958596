"""What a driver believes: each answer must fit the message that it is owed to, in order. PostgreSQL manual, 55.2.

`sent` notes messages as they go out, `take` reads what comes back and raises AssertionError where a driver would be lost.
"""

from collections import deque
from dataclasses import dataclass, field

from gateway.wire.backend import fields

#: Frontend message -> what may be a part of its answer, and what ends it (an error ends it too).
_PARTS = {"P": "", "B": "", "C": "", "D": "t", "E": "DGHdc", "Q": "TDGHdcCIE", "S": "", "F": "EV"}
_ENDS = {"P": "1", "B": "2", "C": "3", "D": "Tn", "E": "CIs", "Q": "Z", "S": "Z", "F": "Z"}


@dataclass(slots=True)
class Client:
    """`status`: of the last ReadyForQuery. `over`: a FATAL came."""

    owed: deque[str] = field(default_factory=deque)
    status: str = "I"
    copying: bool = False
    over: bool = False
    seen: list[str] = field(default_factory=list)
    _skipping: bool = False
    _rest: bytes = b""

    def sent(self, kinds: str) -> None:
        self.owed.extend(kinds)

    def take(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        while len(data) - at >= 5:
            end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
            if end > len(data):
                break
            self._message(chr(data[at]), data[at + 5 : end])
            at = end
        self._rest = data[at:]

    def settle(self) -> str:
        """What is still owed now that all was answered: messages behind which no Sync or Flush came, or "" ."""
        self._drop()
        return "".join(self.owed)

    def _drop(self) -> None:
        """What gets no answer of its own: Flush, copy data outside COPY, and all behind an error up to Sync."""
        silent = "PBDCEQFHdcf" if self._skipping else "dSH" if self.copying else "Hdcf"
        while self.owed and self.owed[0] in silent:
            self.owed.popleft()

    def _message(self, kind: str, body: bytes) -> None:
        assert not self.over, f"{kind} came behind a FATAL"
        self.seen.append(kind)
        if kind in "NSA":
            return
        if kind == "E" and fields(body).get("V") == "FATAL":
            self.over = True
            return
        if self.copying:
            self._in_copy(kind)
        self._drop()
        assert self.owed, f"{kind} came and nothing was owed"
        head = self.owed[0]
        if kind == "Z":
            self.status = body.decode()
        if kind in _ENDS[head]:
            self.owed.popleft()
            self._skipping = False
        elif kind == "E" and head in "PBDCE":
            self.owed.popleft()
            self._skipping = True
        else:
            assert kind in _PARTS[head], f"{kind} came and {head} was owed"
        if kind == "G":
            self.copying = True
            self._told = self.owed.popleft()

    def _in_copy(self, kind: str) -> None:
        """The answer to the COPY: all that was sent up to its end belonged to it."""
        assert kind in "CE", f"{kind} came during COPY FROM STDIN"
        self._drop()
        if self.owed and self.owed[0] in "cf":
            self.owed.popleft()
        else:
            assert kind == "E", f"{kind} came before the data had ended"
        self.copying = False
        self.owed.appendleft(self._told)

    _told: str = ""
