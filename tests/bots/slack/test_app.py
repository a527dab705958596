"""Real slack_bolt and the real SDK against the local workspace, a real desk and spool: clicks, modals, commands."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import structlog.testing
from slack_bolt import BoltResponse
from slack_bolt.request.async_request import AsyncBoltRequest

from bots.cards import Action
from bots.commands import REFUSALS
from bots.seals import seal
from bots.slack.app import NO_LOOK_UP, NOT_VALID, SlackFront, SlackRefused, as_typed
from bots.slack.blocks import (
    APPROVE_ACTION,
    ASK_FORM,
    CHANGES_FORM,
    DENY_FORM,
    GRANT_BLOCK,
    MORE_ACTION,
    PAGE_ACTION,
    PAGE_LINK,
    REASON_BLOCK,
    TYPED_BLOCK,
)
from bots.slack.sender import open_client
from bots.workspace import Workspace
from bots.workspace.limits import elements_of
from bots.workspace.state import Person, View
from gateway.approvals.decisions import Approve, Deny
from gateway.approvals.grants import Scope, Terms
from gateway.approvals.outbox import Outbox
from gateway.approvals.request import Refusal, State
from gateway.identity.accounts import Account
from gateway.store.memory import MemoryStore
from tests.bots.samples import ANN, BOB, CAROL, DELETE, EVE, PLAIN, TERMS
from tests.bots.slack.office import BUTTON_KEY, Office, Serve
from tests.bots.slack.test_edge import sign

APPROVE, DENY, FULL = Action.APPROVE.value, Action.DENY.value, Action.FULL_SQL.value
ID = "01J9Z3K7Q8"


@pytest_asyncio.fixture
async def office(tmp_path: Path, aiohttp_server: Serve) -> AsyncIterator[Office]:
    opened = await Office.open(tmp_path, aiohttp_server)
    yield opened
    await opened.close()


# Approve -------------------------------------------------------------------------------------------------------------


async def test_a_reviewer_approves(office: Office) -> None:
    await office.hold()
    said = await office.click(office.bob, APPROVE)
    stored = await office.stored()
    assert stored.state is State.APPROVED
    assert stored.decided_by == BOB
    assert stored.decided_via == "slack"
    assert said.endswith(": You approved it. The card shows what came of it.")
    await office.redraw(ID)
    assert "Approved" in office.card.text
    assert not [block for block in office.card.blocks if block["type"] == "actions"]


async def test_others_are_refused_and_told_why(office: Office) -> None:
    await office.hold()
    assert "You are not a reviewer" in await office.click(office.eve, APPROVE)
    assert "This is your own request" in await office.click(office.ann, APPROVE)
    assert (await office.stored()).state is State.PENDING


async def test_a_reviewer_that_the_gateway_has_not_seen_is_told_how(office: Office) -> None:
    await office.hold()
    dan = office.workspace.add_person("Dan", "dan@example.com", groups=["dba"])
    office.channel.members.append(dan.id)
    said = await office.click(dan, APPROVE)
    assert "You are not a reviewer" in said
    assert "hoop token" in said


async def test_a_reviewer_by_e_mail_needs_no_sign_in(office: Office) -> None:
    await office.hold(reviewer_users=frozenset({"dan@example.com"}))
    dan = office.workspace.add_person("Dan", "dan@example.com")
    office.channel.members.append(dan.id)
    await office.click(dan, APPROVE)
    assert (await office.stored()).state is State.APPROVED


async def test_a_second_click_tells_the_truth_and_repairs_the_card(office: Office) -> None:
    await office.hold()
    await office.click(office.bob, APPROVE)
    said = await office.click(office.carol, APPROVE)
    assert "It was decided already. Approved by bob@example.com" in said
    assert (await office.stored()).rev == 2
    assert not [block for block in office.card.blocks if block["type"] == "actions"]


async def test_a_card_that_the_outbox_knows_is_redrawn_by_it_alone(office: Office) -> None:
    """An update of the late click's own could arrive behind the one that says how it ended, and stay."""
    now = time.time()
    request = replace(PLAIN, opened_at=now, expires_at=now + 600, channels=(f"slack:{office.channel.id}",))
    await office.desk.open(request)
    [post] = await office.store.due()
    await office.store.sent(post.id, 1, await office.sender.post(office.channel.id, request))
    await office.click(office.bob, APPROVE)
    [post] = await office.store.due()
    await office.store.sent(post.id, 2, post.ref or "")
    before = office.card.text
    await office.click(office.carol, APPROVE)
    await office.front.settle()
    assert office.card.text == before
    [again] = await office.store.due()
    assert again.ref == post.ref


async def test_a_quorum_counts_each_person_once(office: Office) -> None:
    await office.hold(approvals_needed=2)
    assert "You approved it, 1 of 2" in await office.click(office.bob, APPROVE)
    assert "counted already" in await office.click(office.bob, APPROVE)
    assert (await office.stored()).state is State.PENDING
    await office.redraw(ID)
    await office.click(office.carol, APPROVE)
    assert (await office.stored()).state is State.APPROVED


async def test_an_expired_request_says_so(office: Office) -> None:
    await office.hold(expires_at=time.time() + 60)
    await office.desk.decide(ID, None, BOB, Deny("no thanks"), "web")
    said = await office.click(office.carol, APPROVE)
    assert "Denied by bob@example.com" in said
    assert "no thanks" in said


async def test_a_click_after_the_time_is_refused(office: Office) -> None:
    request = await office.hold()
    office.store.clock = lambda: request.expires_at + 1
    said = await office.click(office.bob, APPROVE)
    assert "Its time is up" in said
    assert (await office.stored()).state is State.PENDING


