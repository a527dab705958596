"""What a client sees of an error: its text, its hint and an SQLSTATE of PostgreSQL's shape."""

import errno
import re
import socket
import ssl

import asyncpg
import pytest

from gateway import errors
from gateway.errors import GatewayError, PolicyError, TargetUnavailable, in_words
from gateway.wire.backend import error_response, fields

KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, GatewayError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_an_sqlstate_of_its_own(kind: type[GatewayError]) -> None:
    """Five digits or capitals (manual, Appendix A); a driver tells kinds apart by nothing else. A kind of a kind is like it."""
    assert re.fullmatch(r"[0-9A-Z]{5}", kind.sqlstate)
    assert {_root(each) for each in KINDS if each.sqlstate == kind.sqlstate} == {_root(kind)}


def _root(kind: type[GatewayError]) -> type:
    """The class right below GatewayError that it comes from."""
    return kind if kind is GatewayError else kind.mro()[kind.mro().index(GatewayError) - 1]


def test_one_error_may_say_another_sqlstate_than_its_kind() -> None:
    gone = TargetUnavailable("the target went away", sqlstate="57P01")
    assert (gone.sqlstate, TargetUnavailable("away").sqlstate) == ("57P01", "08006")


def test_what_is_printed_is_the_message_alone() -> None:
    error = GatewayError("what is wrong", hint="what to do")
    assert str(error) == error.message == "what is wrong"
    shown = fields(error_response(error.sqlstate, error.message, hint=error.hint)[5:])
    assert (shown["C"], shown["M"], shown["H"]) == ("XX000", "what is wrong", "what to do")


def test_a_policy_error_prints_every_problem_on_a_line_of_its_own() -> None:
    error = PolicyError(["p.yaml:1: one", "p.yaml:2: two"])
    assert str(error).splitlines() == error.problems


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
