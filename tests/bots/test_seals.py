"""The seal on a button: only what was shown can be decided."""

from dataclasses import replace

import pytest

from bots.seals import genuine, seal, unsealed
from tests.bots.samples import BOB, CAROL, PLAIN

KEY = b"k" * 32


def test_the_seal_binds_content_and_revision() -> None:
    value = unsealed(seal(KEY, PLAIN))
    assert value is not None
    rid, rev, mac = value
    assert (rid, rev) == (PLAIN.id, 1)
    assert genuine(KEY, PLAIN, rev, mac)
    assert not genuine(KEY, PLAIN, 2, mac)
    assert not genuine(KEY, replace(PLAIN, content_digest="00"), rev, mac)
    assert not genuine(b"other", PLAIN, rev, mac)
    assert not genuine(KEY, PLAIN, rev, "é\ud800")


def test_a_seal_may_be_for_one_reader() -> None:
    value = unsealed(seal(KEY, PLAIN, BOB))
    assert value is not None
    _, rev, mac = value
    assert genuine(KEY, PLAIN, rev, mac, BOB)
    assert not genuine(KEY, PLAIN, rev, mac)
    assert not genuine(KEY, PLAIN, rev, mac, CAROL)
    assert not genuine(KEY, PLAIN, rev, unsealed(seal(KEY, PLAIN))[2], BOB)  # type: ignore[index] # it is a seal


@pytest.mark.parametrize("value", ["", "a", "a.b", "a.b.c", ".1.c", "a.١.c", "a.-1.c", "a.99999999999.c"])
def test_what_is_no_seal(value: str) -> None:
    assert unsealed(value) is None