async def test_the_outbox_posts_and_redraws_the_card(office: Office) -> None:
    outbox = Outbox(
        office.store,
        {"slack": office.sender},
        time.time,
        undeliverable=office.desk.undeliverable,
        escalate=office.desk.escalate,
    )
    await outbox.start()
    now = time.time()
    request = replace(PLAIN, opened_at=now, expires_at=now + 600, channels=(f"slack:{office.channel.id}",))
    await office.desk.open(request)
    await office.workspace.wait_for(lambda: office.workspace.messages(office.channel))
    await office.click(office.bob, APPROVE)
    await office.workspace.wait_for(lambda: "Approved" in office.card.text)
    await office.desk.release(request.id, request.release_digest)
    await office.desk.finish(request.id, 42, "", 12.0, "committed")
    await office.workspace.wait_for(lambda: "42 rows in 12 ms, committed" in office.card.text)
    assert len(office.workspace.messages(office.channel)) == 1
    await outbox.close()


# Buttons that are not what they seem ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nonsense", "a.b.c", "1"])
async def test_a_value_that_is_none_of_ours(office: Office, value: str) -> None:
    await office.hold()
    assert await office.click(office.bob, APPROVE, value) == NOT_VALID


async def test_a_forged_mac_decides_nothing(office: Office) -> None:
    request = await office.hold()
    other = replace(request, content_digest="00")
    for value in (f"{ID}.1.{'0' * 32}", seal(BUTTON_KEY, other), seal(b"x" * 32, request)):
        assert await office.click(office.bob, APPROVE, value) == REFUSALS[Refusal.FORGED]
    assert (await office.stored()).state is State.PENDING


async def test_a_revision_that_was_not_shown_is_stale(office: Office) -> None:
    request = await office.hold()
    value = seal(BUTTON_KEY, replace(request, rev=7))
    assert "has changed since this card was drawn" in await office.click(office.bob, APPROVE, value)
    assert (await office.stored()).state is State.PENDING


async def test_an_unknown_request_is_said_to_be_unknown(office: Office) -> None:
    request = await office.hold()
    value = seal(BUTTON_KEY, replace(request, id="01ZZZZZZZZ"))
    assert "does not know this request" in await office.click(office.bob, APPROVE, value)


async def test_a_button_of_an_older_app_is_answered(office: Office) -> None:
    block = {
        "type": "actions",
        "elements": [
            {"type": "button", "text": {"type": "plain_text", "text": "Old"}, "action_id": "old", "value": "x"}
        ],
    }
    await office.client.chat_postMessage(channel=office.channel.id, text="old", blocks=[block])
    assert await office.click(office.bob, "old") == NOT_VALID


# Who clicks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "value", "text"),
    [
        ("deleted", True, "deactivated"),
        ("is_bot", True, "Bots decide nothing"),
        ("is_restricted", True, "Guests decide nothing"),
        ("is_ultra_restricted", True, "Guests decide nothing"),
        ("is_stranger", True, "other workspaces"),
        ("team_id", "T0OTHER", "other workspaces"),
        ("is_email_confirmed", False, "not confirmed"),
        ("email", "", "no e-mail address"),
    ],
)
async def test_who_is_no_proven_member_decides_nothing(office: Office, flag: str, value: object, text: str) -> None:
    await office.hold()
    setattr(office.bob, flag, value)
    assert text in await office.click(office.bob, APPROVE)
    assert (await office.stored()).state is State.PENDING


async def test_who_clicks_is_asked_each_time(office: Office) -> None:
    await office.hold(approvals_needed=2)
    await office.click(office.bob, APPROVE)
    await office.hold("01J9Z3K7Q9")
    office.bob.deleted = True
    assert "deactivated" in await office.click(office.bob, APPROVE)


async def test_without_a_look_up_nothing_is_decided(office: Office) -> None:
    await office.hold()
    office.workspace.fail("users.info", error="internal_error")
    assert await office.click(office.bob, APPROVE) == NO_LOOK_UP
    office.workspace.fail("users.info", status=502)
    assert await office.click(office.bob, APPROVE) == NO_LOOK_UP
    assert (await office.stored()).state is State.PENDING


async def test_a_store_that_is_away_is_told(office: Office) -> None:
    await office.hold()
    office.store.away = True
    said = await office.click(office.bob, APPROVE)
    office.store.away = False
    assert "What the card shows counts" in said


# Approve in a modal --------------------------------------------------------------------------------------------------

NAME = "public.customers"
CAREFUL: dict[str, Any] = {"statements": (replace(DELETE, tag="DROP TABLE"),), "to_type": NAME, "full_view": True}


async def asked(office: Office, who: Person) -> View:
    """Click Approve... and wait for what the modal then shows."""
    await office.click(who, APPROVE_ACTION)
    (view,) = office.workspace.open_views(who)
    return view


async def test_a_name_is_typed_below_the_full_text(office: Office) -> None:
    await office.hold(**CAREFUL)
    view = await asked(office, office.bob)
    assert DELETE.sql in json.dumps(view.blocks)
    answer = await office.workspace.submit(view.id, office.bob, {TYPED_BLOCK: "customers"})
    assert f"type exactly: {NAME}" in answer.errors[TYPED_BLOCK]
    assert (await office.stored()).state is State.PENDING
    assert (await office.workspace.submit(view.id, office.bob, {TYPED_BLOCK: NAME})).status == 200
    assert ((await office.stored()).state, (await office.stored()).decided_by) == (State.APPROVED, BOB)
    assert office.workspace.open_views(office.bob) == []
    await office.front.settle()
    assert "You approved it" in office.workspace.ephemerals(office.bob)[-1].text


