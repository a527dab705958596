"""Errors of the network, of files and of servers in words that are safe to show. What must not live here: errors of ours (errors.py)."""

import os
import re
import socket
import ssl

from gateway.errors import GatewayError

#: What happened, by the first class that fits, of those whose own words say less.
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "timed out"),
    (socket.gaierror, "host not found"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionError, "connection closed"),
    (ssl.SSLCertVerificationError, "its certificate can't be verified"),
    (ssl.SSLError, "TLS failed"),
)
#: By the SQLSTATE of a PostgreSQL that answered; its own text may quote anything.
_STATES = {
    "08003": "connection closed",
    "08006": "connection closed",
    "28P01": "the password is refused",
    "28000": "the login is refused",
    "3D000": "no such database",
    "42501": "permission denied",
    "53300": "too many connections",
    "57014": "timed out",
    "57P03": "it is starting or stopping",
}


def in_words(error: BaseException) -> str:
    """What went wrong, in words that quote nothing: "connection refused"; the name of the error's class where there are none."""
    if isinstance(error, GatewayError):
        return error.message
    if isinstance(error, OSError) and error.errno is None:
        numbers = set(re.findall(r"\[Errno (\d+)\]", str(error)))  # asyncio, of a name with several addresses
        error = OSError(int(*numbers), "") if len(numbers) == 1 else error
    for kind, words in _KINDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return _STATES.get(getattr(error, "sqlstate", None) or "", type(error).__name__)
