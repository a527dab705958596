"""What went wrong elsewhere, in words: the same for the store, a target and a file."""

import errno
import socket
import ssl

import asyncpg
import pytest

from gateway.errors import TargetUnavailable
from gateway.failures import in_words

_TWICE = "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno {}] Connect call failed ('127.0.0.1', 1)"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"), "connection refused"),
        (OSError(_TWICE.format(111)), "connection refused"),  # asyncio, of a name with two addresses
        (OSError(_TWICE.format(113)), "OSError"),
        (OSError(errno.EHOSTUNREACH, "x"), "no route to host"),
        (FileNotFoundError(errno.ENOENT, "x", "/secret/place"), "no such file or directory"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "host not found"),
        (TimeoutError(), "timed out"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "timed out"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "connection closed"),
        (ConnectionError("the peer closed the connection during startup"), "connection closed"),
        (ssl.SSLCertVerificationError(1, "x"), "its certificate can't be verified"),
        (ssl.SSLError(1, "[SSL] PEM lib"), "TLS failed"),
        (asyncpg.InvalidPasswordError('for user "x"'), "the password is refused"),
        (asyncpg.InvalidCatalogNameError('"x"'), "no such database"),
        (asyncpg.TooManyConnectionsError("x"), "too many connections"),
        (asyncpg.CannotConnectNowError("x"), "it is starting or stopping"),
        (asyncpg.InsufficientPrivilegeError("x"), "permission denied"),
        (TargetUnavailable("target shop can't be reached", hint="x"), "target shop can't be reached"),
        (asyncpg.UndefinedTableError('row "x"'), "UndefinedTableError"),
        (ValueError("secret"), "ValueError"),
    ],
    ids=repr,
)
def test_errors_of_others_are_told_in_words_and_quote_nothing(error: Exception, words: str) -> None:
    assert in_words(error) == words
