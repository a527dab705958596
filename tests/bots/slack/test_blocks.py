"""Block Kit within its limits: by the SDK's validators and by our own figures, for plain cards and for wild ones."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from bots import outcomes
from bots.answers import Way
from bots.cards import Action, Card, alarm, card
from bots.commands import Answer, Page
from bots.fitting import excerpt
from bots.previews import Cell, Table
from bots.seals import seal
from bots.slack.blocks import (
    APPROVE_ACTION,
    ASK_FORM,
    CHANGES_FORM,
    DENY_FORM,
    LADDER,
    MESSAGE_BUDGET,
    MORE_ACTION,
    PAGE_ACTION,
    PAGE_LINK,
    TEXT_LIMIT,
    alarm_message,
    answer_message,
    approve_view,
    escape,
    full_view,
    glass_view,
    message,
    notice_view,
    size,
    text_view,
)
from bots.texts import in_utc, moment
from bots.workspace.limits import check, find_view_problem
from gateway.approvals.request import Approval, ApprovalRequest, HeldStatement, State
from tests.bots import rendering
from tests.bots.rendering import CHATS, STANDINGS, STORED, place, stored
from tests.bots.samples import BOB, DELETE, GRANTABLE, NOW, PLAIN, SQL, STATES, TERMS, UPDATE, WILD, person

KEY = b"k" * 32
#: What a card says when it does not show all of it.
HIDDEN = "Part of it is not shown here: open Full SQL before you decide."


def draw(request: ApprovalRequest, now: float = NOW, start: int = 0) -> list[dict[str, Any]]:
    drawn = message(card(request, now), seal(KEY, request), start)
    valid(drawn.blocks)
    assert 0 < len(drawn.text) <= TEXT_LIMIT
    return drawn.blocks


def valid(blocks: list[dict[str, Any]]) -> None:
    """Hold blocks to the SDK's validators and to the figures that the SDK doesn't check."""
    assert size(blocks) <= MESSAGE_BUDGET
    assert check(blocks) is None
    assert sum(block["type"] == "table" for block in blocks) <= 1
    for block in blocks:
        parsed = Block.parse(block)
        assert parsed is not None
        parsed.validate_json()
    for text in texts(blocks):
        assert text, "Slack refuses empty texts"


def texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [text for each in value.values() for text in texts(each)]
    return []


def said(blocks: list[dict[str, Any]]) -> str:
    return "\n".join(texts(blocks))


def buttons(blocks: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = [each for block in blocks if block["type"] == "actions" for each in block["elements"]]
    return {each["text"]["text"]: each for each in found if each["type"] == "button"}


def menu(blocks: list[dict[str, Any]]) -> dict[str, str]:
    """What the menu offers, and the value of each."""
    (found,) = [each for block in blocks if block["type"] == "actions" for each in block["elements"][-1:]]
    assert (found["type"], found["action_id"]) == ("overflow", MORE_ACTION)
    return {each["text"]["text"]: each["value"] for each in found["options"]}


#: chat.md 1.5: what, how to find it in an object of a message, the most of it. Held against, not used by, what draws.
LIMITS: tuple[tuple[str, Callable[[dict[str, Any]], Any], int], ...] = (
    ("blocks of a message", lambda each: each.get("blocks"), 50),
    ("text of a message (chat.update)", lambda each: each["text"] if "blocks" in each else None, 4_000),
    ("header", lambda each: each["text"]["text"] if each.get("type") == "header" else None, 150),
    ("section text", lambda each: each["text"]["text"] if each.get("type") == "section" else None, 3_000),
    ("section fields", lambda each: each.get("fields"), 10),
    ("context elements", lambda each: each["elements"] if each.get("type") == "context" else None, 10),
    ("actions", lambda each: each["elements"] if each.get("type") == "actions" else None, 25),
    ("button text", lambda each: each["text"]["text"] if each.get("type") == "button" else None, 75),
    ("button value", lambda each: each["value"] if each.get("type") == "button" else None, 2_000),
    ("accessibility_label", lambda each: each.get("accessibility_label"), 75),
    ("confirm title", lambda each: each["title"]["text"] if "deny" in each else None, 100),
    ("confirm text", lambda each: each["text"]["text"] if "deny" in each else None, 300),
    ("confirm buttons", lambda each: max(each["confirm"]["text"], each["deny"]["text"], key=len) if "deny" in each else None, 30),
    ("action_id", lambda each: each.get("action_id"), 255),
    ("block_id", lambda each: each.get("block_id"), 255),
    ("table rows", lambda each: each["rows"] if each.get("type") == "table" else None, 100),
    ("table columns", lambda each: max(each["rows"], key=len) if each.get("type") == "table" else None, 20),
    ("tables of a message", lambda each: [b for b in each["blocks"] if b["type"] == "table"] if "blocks" in each else None, 1),
    ("JSON of all blocks (undocumented, bolt-js 2509, 2867)", lambda each: json.dumps(each["blocks"]) if "blocks" in each else None, 9_000),
)  # fmt: skip


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a message, whatever it is nested in."""
    if isinstance(value, list):
        for each in value:
            yield from objects(each)
    elif isinstance(value, dict):
        yield value
        for each in value.values():
            yield from objects(each)


