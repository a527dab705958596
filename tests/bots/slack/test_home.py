"""The home tab's layout: within Slack's limits whatever is in it, and nothing in it is taken for markup."""

import json
from dataclasses import replace

from hypothesis import given, settings

from bots.cards import card
from bots.home import SHOWN, Item, Part
from bots.slack.home import REVIEW_ACTION, REVOKE_ACTION, home_view, notice_home, review_view
from bots.workspace.limits import elements_of, find_view_problem
from gateway.approvals.request import ApprovalRequest
from tests.bots.samples import NOW, PLAIN, WILD


def sealed(request: ApprovalRequest) -> str:
    return f"{request.id}.1.mac"


def test_the_fullest_tab_fits() -> None:
    items = tuple(Item("t" * 400, "<!channel> " * 200, PLAIN) for _ in range(SHOWN))
    view = home_view([Part(f"part {number}", items, "more") for number in range(12)], sealed)
    assert find_view_problem(view) is None
    assert len(view["blocks"]) == 100
    said = json.dumps(view["blocks"])
    assert "mrkdwn" not in said


def test_a_grant_can_be_revoked() -> None:
    view = home_view([Part("Grants", (Item("a", "b", PLAIN, grant=True),))], sealed)
    assert find_view_problem(view) is None
    buttons = [element for block in view["blocks"] for element in elements_of(block)]
    assert [(each["action_id"], each["value"]) for each in buttons[1:]] == [(REVOKE_ACTION, PLAIN.id)]


def test_an_item_without_a_request_has_no_button() -> None:
    view = home_view([Part("Grants", (Item("a", "b"), Item("c", "d", PLAIN)))], sealed)
    buttons = [element for block in view["blocks"] for element in elements_of(block)]
    assert [(each["action_id"], each["value"]) for each in buttons] == [(REVIEW_ACTION, f"{PLAIN.id}.1.mac")]


def test_a_notice_takes_the_place_of_what_was_there() -> None:
    assert find_view_problem(notice_home("x" * 5_000)) is None


def test_the_dialog_shows_rows_as_text_and_calls_nobody() -> None:
    view = review_view(card(replace(PLAIN, mentions=("slack:S0DBA",)), NOW + 1), "value")
    assert find_view_problem(view) is None
    said = json.dumps(view)
    assert "Grace" in said
    assert "S0DBA" not in said
    assert [each["action_id"] for each in view["blocks"][-1]["elements"]] == [
        "hoop_approve",
        "hoop_deny",
        "hoop_full_sql",
        "hoop_more",
    ]


@settings(max_examples=60, deadline=None)
@given(request=WILD)
def test_any_request_fits_into_both(request: ApprovalRequest) -> None:
    drawn = card(request, NOW + 1)
    assert find_view_problem(review_view(drawn, "value")) is None
    assert (
        find_view_problem(home_view([Part("a", (Item(drawn.title, drawn.outcome, request),))], lambda _: "v")) is None
    )
