"""The gateway's certificate: what clients are met with, renewed without a restart.

Certificates of today live for weeks or days and something replaces their files. A pair that can't be used is refused and the old
one stays. Sessions that are open keep the one that they began with. What must not live here: who asks for the renewal
(gateway.running.reloading).
"""

import ssl
from pathlib import Path

from gateway.errors import GatewayError
from gateway.settings import PAIR, unusable_pair


class Certificate:
    """`context` serves TLS with the pair of these files. Raises GatewayError where they are none that can be used."""

    def __init__(self, cert: Path, key: Path | None) -> None:
        self._files = (cert, key)
        self._seen = self._stamps()
        self.context = _context(*self._files)

    @property
    def changed(self) -> bool:
        """Have the files changed since they were last read?"""
        return self._stamps() != self._seen

    def renew(self) -> None:
        """Read the files again, for connections that begin from now on. Raises GatewayError; the old pair then stays."""
        self._seen = self._stamps()
        _context(*self._files)  # a pair that does not fit would leave the one in use broken
        _load(self.context, *self._files)

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_stamp(file) for file in self._files if file is not None)


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()  # of what a link points to: that is how Kubernetes replaces a secret's files
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _context(cert: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, cert, key)
    context.set_alpn_protocols(["postgresql"])
    context.num_tickets = 0  # as PostgreSQL: its clients resume no session, and two tickets a login cost a write
    context.options |= ssl.OP_NO_TICKET
    return context


def _load(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise GatewayError(unusable_pair(error), hint=PAIR) from error
