"""An issuer's documents over HTTP: discovery, and any JSON of it. https, bounded in size and time, no redirects.

What lives here: fetching, for those who verify tokens (issuers.py) and those who ask for one (`hoop token`). What must not:
keys and tokens. Source: OpenID Connect Discovery 1.0.
"""

import ipaddress
import json
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager

import aiohttp
from yarl import URL

MAX_DOCUMENT = 512 * 1024  # bytes of a discovery document or key set; Entra's is 20 KiB
FETCH_TIMEOUT = 5.0  # seconds
_DISCOVERY = "/.well-known/openid-configuration"


class IssuerError(Exception):
    """The issuer's documents can't be had or can't be believed; the text is for the log and for /readyz."""


class Documents:
    """Fetches an issuer's JSON: https only, no redirects, no cookies, bounded in size and time."""

    def __init__(self, *, insecure_loopback: bool = False) -> None:
        self._insecure_loopback = insecure_loopback
        self._http: aiohttp.ClientSession | None = None

    async def fetch(self, url: str) -> Mapping[str, object]:
        """Raises IssuerError."""
        self.check(url)
        return await json_object(url, self._session().get(url, allow_redirects=False))

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, object]:
        """The JSON that answers a form, such as a token endpoint's. Raises IssuerError, whose text quotes none of both."""
        self.check(url)
        return await json_object(url, self._session().post(url, data=form, headers=headers, allow_redirects=False))

    async def discover(self, issuer: str) -> Mapping[str, object]:
        """The issuer's metadata, which must name the issuer that was asked for. Raises IssuerError."""
        document = await self.fetch(issuer.rstrip("/") + _DISCOVERY)
        if document.get("issuer") != issuer:
            raise IssuerError(f"{issuer}: its discovery document names another issuer")
        return document

    async def endpoint(self, issuer: str, name: str) -> str:
        """One URL of the issuer's metadata, such as jwks_uri. Raises IssuerError."""
        url = (await self.discover(issuer)).get(name)
        if not isinstance(url, str):
            raise IssuerError(f"{issuer}: its discovery document has no {name}")
        return url

    def check(self, url: str) -> None:
        """Raises IssuerError for what is neither https nor allowed plain http."""
        try:
            parsed = URL(url)
        except ValueError as error:
            raise IssuerError("not a URL") from error
        plain_allowed = self._insecure_loopback and is_loopback(parsed.host or "")
        if not parsed.host or not (parsed.scheme == "https" or (parsed.scheme == "http" and plain_allowed)):
            raise IssuerError(f"{url}: https is required (HOOP_INSECURE_LOOPBACK=1 allows http on loopback)")

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT)
            self._http = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self._http

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None


async def json_object(
    url: str, asked: AbstractAsyncContextManager[aiohttp.ClientResponse], statuses: Collection[int] = (200,)
) -> Mapping[str, object]:
    """The JSON object that answers a request to `url`, with one of these statuses. Raises IssuerError."""
    try:
        async with asked as response:
            if response.status not in statuses:
                raise IssuerError(f"{url}: HTTP status {response.status}")
            answer = json.loads(await _read_bounded(response))
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise IssuerError(f"{url}: {type(error).__name__}") from error
    except (ValueError, RecursionError) as error:
        raise IssuerError(f"{url}: no JSON") from error
    if not isinstance(answer, dict):
        raise IssuerError(f"{url}: no JSON object")
    return answer


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    """The body, measured after decompression: a small one can't unpack into a large one. Raises IssuerError."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > MAX_DOCUMENT:
            raise IssuerError(f"{response.url}: larger than {MAX_DOCUMENT} bytes")
    return bytes(body)


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1 and the name localhost."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
