"""Cancel keys of our own: the client never learns the target's. Manual 55.2.8.

A key names a session of this process. Wrong keys are ignored in silence, compared in constant time.
"""

import hmac
import secrets
from collections.abc import Callable


class CancelKeys:
    """Keys given out, and what to call when one comes back."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[bytes, Callable[[], None]]] = {}

    def give(self, cancel: Callable[[], None], length: int) -> tuple[int, bytes]:
        """A new key: (pid, secret of `length` bytes: 4 in protocol 3.0, up to 256 in 3.2)."""
        pid = secrets.randbelow(2**31 - 1) + 1
        while pid in self._known:
            pid = secrets.randbelow(2**31 - 1) + 1
        secret = secrets.token_bytes(length)
        self._known[pid] = (secret, cancel)
        return pid, secret

    def forget(self, pid: int) -> None:
        self._known.pop(pid, None)

    def use(self, pid: int, secret: bytes) -> bool:
        """Cancel the session of this key; False where it isn't one of ours."""
        known, cancel = self._known.get(pid, (b"", None))
        if cancel is None or not hmac.compare_digest(known, secret):
            return False
        cancel()
        return True
