"""`hoop token`: an access token on stdout, for PGPASSWORD. The device grant of RFC 8628; msal where Entra ID issues.

The token alone goes to stdout; everything for people goes to stderr, so that `PGPASSWORD=$(hoop token)` works. Nothing
is kept on disk.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import aiohttp
import typer
from yarl import URL

from gateway.identity.documents import Documents, IssuerError, json_object

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_INTERVAL = 5.0  # seconds between polls when the issuer names none, and what each slow_down adds (RFC 8628 section 3.5)
_LIFETIME = 600.0  # seconds a device code is taken to live when the issuer does not say (it must)
_SHORTEST = 1.0  # seconds a poll counts for at least, whatever the issuer asks for
_ENTRA_HOSTS = frozenset(
    {"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn", "sts.windows.net"}
)
_REFUSALS = {
    "access_denied": "the sign-in was refused",
    "expired_token": "the code has expired: run hoop token again",
}

Tell = Callable[[str], None]
Sleep = Callable[[float], Awaitable[None]]


class TokenError(Exception):
    """No token; the text says why. Exit code 1."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What to ask for: `scope` may be empty, except at Entra."""

    issuer: str
    client_id: str
    scope: str = ""


async def device_token(grant: Grant, tell: Tell, *, sleep: Sleep = asyncio.sleep) -> str:
    """Ask the person (by `tell`) to approve elsewhere, and wait for it. Raises TokenError."""
    start, poll = await _endpoints(grant.issuer)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        begun = await _post(http, start, {"client_id": grant.client_id, "scope": grant.scope})
        if "error" in begun:
            raise TokenError(_reason(begun))
        tell(_invitation(begun))
        form = {"grant_type": DEVICE_GRANT, "client_id": grant.client_id, "device_code": str(begun["device_code"])}
        return await _wait(http, poll, form, begun, sleep)


async def _endpoints(issuer: str) -> tuple[str, str]:
    documents = Documents(insecure_loopback=True)  # the person's own machine: a token on loopback leaves it for nobody
    try:
        metadata = await documents.discover(issuer)
        names = ("device_authorization_endpoint", "token_endpoint")
        for name in names:
            documents.check(str(metadata.get(name, "")))
    except IssuerError as error:
        away = isinstance(error.__cause__, TimeoutError | aiohttp.ClientConnectionError)
        hint = (
            "does it answer, and is its address right?" if away else "is the device grant, RFC 8628, switched on there?"
        )
        raise TokenError(f"{error} ({hint})") from error
    finally:
        await documents.close()
    return str(metadata[names[0]]), str(metadata[names[1]])


async def _wait(
    http: aiohttp.ClientSession, endpoint: str, form: Mapping[str, str], begun: Mapping[str, object], sleep: Sleep
) -> str:
    """RFC 8628 section 3.5. A poll that gets lost doubles the pause, as the section asks."""
    interval = _seconds(begun, "interval", _INTERVAL)
    left = _seconds(begun, "expires_in", _LIFETIME)
    while left > 0:
        await sleep(interval)
        left -= max(interval, _SHORTEST)
        try:
            answer = await _post(http, endpoint, form)
        except TokenError:
            interval = max(interval, _SHORTEST) * 2
            continue
        if isinstance(answer.get("access_token"), str):
            return str(answer["access_token"])
        if answer.get("error") == "slow_down":
            interval += _INTERVAL
        elif answer.get("error") != "authorization_pending":
            raise TokenError(_reason(answer))
    raise TokenError(_REFUSALS["expired_token"])


async def _post(http: aiohttp.ClientSession, url: str, form: Mapping[str, str]) -> Mapping[str, object]:
    """The JSON object of a success or of an OAuth error (status 400 or 401). Raises TokenError."""
    fields = {name: value for name, value in form.items() if value}
    try:
        return await json_object(url, http.post(url, data=fields, allow_redirects=False), (200, 400, 401))
    except IssuerError as error:
        raise TokenError(str(error)) from error


def _seconds(answer: Mapping[str, object], name: str, default: float) -> float:
    value = answer.get(name, default)
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e6 else default


def _reason(answer: Mapping[str, object]) -> str:
    code = _printable(answer.get("error", "no access_token in the answer"))
    description = _printable(answer.get("error_description", ""))
    return _REFUSALS.get(code) or f"the issuer answered {code}{': ' if description else ''}{description}"


