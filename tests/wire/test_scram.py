"""SCRAM-SHA-256: the RFC's own exchange, and a server that lies."""

import base64
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import TargetUnavailable
from gateway.wire import scram
from gateway.wire.scram import MAX_ITERATIONS, MOST_KEPT, Scram

# RFC 7677, section 3 (its user name is "user"; PostgreSQL takes the StartupMessage's, so ours is empty and the proof differs).
NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = NONCE + "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="


def first(nonce: str = SERVER_NONCE, salt: str = SALT, iterations: str = "4096") -> bytes:
    return f"r={nonce},s={salt},i={iterations}".encode()


def server_final(password: bytes, scram_first: bytes, without_proof: str) -> bytes:
    """The server's side, written from RFC 5802 section 3."""
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(SALT), 4096)
    auth = b",".join((scram_first[3:], first(), without_proof.encode()))
    key = hmac.digest(salted, b"Server Key", "sha256")
    return b"v=" + base64.b64encode(hmac.digest(key, auth, "sha256"))


def test_a_server_that_knows_the_password_is_believed() -> None:
    exchange = Scram("pencil", NONCE)
    opening = exchange.first()
    assert opening == f"n,,n=,r={NONCE}".encode()
    final = exchange.final(first()).decode()
    without_proof, _, proof = final.rpartition(",p=")
    assert len(base64.b64decode(proof)) == 32
    exchange.verify(server_final(b"pencil", opening, without_proof))


def test_a_server_that_does_not_know_the_password_is_refused() -> None:
    exchange = Scram("pencil", NONCE)
    opening = exchange.first()
    without_proof = exchange.final(first()).decode().rpartition(",p=")[0]
    with pytest.raises(TargetUnavailable, match="signature"):
        exchange.verify(server_final(b"other", opening, without_proof))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (first(nonce="other"), "nonce"),
        (first(nonce=NONCE), "nonce"),
        (first(iterations="0"), "iteration count"),
        (first(iterations=str(MAX_ITERATIONS + 1)), "iteration count"),
        (first(iterations="9" * 40), "iteration count"),
        (first(iterations="-1"), "iteration count"),
        (first(salt="***"), "base64"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_server_that_lies_is_refused(message: bytes, why: str) -> None:
    with pytest.raises(TargetUnavailable, match=why):
        Scram("pencil", NONCE).final(message)


def test_a_final_message_before_the_proof_is_refused() -> None:
    with pytest.raises(TargetUnavailable):
        Scram("pencil", NONCE).verify(b"v=")


@given(st.binary(max_size=80))
def test_garbage_from_a_server_is_refused(data: bytes) -> None:
    with pytest.raises(TargetUnavailable):
        Scram("pencil", NONCE).final(data)


def logged_in(password: str, nonce: str) -> tuple[str, str]:
    """A whole exchange with a server that knows the password; returns the client's proof and what it proves."""
    exchange = Scram(password, nonce)
    opening = exchange.first()
    challenge = f"r={nonce}server,s={SALT},i=4096".encode()
    without_proof, _, proof = exchange.final(challenge).decode().rpartition(",p=")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(SALT), 4096)
    auth = b",".join((opening[3:], challenge, without_proof.encode()))
    key = hmac.digest(salted, b"Server Key", "sha256")
    exchange.verify(b"v=" + base64.b64encode(hmac.digest(key, auth, "sha256")))
    return proof, without_proof


def test_keys_are_derived_once_and_prove_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    scram._kept.clear()
    before = logged_in("pencil", "nonce one")
    derived: list[bytes] = []
    real = hashlib.pbkdf2_hmac

    def counted(name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        derived.append(password)
        return real(name, password, salt, iterations)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counted)
    exchange = Scram("pencil", "nonce one")
    exchange.first()
    assert exchange.final(f"r=nonce oneserver,s={SALT},i=4096".encode()).decode().endswith(f",p={before[0]}")
    assert derived == []
    exchange.final(f"r=nonce oneserver,s={SALT},i=4097".encode())
    Scram("pencils", "nonce one").final(f"r=nonce oneserver,s={SALT},i=4096".encode())
    assert derived == [b"pencil", b"pencils"]


def test_keys_of_a_login_that_failed_are_not_kept() -> None:
    scram._kept.clear()
    exchange = Scram("wrong", NONCE)
    exchange.final(first())
    with pytest.raises(TargetUnavailable):
        exchange.verify(b"v=" + base64.b64encode(bytes(32)))
    assert not scram._kept


def test_no_password_is_kept_and_only_so_many_logins() -> None:
    scram._kept.clear()
    key = HMAC(b"key", SHA256())
    scram._kept.update({str(number).encode(): scram._Keys(b"", key, key) for number in range(MOST_KEPT)})
    logged_in("pencil", "nonce")
    assert len(scram._kept) == MOST_KEPT
    assert b"pencil" not in repr(scram._kept).encode()
    scram._kept.clear()
