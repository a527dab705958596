"""The issuers that sign tokens: their keys, and the one door `Issuers.verify`.

What lives here: caching keys, checking signature, issuer, audience and times. What must not: fetching documents
(documents.py), reading names and groups (claims.py), opinions about what a person may do.

A token is judged in the order in which an attacker pays most: size and shape, issuer and audience (both signed, so read
before the signature only to find the key), key, signature, header, times, claims. Nothing here blocks the event loop;
one issuer that hangs delays only those who log in with its tokens.

Pools log in with one token again and again. That its signature is good is a fact of its bytes and of the keys, so it is
remembered by the token's digest, with the very set of keys that it was checked with: when the keys are fetched again, so is the
check. Issuer, audience, key id and times are asked each time. The token itself isn't kept. Sources: RFC 7515, RFC 7519, RFC 8725, RFC 9068,
OpenID Connect Discovery 1.0.
"""

import asyncio
import base64
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from gateway.identity.claims import Identity, TokenRefused, check_times, identity_of
from gateway.identity.documents import Documents, IssuerError
from gateway.policy.model import Issuer as IssuerRule

ALGORITHMS = ("RS256", "ES256", "PS256")  # asymmetric only: an HMAC "key" would be the public one
MAX_TOKEN = 16 * 1024  # bytes; Entra's largest are about 8 KiB
KEYS_TTL = 3600.0  # seconds until the keys are fetched again
KEYS_STALE = 24 * 3600.0  # seconds that known keys outlive an issuer that is away
COOLDOWN = 10.0  # seconds between fetches that unknown key ids cause: anyone can invent those
RETRY = 1.0  # seconds between fetches while there are no keys at all
SIGNATURES = 256  # tokens whose signature is remembered
#: It says nothing of the token, which nobody could check.
_KEYLESS = "the gateway has no keys of this issuer, so it can check no token: its operator has to look (hoop doctor)"
_ID_TYPES = frozenset({"", "jwt"})
_ACCESS_TYPES = _ID_TYPES | {"at+jwt", "application/at+jwt"}
_ONLY_IN_ID_TOKENS = ("at_hash", "c_hash")


class _Registry(JWSRegistry):
    max_header_length = 4096  # issuers put certificate chains there


_REGISTRY = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


class _Signed(NamedTuple):
    """A token whose signature was good under these keys, and whom it is about by this rule."""

    keys: KeySet
    header: Mapping[str, object]
    claims: Mapping[str, object]
    rule: IssuerRule
    identity: Identity


