"""Our own token for the Bot Connector: client credentials of the app in its tenant, by msal, off the event loop.

What lives here: asking, keeping, renewing. What does not: what it is used for (bots.teams.transport). msal blocks for as long
as the login server likes, so it runs in a thread, one at a time for all who wait; a token is renewed five minutes before its
end, and while the login server is away the old one is used to its end.
"""

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msal
import requests
import structlog
from msal.exceptions import MsalServiceError

LOGIN_URL = "https://login.microsoftonline.com"
EARLY = 300.0  # seconds before a token's end when it is renewed
TIMEOUT = 5.0  # seconds of each of msal's HTTP calls (discovery, token)

log = structlog.get_logger()


class LoginRefused(Exception):
    """The login server knows better: the text says which setting is wrong."""


class LoginAway(Exception):
    """The login server could not be asked."""


class Tokens:
    """Tokens of one app in one tenant; `scope` says for what (the cloud's issuer is known only once it was asked).

    `clock` gives Unix seconds.
    """

    def __init__(
        self,
        app_id: str,
        password: str,
        tenant_id: str,
        scope: Callable[[], Awaitable[str]],
        clock: Callable[[], float],
        login_url: str = "",
    ) -> None:
        self._app_id = app_id
        self._password = password
        self._authority = f"{(login_url or LOGIN_URL).rstrip('/')}/{tenant_id}"
        self._scope = scope
        self._clock = clock
        self._http = requests.Session()
        self._http.request = functools.partial(self._http.request, timeout=TIMEOUT)  # type: ignore[method-assign] # msal's own way: a session has no timeout
        self._failures: dict[Any, Any] = {}
        self._app: Any = None
        self._token = ""
        self._ends_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def token(self) -> str:
        """A token that is good for a while. Raises LoginRefused, LoginAway, IssuerError."""
        if self._ends_at - self._clock() > EARLY:
            return self._token
        if self._asking is None:
            self._asking = asyncio.create_task(self._renew())
        try:
            await asyncio.shield(self._asking)
        except LoginAway:
            if self._ends_at <= self._clock():
                raise
            log.warning("teams.token_not_renewed")
        return self._token

    def forget(self) -> None:
        """Ask anew next time: the connector has refused this one."""
        self._ends_at = 0.0

    async def close(self) -> None:
        """Let go of the connections, once nobody asks any more."""
        if self._asking is not None:
            await asyncio.wait({self._asking})
        self._http.close()

    async def _renew(self) -> None:
        try:
            scope = await self._scope()
            answer = await asyncio.to_thread(self._ask, scope)
            if "access_token" not in answer:
                raise LoginRefused(_problem(answer))
            self._token = str(answer["access_token"])
            self._ends_at = self._clock() + float(answer.get("expires_in", 0))
        finally:
            self._asking = None

    def _ask(self, scope: str) -> dict[str, Any]:
        """Runs in a thread. msal keeps tokens and, for a minute, failures; both are asked past: when to ask is said above."""
        self._failures.clear()
        try:
            if self._app is None:  # the constructor asks the login server, too
                self._app = msal.ConfidentialClientApplication(
                    self._app_id,
                    client_credential=self._password,
                    authority=self._authority,
                    instance_discovery=False,  # the administrator has said where; asking another host proves nothing
                    http_client=self._http,
                    http_cache=self._failures,
                )
            self._app.remove_tokens_for_client()
            answer: dict[str, Any] = self._app.acquire_token_for_client(scopes=[scope])
        except (requests.RequestException, MsalServiceError) as error:
            raise LoginAway(f"the login server does not answer ({type(error).__name__})") from error
        except ValueError as error:
            raise LoginRefused(
                "the login server does not know this tenant: check TEAMS_TENANT_ID, TEAMS_LOGIN_URL"
            ) from error
        return answer


def _problem(answer: dict[str, Any]) -> str:
    """The error's names alone: its description may quote what was sent."""
    number = re.search(r"AADSTS\d+", str(answer.get("error_description", "")))
    named = re.sub(r"[^a-z_]", "", str(answer.get("error", "")).lower())[:60] or "no reason given"
    return (
        f"the login server refuses TEAMS_APP_ID with TEAMS_APP_PASSWORD: {named}{f' ({number[0]})' if number else ''}"
    )