def broken(drawn: dict[str, Any]) -> list[str]:
    """The limits that a message with text and blocks breaks, each with by how much."""
    found = []
    for each in objects(drawn):
        for what, measured, most in LIMITS:
            value = measured(each)
            if value is not None and len(value) > most:
                found.append(f"{what}: {len(value)} of {most}")
    return found


def test_the_limits_are_seen_when_they_are_broken() -> None:
    button = {"type": "button", "text": {"text": "x" * 76}, "value": "v", "confirm": {
        "title": {"text": "x" * 101}, "text": {"text": "x" * 301}, "confirm": {"text": "x" * 31}, "deny": {"text": "no"},
    }, "style": "primary"}  # fmt: skip
    table = {"type": "table", "rows": [[1] * 21] * 101}
    bad = {"text": "x" * 4_001, "blocks": [{"type": "actions", "elements": [button] * 26}, table, table]}
    assert {each.partition(":")[0] for each in broken(bad)} == {
        "text of a message (chat.update)", "actions", "button text", "confirm title", "confirm text", "confirm buttons",
        "table rows", "table columns", "tables of a message", "JSON of all blocks (undocumented, bolt-js 2509, 2867)",
    }  # fmt: skip


@pytest.mark.parametrize("standing", STANDINGS)
def test_every_standing_looks_as_it_is_stored(standing: str) -> None:
    """`make renderings` draws them anew; then the diff is to be looked at."""
    kept = stored("slack", standing)
    assert rendering.slack(STANDINGS[standing]) == kept
    assert broken(kept) == []
    valid(kept["blocks"])


def test_every_standing_and_nothing_else_is_stored() -> None:
    for chat in CHATS:
        assert {place(chat, each) for each in STANDINGS} == set((STORED / chat).iterdir())
    assert {request.state for request in STANDINGS.values()} == set(State)
    words = {outcomes.standing(request, NOW + 70) for request in STANDINGS.values() if not request.broken}
    assert words == set(outcomes._STANDING.values()), "each way to stand is stored"


@pytest.mark.parametrize("state", list(State))
def test_every_state_renders(state: State) -> None:
    blocks = draw(STATES[state], NOW + 70)
    assert bool(buttons(blocks)) is (state is State.PENDING)
    assert "public.customers" in said(blocks)


def test_a_plain_card_has_three_buttons_with_one_sealed_value() -> None:
    found = buttons(draw(PLAIN))
    assert list(found) == ["Approve", "Deny...", "Full SQL"]
    assert {each["value"] for each in found.values()} == {seal(KEY, PLAIN)}
    assert "confirm" not in found["Approve"]


