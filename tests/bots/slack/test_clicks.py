"""Clicks and forms: real slack_bolt and the real SDK against the local workspace, a real desk and spool."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from bots.cards import Action
from bots.commands import REFUSALS
from bots.seals import seal
from bots.slack.blocks import (
    APPROVE_ACTION,
    ASK_FORM,
    CHANGES_FORM,
    DENY_FORM,
    GRANT_BLOCK,
    MORE_ACTION,
    PAGE_LINK,
    REASON_BLOCK,
    TYPED_BLOCK,
)
from bots.slack.clicks import NOT_VALID
from bots.workspace.state import Person, View
from gateway.approvals.decisions import Deny
from gateway.approvals.outbox import Outbox
from gateway.approvals.request import Refusal, State
from tests.bots.samples import ANN, BOB, CAROL, DELETE, EVE, PLAIN, TERMS
from tests.bots.slack.office import BUTTON_KEY, Office
from tests.bots.slack.test_edge import sign

APPROVE, DENY, FULL = Action.APPROVE.value, Action.DENY.value, Action.FULL_SQL.value
ID = "01J9Z3K7Q8"


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
