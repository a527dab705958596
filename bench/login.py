"""A client's part of a login: what to answer to each authentication request. Pure but for the nonce.

Cleartext for the gateway's token, SCRAM-SHA-256 for PostgreSQL itself, nothing for pgbouncer here.
"""

import secrets

from gateway.wire import frontend, scram
from gateway.wire.backend import fields


class Refused(Exception):
    """The server said ErrorResponse; the text is its SQLSTATE and message."""


class Login:
    """`answer` each message of the server until it says that it is ready."""

    def __init__(self, password: str) -> None:
        self._password = password
        self._scram = scram.Scram(password, secrets.token_urlsafe(18))
        self.ready = False

    def answer(self, kind: int, raw: bytes) -> bytes:
        """What to send, b"" for nothing. `raw` is the whole message. Raises Refused."""
        if kind == ord("E"):
            raise Refused(said(raw[5:]))
        self.ready = kind == ord("Z")
        if kind != ord("R"):
            return b""
        method = int.from_bytes(raw[5:9], "big")
        if method == 3:
            return frontend.password(self._password)
        if method == 10:
            return frontend.sasl_initial_response(scram.MECHANISM, self._scram.first())
        if method == 11:
            return frontend.sasl_response(self._scram.final(raw[9:]))
        if method in (0, 12):
            return b""
        raise Refused(f"authentication method {method} is not known here")


def said(body: bytes) -> str:
    """SQLSTATE and message of an ErrorResponse's body."""
    found = fields(body)
    return f"{found.get('C', '')} {found.get('M', '')}"
