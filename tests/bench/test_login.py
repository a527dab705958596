"""What the measuring clients answer at login."""

import base64
import hashlib
import hmac

import pytest

from bench.login import Login, Refused
from gateway.wire.backend import AUTHENTICATION_CLEARTEXT_PASSWORD, AUTHENTICATION_OK, error_response, ready_for_query
from gateway.wire.frontend import message, password

SALT = b"salt"


def request(method: int, data: bytes) -> bytes:
    return message(b"R", method.to_bytes(4, "big") + data)


def test_a_token_goes_in_clear() -> None:
    login = Login("token")
    assert login.answer(ord("R"), AUTHENTICATION_CLEARTEXT_PASSWORD) == password("token")
    assert login.answer(ord("R"), AUTHENTICATION_OK) == b""
    assert not login.ready
    login.answer(ord("Z"), ready_for_query("I"))
    assert login.ready


def test_scram_proves_the_password() -> None:
    login = Login("pencil")
    first = login.answer(ord("R"), request(10, b"SCRAM-SHA-256\0\0"))
    bare = first[first.index(b"n,,") + 3 :]
    challenge = bare[bare.index(b"r=") :] + b"x,s=" + base64.b64encode(SALT) + b",i=4096"
    final = login.answer(ord("R"), request(11, challenge))[5:]
    without_proof, _, proof = final.partition(b",p=")
    key = hmac.digest(hashlib.pbkdf2_hmac("sha256", b"pencil", SALT, 4096), b"Client Key", "sha256")
    stored = hashlib.sha256(key).digest()
    signature = hmac.digest(stored, b",".join((bare, challenge, without_proof)), "sha256")
    assert (
        hashlib.sha256(bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))).digest() == stored
    )


def test_a_refusal_is_said() -> None:
    with pytest.raises(Refused, match="28000 no"):
        Login("x").answer(ord("E"), error_response("28000", "no"))
