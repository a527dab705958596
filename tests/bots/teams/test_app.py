"""Real HTTP, real JWTs, real msal and botbuilder against a Teams of the tests, a real desk and spool: clicks and commands."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
import structlog

from bots.cards import card
from bots.commands import REFUSALS
from bots.seals import seal
from bots.teams.adaptive import READ_FIRST, READ_FIRST_TO_BREAK, base_card, full_card
from bots.teams.app import (
    FAILED,
    IN_OUR_CHAT,
    NO_CHAT,
    NO_TEXT,
    NOT_IN_FULL,
    NOT_VALID,
    TeamsFront,
    TeamsRefused,
    as_typed,
)
from bots.teams.people import NO_LOOK_UP, People
from bots.teams.tokens import Tokens
from gateway.approvals.request import HeldStatement, Refusal, State
from gateway.identity.accounts import Account
from tests.bots.samples import ANN, BOB, CAROL, DELETE, EVE, PLAIN, TERMS
from tests.bots.teams.office import BUTTON_KEY, Office, Parts
from tests.fakes.stores import unshipped
from tests.fakes.teams import APP_ID, CARD, TENANT, Json, Message, Teams, User, text_of

ID = "01J9Z3K7Q8"


def titles(content: Json) -> list[str]:
    sets = [each["actions"] for each in content.get("body", []) if each["type"] == "ActionSet"]
    return [each["title"] for actions in (content.get("actions", []), *sets) for each in actions]


async def review(office: Office, user: User, message: Message) -> Json:
    return await office.teams.click(user, message, "Review")


# Approve -------------------------------------------------------------------------------------------------------------


async def test_a_reviewer_approves(office: Office) -> None:
    message = await office.hold()
    assert titles(message.card) == ["Review"]
    view = await review(office, office.bob, message)
    assert titles(view) == ["Approve", "Deny", "Full SQL", "Ask a question", "Request changes"]
    assert titles(message.card) == ["Review"], "what others see is as it was"
    view = await office.teams.click(office.bob, message, "Approve")
    assert "You approved it" in text_of(view)
    stored = await office.stored()
    assert (stored.state, stored.decided_by, stored.decided_via) == (State.APPROVED, BOB, "teams")
    await office.redraw()
    assert "Approved" in message.text
    assert titles(message.seen_by(office.bob)) == []


async def test_others_are_refused_and_told_why(office: Office) -> None:
    message = await office.hold()
    assert "You are not a reviewer" in text_of(await review(office, office.eve, message))
    assert "This is your own request" in text_of(await review(office, office.ann, message))
    assert titles(message.seen_by(office.eve)) == ["Review"]
    assert (await office.stored()).state is State.PENDING


async def test_a_button_that_somebody_was_not_given_decides_nothing(office: Office) -> None:
    """Eve's client sends what Bob's card holds: hidden buttons are no control, the desk is."""
    message = await office.hold()
    view = await review(office, office.bob, message)
    approve = {key: view["actions"][0][key] for key in ("type", "title", "verb", "data")}
    for user, text in ((office.eve, "You are not a reviewer"), (office.ann, "This is your own request")):
        status, answer = await office.teams.execute(user, message, approve)
        assert status == 200
        assert text in text_of(answer["value"])
    assert (await office.stored()).state is State.PENDING


async def test_high_risk_is_asked_once_more(office: Office) -> None:
    message = await office.hold(statements=(replace(DELETE, where=False),))
    await review(office, office.bob, message)
    view = await office.teams.click(office.bob, message, "Approve")
    assert "High risk: approve it?" in text_of(view)
    assert (await office.stored()).state is State.PENDING
    assert titles(await office.teams.click(office.bob, message, "Back")) == [
        "Approve",
        "Deny",
        "Full SQL",
        "Ask a question",
        "Request changes",
    ]
    await office.teams.click(office.bob, message, "Approve")
    await office.teams.click(office.bob, message, "Yes, approve")
    assert (await office.stored()).state is State.APPROVED


async def test_a_quorum_counts_each_person_once(office: Office) -> None:
    message = await office.hold(approvals_needed=2)
    for user, text in ((office.bob, "1 of 2"), (office.bob, "counted already"), (office.carol, "You approved it")):
        message.views.pop(user.id, None)
        await review(office, user, message)
        assert text in text_of(await office.teams.click(user, message, "Approve"))
    assert (await office.stored()).state is State.APPROVED


async def test_a_second_click_tells_the_truth(office: Office) -> None:
    """Two reviewers have their views open; the connector sends the first click three times (chat.md, 2.1)."""
    message = await office.hold()
    await review(office, office.bob, message)
    await review(office, office.carol, message)
    answers = await asyncio.gather(*(office.teams.invoke(office.bob, message, "Approve") for _ in range(3)))
    assert sum("You approved it" in text_of(answer["value"]) for _, answer in answers) >= 1
    said = text_of(await office.teams.click(office.carol, message, "Approve"))
    assert "It was decided already. Approved by bob@example.com" in said
    assert (await office.stored()).rev == 2


async def test_a_view_that_crossed_with_the_update_can_be_refreshed(office: Office) -> None:
    message = await office.hold()
    await review(office, office.bob, message)
    assert titles(await office.teams.click(office.bob, message, "Approve")) == ["Refresh"]
    await office.desk.release(ID, PLAIN.release_digest)
    await office.desk.finish(ID, 42, "", 12.0, "committed")
    view = await office.teams.click(office.bob, message, "Refresh")
    assert "Executed: 42 rows" in text_of(view)
    assert titles(view) == []


async def test_when_the_time_is_up_nothing_is_decided(office: Office) -> None:
    message = await office.hold()
    await review(office, office.bob, message)
    office.store.clock = lambda: time.time() + 601
    assert "Its time is up" in text_of(await office.teams.click(office.bob, message, "Approve"))
    assert (await office.stored()).state is State.PENDING
    await office.desk.expire(ID)
    await office.redraw()
    assert message.text.startswith("○ Expired: DELETE")


async def test_an_old_card_is_redrawn_for_all_when_somebody_clicks_it(office: Office) -> None:
    now = time.time()
    request = replace(PLAIN, opened_at=now, expires_at=now + 600, channels=(f"teams:{office.channel.id}",))
    await office.desk.open(request)
    [post] = await office.store.due()
    await office.store.sent(post.id, 2, await office.sender.post(office.channel.id, request))
    message = office.teams.messages[-1]
    await review(office, office.bob, message)
    await review(office, office.carol, message)
    await office.teams.click(office.bob, message, "Approve")
    assert await office.store.due() == []
    await office.teams.click(office.carol, message, "Approve")
    [again] = await office.store.due()
    assert again.id == post.id


@pytest.mark.parametrize("clicked", ["Review", "Approve"])
async def test_a_card_that_was_posted_twice_is_redrawn_by_a_click(office: Office, clicked: str) -> None:
    """The answer to its post was lost, so the outbox knows another one: only a click tells where it is."""
    request = replace(
        PLAIN, opened_at=time.time(), expires_at=time.time() + 600, channels=(f"teams:{office.channel.id}",)
    )
    await office.desk.open(request)
    await office.sender.post(office.channel.id, request)
    lost = office.teams.messages[-1]
    if clicked == "Approve":
        await review(office, office.bob, lost)
    [post] = await office.store.due()
    office.refs[request.id] = await office.sender.post(office.channel.id, request)
    await office.store.sent(post.id, 1, office.refs[request.id])
    known = office.teams.messages[-1]
    await office.desk.withdraw(request.id, "gateway gone")
    await office.redraw()
    assert known.text.startswith("○ Withdrawn: DELETE")
    assert not lost.text.startswith("○ Withdrawn")
    await office.teams.click(office.bob, lost, clicked)
    await office.front.settle()
    assert lost.text.startswith("○ Withdrawn: DELETE")
    assert known.text.startswith("○ Withdrawn: DELETE")


# What must be typed or read --------------------------------------------------------------------------------------------

NAME = "public.customers"
DROP = (replace(DELETE, tag="DROP TABLE"),)


async def test_a_name_is_typed_in_the_last_question(office: Office) -> None:
    message = await office.hold(statements=DROP, to_type=NAME)
    await review(office, office.bob, message)
    assert NAME in text_of(await office.teams.click(office.bob, message, "Approve"))
    view = await office.teams.click(office.bob, message, "Yes, approve", typed="customers")
    assert f"type exactly: {NAME}" in text_of(view)
    assert (await office.stored()).state is State.PENDING
    view = await office.teams.click(office.bob, message, "Yes, approve", typed=NAME)
    assert "You approved it" in text_of(view)
    assert (await office.stored()).state is State.APPROVED


@pytest.mark.parametrize("statements", [DROP, (DELETE,)])
async def test_approve_stands_at_the_end_of_the_full_text(
    office: Office, statements: tuple[HeldStatement, ...]
) -> None:
    long = tuple(replace(each, sql=each.sql + " -- " + "x" * 9_000) for each in statements)
    message = await office.hold(statements=long, full_view=True)
    view = await review(office, office.bob, message)
    assert titles(view) == ["Deny", "Full SQL", "Ask a question", "Request changes"]
    assert READ_FIRST in text_of(view)
    view = await office.teams.click(office.bob, message, "Full SQL")
    while "Next part" in titles(view):
        assert "Approve" not in titles(view)
        view = await office.teams.click(office.bob, message, "Next part")
    view = await office.teams.click(office.bob, message, "Approve")
    if statements is DROP:
        view = await office.teams.click(office.bob, message, "Yes, approve")
    assert "You approved it" in text_of(view)
    assert (await office.stored()).state is State.APPROVED


async def test_a_shape_is_approved_for_a_while(office: Office) -> None:
    message = await office.hold(grantable=TERMS)
    view = await review(office, office.bob, message)
    assert titles(view)[-1] == "Approve this shape"
    view = await office.teams.click(office.bob, message, "Approve this shape")
    assert "ann@example.com may then run it on shop again without asking" in text_of(view)
    view = await office.teams.click(office.bob, message, "Yes, approve the shape", scope="for ever")
    assert REFUSALS[Refusal.NO_GRANT] in text_of(view)
    view = await office.teams.click(office.bob, message, "Yes, approve the shape")
    assert REFUSALS[Refusal.NO_GRANT] in text_of(view), "nothing was chosen, so it is no plain approval either"
    assert (await office.stored()).state is State.PENDING
    view = await office.teams.click(office.bob, message, "Yes, approve the shape", scope="60m")
    assert "You approved it, and its shape until" in text_of(view)
    stored = await office.stored()
    assert (stored.state, stored.grant is not None) == (State.APPROVED, True)
    assert "this shape may run again until" in text_of(view)


async def test_a_name_is_typed_and_the_text_read_for_a_grant_as_well(office: Office) -> None:
    message = await office.hold(grantable=TERMS, full_view=True, to_type=NAME)
    assert "Approve this shape" not in titles(await review(office, office.bob, message))
    await office.teams.click(office.bob, message, "Full SQL")
    await office.teams.click(office.bob, message, "Approve this shape")
    view = await office.teams.click(office.bob, message, "Yes, approve the shape", scope="5x", typed="other")
    assert f"type exactly: {NAME}" in text_of(view)
    assert (await office.stored()).state is State.PENDING
    await office.teams.click(office.bob, message, "Yes, approve the shape", scope="5x", typed=NAME)
    assert (await office.stored()).grant is not None


async def test_who_may_not_decide_may_not_grant(office: Office) -> None:
    message = await office.hold(grantable=TERMS)
    await review(office, office.bob, message)
    view = message.views[office.bob.id]
    (grant,) = [each for each in view["actions"] if each["title"] == "Approve this shape"]
    action = {key: grant[key] for key in ("type", "title", "verb", "data")}
    _, answer = await office.teams.execute(office.eve, message, action)
    assert "You are not a reviewer" in text_of(answer["value"])
    assert (await office.stored()).grant is None


async def test_the_approve_of_who_has_read_is_nobody_elses(office: Office) -> None:
    """Nor do its parts count for another request, or made up."""
    message = await office.hold(full_view=True)
    other = replace(PLAIN, id="01J9Z3K7Q9")
    await review(office, office.bob, message)
    view = await office.teams.click(office.bob, message, "Full SQL")
    approve = {key: view["actions"][0][key] for key in ("type", "title", "verb", "data")}
    assert approve["title"] == "Approve"
    plain = {"hoop": approve["data"]["hoop"], "seal": approve["data"]["seal"]}
    for user, data in (
        (office.carol, approve["data"]),
        (office.bob, plain),
        (office.bob, plain | {"read": plain["seal"]}),
        (office.bob, plain | {"read": seal(BUTTON_KEY, other, BOB)}),
        (office.bob, plain | {"read": True}),
    ):
        _, answer = await office.teams.execute(user, message, {**approve, "data": data})
        assert "has to be read in full" in text_of(answer["value"])
    assert (await office.stored()).state is State.PENDING


async def test_who_may_not_decide_gets_no_approve_below_the_text(office: Office) -> None:
    message = await office.hold(full_view=True)
    message.views[office.ann.id] = full_card(card(PLAIN, time.time()), seal(BUTTON_KEY, await office.stored())).content
    message.views[office.ann.id]["actions"] = [
        {"type": "Action.Execute", "title": "Full SQL", "verb": "hoop_full_sql", "associatedInputs": "none",
         "data": {"hoop": "hoop_full_sql", "seal": seal(BUTTON_KEY, await office.stored())}}
    ]  # fmt: skip
    assert "Approve" not in titles(await office.teams.click(office.ann, message, "Full SQL"))


# Breaking the glass ----------------------------------------------------------------------------------------------------

BREAKABLE: dict[str, Any] = {"approvals_needed": 2, "glass": "sre", "glass_groups": frozenset({"engineering"})}


async def test_the_glass_is_broken_with_a_reason_and_words(office: Office) -> None:
    message = await office.hold(**BREAKABLE)
    view = await review(office, office.eve, message)
    assert titles(view) == ["Break the glass", "Full SQL", "Back"]
    view = await office.teams.click(office.eve, message, "Break the glass", reason="payments are down", typed="yes")
    assert "type exactly: break glass" in text_of(view)
    view = await office.teams.click(office.eve, message, "Break the glass", reason="", typed="break glass")
    assert REFUSALS[Refusal.NO_REASON] in text_of(view)
    assert (await office.stored()).state is State.PENDING
    written = {"reason": "payments are down", "typed": "break glass"}
    view = await office.teams.click(office.eve, message, "Break the glass", **written)
    assert "You broke the glass" in text_of(view)
    stored = await office.stored()
    assert (stored.state, stored.broken, stored.decided_by) == (State.APPROVED, "payments are down", EVE)
    await office.redraw()
    assert "BREAK GLASS, Approved" in message.text


async def test_who_may_approve_and_break_the_glass_has_both(office: Office) -> None:
    message = await office.hold(**BREAKABLE | {"glass_groups": frozenset({"dba"})})
    assert titles(await review(office, office.bob, message))[-1] == "Break glass"
    assert "your approval alone lets it run" in text_of(await office.teams.click(office.bob, message, "Break glass"))
    assert "Approve" in titles(await office.teams.click(office.bob, message, "Back"))


async def test_the_glass_is_not_for_reviewers_nor_for_oneself(office: Office) -> None:
    message = await office.hold(**BREAKABLE)
    assert "Break glass" in titles(await review(office, office.bob, message))
    await office.teams.click(office.bob, message, "Break glass")
    written = {"reason": "payments are down", "typed": "break glass"}
    assert "You are not a reviewer" in text_of(
        await office.teams.click(office.bob, message, "Break the glass", **written)
    )
    assert "own request" in text_of(await review(office, office.ann, message))
    assert (await office.stored()).state is State.PENDING


async def test_the_glass_is_below_the_full_text_where_that_is_to_be_read(office: Office) -> None:
    message = await office.hold(**BREAKABLE, full_view=True)
    assert READ_FIRST_TO_BREAK in text_of(await review(office, office.eve, message))
    written = {"reason": "payments are down", "typed": "break glass"}
    view = await office.teams.click(office.eve, message, "Break the glass", **written)
    assert "has to be read in full" in text_of(view)
    await office.teams.click(office.eve, message, "Full SQL")
    await office.teams.click(office.eve, message, "Break glass")
    view = await office.teams.click(office.eve, message, "Break the glass", **written)
    assert "You broke the glass" in text_of(view)


async def test_where_the_page_approves_the_glass_is_broken_there(office: Office) -> None:
    message = await office.hold(**BREAKABLE, approve_via="web", page=PAGE)
    view = await review(office, office.eve, message)
    assert titles(view) == ["Approve...", "Deny", "Full SQL", "Ask a question", "Request changes"]
    data = {
        "hoop": "hoop_break",
        "seal": seal(BUTTON_KEY, await office.stored()),
        "reason": "down",
        "typed": "break glass",
    }
    execute = {"type": "Action.Execute", "title": "Break the glass", "verb": "hoop_break", "data": data}
    _, answer = await office.teams.execute(office.eve, message, execute)
    assert PAGE in text_of(answer["value"])
    assert (await office.stored()).state is State.PENDING


# On its page ------------------------------------------------------------------------------------------------------------

PAGE = "https://gate.example.com/approve/01J9Z3K7Q8"


async def test_a_click_alone_approves_nothing_that_its_page_approves(office: Office) -> None:
    message = await office.hold(approve_via="web", page=PAGE)
    view = await review(office, office.bob, message)
    [approve] = [each for each in view["actions"] if each["title"] == "Approve..."]
    assert (approve["type"], approve["url"]) == ("Action.OpenUrl", PAGE)
    data = {"hoop": "hoop_approve", "seal": seal(BUTTON_KEY, await office.stored())}
    execute = {"type": "Action.Execute", "title": "Approve", "verb": "hoop_approve", "data": data}
    _, answer = await office.teams.execute(office.bob, message, execute)
    assert PAGE in text_of(answer["value"])
    assert (await office.stored()).state is State.PENDING
    view = await office.teams.click(office.bob, message, "Deny", reason="not today")
    assert (await office.stored()).state is State.DENIED


# Linked accounts --------------------------------------------------------------------------------------------------------


async def test_a_linked_account_is_its_person_whatever_its_address(office: Office) -> None:
    account = Account("teams", TENANT.casefold(), office.eve.aad.casefold(), "")
    await office.store.link(account, CAROL, time.time())
    message = await office.hold(approvals_needed=2)
    await review(office, office.eve, message)
    await office.teams.click(office.eve, message, "Approve")
    [given] = (await office.stored()).approvals
    assert (given.by.subject, given.by.groups) == (CAROL.subject, CAROL.groups)
    assert EVE.email in given.by.also
    await review(office, office.carol, message)
    assert "was counted already" in text_of(await office.teams.click(office.carol, message, "Approve"))


# Deny ----------------------------------------------------------------------------------------------------------------


async def test_deny_with_a_reason(office: Office) -> None:
    message = await office.hold()
    await review(office, office.bob, message)
    view = await office.teams.click(office.bob, message, "Deny", reason=" Use the archive job. ")
    assert "You denied it. Nothing ran." in text_of(view)
    stored = await office.stored()
    assert (stored.state, stored.reason) == (State.DENIED, "Use the archive job.")


async def test_a_reviewer_asks_and_the_request_waits_on(office: Office) -> None:
    message = await office.hold()
    await review(office, office.bob, message)
    view = await office.teams.click(office.bob, message, "Ask a question", reason="x" * 301)
    assert NO_TEXT.format(least=3, most=300) in text_of(view)
    view = await office.teams.click(office.bob, message, "Ask a question", reason="Why **all** of them?")
    assert "It still waits for a decision." in text_of(view)
    stored = await office.stored()
    assert (stored.state, stored.questions[0].text) == (State.PENDING, "Why **all** of them?")
    await office.redraw()
    assert "bob@example.com asked at" in message.text
    await review(office, office.carol, message)
    await office.teams.click(office.carol, message, "Approve")
    assert (await office.stored()).state is State.APPROVED


async def test_who_asked_withdraws_and_nobody_else(office: Office) -> None:
    message = await office.hold(kept=True)
    view = await review(office, office.ann, message)
    assert titles(view) == ["Withdraw", "Full SQL"]
    withdraw = {key: view["actions"][0][key] for key in ("type", "title", "verb", "data")}
    _, answer = await office.teams.execute(office.bob, message, withdraw)
    assert REFUSALS[Refusal.NOT_YOURS] in text_of(answer["value"])
    assert (await office.stored()).state is State.PENDING
    await review(office, office.bob, message)
    await office.teams.click(office.bob, message, "Approve")
    await office.redraw()
    assert titles(message.card) == ["Review"], "an approval that waits for its use can be taken back"
    await review(office, office.ann, message)
    assert "You withdrew it. Nothing ran." in text_of(await office.teams.click(office.ann, message, "Withdraw"))
    stored = await office.stored()
    assert (stored.state, stored.decided_by, stored.decided_via) == (State.WITHDRAWN, ANN, "teams")
    await office.redraw()
    assert titles(message.seen_by(office.ann)) == []
    assert message.text.startswith("○ Withdrawn: DELETE")


async def test_a_reviewer_requests_changes(office: Office) -> None:
    message = await office.hold()
    await review(office, office.bob, message)
    view = await office.teams.click(office.bob, message, "Request changes", reason="Only rows of\n2019.")
    assert "You requested changes. Nothing ran." in text_of(view)
    stored = await office.stored()
    assert (stored.state, stored.changes, stored.decided_via) == (State.DENIED, "Only rows of 2019.", "teams")
    await office.redraw()
    assert message.text.startswith("✗ Changes requested: DELETE")


@pytest.mark.parametrize("reason", ["", "\u200b\u200b\u200b"])
async def test_requested_changes_need_a_text(office: Office, reason: str) -> None:
    message = await office.hold()
    await review(office, office.bob, message)
    view = await office.teams.click(office.bob, message, "Request changes", reason=reason)
    assert NO_TEXT.format(least=3, most=1000) in text_of(view)
    assert (await office.stored()).state is State.PENDING


@pytest.mark.parametrize("reason", ["", "no", "x" * 1001])
async def test_a_denial_needs_a_reason(office: Office, reason: str) -> None:
    message = await office.hold()
    await review(office, office.bob, message)
    view = await office.teams.click(office.bob, message, "Deny", reason=reason)
    assert NO_TEXT.format(least=3, most=1000) in text_of(view)
    assert titles(view) == ["Approve", "Deny", "Full SQL", "Ask a question", "Request changes"]
    (field,) = [each for each in view["body"] if each["type"] == "Input.Text"]
    assert field.get("value", "")[:1_000] == reason[:1_000]
    assert (await office.stored()).state is State.PENDING


# The full text -------------------------------------------------------------------------------------------------------


async def test_a_reviewer_reads_all_of_a_long_text(office: Office) -> None:
    sql = "DELETE FROM customers WHERE id IN (" + ", ".join(map(str, range(3000))) + ")"
    message = await office.hold(statements=(replace(DELETE, sql=sql),))
    await review(office, office.bob, message)
    view = await office.teams.click(office.bob, message, "Full SQL")
    read = ""
    while True:
        read += next(each["codeSnippet"] for each in view["body"] if each["type"] == "CodeBlock")
        if "Next part" not in titles(view):
            break
        view = await office.teams.click(office.bob, message, "Next part")
    assert read == card(await office.stored(), 0).statements[0].text
    assert titles(await office.teams.click(office.bob, message, "Back")) == [
        "Approve",
        "Deny",
        "Full SQL",
        "Ask a question",
        "Request changes",
    ]


async def test_the_full_text_is_for_reviewers_and_the_requester(office: Office) -> None:
    message = await office.hold()
    view = await review(office, office.bob, message)
    full = {key: view["actions"][2][key] for key in ("type", "title", "verb", "data")}
    _, answer = await office.teams.execute(office.eve, message, full)
    assert NOT_IN_FULL in text_of(answer["value"])
    _, answer = await office.teams.execute(office.ann, message, full)
    assert titles(answer["value"]) == ["Back"]


# What is not ours ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"hoop": "hoop_drop"},
        {"hoop": ["hoop_approve"]},
        {"hoop": "hoop_approve"},
        {"hoop": "hoop_approve", "seal": 5},
        {"hoop": "hoop_review", "seal": "a.b.c"},
        {"hoop": "hoop_review", "seal": f"{ID}.1.0123"},
        {"hoop": "hoop_full_sql", "seal": seal(b"another key", PLAIN)},
    ],
)
async def test_a_button_that_is_not_ours_is_answered(office: Office, data: object) -> None:
    message = await office.hold()
    action = {"type": "Action.Execute", "verb": "hoop_approve", "data": data}
    status, answer = await office.teams.execute(office.bob, message, action)
    assert (status, answer["statusCode"]) == (200, 200)
    assert NOT_VALID in text_of(answer["value"])
    assert "customers" not in text_of(answer["value"]), "nothing of the request is told"
    assert (await office.stored()).state is State.PENDING


async def test_a_seal_of_another_content_decides_nothing(office: Office) -> None:
    message = await office.hold()
    for sealed in (
        seal(BUTTON_KEY, replace(PLAIN, content_digest="00")),
        seal(BUTTON_KEY, replace(PLAIN, id="nobody")),
    ):
        action = {"type": "Action.Execute", "data": {"hoop": "hoop_approve", "seal": sealed}}
        _, answer = await office.teams.execute(office.bob, message, action)
        assert "Nothing was decided" in text_of(answer["value"])
        assert "customers" not in text_of(answer["value"])
    assert (await office.stored()).state is State.PENDING


async def test_other_invokes_are_not_implemented(office: Office) -> None:
    activity = office.teams._activity("invoke", office.channel, office.bob, name="task/fetch", value={})
    assert (await office.teams.deliver(activity))[0] == 501


async def test_the_store_being_away_is_said(office: Office) -> None:
    message = await office.hold()
    await review(office, office.bob, message)
    office.store.away = True
    for title in ("Approve", "Deny", "Full SQL"):
        status, answer = await office.teams.invoke(office.bob, message, title, reason="because")
        assert status == 200
        assert "What the card shows counts" in text_of(answer["value"])
    office.store.away = False
    assert (await office.stored()).state is State.PENDING


async def test_what_nobody_expected_is_answered_too(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    message = await office.hold()

    async def broken(*_: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(office.desk, "show", broken)
    assert text_of(await review(office, office.bob, message)) == FAILED


async def test_a_look_up_that_fails_decides_nothing(office: Office) -> None:
    message = await office.hold()
    await review(office, office.bob, message)
    office.teams.fail("member", 503)
    said = text_of(await office.teams.click(office.bob, message, "Approve"))
    assert said.startswith(NO_LOOK_UP)
    assert "DELETE on public.customers" in said
    assert titles(message.seen_by(office.bob)) == ["Review"]
    assert (await office.stored()).state is State.PENDING


# Clients without Action.Execute --------------------------------------------------------------------------------------


async def test_an_old_client_reviews_and_denies_in_its_personal_chat(office: Office) -> None:
    message = await office.hold()
    assert await office.teams.submit(office.bob, message, "Review") == 200
    await office.front.settle()
    (view,) = office.teams.in_channel(office.teams.chat(office.bob))
    assert titles(view.card) == ["Approve", "Deny", "Full SQL", "Ask a question", "Request changes"]
    assert office.teams.messages[-1].activity["text"] == IN_OUR_CHAT
    await office.teams.submit(office.bob, view, "Deny", reason="not today")
    await office.front.settle()
    assert "You denied it" in office.teams.in_channel(office.teams.chat(office.bob))[-1].text
    assert (await office.stored()).reason == "not today"


# Commands ------------------------------------------------------------------------------------------------------------


async def test_commands_in_the_personal_chat(office: Office) -> None:
    await office.hold()
    assert "bob@example.com" in (await office.told(office.bob, "whoami")).text
    assert "Pending: 1 request" in (await office.told(office.bob, "/hoop pending")).text
    assert "Unknown command dance" in (await office.told(office.bob, "dance")).text
    shown = await office.told(office.bob, f"show {ID}")
    assert "held by rule" in shown.text
    assert "Decided" in (await office.told(office.bob, f"deny {ID} not on a Friday")).text
    assert (await office.stored()).decided_via == "teams"


async def test_a_command_in_a_channel_is_answered_in_private(office: Office) -> None:
    await office.hold()
    answer = await office.told(office.bob, "pending", office.channel)
    assert "Pending: 1 request" in answer.text
    assert office.teams.in_channel(office.channel)[-1].activity["text"] == IN_OUR_CHAT
    assert ";messageid=" in office.teams.in_channel(office.channel)[-1].conversation


async def test_who_can_not_be_written_to_is_told_in_the_channel(office: Office) -> None:
    office.teams.fail("create", 403, "ConversationBlockedByUser")
    await office.teams.say(office.bob, "pending", office.channel)
    await office.front.settle()
    assert [each.activity["text"] for each in office.teams.messages] == [NO_CHAT]


async def test_share_answers_where_it_was_asked(office: Office) -> None:
    await office.teams.say(office.bob, "audit last:1h share", office.channel)
    await office.front.settle()
    (message,) = office.teams.messages
    assert message.channel is office.channel
    assert message.text.startswith("Audit: 0 statements")


async def test_a_message_that_comes_twice_is_answered_once(office: Office) -> None:
    activity = office.teams._activity("message", office.teams.chat(office.bob), office.bob, text="whoami")
    for _ in range(3):
        assert (await office.teams.deliver(activity))[0] == 200
    await office.front.settle()
    assert len(office.teams.messages) == 1


async def test_pages_of_the_audit(office: Office) -> None:
    for k in range(12):
        office.spool.record(
            "finished", user="ann@example.com", subject="sub-ann", tag="DELETE", outcome="executed", rows=k
        )
    office.spool.flush()
    await office.store.append(unshipped(office.spool))
    first = await office.told(office.bob, "audit last:1h")
    assert "12 statements, 1 to 8" in first.text
    assert titles(first.card) == ["Next", "CSV", "Only denied"]
    second = await office.teams.click(office.bob, first, "Next")
    assert "9 to 12" in text_of(second)
    assert titles(second) == ["Prev", "CSV", "Only denied"]
    forged = {"type": "Action.Execute", "data": {"hoop": "hoop_page", "cursor": "x.y"}}
    _, answer = await office.teams.execute(office.bob, first, forged)
    assert "not available" in text_of(answer["value"])


async def test_a_guest_gets_no_answers(office: Office) -> None:
    office.eve.role = "guest"
    assert "Guests and bots decide nothing here" in (await office.told(office.eve, "pending")).text


async def test_an_answer_that_can_not_be_sent_takes_nothing_along(office: Office) -> None:
    office.teams.fail("send", 500)
    await office.teams.say(office.bob, "whoami")
    await office.front.settle()
    assert "bob@example.com" in (await office.told(office.bob, "whoami")).text


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("<at>hoop</at> audit  rows:&gt;100", "audit  rows:>100"),
        ("<at>hoop</at>\xa0who ran \u201cUPDATE x\u201d\n", 'who ran "UPDATE x"'),
        ("/hoop pending", "pending"),
        ("Hoop  help audit", "help audit"),
        ("pending", "pending"),
        ("<at>somebody</at> pending", "<at>somebody</at> pending"),
        (None, ""),
    ],
)
def test_a_command_as_it_was_typed(text: str | None, typed: str) -> None:
    mention = {"type": "mention", "mentioned": {"id": "28:us"}, "text": "<at>hoop</at>"}
    assert as_typed({"recipient": {"id": "28:us"}, "text": text, "entities": [mention, 5, {}]}) == typed
    if text and "<at>" not in text:
        assert as_typed({"text": text}) == typed


# Conversations -------------------------------------------------------------------------------------------------------


async def test_where_it_was_added_is_kept_and_forgotten_when_it_was_removed(office: Office) -> None:
    assert await office.store.service_url(office.channel.id) == office.teams.service_url
    await office.teams.install(office.channel, "remove")
    assert await office.store.service_url(office.channel.id) is None
    await office.teams.install(office.channel)
    assert await office.store.service_url(office.channel.id) == office.teams.service_url


async def test_the_store_being_away_hinders_no_message(office: Office) -> None:
    office.store.away = True
    assert await office.teams.install(office.channel) == 200
    office.store.away = False


# Start ---------------------------------------------------------------------------------------------------------------


def front(office: Office, parts: Parts, tokens: Tokens) -> TeamsFront:
    people = People(parts.transport, office.desk, TENANT)
    commands = office.front._commands
    return TeamsFront(
        parts.edge,
        tokens,
        parts.transport,
        people,
        office.desk,
        commands,
        office.store,
        button_key=b"k",
        clock=time.time,
    )


async def test_credentials_that_are_refused_end_the_start(office: Office) -> None:
    parts = Parts.of(office.teams)

    async def scope() -> str:
        return "https://api.botframework.com/.default"

    tokens = Tokens(APP_ID, "a wrong secret", TENANT, scope, time.time, office.teams.microsoft.login_url)
    started = front(office, parts, tokens)
    with pytest.raises(TeamsRefused, match=r"TEAMS_APP_PASSWORD: invalid_client \(AADSTS7000215\)") as refused:
        await started.start()
    assert "a wrong secret" not in str(refused.value)
    await started.stop()
    await parts.tokens.close()


async def test_microsoft_being_away_is_no_reason_not_to_start(teams: Teams, office: Office) -> None:
    parts = Parts.of(teams)
    teams.microsoft.login.away = True
    started = front(office, parts, parts.tokens)
    with structlog.testing.capture_logs() as told:
        await started.start()
    assert [each["event"] for each in told] == ["teams.unreachable"]
    await started.stop()


async def test_the_card_that_all_see_is_within_the_budget_on_the_wire(office: Office) -> None:
    message = await office.hold(statements=(replace(DELETE, sql="x" * 1_000_000),))
    drawn = base_card(card(await office.stored(), time.time()), seal(BUTTON_KEY, await office.stored()))
    assert message.activity["attachments"] == [{"contentType": CARD, "content": drawn.content}]
    assert message.activity["summary"] == drawn.summary
