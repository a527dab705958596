"""What people do in the workspace: click, submit or close a modal, type a command, open the home tab, say something.

Each act builds the genuine payload from what is stored, delivers it, and puts the answer where Slack would show it. An act
that the client would not let a person do (a button that is not there, a channel they are not in) raises LookupError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bots.workspace import payloads
from bots.workspace.answers import MODAL_TROUBLE, end_submission, post_answer
from bots.workspace.delivery import Answer, Delivery
from bots.workspace.limits import elements_of
from bots.workspace.payloads import Json
from bots.workspace.state import Channel, Message, Person, State, View

NO_ANSWER = "The app did not answer. Try again."
REQUIRED = "Please complete this required field."


class Acts:
    """The people of one workspace, acting on its app."""

    def __init__(self, state: State, delivery: Delivery) -> None:
        self._state = state
        self._delivery = delivery

    async def click(self, person: Person, channel: Channel, ts: str, action_id: str, value: str | None) -> Answer:
        """Click a button, or choose the option `value` of a menu, on a message the person can see."""
        message = self._seen_message(person, channel, ts)
        block_id, element = _element(message.blocks, action_id)
        message.warnings.pop((person.id, action_id), None)
        payload = payloads.message_click(
            message,
            channel,
            person,
            self._state.team,
            action=self._action(element, block_id, value),
            trigger=self._state.new_trigger(person.id),
            response_url=self._state.new_response_url("actions", channel.id, person.id, ts),
        )
        answer = await self._delivery.interaction(payload)
        if answer.error:
            message.warnings[person.id, action_id] = NO_ANSWER
        self._state.changed()
        return answer

    async def click_in_view(self, person: Person, view_id: str, action_id: str, value: str | None) -> Answer:
        """Click a button in an open modal or on the home tab."""
        view = self._seen_view(person, view_id)
        block_id, element = _element(view.blocks, action_id)
        payload = payloads.view_click(
            view,
            person,
            self._state.team,
            action=self._action(element, block_id, value),
            trigger=self._state.new_trigger(person.id, view.id),
        )
        answer = await self._delivery.interaction(payload)
        view.errors = {"": NO_ANSWER} if answer.error else {}
        self._state.changed()
        return answer

    async def submit(self, person: Person, view_id: str, values: Mapping[str, str]) -> Answer:
        """Submit a modal; `values` are keyed by block_id or action_id. A client-side error keeps it here (status 0)."""
        view = self._seen_view(person, view_id)
        typed = _typed(view.blocks, values)
        view.errors = _client_errors(view.blocks, typed)
        if view.errors:
            self._state.changed()
            return Answer(0, error="not_sent", errors=dict(view.errors))
        payload = payloads.view_submission(
            view,
            person,
            self._state.team,
            values=typed,
            trigger=self._state.new_trigger(person.id, view.id),
        )
        answer = await self._delivery.interaction(payload)
        if answer.error:
            view.errors = {"": MODAL_TROUBLE}
            self._state.changed()
            return answer
        problem = end_submission(self._state, view, answer.body)
        return Answer(answer.status, answer.body, problem, dict(view.errors))

    async def close(self, person: Person, view_id: str) -> None:
        """Close a modal; the app hears of it when the view asked for that (notify_on_close)."""
        view = self._seen_view(person, view_id)
        cleared = view.body.get("clear_on_close") is True
        closing = self._state.open_views(person.id) if cleared else [view]
        for each in reversed(closing):
            self._state.drop_view(each)
        self._state.changed()
        for each in closing:
            if each.body.get("notify_on_close"):
                payload = payloads.view_closed(each, person, self._state.team, cleared=cleared)
                await self._delivery.interaction(payload)

    async def command(self, person: Person, channel: Channel, text: str) -> Answer:
        """Type a slash command, `/hoop pending`; failures are told to the person in Slack's words."""
        self._must_be_in(person, channel)
        command, _, rest = text.strip().partition(" ")
        url = self._state.new_response_url("commands", channel.id, person.id)
        form = payloads.command_form(
            channel,
            person,
            self._state.team,
            command=command,
            text=rest.strip(),
            trigger=self._state.new_trigger(person.id),
            response_url=url,
        )
        answer = await self._delivery.command(form)
        problem = answer.error
        if not problem and answer.body:
            grant = self._state.response_urls[url.rpartition("/")[2]]
            problem = post_answer(self._state, grant, answer.body)
        if problem:
            told = f'{command} failed with the error "{problem}"'
            self._state.add_message(channel.id, text=told, visible_to=person.id)
        self._state.changed()
        return Answer(answer.status, answer.body, problem)

    async def open_home(self, person: Person) -> Answer:
        """Open the app's home tab."""
        channel = self._state.direct(person)
        view = self._state.homes.get(person.id)
        shown = payloads.view_object(view, self._state.team) if view else None
        event = payloads.home_opened(person, channel, shown, self._state.new_ts())
        wrapped = payloads.event_callback(event, self._state.new_id("Ev"), self._state.team, self._state.clock())
        return await self._delivery.event(wrapped)

    def say(self, person: Person, channel: Channel, text: str) -> Message:
        """Say something in a channel; the app is not told (it has no history scopes)."""
        self._must_be_in(person, channel)
        message = self._state.add_message(channel.id, user=person.id, text=payloads.escape(text))
        self._state.changed()
        return message

    def dismiss(self, person: Person, ts: str) -> None:
        """Take an ephemeral message off the person's screen."""
        for message in self._state.ephemerals:
            if message.ts == ts and message.visible_to == person.id:
                self._state.drop_message(message)
                self._state.changed()
                return

    def _action(self, element: Json, block_id: str, value: str | None) -> Json:
        options = element.get("options")
        chosen = None
        if options is not None:
            chosen = next((option for option in options if option["value"] == value), None)
            if chosen is None:
                raise LookupError(f"no option {value!r} in {element['action_id']!r}")
        typed = element.get("value", "") if value is None else value
        return payloads.action(element, block_id, chosen=chosen, value=typed, ts=self._state.new_ts())

    def _must_be_in(self, person: Person, channel: Channel) -> None:
        if person.id not in channel.members:
            raise LookupError(f"{person.name} is not in {channel.name or channel.id}")

    def _seen_message(self, person: Person, channel: Channel, ts: str) -> Message:
        self._must_be_in(person, channel)
        message = self._state.message(channel.id, ts, person.id)
        if message is None:
            raise LookupError(f"no message {ts} that {person.name} can see in {channel.name or channel.id}")
        return message

    def _seen_view(self, person: Person, view_id: str) -> View:
        home = self._state.homes.get(person.id)
        view = home if home and home.id == view_id else self._state.views.get(view_id)
        if view is None or view.user != person.id:
            raise LookupError(f"no view {view_id} open for {person.name}")
        return view


