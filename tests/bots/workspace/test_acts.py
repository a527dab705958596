"""Acts that no other file covers: forged values, menus, stacked modals, closing, dismissing, ephemeral clicks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from bots.workspace import Workspace
from bots.workspace.methods import add_view
from bots.workspace.state import View


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


OPTIONS = [{"text": plain("15 min"), "value": "15"}, {"text": plain("1 h"), "value": "60"}]
CARD: list[dict[str, Any]] = [
    {
        "type": "actions",
        "block_id": "b",
        "elements": [
            {"type": "button", "action_id": "go", "text": plain("Go"), "value": "mine"},
            {"type": "overflow", "action_id": "more", "options": OPTIONS},
        ],
    }
]
SELECT: dict[str, Any] = {
    "type": "input",
    "block_id": "for",
    "label": plain("For"),
    "element": {"type": "static_select", "action_id": "s", "options": OPTIONS},
}
MODAL: dict[str, Any] = {"type": "modal", "title": plain("T"), "submit": plain("OK"), "blocks": [SELECT, *CARD]}


class App:
    """An app that answers `reply` to everything and keeps the payloads."""

    def __init__(self) -> None:
        self.reply: Any = None
        self.payloads: list[dict[str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        form = parse_qs((await request.read()).decode())
        self.payloads.append(json.loads(form["payload"][0]))
        return web.json_response(self.reply) if self.reply is not None else web.Response()


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    workspace = Workspace()
    workspace.add_person("Bob", "bob@example.com")
    workspace.add_person("Eve", "eve@example.com")
    workspace.add_channel("db", ["Bob", "Eve"])
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest.fixture
async def app(workspace: Workspace) -> AsyncIterator[App]:
    app = App()
    server = web.Application()
    server.router.add_post("/", app.handle)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    workspace.events_url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield app
    await runner.cleanup()


def post(workspace: Workspace, **more: str) -> str:
    return workspace.state.add_message(workspace.state.channel("db").id, text="x", blocks=CARD, **more).ts


def open_modal(workspace: Workspace, previous: View | None = None, **more: Any) -> View:
    return add_view(workspace.state, workspace.state.person("Bob").id, {**MODAL, **more}, previous)


async def test_a_button_sends_its_own_value_or_a_forged_one(workspace: Workspace, app: App) -> None:
    ts = post(workspace)
    await workspace.click("Bob", "db", ts, "go")
    await workspace.click("Bob", "db", ts, "go", "forged")
    assert [p["actions"][0]["value"] for p in app.payloads] == ["mine", "forged"]
    assert app.payloads[0]["trigger_id"] != app.payloads[1]["trigger_id"]


async def test_a_menu_sends_the_chosen_option(workspace: Workspace, app: App) -> None:
    ts = post(workspace)
    await workspace.click("Bob", "db", ts, "more", "60")
    assert app.payloads[0]["actions"][0]["selected_option"]["value"] == "60"
    with pytest.raises(LookupError, match="no option '99'"):
        await workspace.click("Bob", "db", ts, "more", "99")


async def test_an_ephemeral_click_has_no_message_and_belongs_to_its_reader(workspace: Workspace, app: App) -> None:
    ts = post(workspace, visible_to=workspace.state.person("Bob").id)
    await workspace.click("Bob", "db", ts, "go")
    assert app.payloads[0]["container"]["is_ephemeral"] is True
    assert "message" not in app.payloads[0]
    with pytest.raises(LookupError, match="no message"):
        await workspace.click("Eve", "db", ts, "go")


async def test_a_submission_carries_state_and_an_empty_ack_closes(workspace: Workspace, app: App) -> None:
    below = open_modal(workspace)
    top = open_modal(workspace, below)
    answer = await workspace.submit(top.id, "Bob", {"s": "15"})
    assert (answer.status, answer.error) == (200, "")
    values = app.payloads[0]["view"]["state"]["values"]
    assert values["for"]["s"]["selected_option"]["value"] == "15"
    assert workspace.open_views("Bob") == [below]


@pytest.mark.parametrize(
    ("reply", "left", "error"),
    [
        ({"response_action": "clear"}, 0, ""),
        ({"response_action": "update", "view": {**MODAL, "title": plain("New")}}, 2, ""),
        ({"response_action": "push", "view": MODAL}, 3, ""),
        ({"response_action": "errors", "errors": {"for": "Not today."}}, 2, ""),
        ({"response_action": "errors", "errors": {"nowhere": "x"}}, 2, "errors must name input blocks of the view"),
        ({"response_action": "explode"}, 2, "unknown response_action 'explode'"),
        ({"response_action": "update", "view": {"type": "modal"}}, 2, "invalid_arguments"),
    ],
    ids=["clear", "update", "push", "errors", "wrong errors", "unknown", "bad view"],
)
async def test_what_an_ack_of_a_submission_can_do(
    workspace: Workspace, app: App, reply: dict[str, Any], left: int, error: str
) -> None:
    top = open_modal(workspace, open_modal(workspace))
    app.reply = reply
    answer = await workspace.submit(top.id, "Bob", {"for": "60"})
    assert len(workspace.open_views("Bob")) == left
    assert answer.error.startswith(error)
    assert bool(answer.error) is bool(error)
    assert ("" in answer.errors) is bool(error)
    if reply["response_action"] == "update" and not error:
        assert workspace.open_views("Bob")[-1].body["title"]["text"] == "New"


async def test_an_app_that_fails_keeps_the_modal_open(workspace: Workspace) -> None:
    view = open_modal(workspace)
    answer = await workspace.submit(view.id, "Bob", {"for": "60"})
    assert (answer.status, answer.error) == (0, "dispatch_failed")
    assert view.errors == {"": "We had some trouble connecting. Try again?"}


async def test_closing_is_told_only_when_asked_for(workspace: Workspace, app: App) -> None:
    await workspace.close(open_modal(workspace).id, "Bob")
    assert app.payloads == []
    below = open_modal(workspace, notify_on_close=True)
    top = open_modal(workspace, below, clear_on_close=True)
    await workspace.close(top.id, "Bob")
    assert workspace.open_views("Bob") == []
    assert [(p["type"], p["view"]["id"], p["is_cleared"]) for p in app.payloads] == [("view_closed", below.id, True)]


async def test_a_click_in_a_modal_names_the_view(workspace: Workspace, app: App) -> None:
    view = open_modal(workspace)
    assert await workspace.click_in_view("Bob", view.id, "go") == 200
    assert app.payloads[0]["container"] == {"type": "view", "view_id": view.id}
    with pytest.raises(LookupError, match="no view"):
        await workspace.click_in_view("Eve", view.id, "go")


async def test_dismiss_takes_only_ones_own(workspace: Workspace) -> None:
    ts = post(workspace, visible_to=workspace.state.person("Bob").id)
    workspace.dismiss("Eve", ts)
    assert len(workspace.ephemerals("Bob")) == 1
    workspace.dismiss("Bob", ts)
    assert workspace.ephemerals("Bob") == []
