"""A DSN that can't be used is told by the file or parameter that is wrong, with nothing of its password."""

from pathlib import Path

import asyncpg
import pytest

from gateway.demo.postgres import EmbeddedPostgres
from gateway.store.dsn import unusable

VERIFY = "postgresql://hoop:topsecret@127.0.0.1:1/hoop?sslmode=verify-full"


async def said(dsn: str) -> str:
    """What is told of the error that asyncpg itself raises."""
    try:
        await asyncpg.connect(dsn)
    except Exception as error:
        found = unusable(dsn, error)
        assert "topsecret" not in found
        return found
    raise AssertionError("it connected")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's ~/.postgresql."""
    monkeypatch.setenv("HOME", str(tmp_path))


async def test_a_ca_file_that_is_missing_is_named(tmp_path: Path) -> None:
    assert (await said(VERIFY)).startswith("sslrootcert is missing: ")
    gone, empty = tmp_path / "gone.pem", tmp_path / "empty.pem"
    assert await said(f"{VERIFY}&sslrootcert={gone}") == f"sslrootcert: {gone} is no file that this user can read"
    empty.touch()
    assert await said(f"{VERIFY}&sslrootcert={empty}") == f"sslrootcert: {empty} holds no PEM certificate"


async def test_a_server_without_tls_is_told(postgres: EmbeddedPostgres) -> None:
    dsn = f"{postgres.dsn('postgres')}?sslmode=require"
    assert await said(dsn) == "sslmode asks for TLS, and its server offers none"


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        (VERIFY.removesuffix("l"), "sslmode is none of disable, "),
        ("postgresql://hoop:topsecret/x@127.0.0.1:1/hoop", "it is no DSN: signs like "),
        ("postgresql://hoop:topsecret#x@127.0.0.1:1/hoop", "it is no DSN: signs like "),
        ("topsecret://hoop@127.0.0.1:1/hoop", "it is no usable DSN"),
        ("postgresql://hoop:topsecret@127.0.0.1:1/hoop", ""),
    ],
)
async def test_what_is_wrong_with_a_dsn(dsn: str, words: str) -> None:
    found = await said(dsn)
    assert found.startswith(words)
    assert bool(found) == bool(words)
