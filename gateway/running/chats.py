"""The chats that the settings name, and the pages: made, started, and what they leave to be stopped.

What lives here: which keys and addresses each is given. What must not: what they do (bots), what `/hoop` answers
(verbs.py), when cards are sent (gateway.approvals.outbox).
"""

import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web

from bots.commands import Commands
from bots.home import Home
from bots.slack.app import SlackFront, SlackRefused
from bots.slack.checks import SHARED
from bots.slack.sender import SlackSender, open_client
from bots.web.app import CALLBACK, WebFront
from gateway.approvals.desk import Desk
from gateway.approvals.outbox import Front
from gateway.identity.client import WebClient
from gateway.identity.documents import Documents
from gateway.identity.issuers import Issuers
from gateway.policy.model import Policy
from gateway.running.lookout import SHARED_HINT, shared_in
from gateway.settings import Settings, derive
from gateway.store.postgres import PostgresStore

Stop = Callable[[], Coroutine[Any, Any, None]]


class Chats:
    """`record` writes an audit entry; `public_url` is how browsers reach us by now; `on_stop` takes what ends a part,
    in the order in which they are started. From `start` on `fronts` has each by its chat's name, and `routes` are those
    of all."""

    def __init__(
        self,
        settings: Settings,
        store: PostgresStore,
        desk: Desk,
        issuers: Issuers,
        *,
        record: Callable[..., None],
        public_url: Callable[[], str],
        on_stop: Callable[[Stop], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._desk = desk
        self._issuers = issuers
        self._record = record
        self._public_url = public_url
        self._on_stop = on_stop
        self.fronts: dict[str, Front] = {}
        self.routes: list[web.RouteDef] = []
        self.slack: SlackFront | None = None

    async def start(self, commands: Callable[[], Commands], policy: Policy) -> None:
        """Start the pages and each chat with commands of its own. Raises ChatRefused, also where others read along in
        one of the policy's channels and nobody said that they may."""
        self._start_web()
        self.fronts |= {**await self._start_slack(commands, policy), **await self._start_teams(commands)}

    async def clock_off(self) -> str | None:
        """How far our clock is off, by Slack's; "" for not too far, None where nobody tells."""
        return None if self.slack is None else await self.slack.clock()

    def _start_web(self) -> None:
        if self._settings.web is None:
            return
        documents = Documents(insecure_loopback=self._settings.insecure_loopback)
        self._on_stop(documents.close)
        client = WebClient(
            self._settings.web,
            self._issuers,
            documents,
            redirect_uri=lambda: self._public_url() + CALLBACK,
            clock=time.time,
        )
        front = WebFront(
            client,
            self._store,
            self._desk,
            key=derive(self._settings.secret, "links"),
            button_key=derive(self._settings.secret, "buttons"),
            public_url=self._public_url,
            fresh=fresh_secret,
            clock=time.time,
        )
        self.routes += front.routes()

    async def _start_slack(self, commands: Callable[[], Commands], policy: Policy) -> dict[str, Front]:
        slack = self._settings.slack
        if slack is None:
            return {}
        client = open_client(slack.bot_token, slack.api_url)
        self._on_stop(_closing(client))
        key = derive(self._settings.secret, "buttons")
        front = SlackFront(
            client,
            slack.signing_secret,
            self._desk,
            commands(),
            button_key=key,
            clock=time.time,
            app_token=slack.app_token or None,
            home=Home(self._desk, record=self._record, clock=time.time),
        )
        self.routes += front.routes()
        await front.start()
        self._on_stop(front.stop)
        self.slack = front
        if shared := await shared_in(policy, slack, client):
            raise SlackRefused(f"{', '.join(shared)}: {SHARED}. {SHARED_HINT}")
        return {"slack": SlackSender(client, key, time.time)}

    async def _start_teams(self, commands: Callable[[], Commands]) -> dict[str, Front]:
        teams = self._settings.teams
        if teams is None:
            return {}
        from bots.teams.app import open_teams  # noqa: PLC0415 - botbuilder costs 0.3 s and 20 MiB: not without Teams

        front, sender = open_teams(
            teams,
            self._store,
            self._desk,
            commands(),
            button_key=derive(self._settings.secret, "buttons"),
            insecure_loopback=self._settings.insecure_loopback,
            clock=time.time,
        )
        self.routes += front.routes()
        self._on_stop(front.stop)
        await front.start()
        return {"teams": sender}


def fresh_secret() -> str:
    """For a link or a cookie: 256 bits as text."""
    return secrets.token_urlsafe(32)


def _closing(client: Any) -> Callable[[], Coroutine[Any, Any, None]]:
    async def close() -> None:
        if client.session is not None:
            await client.session.close()

    return close