def _invitation(begun: Mapping[str, object]) -> str:
    if not isinstance(begun.get("device_code"), str):
        raise TokenError("the issuer answered without a device_code")
    uri, code = _printable(begun.get("verification_uri", "")), _printable(begun.get("user_code", ""))
    complete = _printable(begun.get("verification_uri_complete", ""))
    direct = f"\n(or directly: {complete})" if complete else ""
    return f"To sign in, open {uri} and enter the code {code}{direct}"


def _printable(value: object) -> str:
    """The issuer's text without what a terminal would obey."""
    return "".join(letter for letter in str(value)[:500] if letter.isprintable())


def is_entra(issuer: str) -> bool:
    """Entra ID's issuers go through msal, which knows their national clouds and error codes."""
    return (URL(issuer).host or "") in _ENTRA_HOSTS


def entra_app(grant: Grant, http_client: Any = None) -> Any:  # msal publishes no types
    """msal's client for an issuer such as https://login.microsoftonline.com/TENANT/v2.0.

    It fetches the tenant's metadata at once, blocking; `http_client` is msal's own plug for that.
    """
    import msal  # noqa: PLC0415  # 0.1 s that other issuers need not wait for

    url = URL(grant.issuer)
    host = "login.microsoftonline.com" if url.host == "sts.windows.net" else url.host
    tenant = url.path.strip("/").split("/")[0] or "organizations"
    return msal.PublicClientApplication(grant.client_id, authority=f"https://{host}/{tenant}", http_client=http_client)


async def entra_token(app: Any, grant: Grant, tell: Tell) -> str:  # msal publishes no types
    """The device grant by msal, which blocks: in a thread. Raises TokenError."""
    flow: dict[str, Any] = await asyncio.to_thread(app.initiate_device_flow, grant.scope.split())
    if "user_code" not in flow:
        raise TokenError(_reason(flow))
    tell(_invitation(flow))
    try:
        answer: dict[str, Any] = await asyncio.to_thread(app.acquire_token_by_device_flow, flow)
    finally:
        flow["expires_at"] = 0  # msal's documented way to end the thread's polling when we are interrupted
    if "access_token" not in answer:
        raise TokenError(_reason(answer))
    return str(answer["access_token"])


async def obtain(grant: Grant, tell: Tell) -> str:
    """A token from whichever kind of issuer this is. Raises TokenError."""
    if not is_entra(grant.issuer):
        return await device_token(grant, tell)
    from msal.exceptions import MsalError  # noqa: PLC0415  # as in entra_app

    try:
        return await entra_token(await asyncio.to_thread(entra_app, grant), grant, tell)
    except (OSError, ValueError, MsalError) as error:  # requests' are OSErrors; an unknown tenant is a ValueError
        raise TokenError(f"{grant.issuer}: {_printable(error)}") from error


def _say(text: str) -> None:
    typer.echo(text, err=True)


def token(
    issuer: Annotated[str, typer.Option(envvar="HOOP_ISSUER", help="The issuer's URL, as in policies.yaml.")] = "",
    client_id: Annotated[str, typer.Option(envvar="HOOP_CLIENT_ID", help="The client registered for hoop.")] = "",
    scope: Annotated[
        str, typer.Option(envvar="HOOP_SCOPE", help="Scopes, separated by spaces. Entra: api://hoop/.default")
    ] = "",
) -> None:
    """Print an access token, to be used as the password (PGPASSWORD).

    You approve it in a browser, on any device. The token goes to stdout, everything else to stderr.
    """
    problem = _usage_problem(Grant(issuer, client_id, scope))
    if problem:
        _say(f"hoop token: {problem}")
        raise typer.Exit(2)
    try:
        obtained = asyncio.run(obtain(Grant(issuer, client_id, scope), _say))
    except TokenError as error:
        _say(f"hoop token: {error}")
        raise typer.Exit(1) from error
    if obtained.count(".") != 2:
        _say(
            "hoop token: this token is no JWT, which the gateway will refuse: ask for the gateway's own scope (--scope)"
        )
    sys.stdout.write(obtained + "\n")


def _usage_problem(grant: Grant) -> str:
    missing = [name for name, value in (("--issuer", grant.issuer), ("--client-id", grant.client_id)) if not value]
    if missing:
        return f"{' and '.join(missing)} missing (or HOOP_ISSUER and HOOP_CLIENT_ID)"
    try:
        host = URL(grant.issuer).host
    except ValueError:
        host = None
    if not host:
        return f"--issuer: {_printable(grant.issuer)} is no URL"
    if is_entra(grant.issuer) and not grant.scope:
        return "--scope missing: Entra ID needs one, such as api://hoop/.default (or HOOP_SCOPE)"
    return ""


def register(app: typer.Typer) -> None:
    """Mount the verb."""
    app.command("token")(token)
