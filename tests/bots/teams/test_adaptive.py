"""Adaptive Cards within Teams's limits: by Microsoft's own parser and by our figures, for plain cards and for wild ones."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.answers import Way
from bots.cards import card
from bots.commands import Answer, Page
from bots.fitting import excerpt
from bots.granting import choices
from bots.previews import Cell, Table
from bots.seals import seal
from bots.teams.adaptive import (
    BUDGET,
    LADDER,
    REASON_MAX,
    Drawn,
    Verb,
    alarm_card,
    answer_card,
    base_card,
    confirm_card,
    full_card,
    glass_card,
    grant_card,
    notice_card,
    review_card,
)
from bots.texts import moment
from gateway.approvals.request import ApprovalRequest, State
from tests.bots import rendering
from tests.bots.rendering import STANDINGS, stored
from tests.bots.samples import DELETE, GRANTABLE, NOW, PLAIN, SQL, STATES, UPDATE, WILD
from tests.npm import NODE, installed

KEY = b"k" * 32
Json = dict[str, Any]
Parse = Callable[[Json], Json]
RISKY = replace(PLAIN, statements=(replace(DELETE, where=False),))
#: What a renderer takes for a moment: the samples write of 2001, our own moments are of other years.
WOULD_BE_A_DATE = re.compile(r"\{\{(DATE|TIME)\(2001-[^)]*\)\}\}")
NASTY = "**b** [x](https://evil.example) ``` <at>bob</at> {{DATE(2001-02-03T04:05:06Z, SHORT)}} &lt; \\* _i_"


@pytest.fixture(scope="module")
def parse() -> Iterator[Parse]:
    """Microsoft's parser, one process for all cards."""
    installed("adaptivecards")
    command = ["node", str(NODE / "cards.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        source, sink = process.stdout, process.stdin

        def ask(content: Json) -> Json:
            sink.write(json.dumps(content) + "\n")
            sink.flush()
            answer: Json = json.loads(source.readline())
            return answer

        yield ask
        process.stdin.close()


def draw(request: ApprovalRequest, now: float = NOW, start: int = 0) -> Drawn:
    drawn = base_card(card(request, now), seal(KEY, request), start=start)
    valid(drawn)
    return drawn


def views(request: ApprovalRequest) -> list[Drawn]:
    """Every card that there is of a request."""
    shown, value = card(request, NOW + 70), seal(KEY, request)
    return [
        base_card(shown, value, note=shown.footer),
        base_card(shown, value, start=len(LADDER)),
        review_card(shown, value, note=shown.outcome, typed=shown.why * 20),
        confirm_card(shown, value),
        confirm_card(replace(shown, to_type=shown.title), value, read=value, note=shown.outcome),
        full_card(shown, value),
        full_card(shown, value, read=value),
        review_card(replace(shown, full_view=True), value),
        grant_card(replace(shown, offers=choices(GRANTABLE)), value, read=value, note=shown.outcome),
        grant_card(replace(shown, to_type=shown.title, offers=choices(GRANTABLE), granting=shown.why * 3), value),
        review_card(replace(shown, page="https://gate.example.com/approve/x", glass="break glass"), value),
        glass_card(replace(shown, glass=shown.title), value, read=value, note=shown.outcome, reason=shown.why * 20),
        alarm_card(shown.why + shown.title),
        notice_card(shown.notice),
        answer_card(Answer(shown.title, (shown.why, shown.footer), shown, code=shown.why, footer=shown.footer)),
    ]


def elements(value: Any) -> Iterator[Json]:
    """Every object of a card, whatever it is nested in."""
    if isinstance(value, list):
        for each in value:
            yield from elements(each)
    elif isinstance(value, dict):
        yield value
        for each in value.values():
            yield from elements(each)


def of_type(drawn: Drawn, kind: str) -> list[Json]:
    return [each for each in elements(drawn.content) if each.get("type") == kind]


def valid(drawn: Drawn) -> None:
    """Hold a card to the size and to what may hold texts of people."""
    assert len(json.dumps(drawn.content)) <= BUDGET
    assert 0 < len(drawn.summary) <= 450
    assert "\ue000" not in json.dumps(drawn.content, ensure_ascii=False) + drawn.summary
    kinds = {each["type"] for each in elements(drawn.content) if "type" in each}
    assert kinds <= {
        "AdaptiveCard", "TextBlock", "RichTextBlock", "TextRun", "CodeBlock", "Table", "TableRow", "TableCell",
        "Input.Text", "Input.ChoiceSet", "Action.Execute", "Action.Submit", "Action.OpenUrl", "ActionSet",
    }  # fmt: skip
    for each in of_type(drawn, "TextRun"):
        assert each["text"], "an empty run is an error to the parser"
    for each in elements(drawn.content):
        most = 30 if str(each.get("type")).startswith("Action.") else 60  # a choice has a line of its own
        assert len(each.get("title", "")) <= most, "Teams cuts longer button titles"


def said(drawn: Drawn) -> str:
    """What a reader sees, a line a block."""
    lines = []
    for each in elements(drawn.content):
        if each.get("type") == "RichTextBlock":
            lines.append("".join(run["text"] for run in each["inlines"]))
        elif each.get("type") in {"TextBlock", "CodeBlock"}:
            lines.append(each.get("text") or each["codeSnippet"])
    return "\n".join(lines)


def titles(drawn: Drawn) -> list[str]:
    return [each["title"] for each in drawn.content.get("actions", [])]


# States --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("standing", STANDINGS)
def test_every_standing_looks_as_it_is_stored(standing: str, parse: Parse) -> None:
    """`make renderings` draws them anew; then the diff is to be looked at. What is stored is what Microsoft parses."""
    kept = stored("teams", standing)
    assert rendering.teams(STANDINGS[standing]) == kept
    told = parse(kept["card"])
    assert told["events"] == []
    assert told["items"] == len(kept["card"]["body"])
    assert utf16(kept["card"]) <= 28 * 1024, "chat.md 2.1"
    valid(Drawn(kept["card"], kept["summary"], 0, hidden=False))


def utf16(content: Json) -> int:
    """Bytes as Teams counts them."""
    return len(json.dumps(content, ensure_ascii=False).encode("utf-16-le", "surrogatepass"))


@pytest.mark.parametrize("state", list(State))
def test_every_state_renders_and_parses(state: State, parse: Parse) -> None:
    drawn = draw(STATES[state], NOW + 70)
    assert bool(titles(drawn)) is (state is State.PENDING)
    assert "public.customers" in said(drawn)
    assert drawn.step == 0
    assert parse(drawn.content)["events"] == []


@pytest.mark.parametrize("request_", [PLAIN, RISKY, STATES[State.DENIED]], ids=["plain", "risky", "over"])
def test_every_view_parses_and_an_old_host_gets_the_fallback(request_: ApprovalRequest, parse: Parse) -> None:
    for drawn in views(request_):
        valid(drawn)
        told = parse(drawn.content)
        assert told["events"] == []
        code = len(of_type(drawn, "CodeBlock"))
        assert told["without"] == ['Unknown element type "CodeBlock". Fallback will be used if present.'] * code
        assert told["items"] == len(drawn.content["body"])


def test_the_base_card_has_one_button_and_the_view_of_a_reviewer_those_that_matter() -> None:
    assert titles(draw(PLAIN)) == ["Review"]
    drawn = review_card(card(PLAIN, NOW), seal(KEY, PLAIN))
    actions = drawn.content["actions"]
    shown = [each["title"] for each in actions if each.get("mode") != "secondary"]
    assert shown == ["Approve", "Deny", "Full SQL"]
    assert titles(drawn) == [*shown, "Ask a question", "Request changes"]
    assert [each["verb"] for each in actions] == [
        "hoop_approve",
        "hoop_deny",
        "hoop_full_sql",
        "hoop_ask",
        "hoop_changes",
    ]
    (reason,) = of_type(drawn, "Input.Text")
    assert (reason["id"], reason["maxLength"]) == ("reason", REASON_MAX)
    assert reason["label"]


def test_old_clients_submit_what_new_ones_execute() -> None:
    for drawn in views(PLAIN):
        executed = [each for each in drawn.content.get("actions", []) if each["type"] != "Action.OpenUrl"]
        for each in executed:
            assert each["data"] == {**each["fallback"]["data"], "hoop": each["verb"]}
            assert each["fallback"]["type"] == "Action.Submit"
            assert each["fallback"]["associatedInputs"] == each["associatedInputs"]


def test_an_answers_way_out_opens_a_browser() -> None:
    drawn = answer_card(Answer("Link this account", way=Way("Sign in", "https://gate.example.com/link/x")))
    valid(drawn)
    assert drawn.content["actions"] == [
        {"type": "Action.OpenUrl", "title": "Sign in", "url": "https://gate.example.com/link/x"}
    ]


def test_only_what_needs_a_text_takes_it_along() -> None:
    actions = review_card(card(PLAIN, NOW), "s").content["actions"]
    assert {each["title"]: each["associatedInputs"] for each in actions} == {
        "Approve": "none", "Deny": "auto", "Full SQL": "none", "Ask a question": "auto", "Request changes": "auto",
    }  # fmt: skip


def test_high_risk_asks_again() -> None:
    drawn = review_card(card(RISKY, NOW), "s")
    assert drawn.content["actions"][0]["verb"] == Verb.CONFIRM.value
    asked = confirm_card(card(RISKY, NOW), "s")
    assert "DELETE without WHERE" in said(asked)
    assert [each["verb"] for each in asked.content["actions"]] == ["hoop_approve", "hoop_review"]


def test_a_batch_that_is_not_all_there_is_approved_at_the_end_of_its_full_text() -> None:
    batch = replace(PLAIN, statements=(UPDATE, DELETE))
    assert titles(review_card(card(batch, NOW), "s"))[0] == "Approve all 2"
    long = card(replace(batch, statements=(UPDATE, replace(DELETE, sql="SELECT " + "1, " * 2_000 + "1"))), NOW)
    drawn = review_card(long, "s")
    assert titles(drawn)[0] == "Deny"
    assert "the button that approves all is at its end" in said(drawn)
    assert titles(full_card(long, "s", read="r"))[0] == "Next part"
    assert titles(full_card(long, "s", 1, 5_000, read="r"))[0] == "Approve all 2"


def test_a_grant_is_chosen_in_a_card_of_its_own() -> None:
    drawn = card(GRANTABLE, NOW)
    assert titles(review_card(drawn, "s"))[-1] == "Approve this shape"
    assert "Approve this shape" not in titles(review_card(replace(drawn, full_view=True), "s"))
    asked = grant_card(drawn, "s")
    (chosen,) = of_type(asked, "Input.ChoiceSet")
    assert [each["value"] for each in chosen["choices"]] == ["15m", "5x", "20x"]
    assert drawn.granting in said(asked)
    approve = asked.content["actions"][0]
    assert (approve["verb"], approve["associatedInputs"], approve["data"]["shape"]) == ("hoop_approve", "auto", True)


def test_a_review_of_what_is_over_has_no_live_buttons() -> None:
    drawn = review_card(card(STATES[State.EXECUTED], NOW + 70), "s", note="It was decided already.")
    assert titles(drawn) == []
    assert said(drawn).startswith("It was decided already.")
    assert titles(review_card(card(PLAIN, PLAIN.expires_at), "s")) == []


def test_a_reason_that_was_refused_is_kept() -> None:
    drawn = review_card(card(PLAIN, NOW), "s", note="Write 3 to 1,000 characters.", typed="no")
    assert of_type(drawn, "Input.Text")[0]["value"] == "no"


# Texts ---------------------------------------------------------------------------------------------------------------


def test_texts_of_people_are_literal() -> None:
    request = replace(
        PLAIN, statements=(replace(DELETE, sql=NASTY),), claimed_reason=NASTY, reviewers=NASTY, target=NASTY, why=NASTY
    )
    drawn = draw(request)
    assert of_type(drawn, "CodeBlock")[0]["codeSnippet"] == NASTY
    assert "".join(run["text"] for run in of_type(drawn, "CodeBlock")[0]["fallback"]["inlines"]) == NASTY
    assert said(drawn).count(NASTY) >= 4
    for each in of_type(drawn, "TextBlock"):
        assert each["text"].startswith("**Expires {{TIME(2025-11-25T10:30:00Z)}}**")
    for each in of_type(drawn, "TextRun"):
        assert not WOULD_BE_A_DATE.search(each["text"]), "a renderer would show another text than was written"


@pytest.mark.parametrize("state", [State.APPROVED, State.EXECUTED, State.DENIED])
def test_every_time_on_a_card_is_in_the_readers_zone(state: State) -> None:
    drawn = draw(STATES[state], NOW + 70)
    assert "{{TIME(2025-11-25T10:21:00Z)}}" in [each["text"] for each in of_type(drawn, "TextRun")]
    assert "UTC" not in said(drawn)
    assert "10:21:00 UTC" in drawn.summary


def test_a_day_is_said_where_it_is_wanted() -> None:
    drawn = answer_card(Answer("Audit", (f"{moment(NOW, day=True)} held",)))
    assert "{{DATE(2025-11-25T10:20:00Z, SHORT)}} {{TIME(2025-11-25T10:20:00Z)}} held" in said(drawn)


# Sizes ---------------------------------------------------------------------------------------------------------------


def test_hidden_sql_is_said_above_the_button() -> None:
    long = replace(PLAIN, statements=(replace(DELETE, sql="SELECT " + "x" * 5000),))
    assert "Part of it is not shown here: Review, then Full SQL." in said(draw(long))
    assert "open Full SQL before you decide" in said(review_card(card(long, NOW), "s"))
    over = draw(replace(STATES[State.DENIED], statements=(replace(DELETE, sql="SELECT " + "x" * 5000),)))
    assert titles(over) == ["Full SQL"]


def test_many_statements_are_counted() -> None:
    assert "... 7 more statements not shown here." in said(draw(replace(PLAIN, statements=(UPDATE,) * 12)))


def test_each_rung_is_smaller_and_the_last_keeps_what_matters() -> None:
    long = "word " * 300
    request = replace(PLAIN, statements=(replace(DELETE, sql="SELECT " + "x " * 2000),), why=long, claimed_reason=long)
    sizes = [len(json.dumps(draw(request, start=step).content)) for step in range(len(LADDER))]
    assert sizes == sorted(sizes, reverse=True)
    least = said(draw(request, start=99))
    for word in ("DELETE", "public.customers", "production", "ann@example.com", "42 rows", "01J9Z3K7Q8", "10:30"):
        assert word in least
    assert titles(draw(request, start=99)) == ["Review"]


def test_the_preview_is_dropped_first() -> None:
    assert of_type(draw(PLAIN), "Table")
    dropped = draw(PLAIN, start=1)
    assert not of_type(dropped, "Table")
    assert "The rows did not fit here" in said(dropped)


@settings(max_examples=100, deadline=None)
@given(WILD)
def test_any_request_fits(request: ApprovalRequest) -> None:
    for drawn in views(request):
        valid(drawn)
        for each in of_type(drawn, "TextBlock"):
            assert each["text"].startswith(
                (
                    "**Expires {{TIME(",
                    "**Part of it is not",
                    "**High risk: approve it?**",
                    "**Approve it, and its shape?**",
                    "**Break the glass?**",
                    "**⚠ The glass was broken**",
                )
            )
        for run in of_type(drawn, "TextRun"):
            assert not WOULD_BE_A_DATE.search(run["text"])


def around(drawn: Drawn) -> list[Json]:
    """All but the code, and without our own line that says that something is hidden."""
    own = "**Part of it is not shown here: Review, then Full SQL.**"
    return [each for each in drawn.content["body"] if each["type"] != "CodeBlock" and each.get("text") != own]


@settings(max_examples=1000, deadline=None)
@given(SQL, st.sampled_from([1] * 20 + [200, 30_000]))
def test_a_thousand_random_statements_stay_in_the_literal_block(sql: str, times: int) -> None:
    """Unicode, fences, mentions, bidi, up to a megabyte: what stands in for a CodeBlock says the same, and nothing else is SQL."""
    request = replace(PLAIN, statements=(replace(DELETE, sql=(sql * times)[:1_000_000]),))
    drawn = draw(request)
    (code,) = of_type(drawn, "CodeBlock")
    assert code["codeSnippet"] == (excerpt(card(request, NOW).statements[0], LADDER[drawn.step].sql)[0])
    assert "".join(run["text"] for run in code["fallback"]["inlines"]) == code["codeSnippet"]
    assert utf16(drawn.content) <= 28 * 1024
    plain = base_card(card(replace(PLAIN, statements=(replace(DELETE, sql="SELECT"),)), NOW), "s", start=drawn.step)
    ours = {each["text"] for each in of_type(plain, "TextBlock")} | {
        "**Part of it is not shown here: Review, then Full SQL.**"
    }
    assert {each["text"] for each in of_type(drawn, "TextBlock")} <= ours
    assert around(drawn) == around(plain), "the rest is what it would be for any other statement"
    assert drawn.summary == plain.summary


@settings(max_examples=25, deadline=None)
@given(WILD)
def test_any_request_parses(parse: Parse, request: ApprovalRequest) -> None:
    for drawn in views(request):
        assert parse(drawn.content)["events"] == []


@pytest.mark.parametrize("piece", ["1, ", "😀", "\n", "\u202e", "x", "{{TIME(2001-02-03T04:05:06Z)}}", "```", '"\\'])
def test_a_megabyte_of_sql_fits(piece: str) -> None:
    request = replace(PLAIN, statements=(replace(DELETE, sql="DELETE " + piece * (1_000_000 // len(piece)) + "1"),))
    for drawn in (draw(request), review_card(card(request, NOW), "s"), full_card(card(request, NOW), "s", 0, 999)):
        valid(drawn)
    assert draw(request).hidden is (piece != "\n"), "empty lines are counted in place"


# The full text -------------------------------------------------------------------------------------------------------


def pages(request: ApprovalRequest) -> list[Drawn]:
    """Every part, by pressing Next part to the end."""
    shown = card(request, NOW)
    parts = [full_card(shown, "s")]
    while titles(parts[-1])[0] == "Next part":
        data = parts[-1].content["actions"][0]["data"]
        parts.append(full_card(shown, "s", data["k"], data["at"]))
        valid(parts[-1])
    return parts


def test_all_of_a_long_text_is_a_few_clicks_away() -> None:
    sql = "\n".join(f"line {k} 😀" for k in range(3000))
    parts = pages(replace(PLAIN, statements=(replace(DELETE, sql=sql), UPDATE)))
    code = [of_type(each, "CodeBlock")[0]["codeSnippet"] for each in parts]
    assert "".join(code[:-1]) == sql
    assert code[-1].startswith("UPDATE customers")
    assert f"characters 1 to {len(code[0]):,} of {len(sql):,}" in said(parts[0])
    assert titles(parts[0]) == ["Next part", "Back"]
    assert titles(parts[-1]) == ["From the beginning", "Back"]


@pytest.mark.parametrize("place", [(7, 0), (-1, 0), (0, 10**9), (0, -5)])
def test_a_place_that_is_not_there_is_the_beginning(place: tuple[int, int]) -> None:
    assert full_card(card(PLAIN, NOW), "s", *place) == full_card(card(PLAIN, NOW), "s")


# Answers -------------------------------------------------------------------------------------------------------------

ROW = tuple(Cell(f"cell {k}") for k in range(6))
COLUMNS = ("time", "who", "what", "rows", "decision", "id")


def test_an_answer_has_all_its_parts_in_order(parse: Parse) -> None:
    answer = Answer(
        "Audit: 9 statements", ("verb:update", "3 hidden"), table=Table(COLUMNS, (ROW,)), code="a,b\n1,2",
        footer="log intact", pages=(Page("Prev", "a.b"), Page("Next", "c.d")),
    )  # fmt: skip
    drawn = answer_card(answer)
    valid(drawn)
    kinds = [each["type"] for each in drawn.content["body"]]
    assert kinds == ["RichTextBlock", "RichTextBlock", "CodeBlock", "Table", "RichTextBlock"]
    assert drawn.summary == "Audit: 9 statements. verb:update. 3 hidden"
    assert [each["data"] for each in drawn.content["actions"]] == [
        {"hoop": "hoop_page", "cursor": "a.b"},
        {"hoop": "hoop_page", "cursor": "c.d"},
    ]
    assert parse(drawn.content)["events"] == []


def test_rows_that_do_not_fit_are_counted() -> None:
    wide = tuple(Cell("x" * 300) for _ in range(6))
    drawn = answer_card(Answer("Audit", table=Table(COLUMNS, (wide,) * 8)))
    valid(drawn)
    shown = len(of_type(drawn, "TableRow")) - 1
    assert 0 < shown < 8
    assert f"{8 - shown} rows did not fit here" in said(drawn)


def test_an_answer_with_a_card_has_no_buttons() -> None:
    drawn = answer_card(Answer("Request", ("10:20 held",), replace(card(PLAIN, NOW), actions=()), footer="log intact"))
    valid(drawn)
    assert titles(drawn) == []
    assert "DELETE FROM customers" in said(drawn)


def test_the_biggest_answer_fits() -> None:
    cursor = "c" * 1_900
    wide = tuple(Cell("😀" * 60) for _ in range(6))
    answer = Answer("😀" * 900, ("😀\n" * 900, *["word " * 40] * 30), None, Table(COLUMNS, (wide,) * 8), "😀" * 9000, "é" * 900,
                    (Page("Prev", cursor), Page("Next", cursor)))  # fmt: skip
    valid(answer_card(answer))


def test_who_breaks_the_glass_sees_the_rows_and_their_number() -> None:
    shown = card(replace(PLAIN, approvals_needed=2, glass="sre"), NOW)
    drawn = glass_card(shown, "seal")
    assert any(each.get("type") == "Table" for each in elements(drawn.content))
    assert shown.consequence[:20] in json.dumps(drawn.content)
