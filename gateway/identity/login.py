"""A sign-in in a browser by OpenID Connect's authorization code flow: what is derived, sent and believed. Pure.

What lives here: the values of one attempt, the address that the browser is sent to, what an ID token must say. What must
not: keys and signatures (issuers.py), fetching (client.py), pages (bots.web).

One secret, which only the browser's cookie holds, is behind everything: state, nonce, PKCE verifier and CSRF token are
derived from it. So the store keeps digests alone, no answer of the issuer is of use in another browser, and a code that
somebody else was given can't be redeemed here. Sources: OpenID Connect Core 1.0 (3.1.2, 3.1.3.7), RFC 7636, RFC 9700.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from gateway.identity.claims import LEEWAY, TokenRefused, check_times

#: Crockford's letters: none that is taken for another, no words.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: A code that a person types: 40 bits, good once, for one account, for minutes.
_CODE = 8


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in. `secret` is the cookie's value, 32 random bytes as text."""

    secret: str

    @property
    def flow(self) -> str:
        """Names the attempt in addresses and in the cookie's name; proves nothing."""
        return hmac.new(self.secret.encode(), b"flow", hashlib.sha256).hexdigest()[:16]

    @property
    def state(self) -> str:
        return f"{self.flow}.{self._derived('state')}"

    @property
    def nonce(self) -> str:
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """PKCE's code_verifier: 43 characters (RFC 7636 section 4.1)."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """PKCE's code_challenge, method S256."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())

    @property
    def csrf(self) -> str:
        """Stands in the forms of this attempt's pages."""
        return self._derived("csrf")

    @property
    def code(self) -> str:
        """What a person types to say that both sides are theirs: "8F3K-2M9Q"."""
        number = int.from_bytes(hmac.new(self.secret.encode(), b"code", hashlib.sha256).digest()[:8], "big")
        letters = "".join(_LETTERS[number >> shift & 31] for shift in range(0, 5 * _CODE, 5))
        return f"{letters[:4]}-{letters[4:]}"

    def _derived(self, what: str) -> str:
        return _text(hmac.new(self.secret.encode(), what.encode(), hashlib.sha256).digest())


def flow_of(state: str) -> str:
    """The attempt that a state names, "" for a text that is no state of ours."""
    flow, dot, _ = state.partition(".")
    return flow if dot and len(flow) == 16 and set(flow) <= set("0123456789abcdef") else ""


def same(one: str, other: str) -> bool:
    """Compare in constant time; any text will do."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def typed_code(text: str) -> str:
    """A code as a person typed it, in the form of Attempt.code; "" for what can't be one. O and I, L are read as 0 and 1."""
    letters = text.upper().replace("-", "").replace(" ", "").translate(str.maketrans("OIL", "011"))
    if len(letters) != _CODE or not set(letters) <= set(_LETTERS):
        return ""
    return f"{letters[:4]}-{letters[4:]}"


def ticket(key: bytes, kind: str, *parts: str) -> str:
    """The id under which the store keeps what a secret opens: a keyed digest, so that who reads the store holds no secret."""
    said = "\0".join((kind, *parts)).encode("utf-8", "surrogatepass")
    return hmac.new(key, said, hashlib.sha256).hexdigest()


def authorization_url(
    endpoint: str, attempt: Attempt, *, client_id: str, redirect_uri: str, scope: str, fresh: bool
) -> str:
    """Where the browser goes to sign in. `fresh`: the issuer must ask again, whatever session it has (Core 3.1.2.1)."""
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
        **({"prompt": "login", "max_age": "0"} if fresh else {}),
    }
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *asked.items()]), fragment=""))


def check_id_token(
    claims: Mapping[str, object],
    *,
    issuer: str,
    client_id: str,
    attempt: Attempt,
    now: float,
    signed_in_since: float | None = None,
) -> None:
    """What Core 3.1.3.7 asks of an ID token whose signature is good. Raises TokenRefused.

    `signed_in_since`: the person must have signed in at or after this moment (Unix seconds), and the token must say so.
    """
    if claims.get("iss") != issuer:
        raise TokenRefused("claim iss: the ID token is another issuer's")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise TokenRefused("claim aud: the ID token is for another client")
    if claims.get("azp", None if len(audiences) > 1 else client_id) != client_id:
        raise TokenRefused("claim azp: the ID token was issued to another client")
    if "iat" not in claims:
        raise TokenRefused("claim iat: an ID token says when it was issued")
    check_times(claims, now)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not same(nonce, attempt.nonce):
        raise TokenRefused("claim nonce: the ID token answers another sign-in")
    if signed_in_since is not None:
        _check_fresh(claims, signed_in_since)


def _check_fresh(claims: Mapping[str, object], since: float) -> None:
    at = claims.get("auth_time")
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise TokenRefused(
            "claim auth_time: missing, and this sign-in has to be a fresh one",
            hint="the issuer must tell auth_time when max_age is asked for (Entra ID: an optional claim of the app)",
        )
    if not since - LEEWAY <= at:
        raise TokenRefused("claim auth_time: the sign-in is older than this request", hint="sign in again")


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