@pytest.mark.parametrize(
    ("change", "refusal"), [({"to_type": ""}, Refusal.NOT_READ), ({"full_view": False}, Refusal.NOT_TYPED)]
)
async def test_a_plain_approval_of_such_a_request_counts_nothing(
    office: Office, change: dict[str, object], refusal: Refusal
) -> None:
    """A button of ours from elsewhere, and the command."""
    request = await office.hold(**(CAREFUL | change))
    value = seal(BUTTON_KEY, request)
    await office.workspace.click(office.bob, office.channel, office.card.ts, APPROVE_ACTION, value)
    payload = office.workspace.sent[-1]
    forged = payload.body.replace(APPROVE_ACTION.encode(), APPROVE.encode())
    headers = {**payload.headers, **sign(forged, int(time.time()), office.workspace.signing_secret)}
    assert (await office.workspace.replay(replace(payload, body=forged, headers=headers))).status == 200
    await office.front.settle()
    assert REFUSALS[refusal] in office.workspace.ephemerals(office.bob)[-1].text
    answer = await office.workspace.command(office.bob, office.channel, f"/hoop approve {ID}")
    assert REFUSALS[refusal] in json.dumps(answer.body)
    assert (await office.stored()).state is State.PENDING


async def test_a_typed_name_may_come_by_the_command(office: Office) -> None:
    await office.hold(**(CAREFUL | {"full_view": False}))
    await office.workspace.command(office.bob, office.channel, f"/hoop approve {ID} {NAME}")
    assert (await office.stored()).state is State.APPROVED


BREAKABLE: dict[str, Any] = {"approvals_needed": 2, "glass": "sre", "glass_groups": frozenset({"engineering"})}


async def glass(office: Office, who: Person) -> View:
    """Choose Break glass... and wait for what the modal then shows."""
    value = next(
        option["value"]
        for block in office.card.blocks
        for each in block.get("elements", [])
        for option in each.get("options", [])
        if option["value"].startswith(Action.GLASS.value)
    )
    await office.click(who, MORE_ACTION, value)
    (view,) = office.workspace.open_views(who)
    return view


async def test_the_glass_is_broken_with_a_reason_and_words(office: Office) -> None:
    await office.hold(**BREAKABLE)
    view = await glass(office, office.eve)
    assert DELETE.sql in json.dumps(view.blocks)
    written = {REASON_BLOCK: "payments are down", TYPED_BLOCK: "yes"}
    answer = await office.workspace.submit(view.id, office.eve, written)
    assert "type exactly: break glass" in answer.errors[TYPED_BLOCK], "beside what was mistyped, not beside the reason"
    assert (await office.stored()).state is State.PENDING
    answer = await office.workspace.submit(view.id, office.eve, written | {TYPED_BLOCK: "break glass"})
    assert answer.status == 200
    stored = await office.stored()
    assert (stored.state, stored.broken, stored.decided_by) == (State.APPROVED, "payments are down", EVE)
    await office.front.settle()
    assert "You broke the glass" in office.workspace.ephemerals(office.eve)[-1].text
    await office.redraw(ID)
    assert office.card.text.startswith("BREAK GLASS, Approved: DELETE")


async def test_the_glass_is_not_for_reviewers_nor_for_oneself(office: Office) -> None:
    await office.hold(**BREAKABLE)
    for who, text in ((office.bob, "You are not a reviewer"), (office.ann, "This is your own request")):
        view = await glass(office, who)
        assert text in json.dumps(view.blocks)
        await office.workspace.close(view.id, who)
    assert (await office.stored()).state is State.PENDING


# On its page ---------------------------------------------------------------------------------------------------------

PAGE = "https://gate.example.com/approve/01J9Z3K7Q8"


async def test_a_click_alone_approves_nothing_that_its_page_approves(office: Office) -> None:
    """The button leads to the page; a button of an older card, and the command, are told so. Deny works here."""
    request = await office.hold(approve_via="web", page=PAGE)
    assert await office.click(office.bob, PAGE_LINK, seal(BUTTON_KEY, request)) == ""
    payload = office.workspace.sent[-1]
    older = payload.body.replace(PAGE_LINK.encode(), APPROVE.encode())
    headers = {**payload.headers, **sign(older, int(time.time()), office.workspace.signing_secret)}
    await office.workspace.replay(replace(payload, body=older, headers=headers))
    await office.front.settle()
    assert PAGE in office.workspace.ephemerals(office.bob)[-1].text
    answer = await office.workspace.command(office.bob, office.channel, f"/hoop approve {ID}")
    assert REFUSALS[Refusal.NOT_ON_PAGE] in json.dumps(answer.body)
    assert (await office.stored()).state is State.PENDING
    await office.workspace.command(office.bob, office.channel, f"/hoop deny {ID} not today")
    assert (await office.stored()).state is State.DENIED


# Linked accounts -----------------------------------------------------------------------------------------------------


async def test_a_linked_account_is_its_person_whatever_its_address(office: Office) -> None:
    """Eve's account is linked with Carol: it approves as Carol, once, and not what Eve's own address asked for."""
    team = office.workspace.state.team
    account = Account("slack", f"/{team.id}", office.eve.id, "")
    await office.store.link(account, CAROL, time.time())
    await office.hold(approvals_needed=2)
    await office.click(office.eve, APPROVE)
    [given] = (await office.stored()).approvals
    assert given.by == replace(CAROL, also=(EVE.email or "",))
    assert "was counted already" in await office.click(office.carol, APPROVE)
    await office.hold("01J9Z3K7Q9", requester=EVE)
    assert "This is your own request" in await office.click(office.eve, APPROVE)
    await office.store.unlink(account)
    assert "You are not a reviewer" in await office.click(office.eve, APPROVE, seal(BUTTON_KEY, await office.stored()))


