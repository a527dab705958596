"""Runs masking.yaml against each PostgreSQL at hand, directly and through the whole gateway. What it says is explained there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.postgres import find_binaries
from tests.corpus.attempts import Attempt, load
from tests.corpus.forms import forms, found_in
from tests.corpus.line import Heard
from tests.corpus.test_bypass import SERVERS
from tests.corpus.vaults import Vaults
from tests.e2e.stack import logging_everything

BOOK = load(Path(__file__).with_name("masking.yaml"))
FORMS = frozenset[bytes]().union(*(forms(each) for values in BOOK.secrets.values() for each in values))


@pytest.fixture(scope="module", params=SERVERS, ids=lambda major: f"pg{major}")
def major(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture(scope="module")
def vaults(major: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vaults]:
    kind, missing = SERVERS[major]
    binaries = find_binaries(kind)
    if binaries is None:
        pytest.skip(missing)
    log = tmp_path_factory.mktemp("masking") / "gateway.log"
    with logging_everything(log):
        running = Vaults(log, binaries, BOOK)
        running.start()
        yield running
        running.stop()


def _codes(heard: list[Heard]) -> list[str]:
    return [code for each in heard for code in each.codes]


def _told(heard: list[Heard]) -> list[tuple[str, bytes]]:
    """The messages, without what differs by itself: the sender's process of a notification."""
    every = [message for each in heard for message in each.messages()]
    return [(kind, body[4:] if kind == "A" else body) for kind, body in every]


def _leak(vaults: Vaults, attempt: Attempt, way: str) -> tuple[str, bool]:
    """What is wrong with this way ("" for nothing), and whether the attempt works without a gateway."""
    direct = [vaults.heard(attempt, way, which, through=False) for which in (0, 1)]
    shown = [vaults.heard(attempt, way, which, through=True) for which in (0, 1)]
    works = _told(direct[0]) != _told(direct[1])
    raw = b"".join(each.raw for side in shown for each in side)
    if leaked := found_in(raw, FORMS):
        return f"{way}: {leaked[:3]} in {_differing(shown)}", works
    if not attempt.oracle and _told(shown[0]) != _told(shown[1]):
        return f"{way}: the answers differ: {_differing(shown)}", works
    for which in (0, 1):
        if not attempt.refused and _codes(shown[which]) != _codes(direct[which]):
            return f"{way}: the gateway answers {_codes(shown[which])}, the server {_codes(direct[which])}", works
    return "", works


def _differing(shown: list[list[Heard]]) -> str:
    pairs = zip(_told(shown[0]), _told(shown[1]), strict=False)
    return str(next(((a[0], a[1][:300], b[1][:300]) for a, b in pairs if a != b), "both"))


def _lacks(vaults: Vaults, attempt: Attempt) -> bool:
    return bool(attempt.lacks) and attempt.lacks in _codes(vaults.heard(attempt, "simple", 0, through=False))


@pytest.mark.parametrize("attempt", [pytest.param(each, id=re.sub(r"[^\w.-]+", "-", each.name)[:80]) for each in BOOK.attempts])
def test_attempt(vaults: Vaults, major: int, attempt: Attempt, request: pytest.FixtureRequest) -> None:
    if not attempt.concerns(major) or _lacks(vaults, attempt):
        return
    if attempt.is_known(major):
        request.applymarker(pytest.mark.xfail(reason=attempt.known, strict=True))
    found = {way: _leak(vaults, attempt, way) for way in attempt.ways}
    wrong = [text for text, _ in found.values() if text]
    assert not wrong, "\n".join([attempt.name, *wrong])
    assert attempt.refused or any(works for _, works in found.values()), "the attempt shows nothing even without a gateway"
