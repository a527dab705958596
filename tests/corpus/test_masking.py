"""Runs masking.yaml against each PostgreSQL at hand, directly and through the whole gateway. What it says is explained there."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.demo.postgres import find_binaries
from gateway.wire.backend import row_description
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


def _ways(attempt: Attempt, major: int) -> list[str]:
    """All ways on the newest server; on the others every second one, in turns, beside the simple query."""
    first, *others = attempt.ways
    return (
        [first, *others] if major == max(SERVERS) else [first, *others[(major + BOOK.attempts.index(attempt)) % 2 :: 2]]
    )


def _told(heard: Heard) -> list[tuple[str, bytes]]:
    """The messages, without what differs by itself: the sender's process of a notification, OIDs of tables made just now."""
    return [(kind, _steady(kind, body)) for kind, body in heard.messages()]


def _steady(kind: str, body: bytes) -> bytes:
    if kind == "A":
        return body[4:]
    if kind != "T":
        return body
    columns = [replace(each, table_oid=0) for each in row_description(body)]
    return repr(columns).encode()


def _wrong(vaults: Vaults, attempt: Attempt, way: str) -> str:
    """What shows through the gateway, "" for nothing."""
    one, two = (vaults.heard(attempt, way, which, through=True) for which in (0, 1))
    if leaked := found_in(one.raw + two.raw, FORMS):
        return f"{way}: {leaked[:3]} in {_differing(one, two)}"
    if not attempt.oracle and _told(one) != _told(two):
        return f"{way}: the answers differ: {_differing(one, two)}"
    return ""


def _differing(one: Heard, two: Heard) -> str:
    pairs = zip(_told(one), _told(two), strict=False)
    return str(next(((a[0], a[1][:300], b[1][:300]) for a, b in pairs if a != b), "both"))


def _broken(vaults: Vaults, attempt: Attempt) -> str:
    """Why the attempt proves nothing: it shows nothing without a gateway either, or the gateway just refuses it."""
    one, two = (vaults.heard(attempt, "simple", which, through=False) for which in (0, 1))
    if attempt.lacks and attempt.lacks in one.codes:
        pytest.skip(f"this server was built without it: {attempt.lacks}")
    if attempt.refused:
        return ""
    if _told(one) == _told(two):
        return f"it shows nothing even without a gateway: {one.codes} {one.raw[:300]!r}"
    through = vaults.heard(attempt, "simple", 0, through=True)
    return "" if through.codes == one.codes else f"the gateway answers {through.codes}, the server {one.codes}"


@pytest.mark.parametrize(
    "attempt", [pytest.param(each, id=re.sub(r"[^\w.-]+", "-", each.name)[:80]) for each in BOOK.attempts]
)
def test_attempt(vaults: Vaults, major: int, attempt: Attempt, request: pytest.FixtureRequest) -> None:
    if not attempt.concerns(major):
        return
    if attempt.is_known(major):
        request.applymarker(pytest.mark.xfail(reason=attempt.known, strict=True))
    assert _broken(vaults, attempt) == ""
    wrong = [text for way in _ways(attempt, major) if (text := _wrong(vaults, attempt, way))]
    assert not wrong, "\n".join([attempt.name, *wrong])