async def test_the_modal_of_one_reviewer_is_not_anothers(office: Office) -> None:
    await office.hold(**(CAREFUL | {"to_type": ""}))
    view = await asked(office, office.bob)
    view.user = office.carol.id
    await office.workspace.submit(view.id, office.carol, {})
    (shown,) = office.workspace.open_views(office.carol)
    assert REFUSALS[Refusal.FORGED] in json.dumps(shown.blocks)
    assert (await office.stored()).state is State.PENDING


# Grants --------------------------------------------------------------------------------------------------------------


async def granting(office: Office, who: Person) -> View:
    """Choose "Approve this shape..." from the menu and wait for what the modal then shows."""
    await office.click(who, MORE_ACTION, f"{Action.GRANT.value} {seal(BUTTON_KEY, await office.stored())}")
    (view,) = office.workspace.open_views(who)
    return view


async def test_a_shape_is_approved_for_a_while(office: Office) -> None:
    await office.hold(grantable=TERMS)
    view = await granting(office, office.bob)
    shown = json.dumps(view.blocks)
    assert "ann@example.com may then run it on shop again without asking" in shown
    assert DELETE.sql in shown
    assert "15 minutes, at most 20 uses" in shown
    missing = await office.workspace.submit(view.id, office.bob, {})
    assert missing.errors, "one must be chosen"
    assert (await office.workspace.submit(view.id, office.bob, {GRANT_BLOCK: "15m"})).status == 200
    stored = await office.stored()
    assert (stored.state, stored.decided_by) == (State.APPROVED, BOB)
    assert stored.grant is not None
    assert stored.grant.uses == 20
    await office.front.settle()
    assert "You approved it, and its shape until" in office.workspace.ephemerals(office.bob)[-1].text
    await office.redraw(ID)
    assert "this shape may run again until" in json.dumps(office.card.blocks)


async def test_a_name_is_typed_for_a_grant_as_well(office: Office) -> None:
    await office.hold(**(CAREFUL | {"grantable": TERMS, "statements": (DELETE,)}))
    view = await granting(office, office.bob)
    answer = await office.workspace.submit(view.id, office.bob, {TYPED_BLOCK: "x", GRANT_BLOCK: "5x"})
    assert f"type exactly: {NAME}" in answer.errors[TYPED_BLOCK]
    await office.workspace.submit(view.id, office.bob, {TYPED_BLOCK: NAME, GRANT_BLOCK: "5x"})
    assert (await office.stored()).grant is not None


async def test_a_choice_that_is_not_offered_decides_nothing(office: Office) -> None:
    """Neither as a grant nor as a plain approval: the reviewer meant something else."""
    await office.hold(grantable=TERMS)
    view = await granting(office, office.bob)
    for block in view.blocks:
        if block["type"] == "input":
            block["element"]["options"].append({"text": {"type": "plain_text", "text": "For ever"}, "value": "ever"})
    answer = await office.workspace.submit(view.id, office.bob, {GRANT_BLOCK: "ever"})
    assert REFUSALS[Refusal.NO_GRANT] in answer.errors[GRANT_BLOCK]
    assert (await office.stored()).state is State.PENDING


async def test_where_nothing_may_be_granted_the_menu_does_not_say_so(office: Office) -> None:
    await office.hold()
    assert Action.GRANT.value not in json.dumps(office.card.blocks)
    with pytest.raises(LookupError):
        await granting(office, office.bob)


async def test_who_may_not_decide_may_not_grant(office: Office) -> None:
    await office.hold(grantable=TERMS)
    for who, text in ((office.eve, "You are not a reviewer"), (office.ann, "This is your own request")):
        view = await granting(office, who)
        assert text in json.dumps(view.blocks)
        assert "submit" not in view.body


async def test_the_modal_tells_who_may_not_and_what_is_over(office: Office) -> None:
    await office.hold(**CAREFUL)
    for who, text in ((office.eve, "You are not a reviewer"), (office.ann, "This is your own request")):
        view = await asked(office, who)
        assert text in json.dumps(view.blocks)
        assert "submit" not in view.body
    view = await asked(office, office.bob)
    await office.desk.decide(ID, None, CAROL, Deny("not today"), "slack")
    answer = await office.workspace.submit(view.id, office.bob, {TYPED_BLOCK: NAME})
    assert "It was decided already" in answer.errors[TYPED_BLOCK]


# Deny ----------------------------------------------------------------------------------------------------------------


async def test_a_denial_asks_for_its_reason(office: Office) -> None:
    await office.hold()
    await office.click(office.bob, DENY)
    (view,) = office.workspace.open_views(office.bob)
    assert view.body["callback_id"] == DENY_FORM.view
    assert (await office.stored()).state is State.PENDING
    answer = await office.workspace.submit(view.id, office.bob, {"reason": "Use the archive job."})
    assert answer.status == 200
    stored = await office.stored()
    assert (stored.state, stored.reason, stored.decided_by) == (State.DENIED, "Use the archive job.", BOB)
    assert office.workspace.open_views(office.bob) == []


async def test_a_denial_says_what_it_is_about(office: Office) -> None:
    await office.hold()
    await office.click(office.bob, DENY)
    (view,) = office.workspace.open_views(office.bob)
    assert view.blocks[0]["text"]["text"] == "DELETE on public.customers in production (shop)"


@pytest.mark.parametrize("away", [True, False])
async def test_a_denial_opens_without_a_title_where_it_is_not_to_be_had(office: Office, away: bool) -> None:
    """The store is away, or the button is none of ours for that request."""
    await office.hold()
    office.store.away = away
    await office.workspace.click(
        office.bob, office.channel, office.card.ts, "hoop_deny", None if away else f"{ID}.1.{'0' * 32}"
    )
    (view,) = office.workspace.open_views(office.bob)
    assert [each["type"] for each in view.blocks] == ["input"]


