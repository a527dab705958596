"""The demo issuer's authorization code flow, for the gateway's own pages: who asks may be anyone of its people.

What lives here: what was asked for at /authorize, codes, PKCE, the claims of an ID token. What must not: HTTP, keys, pages
(issuer.py). It keeps to OpenID Connect Core 3.1 and RFC 7636 as a real issuer does: exact redirect addresses, codes good once.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

CLIENT_ID = "hoop-web"
_LIFETIME = 60.0  # seconds


class Refused(Exception):
    """The request is not answered; the text is OAuth's error code."""


@dataclass(frozen=True, slots=True)
class _Code:
    person: str
    asked: Mapping[str, str]
    at: float


class Codes:
    """`redirect_uris` are what the client has registered; `changes` go over an ID token's claims (None takes one out), for
    tests; `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.secret = secrets.token_urlsafe(24)
        self.redirect_uris: set[str] = set()
        self.changes: dict[str, object] = {}
        self._clock = clock
        self._codes: dict[str, _Code] = {}

    def asks(self, query: Mapping[str, str]) -> dict[str, str]:
        """What a browser was sent here with. Raises Refused; then it must not be sent anywhere."""
        if query.get("client_id") != CLIENT_ID or query.get("redirect_uri") not in self.redirect_uris:
            raise Refused("invalid_request")
        if query.get("response_type") != "code" or "openid" not in query.get("scope", "").split():
            raise Refused("unsupported_response_type")
        if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
            raise Refused("invalid_request")
        names = ("redirect_uri", "state", "nonce", "code_challenge", "prompt", "max_age")
        return {name: query[name] for name in names if name in query}

    def answer(self, asked: Mapping[str, str], person: str | None, issuer: str) -> str:
        """Where the browser goes back to: with a code for this person, or with a refusal."""
        told = {"state": asked.get("state", ""), "iss": issuer}
        if person is None:
            told["error"] = "access_denied"
        else:
            now = self._clock()
            self._codes = {code: known for code, known in self._codes.items() if known.at > now - _LIFETIME}
            told["code"] = secrets.token_urlsafe(32)
            self._codes[told["code"]] = _Code(person, dict(asked), now)
        return urlsplit(asked["redirect_uri"])._replace(query=urlencode(told)).geturl()

    def redeem(self, form: Mapping[str, str], authorization: str) -> tuple[str, dict[str, Any]]:
        """The person of a code, and what their ID token says beside who they are. Raises Refused."""
        pair = base64.b64encode(f"{CLIENT_ID}:{self.secret}".encode()).decode()
        if not secrets.compare_digest(authorization, f"Basic {pair}"):
            raise Refused("invalid_client")
        code = self._codes.pop(form.get("code", ""), None)
        if (
            code is None
            or code.at <= self._clock() - _LIFETIME
            or form.get("redirect_uri") != code.asked["redirect_uri"]
        ):
            raise Refused("invalid_grant")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.asked["code_challenge"]:
            raise Refused("invalid_grant")
        claims: dict[str, Any] = {
            "aud": CLIENT_ID,
            "nonce": code.asked.get("nonce"),
            "auth_time": int(code.at),
            "client_id": None,
        }
        return code.person, {**claims, **self.changes}