def _element(blocks: Iterable[Json], action_id: str) -> tuple[str, Json]:
    """Return the block_id and the element of an action_id."""
    found = [(block["block_id"], element) for block in blocks for element in elements_of(block)]
    for block_id, element in found:
        if element["action_id"] == action_id:
            return block_id, element
    known = ", ".join(element["action_id"] for _, element in found) or "none"
    raise LookupError(f"no action {action_id!r} here; there are: {known}")


def _typed(blocks: Iterable[Json], values: Mapping[str, str]) -> Json:
    """Return `state.values` of a submission."""
    found: Json = {}
    for block in blocks:
        if block["type"] == "input":
            element = block["element"]
            given = values.get(block["block_id"], values.get(element["action_id"]))
            found[block["block_id"]] = {element["action_id"]: _value(element, given)}
    return found


def _value(element: Json, given: str | None) -> Json:
    if element["type"] == "static_select":
        initial = element.get("initial_option", {}).get("value")
        wanted = initial if given is None else given
        chosen = next((option for option in element["options"] if option["value"] == wanted), None)
        return {"type": "static_select", "selected_option": chosen}
    text = element.get("initial_value") if given is None else given
    return {"type": "plain_text_input", "value": text or None}


def _client_errors(blocks: Iterable[Json], typed: Mapping[str, Any]) -> dict[str, str]:
    """Return what Slack's client itself refuses: an empty required input, a text too short or too long."""
    found: dict[str, str] = {}
    for block in blocks:
        if block["type"] != "input":
            continue
        block_id, element = block["block_id"], block["element"]
        entry = typed[block_id][element["action_id"]]
        value = entry.get("value") or entry.get("selected_option")
        if value is None:
            if not block.get("optional"):
                found[block_id] = REQUIRED
        elif element["type"] == "plain_text_input":
            least, most = element.get("min_length", 0), element.get("max_length", 3_000)
            if not least <= len(value) <= most:
                found[block_id] = f"Enter {least} to {most} characters."
    return found