async def test_a_refused_denial_is_told_in_the_modal(office: Office) -> None:
    await office.hold()
    await office.click(office.eve, DENY)
    (view,) = office.workspace.open_views(office.eve)
    answer = await office.workspace.submit(view.id, office.eve, {"reason": "because"})
    assert "You are not a reviewer" in answer.errors["reason"]
    assert (await office.stored()).state is State.PENDING


async def test_who_submits_decides_whoever_opened(office: Office) -> None:
    """Metadata names nobody: a modal that Bob opened, submitted by Eve's id, is Eve's."""
    await office.hold()
    await office.click(office.bob, DENY)
    (view,) = office.workspace.open_views(office.bob)
    view.user = office.eve.id
    answer = await office.workspace.submit(view.id, office.eve, {"reason": "because"})
    assert "You are not a reviewer" in answer.errors["reason"]


async def test_a_reason_of_blanks_is_no_reason(office: Office) -> None:
    await office.hold()
    await office.click(office.bob, DENY)
    (view,) = office.workspace.open_views(office.bob)
    answer = await office.workspace.submit(view.id, office.bob, {"reason": "     "})
    assert answer.errors["reason"] == "Write 3 to 1,000 characters."


async def test_a_modal_that_slack_does_not_open_is_told(office: Office) -> None:
    await office.hold()
    office.workspace.fail("views.open", error="expired_trigger_id")
    assert "please click Deny again" in await office.click(office.bob, DENY)


async def test_a_guest_in_the_modal_is_told_there(office: Office) -> None:
    await office.hold()
    await office.click(office.bob, DENY)
    office.bob.is_restricted = True
    (view,) = office.workspace.open_views(office.bob)
    answer = await office.workspace.submit(view.id, office.bob, {"reason": "because"})
    assert "Guests decide nothing" in answer.errors["reason"]


# Request changes -----------------------------------------------------------------------------------------------------


async def choose(office: Office, who: Person, action: Action, value: str | None = None) -> str:
    """Choose from the menu of the newest card; what the person was told."""
    sealed = value or seal(BUTTON_KEY, await office.stored())
    return await office.click(who, MORE_ACTION, f"{action.value} {sealed}")


async def test_a_reviewer_requests_changes(office: Office) -> None:
    await office.hold()
    await choose(office, office.bob, Action.CHANGES)
    (view,) = office.workspace.open_views(office.bob)
    assert view.body["callback_id"] == CHANGES_FORM.view
    assert (await office.workspace.submit(view.id, office.bob, {"reason": "Only rows of\n2019."})).status == 200
    stored = await office.stored()
    assert (stored.state, stored.changes, stored.decided_by) == (State.DENIED, "Only rows of 2019.", BOB)
    await office.redraw(ID)
    assert "Changes requested by bob@example.com" in str(office.card.blocks)
    assert "Changes requested: DELETE on" in office.card.text


@pytest.mark.parametrize(("who", "text"), [("eve", "You are not a reviewer"), ("ann", "This is your own request")])
async def test_others_request_no_changes(office: Office, who: str, text: str) -> None:
    await office.hold()
    person: Person = getattr(office, who)
    await choose(office, person, Action.CHANGES)
    (view,) = office.workspace.open_views(person)
    answer = await office.workspace.submit(view.id, person, {"reason": "Only rows of 2019."})
    assert text in answer.errors["reason"]
    assert (await office.stored()).state is State.PENDING


async def test_a_choice_that_is_none_of_ours_is_answered(office: Office) -> None:
    element = {
        "type": "overflow",
        "action_id": MORE_ACTION,
        "options": [
            {"text": {"type": "plain_text", "text": "Odd"}, "value": each} for each in ("odd 1", "hoop_changes x")
        ],
    }
    blocks = [{"type": "actions", "elements": [element]}]
    await office.client.chat_postMessage(channel=office.channel.id, text="odd", blocks=blocks)
    for each in ("odd 1", "hoop_changes x"):
        assert await office.click(office.bob, MORE_ACTION, each) == NOT_VALID


# Ask -----------------------------------------------------------------------------------------------------------------


async def test_a_reviewer_asks_and_the_request_waits_on(office: Office) -> None:
    await office.hold()
    await choose(office, office.bob, Action.ASK)
    (view,) = office.workspace.open_views(office.bob)
    assert view.body["callback_id"] == ASK_FORM.view
    assert (await office.workspace.submit(view.id, office.bob, {"reason": "x" * 301})).errors
    assert (await office.workspace.submit(view.id, office.bob, {"reason": "Why *all* of <!here>?"})).status == 200
    stored = await office.stored()
    assert (stored.state, stored.questions[0].text) == (State.PENDING, "Why *all* of <!here>?")
    await office.click(office.carol, APPROVE)
    assert (await office.stored()).state is State.APPROVED, "the card of before the question still counts"


async def test_others_ask_nothing(office: Office) -> None:
    await office.hold()
    await choose(office, office.eve, Action.ASK)
    (view,) = office.workspace.open_views(office.eve)
    answer = await office.workspace.submit(view.id, office.eve, {"reason": "What is it?"})
    assert "You are not a reviewer" in answer.errors["reason"]
    assert (await office.stored()).questions == ()


# Withdraw ------------------------------------------------------------------------------------------------------------


async def test_who_asked_withdraws_and_nobody_else(office: Office) -> None:
    await office.hold()
    assert await choose(office, office.bob, Action.WITHDRAW) == REFUSALS[Refusal.NOT_YOURS]
    assert (await office.stored()).state is State.PENDING
    assert (await choose(office, office.ann, Action.WITHDRAW)).endswith(": You withdrew it. Nothing ran.")
    stored = await office.stored()
    assert (stored.state, stored.decided_by, stored.decided_via) == (State.WITHDRAWN, ANN, "slack")
    assert "It was decided already. Withdrawn by its requester" in await office.click(office.bob, APPROVE)


