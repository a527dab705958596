"""SCRAM-SHA-256 as a client, without channel binding. RFC 5802, RFC 7677; manual 55.3.1. The nonce is an argument.

The server may be malicious: its nonce must extend ours, its iteration count is bounded (a huge one would stall the
process), and its signature is checked before anything it says is believed.

Deriving the keys is the larger half of the CPU of a login (4,096 rounds of HMAC), so those of a login that succeeded are
kept for the next, as RFC 5802 section 5.1 and libpq's scram_client_key have it. The password itself isn't kept. Each kept key
has been worked into its HMAC: what OpenSSL does anew for each `hmac.digest` is most of its 7 us.
"""

import base64
import binascii
import hashlib
import hmac
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from gateway.errors import TargetUnavailable

MECHANISM = "SCRAM-SHA-256"
#: PostgreSQL's default is 4,096; above this a login would block the process for seconds.
MAX_ITERATIONS = 1_000_000
_GS2 = "n,,"
#: Logins whose keys are kept: one a target and login there, more while passwords or tokens change.
MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class _Keys:
    """RFC 5802 section 3: ClientKey, and what signs under StoredKey and ServerKey."""

    client: bytes = field(repr=False)
    stored: HMAC
    server: HMAC


#: By the digest of password, salt and rounds.
_kept: OrderedDict[bytes, _Keys] = OrderedDict()


class Scram:
    """One login: `first()`, `final(server_first)`, `verify(server_final)`, in this order. Raises TargetUnavailable."""

    def __init__(self, password: str, nonce: str) -> None:
        self._password = unicodedata.normalize("NFKC", password).encode()  # SASLprep for all but exotic passwords
        self._nonce = nonce
        self._first_bare = f"n=,r={nonce}"
        self._server_signature = b""
        self._derived: tuple[bytes, _Keys] | None = None

    def first(self) -> bytes:
        """The client-first-message; the user name is the StartupMessage's, so it stays empty here."""
        return (_GS2 + self._first_bare).encode()

    def final(self, server_first: bytes) -> bytes:
        """The client-final-message with the proof."""
        values = _attributes(server_first)
        nonce, salt, iterations = values.get("r", ""), _decode(values.get("s", "")), _count(values.get("i", ""))
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise _refused("its nonce does not extend ours")
        keys = self._keys(salt, iterations)
        without_proof = f"c={base64.b64encode(_GS2.encode()).decode()},r={nonce}"
        auth = ",".join((self._first_bare, server_first.decode("utf-8"), without_proof)).encode()
        signature = _signed(keys.stored, auth)
        proof = (int.from_bytes(keys.client, "big") ^ int.from_bytes(signature, "big")).to_bytes(len(signature), "big")
        self._server_signature = _signed(keys.server, auth)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, server_final: bytes) -> None:
        """Check that the server knows the password too."""
        values = _attributes(server_final)
        signature = _decode(values.get("v", ""))
        if not self._server_signature or not hmac.compare_digest(signature, self._server_signature):
            raise _refused("its signature is wrong")
        if self._derived is not None:
            _kept[self._derived[0]] = self._derived[1]
            if len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)

    def _keys(self, salt: bytes, iterations: int) -> _Keys:
        """To be kept once the server has proved that they are right."""
        name = hashlib.sha256(b"%d.%d." % (iterations, len(salt)) + salt + self._password).digest()
        if (known := _kept.get(name)) is not None:
            return known
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, iterations)
        client, server = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
        keys = _Keys(client, HMAC(hashlib.sha256(client).digest(), SHA256()), HMAC(server, SHA256()))
        self._derived = name, keys
        return keys


def _signed(key: HMAC, text: bytes) -> bytes:
    one = key.copy()
    one.update(text)
    return one.finalize()


def _refused(why: str) -> TargetUnavailable:
    return TargetUnavailable(f"the target's SCRAM exchange was refused: {why}")


def _attributes(text: bytes) -> dict[str, str]:
    try:
        parts = text.decode("utf-8").split(",")
    except UnicodeDecodeError:
        raise _refused("a message is not UTF-8") from None
    return {part[0]: part[2:] for part in parts if part[1:2] == "="}


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _refused("a value is not base64") from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_ITERATIONS or len(text) > 9:
        raise _refused(f"its iteration count is not between 1 and {MAX_ITERATIONS}")
    return int(text)
