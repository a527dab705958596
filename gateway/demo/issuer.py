"""A loopback OpenID Connect issuer with a handful of people. For the demo and the tests only: whoever asks may be anyone.

What lives here: discovery, keys, the device grant (RFC 8628) and the pages of both grants, `mint`, the directory, and faults that tests
switch on. What must not: anything that a real gateway trusts.
"""

import asyncio
import html
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Self

from aiohttp import web
from aiohttp.typedefs import Handler
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jws import JWSRegistry

from gateway.approvals.request import Person
from gateway.demo.codes import Codes, Refused

AUDIENCE = "hoop"
CLIENT_ID = "hoop-cli"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_DEVICE_LIFETIME = 600.0  # seconds
_MAX_DEVICES = 1000
_USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628 section 6.1: no vowels, so no words


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody the issuer knows. An agent has a subject of its own, no mailbox, and says whom it `acts_for`."""

    name: str
    subject: str
    user: str
    email: str | None
    groups: tuple[str, ...]
    acts_for: str | None = None


PEOPLE: Mapping[str, Account] = {
    person.name: person
    for person in (
        Account("ann", "person-ann", "ann@example.com", "ann@example.com", ("engineering",)),
        Account("cursor", "agent-cursor", "cursor", None, ("agents",), acts_for="ann@example.com"),
        Account("bob", "person-bob", "bob@example.com", "bob@example.com", ("dba",)),
        Account("dana", "person-dana", "dana@example.com", "dana@example.com", ("dba",)),
        Account("eve", "person-eve", "eve@example.com", "eve@example.com", ("marketing",)),
    )
}


class Fault(Enum):
    """What goes wrong from now on with discovery and keys."""

    NONE = "none"
    HANG = "hang"
    STATUS_500 = "status 500"
    REDIRECT = "redirect"
    WRONG_ISSUER = "wrong issuer"
    NO_JSON = "no json"
    OVERSIZE = "oversize"


@dataclass(slots=True)
class _Device:
    """A device code on its way: nobody chose yet, or `person`, or `denied`."""

    user_code: str
    expires_at: float
    polled_at: float = float("-inf")
    person: Account | None = None
    denied: bool = False


class DemoIssuer:
    """Listens on 127.0.0.1 between `start` and `close`. `requests` counts what was asked for, by path."""

    def __init__(self, *, audience: str, interval: int, clock: Callable[[], float]) -> None:
        self.url = ""
        self.audience = audience
        self.fault = Fault.NONE
        self.requests: Counter[str] = Counter()
        self._interval = interval
        self._clock = clock
        self.codes = Codes(clock)
        self._devices: dict[str, _Device] = {}
        self._released = asyncio.Event()
        self._keys: list[RSAKey | ECKey] = [_new_key()]
        self._runner: web.AppRunner | None = None

    @classmethod
    async def start(
        cls, *, port: int = 0, audience: str = AUDIENCE, interval: int = 1, clock: Callable[[], float] = time.time
    ) -> Self:
        """`interval` is what device clients are told to wait between polls, in seconds; port 0 takes a free one."""
        issuer = cls(audience=audience, interval=interval, clock=clock)
        app = web.Application(middlewares=[issuer._count_and_fail])
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", issuer._discovery),
                web.get("/jwks", issuer._jwks),
                web.post("/device_authorization", issuer._device_authorization),
                web.get("/device", issuer._device_page),
                web.post("/device", issuer._device_decision),
                web.post("/token", issuer._token),
                web.get("/authorize", issuer._authorize_page),
                web.post("/authorize", issuer._authorize_decision),
            ]
        )
        issuer._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await issuer._runner.setup()
        site = web.TCPSite(issuer._runner, "127.0.0.1", port)
        await site.start()
        issuer.url = f"http://127.0.0.1:{issuer._runner.addresses[0][1]}"
        return issuer

    async def close(self) -> None:
        """Stop listening; requests that hang are let go."""
        self._released.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def mint(self, person: str | Account, *, lifetime: float = 3600, typ: str = "at+jwt", **extra: object) -> str:
        """An access token, or with another `typ` an ID token. `extra` claims go over the usual ones; None takes one out."""
        who = PEOPLE[person] if isinstance(person, str) else person
        now = int(self._clock())
        claims: dict[str, object] = {
            "iss": self.url,
            "sub": who.subject,
            "aud": self.audience,
            "iat": now,
            "exp": now + int(lifetime),
            "jti": secrets.token_hex(8),
            "client_id": CLIENT_ID,
            "name": who.name,
            "preferred_username": who.user,
            "email": who.email,
            "email_verified": who.email is not None,
            "groups": list(who.groups),
            "acts_for": who.acts_for,
            **extra,
        }
        return self.sign({name: value for name, value in claims.items() if value is not None}, typ=typ)

    def sign(self, claims: Mapping[str, object], **header: object) -> str:
        """Any claims under the newest key; `header` fields go over the usual ones."""
        key = self._keys[0]
        registry = JWSRegistry(
            algorithms=("RS256", "ES256", "PS256"), strict_check_header=False
        )  # any header goes: tests make odd ones
        return jwt.encode(
            {"alg": "RS256", "typ": "at+jwt", "kid": key.kid, **header}, dict(claims), key, registry=registry
        )

    def rotate(self, key: RSAKey | ECKey | None = None, *, keep_old: bool = False) -> None:
        """Sign with a new key from now on; tokens of the old one live on only if it is kept in the key set."""
        self._keys = [key or _new_key(), *(self._keys if keep_old else [])]

    def public_key(self) -> RSAKey | ECKey:
        """The newest key as anyone can read it from the key set."""
        key = self._keys[0]
        return type(key).import_key(key.as_dict(private=False))

    def directory(self, email: str) -> Person | None:
        """The person with this mailbox, as a directory look-up answers; never an agent."""
        for who in PEOPLE.values():
            if who.email is not None and who.email == email.lower():
                return Person(self.url, who.subject, who.user, who.email, frozenset(who.groups))
        return None

    def decide(self, user_code: str, person: str | None) -> bool:
        """Approve a device code as this person, or deny it (None). False: no such code."""
        device = next((d for d in self._devices.values() if secrets.compare_digest(d.user_code, user_code)), None)
        if device is None or device.expires_at <= self._clock():
            return False
        device.person = PEOPLE[person] if person else None
        device.denied = person is None
        return True

    @web.middleware
    async def _count_and_fail(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests[request.path] += 1
        match self.fault if request.method == "GET" and request.path != "/device" else Fault.NONE:
            case Fault.HANG:
                await self._released.wait()
            case Fault.STATUS_500:
                raise web.HTTPInternalServerError
            case Fault.REDIRECT:
                raise web.HTTPFound(f"{self.url}/elsewhere")
            case Fault.NO_JSON:
                return web.Response(text="<html>")
            case Fault.OVERSIZE:
                return web.json_response({"padding": "x" * 1024 * 1024})
            case Fault.NONE | Fault.WRONG_ISSUER:
                pass
        return await handler(request)

    async def _discovery(self, _request: web.Request) -> web.Response:
        issuer = "http://127.0.0.1:1" if self.fault is Fault.WRONG_ISSUER else self.url
        return web.json_response(
            {
                "issuer": issuer,
                "jwks_uri": f"{self.url}/jwks",
                "device_authorization_endpoint": f"{self.url}/device_authorization",
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
                "grant_types_supported": ["authorization_code", _DEVICE_GRANT],
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(KeySet(list(self._keys)).as_dict(private=False))

    async def _device_authorization(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("client_id") != CLIENT_ID:
            return _error("invalid_client", 401)
        self._forget_expired()
        if len(self._devices) >= _MAX_DEVICES:
            return _error("temporarily_unavailable", 503)
        letters = "".join(secrets.choice(_USER_CODE_LETTERS) for _ in range(8))
        device = _Device(f"{letters[:4]}-{letters[4:]}", self._clock() + _DEVICE_LIFETIME)
        code = secrets.token_urlsafe(32)
        self._devices[code] = device
        return web.json_response(
            {
                "device_code": code,
                "user_code": device.user_code,
                "verification_uri": f"{self.url}/device",
                "verification_uri_complete": f"{self.url}/device?user_code={device.user_code}",
                "expires_in": int(_DEVICE_LIFETIME),
                "interval": self._interval,
            }
        )

    def _forget_expired(self) -> None:
        now = self._clock()
        self._devices = {code: device for code, device in self._devices.items() if device.expires_at > now}

    async def _token(self, request: web.Request) -> web.Response:
        """RFC 8628 section 3.5: the answers to a poll."""
        form = await request.post()
        if form.get("grant_type") == "authorization_code":
            return self._redeemed({name: str(value) for name, value in form.items()}, request)
        if form.get("grant_type") != _DEVICE_GRANT:
            return _error("unsupported_grant_type")
        code = str(form.get("device_code", ""))
        device = self._devices.get(code)
        if device is None or form.get("client_id") != CLIENT_ID:
            return _error("invalid_grant")
        now = self._clock()
        since, device.polled_at = now - device.polled_at, now
        if device.expires_at <= now:
            return _error("expired_token")
        if device.denied:
            return _error("access_denied")
        if since < self._interval:
            return _error("slow_down")
        if device.person is None:
            return _error("authorization_pending")
        del self._devices[code]
        return web.json_response(
            {"access_token": self.mint(device.person), "token_type": "Bearer", "expires_in": 3600},
            headers={"Cache-Control": "no-store"},
        )

    def _redeemed(self, form: dict[str, str], request: web.Request) -> web.Response:
        try:
            person, claims = self.codes.redeem(form, request.headers.get("Authorization", ""))
        except Refused as error:
            return _error(str(error), 401 if str(error) == "invalid_client" else 400)
        tokens = {
            "access_token": self.mint(person),
            "token_type": "Bearer",
            "expires_in": 3600,
            "id_token": self.mint(person, **{"typ": "JWT", **claims}),
        }
        return web.json_response(tokens, headers={"Cache-Control": "no-store"})

    async def _authorize_page(self, request: web.Request) -> web.Response:
        try:
            self.codes.asks(request.query)
        except Refused as error:
            return _page(f"<h1>Not possible</h1><p>{html.escape(str(error))}</p>", 400)
        return _page(_SIGN_IN.format(people=_CHOICES))

    async def _authorize_decision(self, request: web.Request) -> web.Response:
        if request.headers.get("Origin", self.url) != self.url:
            raise web.HTTPForbidden(text="the form must come from this page")
        form = await request.post()
        person = str(form.get("person", "")) if form.get("action") == "approve" else None
        if person is not None and person not in PEOPLE:
            return _page("<h1>Nobody chosen</h1><p>Go back and choose who you are.</p>", 400)
        try:
            asked = self.codes.asks(request.query)
        except Refused as error:
            return _page(f"<h1>Not possible</h1><p>{html.escape(str(error))}</p>", 400)
        return web.Response(status=303, headers={"Location": self.codes.answer(asked, person, self.url)})

    async def _device_page(self, request: web.Request) -> web.Response:
        return _page(_FORM.format(code=html.escape(request.query.get("user_code", "")), people=_CHOICES))

    async def _device_decision(self, request: web.Request) -> web.Response:
        """A form of another origin must not approve for whoever looks at it."""
        if request.headers.get("Origin", self.url) != self.url:
            raise web.HTTPForbidden(text="the form must come from this page")
        form = await request.post()
        person = str(form.get("person", "")) if form.get("action") == "approve" else None
        if person is not None and person not in PEOPLE:
            return _page("<h1>Nobody chosen</h1><p>Go back and choose who you are.</p>", 400)
        if not self.decide(str(form.get("user_code", "")).strip().upper(), person):
            return _page("<h1>Unknown code</h1><p>Check the code in your terminal: it may have expired.</p>", 400)
        return _page(f"<h1>{'Signed in as ' + person if person else 'Refused'}</h1><p>Go back to your terminal.</p>")


def _new_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": secrets.token_hex(8)})


def _error(code: str, status: int = 400) -> web.Response:
    return web.json_response({"error": code}, status=status)


def _page(body: str, status: int = 200) -> web.Response:
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return web.Response(text=_PAGE.format(body=body), content_type="text/html", status=status, headers=headers)


_CHOICES = "\n".join(
    f'<label><input type="radio" name="person" value="{who.name}"> {who.name} <small>{", ".join(who.groups)}</small></label>'
    for who in PEOPLE.values()
)
_FORM = """<h1>Sign in to the demo</h1>
<form method="post" action="/device">
<label>Code from your terminal <input name="user_code" value="{code}" autocomplete="off" required></label>
<fieldset><legend>Who are you?</legend>
{people}
</fieldset>
<button name="action" value="approve">Sign in</button> <button name="action" value="deny">Refuse</button>
</form>"""
_SIGN_IN = """<h1>Sign in to the demo</h1>
<form method="post">
<fieldset><legend>Who are you?</legend>
{people}
</fieldset>
<button name="action" value="approve">Sign in</button> <button name="action" value="deny">Refuse</button>
</form>"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Demo sign-in</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem; color: #1d1c1d }}
label {{ display: block; margin: .4rem 0 }} fieldset {{ border: 1px solid #ccc; border-radius: 8px; margin: 1rem 0 }}
small {{ color: #616061 }} button, input {{ font: inherit; padding: .3rem .6rem }}
</style></head><body>{body}</body></html>
"""