def test_what_is_rarer_is_in_a_menu() -> None:
    value = seal(KEY, PLAIN)
    assert menu(draw(PLAIN)) == {
        "Ask a question...": f"hoop_ask {value}",
        "Request changes...": f"hoop_changes {value}",
        "Withdraw (who asked)": f"hoop_withdraw {value}",
    }


def test_what_waits_for_its_use_has_one_button() -> None:
    waiting = replace(STATES[State.APPROVED], kept=True)
    (button,) = buttons(draw(waiting, NOW + 70)).values()
    assert (button["action_id"], button["value"]) == ("hoop_withdraw", seal(KEY, waiting))


def test_high_risk_asks_again() -> None:
    found = buttons(draw(replace(PLAIN, statements=(replace(DELETE, where=False),))))
    assert "DELETE without WHERE" in found["Approve"]["confirm"]["text"]["text"]
    assert "confirm" not in found["Deny..."]


def test_sql_and_user_texts_are_literal() -> None:
    nasty = "<!channel> ``` *x* <@U1> &lt; :x:"
    request = replace(
        PLAIN, statements=(replace(DELETE, sql=nasty),), claimed_reason=nasty, reviewers=nasty, target=nasty
    )
    drawn = message(card(request, NOW), seal(KEY, request))
    assert nasty in said(drawn.blocks)
    assert "<!channel>" not in drawn.text
    for block in drawn.blocks:
        for element in block.get("elements", []):
            if element["type"] == "mrkdwn":
                assert nasty not in element["text"]
    for element in [e for b in drawn.blocks if b["type"] == "rich_text" for s in b["elements"] for e in s["elements"]]:
        assert element["type"] == "text"


def test_expiry_is_in_the_readers_zone() -> None:
    assert f"<!date^{int(PLAIN.expires_at)}^{{time_secs}}|10:30:00 UTC>" in said(draw(PLAIN))


def dates(blocks: list[dict[str, Any]]) -> list[tuple[int, str]]:
    rich = [part for block in blocks if block["type"] == "rich_text" for part in block["elements"]]
    found = [each for part in rich for each in part["elements"] if each["type"] == "date"]
    return [(each["timestamp"], each["fallback"]) for each in found]


@pytest.mark.parametrize("state", [State.APPROVED, State.EXECUTED, State.DENIED])
def test_every_time_on_a_card_is_in_the_readers_zone(state: State) -> None:
    """None of them is text: a card that mixes UTC with the reader's own time misleads."""
    request = STATES[state]
    drawn = message(card(request, NOW + 70), seal(KEY, request))
    assert dates(drawn.blocks) == [(int(NOW) + 60, "10:21:00 UTC")]
    assert "UTC" not in said(drawn.blocks).replace("10:21:00 UTC", "")
    assert f"<!date^{int(NOW) + 60}^{{time_secs}}|10:21:00 UTC>" in drawn.text


def test_a_moment_is_never_cut_in_two() -> None:
    many = tuple(Approval(person(f"reviewer{k}"), "slack", NOW + k) for k in range(40))
    request = replace(STATES[State.EXECUTED], approvals=many)
    for step in range(len(LADDER)):
        drawn = message(card(request, NOW + 70), seal(KEY, request), step)
        assert "\ue000" not in str(drawn.blocks) + drawn.text
        assert "\ue001" not in str(drawn.blocks) + drawn.text


def test_the_times_of_an_answer_are_in_the_readers_zone() -> None:
    table = Table(("time", "what"), ((Cell(moment(NOW, day=True)), Cell("DELETE")),))
    drawn = answer_message(Answer("Audit", (f"{moment(NOW)} held",), table=table))
    valid(drawn.blocks)
    assert dates(drawn.blocks) == [(int(NOW), "10:20:00 UTC")]
    (cell,) = next(each for each in drawn.blocks if each["type"] == "table")["rows"][1][0]["elements"][0]["elements"]
    assert (cell["type"], cell["timestamp"], cell["fallback"]) == ("date", int(NOW), "25 Nov 10:20 UTC")


