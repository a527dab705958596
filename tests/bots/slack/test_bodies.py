"""Payloads of Slack's, and what an ack says back."""

from typing import Any

import pytest

from bots.cards import Action
from bots.slack.bodies import channel_of, shown_in, value_of, written_in
from tests.bots.slack.office import Office

INPUTS = [{"type": "section", "block_id": "s"}, {"type": "input", "block_id": "a"}, {"type": "input", "block_id": "b"}]


@pytest.mark.parametrize(
    ("body", "channel"),
    [
        ({"channel": {"id": "C1"}}, "C1"),
        ({"channel_id": "C2"}, "C2"),
        ({"container": {"channel_id": "C3"}}, "C3"),
        ({"container": {"type": "view"}}, ""),
    ],
)
def test_where_it_was_clicked(body: dict[str, Any], channel: str) -> None:
    assert channel_of(body) == channel


def test_what_a_button_carries_and_an_input_holds() -> None:
    assert value_of({"actions": [{"value": "01K"}]}) == "01K"
    assert value_of({"actions": [{}]}) == ""
    view = {"state": {"values": {"reason": {"reason": {"value": "because"}}, "empty": {"empty": {"value": None}}}}}
    assert [written_in(view, each) for each in ("reason", "empty", "none")] == ["because", "", ""]


@pytest.mark.parametrize(("beside", "block"), [("", "a"), ("b", "b"), ("none", "a")])
def test_a_text_stands_beside_an_input_of_the_modal(beside: str, block: str) -> None:
    said = shown_in({"type": "view_submission", "view": {"blocks": INPUTS}}, "no", beside)
    assert said == {"response_action": "errors", "errors": {block: "no"}}


def test_a_modal_without_an_input_shows_the_text_instead() -> None:
    said = shown_in({"type": "view_submission", "view": {"blocks": INPUTS[:1]}}, "no")
    assert said["response_action"] == "update"
    assert "no" in str(said["view"]["blocks"])


def test_a_command_is_answered_and_a_click_is_only_acknowledged() -> None:
    assert shown_in({"command": "/hoop"}, "1 < 2") == {"text": "1 &lt; 2"}
    assert shown_in({"type": "block_actions"}, "no") == {}


async def test_a_guest_in_the_modal_is_told_there(office: Office) -> None:
    await office.hold()
    await office.click(office.bob, Action.DENY.value)
    office.bob.is_restricted = True
    (view,) = office.workspace.open_views(office.bob)
    answer = await office.workspace.submit(view.id, office.bob, {"reason": "because"})
    assert "Guests decide nothing" in answer.errors["reason"]