async def test_a_kept_approval_is_withdrawn_by_its_button(office: Office) -> None:
    await office.hold(kept=True)
    await office.click(office.bob, APPROVE)
    await office.redraw(ID)
    assert await office.click(office.eve, Action.WITHDRAW.value) == REFUSALS[Refusal.NOT_YOURS]
    assert "You withdrew it" in await office.click(office.ann, Action.WITHDRAW.value)
    assert (await office.stored()).state is State.WITHDRAWN


# Full SQL ------------------------------------------------------------------------------------------------------------


async def test_a_reviewer_reads_all_of_it(office: Office) -> None:
    sql = "DELETE FROM customers WHERE id IN (" + ", ".join(map(str, range(3000))) + ")"
    await office.hold(statements=(replace(DELETE, sql=sql),))
    await office.click(office.bob, FULL)
    (view,) = office.workspace.open_views(office.bob)
    assert "2998, 2999)" in str(view.blocks)
    assert "2998, 2999)" in str(office.card.blocks)
    assert "1500, 1501" in str(view.blocks)
    assert "1500, 1501" not in str(office.card.blocks)


async def test_others_do_not(office: Office) -> None:
    await office.hold()
    await office.click(office.eve, FULL)
    (view,) = office.workspace.open_views(office.eve)
    assert "Only its reviewers" in str(view.blocks)


# Commands ------------------------------------------------------------------------------------------------------------


async def test_a_command_is_answered_in_the_ack(office: Office) -> None:
    await office.hold()
    answer = await office.workspace.command(office.bob, office.channel, "/hoop pending")
    assert answer.body["response_type"] == "ephemeral"
    assert "Pending: 1 request" in office.workspace.ephemerals(office.bob)[-1].text


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("audit rows:&gt;100", "audit rows:>100"),
        ("audit user:<mailto:ann@example.com|ann@example.com>", "audit user:ann@example.com"),
        ("audit who ran \u201cUPDATE customers\u201d", 'audit who ran "UPDATE customers"'),
        ("deny 01K it\u2019s late &amp;lt;", "deny 01K it's late &lt;"),
    ],
)
def test_a_command_is_read_as_it_was_typed(text: str, typed: str) -> None:
    assert as_typed(text) == typed