def test_hidden_sql_is_said_next_to_the_buttons() -> None:
    blocks = draw(replace(PLAIN, statements=(replace(DELETE, sql="SELECT " + "x" * 5000),)))
    assert "open Full SQL before you decide" in said(blocks)
    over = draw(replace(STATES[State.DENIED], statements=(replace(DELETE, sql="SELECT " + "x" * 5000),)))
    assert list(buttons(over)) == ["Full SQL"]


def test_many_statements_are_counted() -> None:
    assert "... 7 more statements not shown here." in said(draw(replace(PLAIN, statements=(UPDATE,) * 12)))


def test_each_rung_is_smaller_and_the_last_keeps_what_matters() -> None:
    long = "word " * 300
    request = replace(PLAIN, statements=(replace(DELETE, sql="SELECT " + "x " * 2000),), why=long, claimed_reason=long)
    sizes = [size(draw(request, start=step)) for step in range(len(LADDER))]
    assert sizes == sorted(sizes, reverse=True)
    least = said(draw(request, start=99))
    for word in ("DELETE", "public.customers", "production", "ann@example.com", "42 rows", "Approve", "01J9Z3K7Q8"):
        assert word in least


def test_the_preview_is_dropped_first() -> None:
    assert any(block["type"] == "table" for block in draw(PLAIN))
    dropped = draw(PLAIN, start=1)
    assert not any(block["type"] == "table" for block in dropped)
    assert "The rows did not fit here" in said(dropped)


@settings(max_examples=300, deadline=None)
@given(WILD)
def test_any_request_fits(request: ApprovalRequest) -> None:
    draw(request, NOW + 70)
    draw(request, NOW + 70, len(LADDER))
    valid_view(full_view(card(request, NOW)))


def literal(blocks: list[dict[str, Any]]) -> list[str]:
    """The texts of the literal blocks; each holds runs of plain text and nothing else."""
    found = []
    for part in (part for block in blocks if block["type"] == "rich_text" for part in block["elements"]):
        if part["type"] == "rich_text_preformatted":
            assert {each["type"] for each in part["elements"]} == {"text"}
            found.append("".join(each["text"] for each in part["elements"]))
    return found


