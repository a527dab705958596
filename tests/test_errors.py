"""What a client sees of an error: its text, its hint and an SQLSTATE of PostgreSQL's shape."""

import re

import pytest

from gateway import errors
from gateway.errors import GatewayError, PolicyError, TargetUnavailable
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