class Issuers:
    """Verifies tokens of the issuers in policies.yaml. One event loop; `clock` gives Unix seconds."""

    def __init__(
        self,
        rules: Sequence[IssuerRule],
        *,
        insecure_loopback: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._documents = Documents(insecure_loopback=insecure_loopback)
        self._clock = clock
        self._rules: tuple[IssuerRule, ...] = ()
        self._keys: dict[tuple[str, str | None], Keys] = {}
        self._signed: OrderedDict[bytes, _Signed] = OrderedDict()  # by the token's digest
        self.use(rules)

    def use(self, rules: Sequence[IssuerRule]) -> None:
        """Take the rules of a new policy; known keys of issuers that stay are kept."""
        known = self._keys
        self._rules = tuple(rules)
        self._keys = {
            (rule.issuer, rule.jwks_uri): known.get((rule.issuer, rule.jwks_uri))
            or Keys(partial(self._load, rule.issuer, rule.jwks_uri), self._clock)
            for rule in rules
        }

    async def _load(self, issuer: str, jwks_uri: str | None) -> KeySet:
        uri = jwks_uri or await self._documents.endpoint(issuer, "jwks_uri")
        return key_set(await self._documents.fetch(uri), uri)

    async def verify(self, token: str) -> Identity:
        """Who the token is about. Raises TokenRefused, and nothing else, for any string whatever."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._signed.pop(digest, None)
        header, unverified = (known.header, known.claims) if known else peek(token)
        rule = self._rule_for(unverified)
        keys = await self._keys_of(rule, header)
        if known is None or known.keys is not keys or known.rule is not rule:
            signed = _verified(token, keys)
            with _told():
                claims = _of_type(signed, _ACCESS_TYPES)
                if any(name in claims for name in _ONLY_IN_ID_TOKENS):
                    raise TokenRefused("an ID token: an access token was expected")
                check_times(claims, self._clock())
                known = _Signed(keys, header, claims, rule, identity_of(claims, rule.issuer, rule.claims))
        with _told():
            check_times(known.claims, self._clock())
        self._signed[digest] = known
        if len(self._signed) > SIGNATURES:
            self._signed.popitem(last=False)
        return known.identity

    async def id_token(self, token: str, rule: IssuerRule) -> Mapping[str, object]:
        """The claims of an ID token that this issuer has signed; what they must say is checked by login.check_id_token.

        Raises TokenRefused, and nothing else, for any string whatever.
        """
        header, _ = peek(token)
        return _of_type(_verified(token, await self._keys_of(rule, header)), _ID_TYPES)

    def rule(self, issuer: str = "") -> IssuerRule:
        """The rule of this issuer, or of the only one. Raises IssuerError where there is none, or more than one."""
        found = {each.issuer: each for each in reversed(self._rules) if issuer in ("", each.issuer)}
        if len(found) != 1:
            raise IssuerError(f"{issuer}: not an issuer of policies.yaml" if issuer else "more than one issuer")
        return next(iter(found.values()))

    async def _keys_of(self, rule: IssuerRule, header: Mapping[str, object]) -> KeySet:
        kid = header.get("kid")
        try:
            return await self._keys[rule.issuer, rule.jwks_uri].for_kid(kid if isinstance(kid, str) else None)
        except (IssuerError, KeyError) as error:  # KeyError: the policy of now has another issuer
            raise TokenRefused(f"no keys of {rule.issuer}: {error}", hint=_KEYLESS) from error

    def _rule_for(self, claims: Mapping[str, object]) -> IssuerRule:
        issuer, audience = claims.get("iss"), claims.get("aud")
        ours = [rule for rule in self._rules if rule.issuer == issuer]
        if not ours:
            raise TokenRefused("claim iss: not an issuer of policies.yaml")
        audiences = audience if isinstance(audience, list) else [audience]
        for rule in ours:
            if rule.audience in audiences:
                return rule
        raise TokenRefused("claim aud: the token is for somebody else")

    async def ready(self) -> str:
        """`ok`, or which issuers' keys can't be had and why, for /readyz."""
        problems = await asyncio.gather(*(keys.problem() for keys in self._keys.values()))
        return "; ".join(filter(None, problems)) or "ok"

    async def close(self) -> None:
        """Let go of the connections."""
        await self._documents.close()


class Keys:
    """The public keys of one issuer: fetched once for all who wait, kept, and outliving a short absence of the issuer.

    `load` fetches them, and raises IssuerError.
    """

    def __init__(self, load: Callable[[], Awaitable[KeySet]], clock: Callable[[], float]) -> None:
        self._load = load
        self._clock = clock
        self._known: KeySet | None = None
        self._ids: frozenset[str | None] = frozenset()  # of the known ones
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._problem = "not fetched yet"
        self._fetching: asyncio.Task[None] | None = None

    async def for_kid(self, kid: str | None) -> KeySet:
        """Keys that may hold this id. Raises IssuerError when there are none that are fresh enough."""
        if self._age() > KEYS_TTL or not self._holds(kid):
            await self._refresh()
        if self._known is None or self._age() > KEYS_STALE:
            raise IssuerError(self._problem)
        return self._known

    async def problem(self) -> str:
        """Empty when there are keys to check tokens with."""
        try:
            await self.for_kid(None)
        except IssuerError as error:
            return str(error)
        return ""

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _holds(self, kid: str | None) -> bool:
        return self._known is not None and (kid is None or kid in self._ids)

    async def _refresh(self) -> None:
        """Join a fetch that is under way, else start one if the last is long enough ago."""
        if self._fetching is None:
            if self._clock() - self._tried_at < (COOLDOWN if self._known else RETRY):
                return
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())
        # shielded: one client that gives up must not take the keys from those who wait with it
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            self._known = await self._load()
            self._ids = frozenset(key.kid for key in self._known)
            self._fetched_at = self._clock()
        except IssuerError as error:
            self._problem = str(error)
        finally:
            self._fetching = None


def key_set(document: Mapping[str, object], uri: str) -> KeySet:
    """The keys of a JWKS document (RFC 7517) from `uri`. Raises IssuerError."""
    try:
        return KeySet.import_key_set(document)  # type: ignore[arg-type]  # checked by the import itself
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise IssuerError(f"{uri}: no usable keys ({type(error).__name__})") from error


def peek(token: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Header and claims of a compact JWS, unverified. Raises TokenRefused."""
    if len(token) > MAX_TOKEN:
        raise TokenRefused(f"the token is larger than {MAX_TOKEN} bytes")
    parts = token.split(".")
    if not token.isascii() or len(parts) != 3:
        raise TokenRefused("not a signed JWT: three parts with dots between were expected")
    return _json_part(parts[0], "header"), _json_part(parts[1], "payload")


def _json_part(part: str, name: str) -> Mapping[str, object]:
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise TokenRefused(f"the token's {name} is no JSON object")
    return value


def _verified(token: str, keys: KeySet) -> jwt.Token:
    """Header and claims, once the signature is good."""
    try:
        return jwt.decode(token, keys, registry=_REGISTRY)
    except (JoseError, ValueError, TypeError) as error:
        raise TokenRefused(f"signature: {type(error).__name__}") from error


def _of_type(signed: jwt.Token, types: Set[str]) -> Mapping[str, object]:
    """The claims, once the header is good; `types` are the values of `typ` that may be."""
    if "crit" in signed.header:
        raise TokenRefused("header crit: no extension is understood")
    kind = signed.header.get("typ", "")
    if not isinstance(kind, str) or kind.lower() not in types:
        raise TokenRefused("header typ: not the kind of token that was expected")
    claims: Mapping[str, object] = signed.claims
    return claims


@contextmanager
def _told() -> Iterator[None]:
    """Around what is checked behind the signature: the client hears which of it failed."""
    try:
        yield
    except TokenRefused as error:
        raise error.told() from error