def around(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All but the literal blocks, and without our own line that says that something is hidden."""
    others = deepcopy([block for block in blocks if not literal([block])])
    hidden = {"type": "text", "text": HIDDEN, "style": {"bold": True}}
    for section in [part for block in others if block["type"] == "rich_text" for part in block["elements"]]:
        if hidden in section["elements"]:
            at = section["elements"].index(hidden)
            del section["elements"][at - 1 : at + 1]
    return others


@settings(max_examples=1000, deadline=None)
@given(SQL, st.sampled_from([1] * 20 + [200, 30_000]))
def test_a_thousand_random_statements_stay_in_the_literal_block(sql: str, times: int) -> None:
    """Unicode, fences, mentions, bidi, up to a megabyte: the literal block says it, and all the rest of the message is what
    it would be for any other statement."""
    request = replace(PLAIN, statements=(replace(DELETE, sql=(sql * times)[:1_000_000]),))
    drawn = message(card(request, NOW), seal(KEY, request))
    assert broken({"text": drawn.text, "blocks": drawn.blocks}) == []
    valid(drawn.blocks)
    assert literal(drawn.blocks) == [excerpt(card(request, NOW).statements[0], LADDER[drawn.step].sql)[0]]
    plain = replace(PLAIN, statements=(replace(DELETE, sql="SELECT"),))
    other = message(card(plain, NOW), seal(KEY, request), drawn.step)
    assert drawn.text == other.text
    assert around(drawn.blocks) == around(other.blocks)
    assert drawn.hidden is (HIDDEN in said(drawn.blocks))


@pytest.mark.parametrize("piece", ["1, ", "😀", "\n", "\u202e", "x"])
def test_a_megabyte_of_sql_fits(piece: str) -> None:
    request = replace(PLAIN, statements=(replace(DELETE, sql="DELETE " + piece * (1_000_000 // len(piece)) + "1"),))
    draw(request)
    valid_view(full_view(card(request, NOW)))


def valid_view(view: dict[str, Any]) -> None:
    View(**view).validate_json()
    assert find_view_problem(view) is None
    assert len(view["blocks"]) <= 100
    assert len(json.dumps(view)) <= 250_000
    assert all(texts(view["blocks"]))


def test_escape() -> None:
    assert escape("a<b>&c") == "a&lt;b&gt;&amp;c"


def test_views_are_valid() -> None:
    valid_view(notice_view("Checking..."))
    for form in (DENY_FORM, CHANGES_FORM, ASK_FORM):
        valid_view(text_view(form, seal(KEY, PLAIN), "C1"))
        valid_view(text_view(form, "v", "C1", "x" * 500))


BATCH = replace(PLAIN, statements=(UPDATE, DELETE))
CAREFUL = replace(PLAIN, statements=(replace(DELETE, tag="DROP TABLE"),), to_type="public.customers", full_view=True)


@pytest.mark.parametrize("asked", [CAREFUL, replace(CAREFUL, to_type=""), replace(CAREFUL, full_view=False)])
def test_what_must_be_typed_or_read_is_approved_in_a_modal(asked: ApprovalRequest) -> None:
    button = buttons(draw(asked))["Approve..."]
    assert (button["action_id"], "confirm" in button) == (APPROVE_ACTION, False)
    view = approve_view(card(asked, NOW), seal(KEY, asked, BOB), "C1")
    valid_view(view)
    assert view["submit"]["text"] == "Approve"
    assert DELETE.sql in said(view["blocks"])
    inputs = [each["label"]["text"] for each in view["blocks"] if each["type"] == "input"]
    assert inputs == (["To approve it, type: public.customers"] if asked.to_type else [])


@pytest.mark.parametrize(
    "statements",
    [
        (replace(DELETE, sql="x" * 200_000),),
        (replace(DELETE, sql="x" * 3_000),) * 60,
        (replace(DELETE, parameters=(("v" * 4000,) * 40,)),),
    ],
)
def test_what_is_to_be_read_and_does_not_fit_has_no_approve(statements: tuple[HeldStatement, ...]) -> None:
    asked = replace(CAREFUL, statements=statements)
    view = approve_view(card(asked, NOW), seal(KEY, asked, BOB), "C1")
    valid_view(view)
    assert "submit" not in view
    assert "can't be approved in Slack" in said(view["blocks"])
    unread = approve_view(card(replace(asked, full_view=False), NOW), seal(KEY, asked, BOB), "C1")
    if len(statements) > 1:
        assert "submit" not in unread, "several are approved by who has them all in full"
    else:
        assert json.loads(unread["private_metadata"])["whole"] is False


def test_a_batch_that_is_all_there_is_approved_by_a_click() -> None:
    button = buttons(draw(BATCH))["Approve all 2"]
    assert button["action_id"] == Action.APPROVE.value


def test_a_batch_that_is_not_all_there_is_approved_below_its_full_text() -> None:
    long = replace(
        BATCH, statements=(UPDATE, replace(DELETE, sql="DELETE FROM customers WHERE " + "id = 1 OR " * 400 + "false"))
    )
    button = buttons(draw(long))["Approve all 2..."]
    assert button["action_id"] == APPROVE_ACTION
    view = approve_view(card(long, NOW), seal(KEY, long, BOB), "C1")
    assert view["submit"]["text"] == "Approve all 2"
    assert long.statements[1].sql in "".join(texts(view["blocks"]))
    many = replace(BATCH, statements=(UPDATE,) * 6)
    assert "Approve all 6..." in buttons(draw(many)), "five are shown"


@pytest.mark.parametrize("asked", [GRANTABLE, replace(GRANTABLE, to_type="customers", full_view=True)])
def test_a_grant_is_chosen_in_a_modal(asked: ApprovalRequest) -> None:
    assert menu(draw(asked))["Approve this shape..."].startswith(f"{Action.GRANT.value} {asked.id}")
    drawn = card(asked, NOW)
    view = approve_view(drawn, seal(KEY, asked, BOB), "C1", drawn.offers)
    valid_view(view)
    assert drawn.granting in in_utc(said(view["blocks"]))
    chosen = view["blocks"][-1]["element"]
    assert [each["value"] for each in chosen["options"]] == ["15m", "5x", "20x"]


@settings(max_examples=100, deadline=None)
@given(WILD)
def test_any_grant_modal_is_valid(request: ApprovalRequest) -> None:
    drawn = card(replace(request, state=State.PENDING, grantable=TERMS, expires_at=NOW + 60), NOW)
    valid_view(approve_view(drawn, seal(KEY, request, BOB), "C1", drawn.offers))


BREAKABLE = replace(PLAIN, approvals_needed=2, glass="sre")


def test_the_glass_is_broken_in_a_modal_with_a_reason_and_words() -> None:
    view = glass_view(card(BREAKABLE, NOW), seal(KEY, BREAKABLE, BOB), "C1")
    valid_view(view)
    assert view["submit"]["text"] == "Break glass"
    written, shown = json.dumps(view, ensure_ascii=False), card(BREAKABLE, NOW)
    assert shown.consequence in written, "as on the card: who breaks the glass decides on the same grounds"
    assert shown.preview is not None
    assert all(cell.text in written for row in shown.preview.rows for cell in row)
    assert DELETE.sql in said(view["blocks"])
    inputs = [each["label"]["text"] for each in view["blocks"] if each["type"] == "input"]
    assert inputs == ["Why it can't wait for the other approvals", "To approve it, type: break glass"]
    unread = replace(BREAKABLE, full_view=True, statements=(replace(DELETE, sql="x" * 200_000),))
    assert "submit" not in glass_view(card(unread, NOW), seal(KEY, unread, BOB), "C1")


def test_the_menu_has_it_only_where_the_rule_has() -> None:
    def menu(request: ApprovalRequest) -> list[str]:
        [found] = [each for each in draw(request)[-1]["elements"] if each["type"] == "overflow"]
        return [each["text"]["text"] for each in found["options"]]

    assert "Break glass..." in menu(BREAKABLE)
    assert "Break glass..." not in menu(PLAIN)
    assert "Break glass..." not in menu(
        replace(BREAKABLE, approve_via="web", page="https://gate.example.com/approve/x")
    )


def test_where_a_page_approves_the_button_leads_there() -> None:
    asked = replace(CAREFUL, approve_via="web", page="https://gate.example.com/approve/01J9Z3K7Q8")
    button = buttons(draw(asked))["Approve..."]
    assert (button["action_id"], button["url"], "confirm" in button) == (PAGE_LINK, asked.page, False)
    assert "Deny..." in buttons(draw(asked))


def test_an_alarm_is_loud_and_literal() -> None:
    broken = replace(BREAKABLE, broken="<!channel> ```", approvals=(Approval(BOB, "slack", NOW),))
    drawn = alarm_message(alarm(broken))
    valid(drawn.blocks)
    assert drawn.text.startswith(
        "GLASS BROKEN: DELETE on public.customers in production (shop), asked by ann@example.com."
    )
    assert "&lt;!channel&gt;" in drawn.text
    assert "bob@example.com" in said(drawn.blocks)


def test_an_answers_way_out_is_a_button() -> None:
    drawn = answer_message(Answer("Link", way=Way("Sign in", "https://gate.example.com/link/x")))
    [button] = drawn.blocks[-1]["elements"]
    assert (button["url"], button["text"]["text"]) == ("https://gate.example.com/link/x", "Sign in")


def test_the_full_view_shows_all_of_a_long_text() -> None:
    sql = "\n".join(f"line {k}" for k in range(3000))
    view = full_view(card(replace(PLAIN, statements=(replace(DELETE, sql=sql),)), NOW))
    shown = "".join(texts([block for block in view["blocks"] if "preformatted" in json.dumps(block)]))
    assert shown == sql


def test_the_full_view_counts_what_it_can_not_hold() -> None:
    request = replace(PLAIN, statements=(replace(DELETE, sql="x" * 1_000_000),))
    assert "of 1,000,000 characters do not fit in here" in said(full_view(card(request, NOW))["blocks"])


def test_the_full_view_says_what_is_left_out_and_only_that() -> None:
    assert "not shown here" not in said(full_view(card(PLAIN, NOW))["blocks"])
    many = full_view(card(replace(PLAIN, statements=(DELETE,) * 90), NOW))
    shown = said(many["blocks"])
    assert "not shown here" not in shown
    assert shown.count(DELETE.sql) == 90
    assert "-- DELETE (90 of 90)" in shown
    valid_view(many)


def test_a_card_is_five_seconds_short() -> None:
    drawn: Card = card(PLAIN, NOW)
    assert size(message(drawn, seal(KEY, PLAIN)).blocks) < 4_500


# Answers -------------------------------------------------------------------------------------------------------------

ROW = tuple(Cell(f"cell {k}") for k in range(6))
COLUMNS = ("time (UTC)", "who", "what", "rows", "decision", "id")


def test_an_answer_has_all_its_parts_in_order() -> None:
    answer = Answer(
        "Audit: 9 statements", ("verb:update", "3 hidden"), table=Table(COLUMNS, (ROW,)), footer="log intact",
        pages=(Page("Prev", "a.b"), Page("Next", "c.d")),
    )  # fmt: skip
    drawn = answer_message(answer)
    valid(drawn.blocks)
    assert [block["type"] for block in drawn.blocks] == ["rich_text", "table", "context", "actions"]
    assert drawn.text == "Audit: 9 statements. verb:update. 3 hidden"
    actions = [each["action_id"] for each in drawn.blocks[-1]["elements"]]
    assert actions == [f"{PAGE_ACTION}_prev", f"{PAGE_ACTION}_next"]


def test_rows_that_do_not_fit_are_counted() -> None:
    wide = tuple(Cell("x" * 300) for _ in range(6))
    drawn = answer_message(Answer("Audit", table=Table(COLUMNS, (wide,) * 8)))
    valid(drawn.blocks)
    shown = len(next(block for block in drawn.blocks if block["type"] == "table")["rows"]) - 1
    assert 0 < shown < 8
    assert f"{8 - shown} rows did not fit here" in said(drawn.blocks)


def test_an_answer_with_a_card_has_no_decision_buttons() -> None:
    shown = replace(card(PLAIN, NOW), actions=())
    drawn = answer_message(Answer("Request", ("10:20 UTC held",), shown, footer="log intact"))
    valid(drawn.blocks)
    assert buttons(drawn.blocks) == {}
    assert "DELETE FROM customers" in said(drawn.blocks)


@settings(max_examples=50, deadline=None)
@given(WILD)
def test_any_card_fits_into_an_answer(request: ApprovalRequest) -> None:
    shown = replace(card(request, NOW), actions=())
    answer = Answer(shown.title, (shown.why, shown.footer), shown, code=shown.why, footer=shown.footer)
    valid(answer_message(answer).blocks)
