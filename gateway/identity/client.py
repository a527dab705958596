"""The gateway as a client of an issuer: sends a browser there to sign in, and redeems what it comes back with.

What lives here: discovery and the token endpoint. What must not: the values of an attempt and what a token must say
(login.py), pages, tickets (bots.web). The issuer's answer comes over a connection of ours, and is believed only when its
signature is good all the same. Sources: OpenID Connect Core 1.0 (3.1.3), RFC 6749 (2.3.1, 4.1.3).
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from gateway.approvals.request import Person
from gateway.identity.claims import identity_of
from gateway.identity.documents import Documents, IssuerError
from gateway.identity.issuers import Issuers
from gateway.identity.login import Attempt, authorization_url, check_id_token
from gateway.settings import Web

#: How a client proves itself (Core, section 9), what we can, the better first; absent metadata means the first.
_BASIC, _POST = "client_secret_basic", "client_secret_post"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in. `tells_groups`: the ID token says which groups, else what it lacks means nothing."""

    person: Person
    tells_groups: bool


class WebClient:
    """`redirect_uri` gives the address that the issuer knows us by; `clock` Unix seconds. Works with the issuers of now."""

    def __init__(
        self,
        web: Web,
        issuers: Issuers,
        documents: Documents,
        *,
        redirect_uri: Callable[[], str],
        clock: Callable[[], float],
    ) -> None:
        self._web = web
        self._issuers = issuers
        self._documents = documents
        self._redirect_uri = redirect_uri
        self._clock = clock

    async def begin(self, attempt: Attempt, *, fresh: bool) -> str:
        """Where to send the browser. Raises IssuerError."""
        rule = self._issuers.rule(self._web.issuer)
        endpoint = await self._documents.endpoint(rule.issuer, "authorization_endpoint")
        self._documents.check(endpoint)
        return authorization_url(
            endpoint,
            attempt,
            client_id=self._web.client_id,
            redirect_uri=self._redirect_uri(),
            scope=self._web.scope,
            fresh=fresh,
        )

    async def redeem(self, attempt: Attempt, code: str, signed_in_since: float | None = None) -> SignedIn:
        """Who the code stands for. Raises IssuerError, TokenRefused."""
        rule = self._issuers.rule(self._web.issuer)
        metadata = await self._documents.discover(rule.issuer)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri(),
            "code_verifier": attempt.verifier,
        }
        answer = await self._documents.post(_endpoint(metadata), *self._proven(form, metadata))
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise IssuerError(f"{rule.issuer}: its token endpoint gave no ID token (is openid among the scopes?)")
        claims = await self._issuers.id_token(token, rule)
        check_id_token(
            claims,
            issuer=rule.issuer,
            client_id=self._web.client_id,
            attempt=attempt,
            now=self._clock(),
            signed_in_since=signed_in_since,
        )
        who = identity_of(claims, rule.issuer, rule.claims)
        person = Person(who.issuer, who.subject, who.user, who.email, who.groups)
        return SignedIn(person, rule.claims.groups in claims)

    def is_issuer(self, issuer: str) -> bool:
        """Whether an answer that names its issuer (RFC 9207) is of ours."""
        return issuer == self._issuers.rule(self._web.issuer).issuer

    def _proven(
        self, form: Mapping[str, str], metadata: Mapping[str, object]
    ) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Form and headers with our client id and secret. Raises IssuerError."""
        methods = metadata.get("token_endpoint_auth_methods_supported", [_BASIC])
        if isinstance(methods, list) and _BASIC in methods:
            pair = f"{quote(self._web.client_id, safe='')}:{quote(self._web.client_secret, safe='')}"
            return form, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        if isinstance(methods, list) and _POST in methods:
            return {**form, "client_id": self._web.client_id, "client_secret": self._web.client_secret}, {}
        raise IssuerError("its token endpoint takes neither client_secret_basic nor client_secret_post")


def _endpoint(metadata: Mapping[str, object]) -> str:
    endpoint = metadata.get("token_endpoint")
    if not isinstance(endpoint, str):
        raise IssuerError("its discovery document has no token_endpoint")
    return endpoint
