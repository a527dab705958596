"""A Microsoft of the tests: the Bot Connector's signing keys (metadata, JWKS) and the login server that gives bots tokens.

Real RS256 keys and real JWTs; the login server speaks TLS, because msal talks to no other. Faults: `hang` makes an endpoint
wait until it is cleared, `away` makes it answer 503.
"""

import asyncio
import json
import secrets
import time
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry

Json = dict[str, Any]
ISSUER = "https://api.botframework.com"
HOST = "127.0.0.1"
#: What an attacker's library would sign, too.
_ANYTHING = JWSRegistry(algorithms=["RS256", "RS512", "HS256"], strict_check_header=False)


class Fault:
    """`hang()` until `go()`; `away` answers 503. `asked` counts requests."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0
        self._open = asyncio.Event()
        self._open.set()
        self.reached = asyncio.Event()

    def hang(self) -> None:
        self._open.clear()

    def go(self) -> None:
        self._open.set()

    async def pass_through(self) -> None:
        self.asked += 1
        self.reached.set()
        await self._open.wait()
        if self.away:
            raise web.HTTPServiceUnavailable


class Microsoft:
    """`app_id` with `password` in `tenant` gets tokens; `sign` makes the connector's own."""

    def __init__(self, app_id: str, password: str, tenant: str) -> None:
        self.app_id = app_id
        self.password = password
        self.tenant = tenant
        self.keys = Fault()
        self.login = Fault()
        self.lifetime = 3600
        self.issued: set[str] = set()
        self.scopes: list[str] = []
        self._signing: list[RSAKey] = []
        self._published: list[Json] = []
        self._runners: list[web.AppRunner] = []
        self.rotate()

    def rotate(self, *, publish: bool = True, endorsements: tuple[str, ...] = ("msteams", "webchat")) -> None:
        """Sign with a new key from now on."""
        key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(8), "use": "sig"}, private=True)
        self._signing.append(key)
        if publish:
            self._published = [{**key.as_dict(private=False), "endorsements": list(endorsements)}]

    @property
    def key(self) -> RSAKey:
        return self._signing[-1]

    def sign(self, service_url: str, *, key: RSAKey | None = None, header: Json | None = None, **claims: Any) -> str:
        """A token as the connector sends it; a claim of None is left out."""
        now = int(time.time())
        every = {"iss": ISSUER, "aud": self.app_id, "serviceurl": service_url, "nbf": now, "exp": now + 600, **claims}
        used = key or self.key
        head = {"alg": "RS256", "kid": used.kid, "typ": "JWT", **(header or {})}
        kept = {name: value for name, value in every.items() if value is not None}
        return jwt.encode(head, kept, used, registry=_ANYTHING)

    async def start(self, certificate: Path, key: Path) -> None:
        signing = web.Application()
        signing.add_routes([web.get("/openidconfiguration", self._metadata), web.get("/keys", self._jwks)])
        self.metadata_url = f"http://{HOST}:{await self._serve(signing)}/openidconfiguration"
        login = web.Application()
        login.add_routes(
            [
                web.get("/{tenant}/v2.0/.well-known/openid-configuration", self._discovery),
                web.post("/{tenant}/oauth2/v2.0/token", self._token),
            ]
        )
        tls = SSLContext(PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self.login_url = f"https://{HOST}:{await self._serve(login, tls)}"

    async def _serve(self, app: web.Application, tls: SSLContext | None = None) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0, ssl_context=tls).start()
        self._runners.append(runner)
        return int(runner.addresses[0][1])

    async def stop(self) -> None:
        self.keys.go()
        self.login.go()
        for runner in self._runners:
            for connection in runner.server.connections if runner.server else []:
                if connection.transport is not None:
                    connection.transport.abort()  # msal's pool would keep it, and TLS takes its time to say goodbye
            await runner.cleanup()
        for _ in range(10):
            await asyncio.sleep(0)  # until transports have let go of their sockets; the test's loop ends behind this

    async def _metadata(self, _request: web.Request) -> web.Response:
        await self.keys.pass_through()
        uri = self.metadata_url.replace("openidconfiguration", "keys")
        return web.json_response(
            {"issuer": ISSUER, "jwks_uri": uri, "id_token_signing_alg_values_supported": ["RS256"]}
        )

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": self._published})

    async def _discovery(self, request: web.Request) -> web.Response:
        await self.login.pass_through()
        if request.match_info["tenant"] != self.tenant:
            return web.json_response({"error": "invalid_tenant", "error_description": "AADSTS90002"}, status=400)
        base = f"{self.login_url}/{self.tenant}"
        return web.json_response(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            }
        )

    async def _token(self, request: web.Request) -> web.Response:
        await self.login.pass_through()
        form = {name: str(value) for name, value in (await request.post()).items()}
        if (form["client_id"], form["client_secret"]) != (self.app_id, self.password):
            problem = {"error": "invalid_client", "error_description": f"AADSTS7000215: {form['client_secret']}"}
            return web.json_response(problem, status=401)
        self.scopes.append(form["scope"])
        token = json.dumps({"n": secrets.token_hex(16)}).encode().hex()
        self.issued.add(token)
        return web.json_response({"token_type": "Bearer", "expires_in": self.lifetime, "access_token": token})
