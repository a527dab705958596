"""The workspace as one object: set it up, start it, act as its people, read what they see. For the demo and the tests.

    workspace = Workspace()
    bob = workspace.add_person("Bob", "bob@example.com", "DBA", ["dba"])
    channel = workspace.add_channel("db-approvals", [bob])
    await workspace.start()
    workspace.events_url = "http://127.0.0.1:8080/slack/events"   # or let the app connect by Socket Mode
    ...                                                            # the app posts a card
    card = await workspace.wait_for(lambda: workspace.messages(channel))
    await workspace.click(bob, channel, card[0].ts, "approve")

Composition only: the parts are state.py, api.py (what apps call), delivery.py (how apps are called), acts.py (people)
and page.py (the page). Everything is in memory and for loopback; it is no place for real messages.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from aiohttp import web

from bots.workspace.acts import Acts
from bots.workspace.api import Api, Tokens
from bots.workspace.delivery import ANSWER_SECONDS, Answer, Delivery, Sent
from bots.workspace.faults import Fault, Faults
from bots.workspace.files import MOST_BYTES
from bots.workspace.page import Page
from bots.workspace.rates import Rates
from bots.workspace.state import Channel, Message, Person, State, Team, View

T = TypeVar("T")
Who = str | Person
Where = str | Channel


class Workspace:
    """A local workspace with one installed app.

    `relaxed=True` switches rate limits off (content limits stay); `burst` is how many messages a channel takes at once
    before it is one a second. `suggestions` are commands that the page offers. `clock` gives seconds since the epoch. `answer_seconds` is the time an app has to answer.
    """

    def __init__(
        self,
        *,
        name: str = "Example",
        app_name: str = "Hoop",
        suggestions: tuple[str, ...] = ("/hoop pending", "/hoop audit", "/hoop help"),
        relaxed: bool = False,
        burst: int = 5,
        clock: Callable[[], float] = time.time,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.signing_secret = secrets.token_hex(16)
        self.bot_token = f"xoxb-{secrets.token_hex(24)}"
        self.app_token = f"xapp-1-{secrets.token_hex(24)}"
        team = Team(
            id="T0WS00000",
            domain="example",
            name=name,
            app_id="A0WS00000",
            app_name=app_name,
            bot_id="B0WS00000",
            bot_user="U0WS00000",
            verification_token=secrets.token_hex(12),
        )
        bot = Person(team.bot_user, app_name.lower(), "", "App", team.id, is_bot=True)
        self.state = State(team, bot, clock)
        self._faults = Faults()
        self._delivery = Delivery(self.state, self.signing_secret, answer_seconds)
        self._acts = Acts(self.state, self._delivery)
        tokens = Tokens(self.bot_token, self.app_token)
        self._api = Api(self.state, self._delivery, tokens, self._faults, None if relaxed else Rates(burst))
        self._page = Page(self.state, self._acts, suggestions)
        self._runner: web.AppRunner | None = None

    # --- setting up ---

    def add_person(
        self,
        name: str,
        email: str,
        title: str = "",
        groups: Iterable[str] = (),
        *,
        team_id: str = "",
        is_bot: bool = False,
        deleted: bool = False,
        is_restricted: bool = False,
        is_ultra_restricted: bool = False,
        is_stranger: bool = False,
        is_email_confirmed: bool = True,
    ) -> Person:
        """Add a member. `groups` are user groups (for mentions); another `team_id` makes a Slack Connect guest."""
        person = Person(
            self.state.new_id("U"),
            name,
            email,
            title,
            team_id or self.state.team.id,
            is_bot,
            deleted,
            is_restricted,
            is_ultra_restricted,
            is_stranger,
            is_email_confirmed,
        )
        self.state.people[person.id] = person
        self.state.join_groups(person, groups)
        self.state.changed()
        return person

    def add_channel(
        self,
        name: str,
        members: Iterable[Who],
        *,
        channel_id: str = "",
        topic: str = "",
        is_private: bool = False,
        with_app: bool = True,
    ) -> Channel:
        """Add a channel with these members, and the app unless `with_app` is False. Give `channel_id` to match a policy."""
        ids = [self.state.person(who).id for who in members]
        if with_app:
            ids.append(self.state.team.bot_user)
        channel = Channel(channel_id or self.state.new_id("C"), name, ids, topic, is_private)
        self.state.channels[channel.id] = channel
        self.state.changed()
        return channel

    def fail(
        self,
        method: str,
        *,
        error: str = "",
        status: int = 200,
        retry_after: int = 1,
        hang: bool = False,
        late: bool = False,
        times: int = 1,
    ) -> None:
        """Make the next `times` calls of a method (`*`: any) fail; the arguments are those of `faults.Fault`."""
        self._faults.add(method, Fault(error, status, retry_after, hang, late, times))

    def heal(self) -> None:
        """Switch every fault off."""
        self._faults.clear()

    # --- running ---

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Serve on host:port (0: a free one); raises OSError when the port is taken."""
        app = web.Application(client_max_size=MOST_BYTES)
        app.add_routes([*self._api.routes(), *self._page.routes()])
        self._delivery.start()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        shown = f"[{host}]" if ":" in host else host
        self.state.base_url = f"http://{shown}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop serving."""
        self._api.stop()
        self._page.stop()
        await self._delivery.stop()
        if self._runner:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The server's address, `http://host:port`."""
        return self.state.base_url

    def page_url(self, user: Who = "", channel: Where = "") -> str:
        """Return the page's address, for one person and one of their channels if given."""
        shown = [self.state.person(user).name] if user else []
        shown += [self.state.channel(channel).name] if user and channel else []
        return f"{self.state.base_url}/workspace" + (f"#{'/'.join(shown)}" if shown else "")

    @property
    def api_url(self) -> str:
        """The Web API's base URL, for `AsyncWebClient(base_url=...)` and SLACK_API_URL."""
        return f"{self.state.base_url}/api/"

    @property
    def events_url(self) -> str:
        """The app's request URL for events, interactivity and commands."""
        return self._delivery.events_url

    @events_url.setter
    def events_url(self, url: str) -> None:
        self._delivery.events_url = url

    @property
    def sockets(self) -> int:
        """How many Socket Mode connections are open."""
        return self._delivery.sockets

    @property
    def sent(self) -> list[Sent]:
        """The signed requests that went to the app (the last 200), oldest first."""
        return list(self._delivery.sent)

    async def replay(self, sent: Sent) -> Answer:
        """Send a signed request again, byte for byte."""
        return await self._delivery.replay(sent)

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """End the Socket Mode connections, as Slack does now and then; clients come back by themselves."""
        await self._delivery.disconnect(reason)

    # --- acting ---

    async def click(self, user: Who, channel: Where, ts: str, action_id: str, value: str | None = None) -> int:
        """Click a button of a message; return the app's status, 0 for no answer in time. `value` forges the button's own.

        Raises LookupError when that person sees no such message or button.
        """
        person, place = self.state.person(user), self.state.channel(channel)
        return (await self._acts.click(person, place, ts, action_id, value)).status

    async def click_in_view(self, user: Who, view_id: str, action_id: str, value: str | None = None) -> int:
        """Click a button in an open modal or on the home tab; as `click`."""
        return (await self._acts.click_in_view(self.state.person(user), view_id, action_id, value)).status

    async def submit(self, view_id: str, user: Who, values: Mapping[str, str]) -> Answer:
        """Submit a modal with `values` by block_id or action_id; `Answer.errors` is what it shows (block_id -> text)."""
        return await self._acts.submit(self.state.person(user), view_id, values)

    async def close(self, view_id: str, user: Who) -> None:
        """Close a modal."""
        await self._acts.close(self.state.person(user), view_id)

    async def command(self, user: Who, channel: Where, text: str) -> Answer:
        """Type a slash command with its text, `/hoop pending`; `Answer.body` is what the app said in its ack."""
        return await self._acts.command(self.state.person(user), self.state.channel(channel), text)

    async def open_home(self, user: Who) -> Answer:
        """Open the app's home tab (event app_home_opened)."""
        return await self._acts.open_home(self.state.person(user))

    def say(self, user: Who, channel: Where, text: str) -> Message:
        """Say something in a channel as a person."""
        return self._acts.say(self.state.person(user), self.state.channel(channel), text)

    def dismiss(self, user: Who, ts: str) -> None:
        """Take an ephemeral message off a person's screen."""
        self._acts.dismiss(self.state.person(user), ts)

    # --- reading ---

    def messages(self, channel: Where) -> list[Message]:
        """Return a channel's messages, threads included, oldest first; not the ephemeral ones."""
        return list(self.state.channel(channel).messages)

    def direct_messages(self, user: Who) -> list[Message]:
        """Return the app's direct messages with a person."""
        return list(self.state.direct(self.state.person(user)).messages)

    def ephemerals(self, user: Who) -> list[Message]:
        """Return what only this person sees, oldest first."""
        person = self.state.person(user)
        return [message for message in self.state.ephemerals if message.visible_to == person.id]

    def open_views(self, user: Who) -> list[View]:
        """Return a person's open modals, the visible one last."""
        return self.state.open_views(self.state.person(user).id)

    def home(self, user: Who) -> View | None:
        """Return a person's home tab, if one was published."""
        return self.state.homes.get(self.state.person(user).id)

    async def wait_for(self, predicate: Callable[[], T], timeout: float = 5.0) -> T:  # noqa: ASYNC109 - the caller's words
        """Return the first true value of `predicate`, asked after every change; raises TimeoutError after `timeout` s."""
        async with asyncio.timeout(timeout):
            while not (found := predicate()):
                await self.state.next_change()
            return found