async def test_a_slow_answer_comes_after_the_ack(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.slack.app.COMMAND", 0.0)
    answer = await office.workspace.command(office.bob, office.channel, "/hoop whoami")
    assert not answer.body
    await office.front.settle()
    assert "bob@example.com" in office.workspace.ephemerals(office.bob)[-1].text


async def test_a_store_that_is_away_is_told_to_a_command(office: Office) -> None:
    office.store.away = True
    await office.workspace.command(office.bob, office.channel, "/hoop pending")
    office.store.away = False
    assert "What the card shows counts" in office.workspace.ephemerals(office.bob)[-1].text


async def test_a_share_is_for_all(office: Office) -> None:
    answer = await office.workspace.command(office.bob, office.channel, "/hoop audit last:1h share")
    assert answer.body["response_type"] == "in_channel"


async def test_a_command_decides_as_a_button_does(office: Office) -> None:
    await office.hold()
    await office.workspace.command(office.ann, office.channel, f"/hoop approve {ID}")
    assert "own request" in office.workspace.ephemerals(office.ann)[-1].text
    await office.workspace.command(office.bob, office.channel, f"/hoop deny {ID} not today")
    stored = await office.stored()
    assert (stored.state, stored.reason, stored.decided_via) == (State.DENIED, "not today", "slack")


async def test_pages_are_turned_in_place(office: Office) -> None:
    for number in range(10):
        request = await office.hold(f"01J9Z3K7{number:02d}", statements=(DELETE,))
        await office.desk.decide(request.id, None, BOB, Deny("no thanks"), "slack")
    await office.ship()
    await office.workspace.command(office.bob, office.channel, "/hoop audit last:1h")
    page = office.workspace.ephemerals(office.bob)[-1]
    assert "10 statements, 1 to 8" in page.text
    await office.workspace.click(office.bob, office.channel, page.ts, "hoop_page_next")
    await office.front.settle()
    assert "9 to 10" in office.workspace.ephemerals(office.bob)[-1].text
    assert len(office.workspace.ephemerals(office.bob)) == 1


async def test_a_bot_gets_no_records(office: Office) -> None:
    office.bob.is_bot = True
    await office.workspace.command(office.bob, office.channel, "/hoop audit")
    assert "Bots decide nothing" in office.workspace.ephemerals(office.bob)[-1].text


# The edge, over a real socket ----------------------------------------------------------------------------------------


async def test_the_edge_never_answers_500(office: Office) -> None:
    url, secret, now = office.workspace.events_url, office.workspace.signing_secret, int(time.time())
    cases: list[tuple[int, bytes, dict[str, str]]] = [
        (401, b"payload=%7B%7D", {}),
        (401, b"payload=%7B%7D", sign(b"payload=%7B%7D", "abc", secret)),
        (401, b"a=b", sign(b"a=b", now - 301, secret)),
        (401, b"a=b", sign(b"a=b", now, "wrong")),
        (400, b"payload=nonsense", sign(b"payload=nonsense", now, secret)),
        (400, b"a=\xff", sign(b"a=\xff", now, secret)),
        (413, b"a=" + b"x" * 1_100_000, {}),
    ]
    async with aiohttp.ClientSession() as session:
        for status, raw, headers in cases:
            async with session.post(url, data=io.BytesIO(raw), headers=headers) as answer:
                assert answer.status == status, raw[:30]


async def test_a_click_that_slack_delivers_twice_counts_once(office: Office) -> None:
    """As over two sockets, or with a retry: the same payload, signed anew, at the same moment."""
    await office.hold(approvals_needed=2)
    await office.workspace.click(office.bob, office.channel, office.card.ts, APPROVE)
    await office.front.settle()
    first = office.workspace.sent[-1]
    again = [
        replace(
            first, headers={**first.headers, **sign(first.body, int(time.time()) + at, office.workspace.signing_secret)}
        )
        for at in (1, 2)
    ]
    answers = await asyncio.gather(*(office.workspace.replay(each) for each in again))
    await office.front.settle()
    assert [each.status for each in answers] == [200, 200]
    assert "counted already" in office.workspace.ephemerals(office.bob)[-1].text
    stored = await office.stored()
    assert (len(stored.approvals), stored.state) == (1, State.PENDING)


async def test_a_click_that_took_too_long_for_slack_counts_and_is_told(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack has shown its own error by then; the card and the answer tell what is stored."""
    await office.hold()
    go_on, move = asyncio.Event(), MemoryStore.move

    async def slow(*args: Any) -> Any:
        await go_on.wait()
        return await move(*args)

    monkeypatch.setattr(MemoryStore, "move", slow)
    status = await office.workspace.click(office.bob, office.channel, office.card.ts, APPROVE)
    assert status != 200
    assert (await office.stored()).state is State.PENDING
    monkeypatch.setattr(office.front, "_clock", lambda: time.time() + 4)
    with structlog.testing.capture_logs() as logged:
        go_on.set()
        await office.workspace.wait_for(lambda: office.workspace.ephemerals(office.bob), 20)
    assert "slack.answered_late" in [each["event"] for each in logged]
    assert (await office.stored()).state is State.APPROVED
    assert "You approved it" in office.workspace.ephemerals(office.bob)[-1].text


@pytest.mark.parametrize("name", [*(each.value for each in Action), MORE_ACTION, f"{PAGE_ACTION}_2", "unheard_of"])
async def test_each_click_has_one_listener(office: Office, name: str) -> None:
    """Behind one that takes longer than 3 s bolt asks the next that fits: it would say that nothing was decided."""
    body = {"type": "block_actions", "actions": [{"action_id": name, "block_id": "b", "type": "button"}]}
    asked = AsyncBoltRequest(body=body, mode="socket_mode")
    matches = [
        await each.async_matches(req=asked, resp=BoltResponse(status=200))
        for each in office.front._bolt._async_listeners
    ]
    assert matches.count(True) == 1


async def test_a_replayed_click_is_refused_and_decides_once(office: Office) -> None:
    await office.hold(approvals_needed=2)
    await office.click(office.bob, APPROVE)
    answer = await office.workspace.replay(office.workspace.sent[-1])
    assert answer.status == 401
    assert len((await office.stored()).approvals) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"payload=%7B%7D",
        b"payload=%7B%22type%22%3A%22block_actions%22%7D",
        b"payload=%7B%22type%22%3A%22block_actions%22%2C%22actions%22%3A%5B%5D%7D",
        b"payload=%7B%22type%22%3A%22view_submission%22%7D",
        b"command=%2Fhoop",
        b"command=%2Fother&text=x",
        b"hello=1",
        b"",
    ],
)
async def test_odd_but_genuine_payloads_are_no_500(office: Office, payload: bytes) -> None:
    headers = sign(payload, int(time.time()), office.workspace.signing_secret)
    async with (
        aiohttp.ClientSession() as session,
        session.post(office.workspace.events_url, data=payload, headers=headers) as answer,
    ):
        assert answer.status < 500


# Start, Socket Mode --------------------------------------------------------------------------------------------------


async def test_the_first_click_makes_no_auth_test(office: Office) -> None:
    await office.hold()
    office.workspace.fail("auth.test", error="internal_error", times=99)
    await office.click(office.bob, APPROVE)
    assert (await office.stored()).state is State.APPROVED


async def test_a_refused_token_is_told_at_start(office: Office) -> None:
    client = open_client("xoxb-wrong", office.workspace.api_url)
    front = SlackFront(client, "s", office.desk, office.front._commands, button_key=b"k", clock=time.time)
    with pytest.raises(SlackRefused, match="SLACK_BOT_TOKEN: invalid_auth"):
        await front.start()
    assert client.session is not None
    await client.session.close()


async def test_slack_being_away_is_no_reason_not_to_start(office: Office) -> None:
    workspace = Workspace()
    await workspace.start()
    client = open_client("xoxb-any", workspace.api_url)
    await workspace.stop()
    front = SlackFront(client, "s", office.desk, office.front._commands, button_key=b"k", clock=time.time)
    await front.start()
    await front.stop()
    assert client.session is not None
    await client.session.close()


async def test_socket_mode_has_the_same_listeners(tmp_path: Path, aiohttp_server: Serve) -> None:
    office = await Office.open(tmp_path, aiohttp_server, socket=True)
    try:
        await office.workspace.wait_for(lambda: office.workspace.sockets)
        await office.hold()
        said = await office.click(office.bob, APPROVE)
        assert "You approved it" in said
        assert (await office.stored()).state is State.APPROVED
        await office.workspace.command(office.bob, office.channel, "/hoop whoami")
        assert "bob@example.com" in office.workspace.ephemerals(office.bob)[-1].text
    finally:
        await office.close()


# The home tab ----------------------------------------------------------------------------------------------------------


async def test_the_home_tab_shows_each_what_concerns_them(office: Office) -> None:
    request = await office.hold()
    for who, buttons in ((office.bob, 1), (office.ann, 1), (office.eve, 0)):
        await _home(office, who)
        assert len(_review_buttons(office, who)) == buttons
        assert (request.id in json.dumps(_home_blocks(office, who))) is (buttons > 0)
        assert "last_seen" not in json.dumps(_home_blocks(office, who)), "no SQL"


async def test_a_request_is_decided_from_the_home_tab(office: Office) -> None:
    request = await office.hold()
    await _home(office, office.bob)
    await _look(office, office.bob)
    view = office.workspace.open_views(office.bob)[-1]
    assert "last_seen" in json.dumps(view.blocks)
    await office.workspace.click_in_view(office.bob, view.id, "hoop_approve")
    await office.front.settle()
    assert (await office.stored(request.id)).state is State.APPROVED
    [told] = office.workspace.open_views(office.bob)[-1].blocks
    assert "You approved it" in told["text"]["text"]
    await _home(office, office.bob)
    assert _review_buttons(office, office.bob) == []


async def test_a_denial_from_the_home_tab_has_its_reason(office: Office) -> None:
    request = await office.hold()
    await _home(office, office.bob)
    await _look(office, office.bob)
    view = office.workspace.open_views(office.bob)[-1]
    await office.workspace.click_in_view(office.bob, view.id, "hoop_deny")
    asked = office.workspace.open_views(office.bob)[-1]
    await office.workspace.submit(asked.id, office.bob, {"reason": "use the job"})
    await office.front.settle()
    assert (await office.stored(request.id)).reason == "use the job"


async def test_a_button_of_another_persons_home_tab_shows_nothing(office: Office) -> None:
    request = await office.hold()
    await office.hold("EVES", requester=EVE)
    await _home(office, office.eve)
    view = office.workspace.home(office.eve)
    assert view is not None
    for forged in (seal(BUTTON_KEY, request), f"{request.id}.1.{'0' * 32}", "nothing"):
        await office.workspace.click_in_view(office.eve, view.id, "hoop_review", forged)
        await office.front.settle()
        [said] = office.workspace.open_views(office.eve)[-1].blocks
        assert said["text"]["text"] == "There is no such request that you may see."


async def test_who_is_no_member_any_more_sees_an_empty_tab(office: Office) -> None:
    await office.hold()
    await _home(office, office.bob)
    office.bob.is_restricted = True
    await _home(office, office.bob)
    [said] = _home_blocks(office, office.bob)
    assert said["text"]["text"].startswith("Guests decide nothing here.")


async def test_a_home_tab_without_its_store_says_so(office: Office) -> None:
    office.store.away = True
    await _home(office, office.bob)
    [said] = _home_blocks(office, office.bob)
    assert "Open this tab again" in said["text"]["text"]


async def _home(office: Office, who: Person) -> None:
    assert (await office.workspace.open_home(who)).status == 200
    await office.front.settle()


async def _look(office: Office, who: Person) -> None:
    view = office.workspace.home(who)
    assert view is not None
    assert await office.workspace.click_in_view(who, view.id, "hoop_review") == 200
    await office.front.settle()


def _home_blocks(office: Office, who: Person) -> list[dict[str, Any]]:
    view = office.workspace.home(who)
    assert view is not None
    return view.blocks


def _review_buttons(office: Office, who: Person) -> list[dict[str, Any]]:
    found = [each for block in _home_blocks(office, who) for each in elements_of(block)]
    return [each for each in found if each["action_id"] == "hoop_review"]


async def test_an_audit_export_comes_as_a_direct_message(office: Office) -> None:
    office.spool.record(
        "finished", subject=BOB.subject, user=BOB.user, outcome="executed", tag="SELECT", sql="SELECT 1"
    )
    office.spool.flush()
    await office.ship()
    answered = await office.workspace.command(office.bob, office.channel, "/hoop audit")
    assert answered.status == 200
    [answer] = office.workspace.ephemerals(office.bob)
    assert await office.workspace.click(office.bob, office.channel, answer.ts, "hoop_page_export") == 200
    await office.front.settle()
    assert office.workspace.ephemerals(office.bob)[-1].text == "The file is in our direct messages."
    *_, message = office.workspace.direct_messages(office.bob)
    [file] = message.files
    assert b"SELECT 1" in (file.content or b"")
    assert "SELECT 1" not in json.dumps([each.blocks for each in office.workspace.messages(office.channel)])


async def test_a_grant_is_ended_from_the_home_tab(office: Office) -> None:
    request = await office.hold(grantable=Terms("shape", 60, 5, 100))
    await office.desk.decide(request.id, None, BOB, Approve(scope=Scope(uses=5)), "slack")
    await _home(office, office.eve)
    eves = office.workspace.home(office.eve)
    assert eves is not None
    with pytest.raises(LookupError):
        await office.workspace.click_in_view(office.eve, eves.id, "hoop_revoke_grant", request.id)
    await _home(office, office.ann)
    view = office.workspace.home(office.ann)
    assert view is not None
    assert await office.workspace.click_in_view(office.ann, view.id, "hoop_revoke_grant") == 200
    await office.front.settle()
    stored = await office.stored(request.id)
    assert stored.grant is not None
    assert stored.grant.revoked_by == ANN.user
    assert office.workspace.direct_messages(office.ann)[-1].text.startswith("Done: DELETE on public.customers")
    assert "hoop_revoke_grant" not in json.dumps(_home_blocks(office, office.ann))


async def test_a_clock_that_is_off_is_told_at_start(office: Office) -> None:
    front = SlackFront(
        office.client, "s", office.desk, office.front._commands, button_key=b"k", clock=lambda: time.time() + 400
    )
    with structlog.testing.capture_logs() as said:
        await front.start()
    [warned] = [each for each in said if each["event"] == "slack.clock_skew"]
    assert warned["clock"].endswith(" s ahead of Slack's")
    assert await front.clock() == warned["clock"]
