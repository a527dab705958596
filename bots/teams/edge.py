"""Is this HTTP request from the Bot Connector, for our bot, of our tenant? Decided before anything of the message is believed.

What lives here: the token (Bot Connector authentication: signature, issuer, audience, times, endorsements), and whether the
body fits it (serviceUrl, channel, tenant). What does not: what an activity means. botbuilder's own check blocks the event
loop, answers 500 where it should say 401, keeps a rotated key out for a day, and lets everybody in where the app id is not
set (chat.md, 2.2); so nothing of it is used here. The token comes first: without a good one no body is read.

Keys are fetched once for all who wait, kept for an hour and, while the issuer is away, for a day; an unknown key id causes a
fetch every ten seconds at most (gateway.identity.issuers.Keys).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from gateway.identity.claims import TokenRefused
from gateway.identity.documents import Documents, IssuerError
from gateway.identity.issuers import Keys, key_set, peek

Json = dict[str, Any]

#: The public cloud's; national clouds have their own (Azure Government: login.botframework.azure.us).
METADATA_URL = "https://login.botframework.com/v1/.well-known/openidconfiguration"
CHANNEL = "msteams"
ALGORITHMS = ["RS256"]
LEEWAY = 300.0  # seconds of clock skew that the Bot Connector's documentation allows
MAX_BODY = 256 * 1024  # a message of Teams is 100 KB at most


class _Registry(JWSRegistry):
    max_header_length = 4096  # as in gateway.identity.issuers: certificate chains travel there


_REGISTRY = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


class Rejected(Exception):
    """An HTTP status and one plain sentence that holds nothing of the request."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True, slots=True)
class Caller:
    """What a good token says of who sent it: the only address to which answers may go."""

    service_url: str


class Edge:
    """Checks requests for one bot of one tenant; `clock` gives Unix seconds.

    Raises ValueError without an app id or a tenant: there is no unauthenticated mode.
    """

    def __init__(
        self, app_id: str, tenant_id: str, documents: Documents, clock: Callable[[], float], metadata_url: str = ""
    ) -> None:
        if not app_id or not tenant_id:
            raise ValueError("Teams needs an app id and a tenant id")
        self._app_id = app_id
        self._tenant_id = tenant_id.casefold()
        self._documents = documents
        self._clock = clock
        self._metadata_url = metadata_url or METADATA_URL
        self._issuer = ""
        self._keys = Keys(self._load, clock)

    async def issuer(self) -> str:
        """Who signs for the Bot Connector of this cloud; tokens for the way out are of the same. Raises IssuerError."""
        await self._keys.for_kid(None)
        return self._issuer

    async def close(self) -> None:
        """Let go of the connections."""
        await self._documents.close()

    async def _load(self) -> KeySet:
        metadata = await self._documents.fetch(self._metadata_url)
        issuer, uri = metadata.get("issuer"), metadata.get("jwks_uri")
        if not isinstance(issuer, str) or not isinstance(uri, str):
            raise IssuerError(f"{self._metadata_url}: no issuer or no jwks_uri")
        keys = key_set(await self._documents.fetch(uri), uri)
        self._issuer = issuer
        return keys

    # The token -----------------------------------------------------------------------------------------------------

    async def authenticate(self, authorization: str) -> Caller:
        """Who sent it, by the Authorization header. Raises Rejected (401)."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or not token.isascii():
            raise Rejected(401, "a bearer token is missing")
        claims = self._signed(token, await self._keys_for(token))
        if claims.get("iss") != self._issuer:
            raise Rejected(401, "the token is not of the Bot Connector")
        if claims.get("aud") not in (self._app_id, [self._app_id]):
            raise Rejected(401, "the token is for another bot")
        self._check_times(claims)
        service_url = claims.get("serviceurl")
        if not isinstance(service_url, str) or not service_url:
            raise Rejected(401, "the token names no service URL")
        return Caller(service_url)

    async def _keys_for(self, token: str) -> KeySet:
        try:
            kid = peek(token)[0].get("kid")
            keys = await self._keys.for_kid(kid if isinstance(kid, str) else None)
        except TokenRefused as error:
            raise Rejected(401, "the bearer token is no signed JWT") from error
        except IssuerError as error:
            raise Rejected(401, "the Bot Connector's keys can't be had") from error
        known = next((key for key in keys if key.kid == kid), None)
        if known is None:
            raise Rejected(401, "the token's key is not known")
        endorsements = known.get("endorsements")
        if not isinstance(endorsements, list) or CHANNEL not in endorsements:
            raise Rejected(401, "the token's key does not sign for Teams")
        return KeySet([known])

    @staticmethod
    def _signed(token: str, keys: KeySet) -> Mapping[str, object]:
        try:
            verified = jwt.decode(token, keys, registry=_REGISTRY)
        except (JoseError, ValueError, TypeError) as error:
            raise Rejected(401, "the token's signature is wrong") from error
        if "crit" in verified.header:
            raise Rejected(401, "the token's header has an extension")
        claims: Mapping[str, object] = verified.claims
        return claims

    def _check_times(self, claims: Mapping[str, object]) -> None:
        now = self._clock()
        expires, begins = _number(claims.get("exp")), _number(claims.get("nbf", 0))
        if expires is None or begins is None:
            raise Rejected(401, "the token has no expiry")
        if now >= expires + LEEWAY or now < begins - LEEWAY:
            raise Rejected(401, "the token is expired or not valid yet")

    # The body ------------------------------------------------------------------------------------------------------

    def accept(self, caller: Caller, raw: bytes) -> Json:
        """The activity, once it fits the token that came with it. Raises Rejected (401; 400 for what can't be read)."""
        activity = _object(raw)
        if activity.get("serviceUrl") != caller.service_url:
            raise Rejected(401, "the activity's service URL is not the token's")
        try:
            self._documents.check(caller.service_url)
        except IssuerError as error:
            raise Rejected(401, "the service URL is not https") from error
        if activity.get("channelId") != CHANNEL:
            raise Rejected(401, "the activity is not of Teams")
        tenants = (at(activity, "channelData", "tenant", "id"), at(activity, "conversation", "tenantId"))
        if tenants[0] is None or any(each is not None and not self._is_ours(each) for each in tenants):
            raise Rejected(401, "the activity is of another tenant")
        return activity

    def _is_ours(self, tenant: object) -> bool:
        return isinstance(tenant, str) and tenant.casefold() == self._tenant_id


def _number(value: object) -> float | None:
    """A NumericDate. JSON's true, NaN and Infinity are none: a comparison with them would let the token pass."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < 1e12 else None  # type: ignore[arg-type,operator] # it is a number


def _object(raw: bytes) -> Json:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Rejected(400, "the body is no JSON object")
    return value


def at(value: object, *path: str) -> object:
    """What stands at a path of keys; None where it does not go on."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
