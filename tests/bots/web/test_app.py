"""The gateway's own pages over real HTTP, with a real issuer behind them: what works, and every way round that was thought of."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from yarl import URL

from bots.web.app import ANSWERS, AT_ONCE, BEGINS, CALLBACK
from bots.web.pages import OVER
from gateway.approvals.request import Approval, Person, State
from gateway.demo.issuer import DemoIssuer
from gateway.identity.accounts import Account
from gateway.store.memory import MemoryStore
from tests.bots.samples import ANN, CAROL, DELETE
from tests.bots.web.browser import BOB_IN_SLACK, CHAT_MAIL, Browser, House, Seen, Serve

MALLORY_IN_SLACK = Account("slack", "/T1", "U666", "Mallory (mallory@example.com) in Slack (Example)")
BOB_IN_TEAMS = Account("teams", "tenant", "aad-bob", "bob@example.com in Teams")


@pytest.fixture
async def house(aiohttp_server: Serve) -> AsyncIterator[House]:
    opened = await House.open(aiohttp_server)
    yield opened
    await opened.close()


@pytest.fixture
async def browser(house: House) -> Browser:
    return house.browser()


def code_of(page: Seen) -> str:
    found = re.search(r"/hoop link ([0-9A-Z]{4}-[0-9A-Z]{4})", page.text)
    assert found is not None, page.text
    return found[1]


async def confirmed(browser: Browser, asked: Seen) -> str:
    """Says yes on the page after the sign-in; the code."""
    assert "Is this chat account yours?" in asked.text
    return code_of(await browser.post(asked.url, csrf=asked.hidden("csrf")))


async def linked(house: House, account: Account = BOB_IN_SLACK, person: str = "bob") -> None:
    browser = house.browser()
    code = await confirmed(browser, await browser.signs_in(await house.link(account), person))
    assert (await house.says(code, account)).title == "Linked"


def is_over(page: Seen) -> bool:
    return page.status == 410 and OVER[0] in page.text


class TestLinking:
    async def test_a_chat_account_is_linked_with_who_signs_in(self, house: House, browser: Browser) -> None:
        asked = await browser.signs_in(await house.link(), "bob")
        assert BOB_IN_SLACK.name in asked.text
        assert f"person-bob at {house.issuer.url}" in asked.text
        assert await house.store.linked(BOB_IN_SLACK) is None
        code = await confirmed(browser, asked)
        assert await house.store.linked(BOB_IN_SLACK) is None, "the browser alone links nothing"
        answer = await house.says(f" {code.lower().replace('-', ' ')} ")
        assert answer.title == "Linked"
        [entry] = house.entries("linked")
        assert (entry["subject"], entry["user"], entry["account"], entry["via"]) == (
            "person-bob", "bob@example.com", "slack:/T1:U1", "slack",
        )  # fmt: skip
        bob = await house.desk.reviewer("somebody.else@example.com", chat=BOB_IN_SLACK)
        assert bob == Person(
            house.issuer.url, "person-bob", "bob@example.com", "bob@example.com", frozenset({"dba"}), (BOB_IN_SLACK.key, CHAT_MAIL, "somebody.else@example.com")
        )  # fmt: skip

    async def test_what_is_sent_to_the_issuer(self, house: House, browser: Browser) -> None:
        secret = (await house.link()).rpartition("/")[2]
        going = await browser.begins(f"{house.url}/link/{secret}")
        sent = URL(going.goes_to)
        assert (sent.query["response_type"], sent.query["client_id"]) == ("code", "hoop-web")
        assert sent.query["redirect_uri"] == house.url + CALLBACK
        assert sent.query["code_challenge_method"] == "S256"
        assert {"state", "nonce", "code_challenge"} < set(sent.query)
        assert "prompt" not in sent.query
        assert secret not in str(sent)
        [cookie] = [each for each in going.headers.items() if each[0] == "Set-Cookie"]
        assert "HttpOnly" in cookie[1]
        assert "SameSite=Lax" in cookie[1]

    async def test_a_robot_that_looks_at_the_link_uses_nothing_up(self, house: House, browser: Browser) -> None:
        link = await house.link()
        for _ in range(3):
            assert (await browser.get(link)).status == 200
        assert "Is this chat account yours?" in (await browser.signs_in(link, "bob")).text

    async def test_a_link_is_good_once(self, house: House, browser: Browser) -> None:
        link = await house.link()
        await browser.begins(link)
        thief = house.browser()
        assert is_over(await thief.get(link))
        assert is_over(await thief.post(link))

    async def test_a_link_is_good_for_ten_minutes(self, house: House, browser: Browser) -> None:
        link, late = await house.link(), await house.link()
        back = await browser.comes_back(await browser.begins(link), "bob")
        house.clock.now += 601
        assert is_over(await browser.get(late))
        assert is_over(await browser.post(late))
        assert is_over(await browser.get(back))

    async def test_the_page_and_the_code_are_over_with_it(self, house: House, browser: Browser) -> None:
        asked = await browser.signs_in(await house.link(), "bob")
        code = await confirmed(browser, asked)
        late = await browser.signs_in(await house.link(), "bob")
        house.clock.now += 601
        assert is_over(await browser.get(late.url))
        assert is_over(await browser.post(late.url, csrf=late.hidden("csrf")))
        assert (await house.says(code)).title == "Nothing was linked"

    async def test_a_code_is_good_once_and_for_its_account(self, house: House, browser: Browser) -> None:
        code = await confirmed(browser, await browser.signs_in(await house.link(), "bob"))
        assert (await house.says(code, MALLORY_IN_SLACK)).title == "Nothing was linked"
        assert (await house.says("AAAA-AAAA")).title == "Nothing was linked"
        assert (await house.says(code)).title == "Linked"
        assert (await house.says(code)).title == "Nothing was linked"

    async def test_a_stolen_link_binds_nobody_to_the_thief(self, house: House) -> None:
        """Mallory has got Bob's link, and signs in with an account of her own: Bob doesn't have the code."""
        thief = house.browser()
        code = await confirmed(thief, await thief.signs_in(await house.link(BOB_IN_SLACK), "eve"))
        assert (await house.says(code, MALLORY_IN_SLACK)).title == "Nothing was linked"
        assert await house.store.linked(BOB_IN_SLACK) is None
        assert await house.store.linked(MALLORY_IN_SLACK) is None

    async def test_a_sent_link_gives_nobody_away_who_opens_it(self, house: House, browser: Browser) -> None:
        """Mallory sends Bob her own link; he signs in, says yes without reading and types the code: in his own chat."""
        asked = await browser.signs_in(await house.link(MALLORY_IN_SLACK), "bob")
        assert MALLORY_IN_SLACK.name in asked.text
        code = await confirmed(browser, asked)
        assert (await house.says(code, BOB_IN_SLACK)).title == "Nothing was linked"
        assert await house.store.linked(MALLORY_IN_SLACK) is None

    async def test_signing_in_again_renews_groups_without_a_code(self, house: House, browser: Browser) -> None:
        await linked(house)
        house.clock.now += 3601
        stale = await house.desk.reviewer("bob@example.com", chat=BOB_IN_SLACK)
        assert stale is not None
        assert (stale.subject, stale.groups) == ("person-bob", frozenset())
        page = await browser.signs_in(await house.link(), "bob")
        assert "You are signed in again" in page.text
        fresh = await house.desk.reviewer("bob@example.com", chat=BOB_IN_SLACK)
        assert fresh is not None
        assert fresh.groups == {"dba"}

    async def test_another_person_needs_the_code_again(self, house: House, browser: Browser) -> None:
        await linked(house)
        assert "Is this chat account yours?" in (await browser.signs_in(await house.link(), "eve")).text
        still = await house.store.linked(BOB_IN_SLACK)
        assert still is not None
        assert still.subject == "person-bob"

    async def test_a_link_can_be_removed(self, house: House) -> None:
        await linked(house)
        assert (await house.says("remove")).title == "No longer linked"
        assert await house.store.linked(BOB_IN_SLACK) is None
        assert house.entries("unlinked")[0]["account"] == "slack:/T1:U1"
        assert (await house.says("remove")).title == "Nothing to remove"

    async def test_one_person_is_one_across_chats(self, house: House) -> None:
        """A quorum of two wants two people: Bob in Slack and Bob in Teams are one, and neither approves what Bob asks."""
        await linked(house, BOB_IN_SLACK)
        await linked(house, BOB_IN_TEAMS)
        slack = await house.desk.reviewer("bob@corp.example", chat=BOB_IN_SLACK)
        teams = await house.desk.reviewer("b.smith@other.example", chat=BOB_IN_TEAMS)
        assert slack is not None
        assert teams is not None
        assert (slack.issuer, slack.subject) == (teams.issuer, teams.subject)


class TestSigningIn:
    """Both purposes take the same way; what goes wrong there changes nothing, whatever it was for."""

    async def wrong(self, house: House, browser: Browser, back: str) -> Seen:
        page = await browser.get(back)
        assert page.status in (403, 410, 502)
        assert not house.entries("linked")
        return page

    async def test_somebody_who_refuses(self, house: House, browser: Browser) -> None:
        back = await browser.comes_back(await browser.begins(await house.link()), None)
        page = await self.wrong(house, browser, back)
        assert "The sign-in says: access_denied." in page.text

    async def test_an_error_of_the_issuer_is_shown_as_text(self, house: House, browser: Browser) -> None:
        begun = await browser.begins(await house.link())
        state = URL(begun.goes_to).query["state"]
        page = await browser.get(URL(house.url + CALLBACK).with_query(state=state, error="<script>alert(1)</script>"))
        assert page.status == 403
        assert "<script" not in page.html
        assert "&lt;script&gt;" in page.html

    async def test_a_code_comes_back_once(self, house: House, browser: Browser) -> None:
        back = await browser.comes_back(await browser.begins(await house.link()), "bob")
        assert (await browser.get(back)).status == 200
        assert is_over(await browser.get(back))

    async def test_another_browser(self, house: House, browser: Browser) -> None:
        """An address that a victim is lured to, with the attacker's code and state in it."""
        back = await browser.comes_back(await browser.begins(await house.link()), "bob")
        assert is_over(await self.wrong(house, house.browser(), back))
        assert (await browser.get(back)).status == 200, "nobody else uses it up"

    async def test_the_state_of_another_attempt(self, house: House, browser: Browser) -> None:
        """Both attempts are this browser's: a code of one is not redeemed for the other."""
        first = await browser.begins(await house.link())
        second = await browser.begins(await house.link(MALLORY_IN_SLACK))
        state = URL(second.goes_to).query["state"]
        back = URL(await browser.comes_back(first, "bob"))
        page = await self.wrong(house, browser, str(back.update_query(state=state)))
        assert page.status in (403, 502), "the issuer refuses the verifier"

    @pytest.mark.parametrize("state", ["", "x", "0" * 16, f"{'0' * 16}.x", "../../etc", "\ud800", "é.é"])
    async def test_a_state_that_is_none(self, house: House, browser: Browser, state: str) -> None:
        await browser.begins(await house.link())
        url = URL(house.url + CALLBACK).with_query(code="x", state=state.encode("utf-8", "replace").decode())
        assert is_over(await browser.get(url))

    async def test_half_a_state(self, house: House, browser: Browser) -> None:
        begun = await browser.begins(await house.link())
        flow = URL(begun.goes_to).query["state"].partition(".")[0]
        assert is_over(await browser.get(URL(house.url + CALLBACK).with_query(code="x", state=f"{flow}.x")))

    async def test_a_code_that_is_none(self, house: House, browser: Browser) -> None:
        begun = await browser.begins(await house.link())
        state = URL(begun.goes_to).query["state"]
        page = await self.wrong(house, browser, str(URL(house.url + CALLBACK).with_query(code="x", state=state)))
        assert page.status == 502

    async def test_an_answer_of_another_issuer(self, house: House, browser: Browser) -> None:
        back = URL(await browser.comes_back(await browser.begins(await house.link()), "bob"))
        assert (await self.wrong(house, browser, str(back.update_query(iss="https://other.example")))).status == 403

    @pytest.mark.parametrize(
        "changes",
        [
            {"nonce": "another"}, {"nonce": None}, {"aud": "hoop"}, {"aud": ["hoop-web", "x"]}, {"aud": None}, {"iss": "https://x"},
            {"azp": "x"}, {"exp": 1_700_000_000}, {"iat": None}, {"typ": "at+jwt"}, {"sub": None},
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("purpose", ["link", "approve"])
    async def test_an_id_token_that_is_not_for_this(
        self, house: House, browser: Browser, changes: dict[str, Any], purpose: str
    ) -> None:
        house.issuer.codes.changes = changes
        url = await house.link() if purpose == "link" else (await house.hold()).page
        back = await browser.comes_back(await browser.begins(url), "bob")
        assert "was refused here" in (await self.wrong(house, browser, back)).text

    async def test_a_token_of_another_key(
        self, house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = await DemoIssuer.start(clock=house.clock)
        monkeypatch.setattr(house.issuer, "sign", other.sign)
        back = await browser.comes_back(await browser.begins(await house.link()), "bob")
        assert "was refused here" in (await self.wrong(house, browser, back)).text
        await other.close()

    async def test_groups_that_the_id_token_does_not_tell_are_left_alone(self, house: House) -> None:
        """A token without the claim says nothing about groups; one with an empty list says that there are none."""
        await house.store.saw(replace(CAROL, issuer=house.issuer.url, subject="person-bob"), house.clock())
        house.issuer.codes.changes = {"groups": None}
        await linked(house)
        bob = await house.desk.reviewer("x@example.com", chat=BOB_IN_SLACK)
        assert bob is not None
        assert bob.groups == {"dba"}

    async def test_the_issuer_is_away(self, house: House, browser: Browser) -> None:
        link = await house.link()
        await house.issuer.close()
        page = await browser.post(link)
        assert page.status == 502
        assert "not to be had just now" in page.text


class TestForms:
    """What another site can't do with a browser that has signed in."""

    @pytest.mark.parametrize("path", ["/link/x", "/approve/x", "/login/x"])
    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
    async def test_a_form_of_another_site(self, house: House, browser: Browser, path: str, origin: str) -> None:
        page = await browser.post(house.url + path, origin=origin)
        assert page.status == 403

    async def test_a_form_without_its_token(self, house: House, browser: Browser) -> None:
        asked = await browser.signs_in(await house.link(), "bob")
        for csrf in ("", "x", asked.hidden("csrf")[:-1]):
            assert (await browser.post(asked.url, csrf=csrf)).status == 403
        await confirmed(browser, asked)

    async def test_the_token_of_another_attempt(self, house: House, browser: Browser) -> None:
        one = await browser.signs_in(await house.link(), "bob")
        other = await browser.signs_in(await house.link(MALLORY_IN_SLACK), "eve")
        assert (await browser.post(one.url, csrf=other.hidden("csrf"))).status == 403

    async def test_a_page_of_another_browser(self, house: House, browser: Browser) -> None:
        asked = await browser.signs_in(await house.link(), "bob")
        thief = house.browser()
        assert is_over(await thief.get(asked.url))
        assert is_over(await thief.post(asked.url, csrf=asked.hidden("csrf")))

    async def test_headers_of_every_page(self, house: House, browser: Browser) -> None:
        request = await house.hold()
        shown = await browser.signs_in(request.page, "bob")
        pages = [
            await browser.get(await house.link()),
            await browser.get(request.page),
            shown,
            await browser.get(f"{house.url}/login/x"),
        ]
        for page in pages:
            policy = page.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; style-src 'sha256-")
            assert "unsafe" not in policy
            assert policy.endswith("; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
            assert page.headers["X-Frame-Options"] == "DENY"
            assert page.headers["Cache-Control"] == "no-store"
            assert page.headers["X-Content-Type-Options"] == "nosniff"
            assert page.headers["Referrer-Policy"] == "same-origin"
            assert "<script" not in page.html
            assert not re.search(r"\son[a-z]+=|\sstyle=", page.html)

    async def test_nothing_in_an_address_says_where_to_go(self, house: House, browser: Browser) -> None:
        """No parameter of ours is an address, so there is no open redirect; and Host is not believed."""
        link = URL(await house.link()).with_query(next="https://evil.example", redirect_uri="https://evil.example")
        async with browser.session.post(link, headers={"Host": "evil.example"}) as response:
            assert "evil.example" not in (await response.text()).replace("evil.example%", "")


class TestApproving:
    async def test_a_reviewer_approves_after_a_fresh_sign_in(self, house: House, browser: Browser) -> None:
        request = await house.hold()
        begun = await browser.begins(request.page)
        asked = URL(begun.goes_to).query
        assert (asked["prompt"], asked["max_age"]) == ("login", "0")
        page = await browser.get(await browser.comes_back(begun, "bob"))
        assert DELETE.sql in page.text
        assert (await house.stored(request.id)).state is State.PENDING
        done = await self.decides(browser, page, "approve")
        assert "You approved it" in done.text
        stored = await house.stored(request.id)
        assert (stored.state, stored.decided_via) == (State.APPROVED, "web")
        assert stored.decided_by is not None
        assert stored.decided_by.subject == "person-bob"
        assert house.entries("decided")[0]["via"] == "web"

    async def decides(self, browser: Browser, page: Seen, decision: str, **form: str) -> Seen:
        hidden = {name: page.hidden(name) for name in ("csrf", "seal")}
        return await browser.post(page.url, decision=decision, **{**hidden, **form})

    async def test_a_reviewer_denies_with_a_reason(self, house: House, browser: Browser) -> None:
        request = await house.hold()
        page = await browser.signs_in(request.page, "bob")
        again = await self.decides(browser, page, "deny", reason=" ")
        assert again.status == 200
        assert "Write a reason" in again.text
        await self.decides(browser, again, "deny", reason="Use the <b>archive</b> job")
        stored = await house.stored(request.id)
        assert (stored.state, stored.reason) == (State.DENIED, "Use the <b>archive</b> job")

    async def test_nothing_is_shown_before_the_sign_in(self, house: House, browser: Browser) -> None:
        request = await house.hold()
        page = await browser.get(request.page)
        assert request.id in page.text
        assert "DELETE" not in page.text

    async def test_nothing_is_shown_to_who_has_no_part_in_it(self, house: House, browser: Browser) -> None:
        request = await house.hold()
        page = await browser.signs_in(request.page, "eve")
        assert page.status == 403
        assert "You are not a reviewer" in page.text
        assert "DELETE FROM" not in page.text

    async def test_who_begins_too_often_is_told_to_wait(self, house: House, browser: Browser) -> None:
        request = await house.hold()
        for _ in range(BEGINS):
            assert (await browser.post(request.page)).status == 200
        turned_away = await browser.post(request.page)
        assert turned_away.status == 429
        assert "Too often" in turned_away.text
        assert int(turned_away.headers["Retry-After"]) <= 60
        assert (await house.stored(request.id)).state is State.PENDING

    async def test_who_answers_too_often_is_told_to_wait(self, house: House, browser: Browser) -> None:
        """A form sent again and again, as by somebody who guesses what has to be typed."""
        request = await house.hold(to_type="customers")
        page = await browser.get(await browser.comes_back(await browser.begins(request.page), "bob"))
        for _ in range(ANSWERS):
            assert (await self.decides(browser, page, "approve", typed="x")).status != 429
        assert (await self.decides(browser, page, "approve", typed="customers")).status == 429
        assert (await house.stored(request.id)).state is State.PENDING

    async def test_nobody_approves_their_own(self, house: House, browser: Browser) -> None:
        request = await house.hold(
            requester=replace(ANN, issuer=house.issuer.url, subject="person-bob", email=None, user="x")
        )
        page = await browser.signs_in(request.page, "bob")
        assert "This is your own request" in page.text
        assert 'name="decision"' not in page.html

    async def test_nobody_approves_their_own_as_somebody_else(self, house: House, browser: Browser) -> None:
        """Whom the chat takes the account for asked; the account is linked with dana, who signs in here."""
        await linked(house, person="dana")
        request = await house.hold(requester=replace(ANN, email=CHAT_MAIL, user="asks"))
        page = await browser.signs_in(request.page, "dana")
        assert "This is your own request" in page.text
        assert 'name="decision"' not in page.html

    async def test_a_session_that_is_not_fresh(self, house: House, browser: Browser) -> None:
        """The issuer ignores prompt and max_age: auth_time tells, and without it nothing is believed."""
        for stale in (house.clock() - 60, None, "now", True):
            house.issuer.codes.changes = {"auth_time": stale}
            page = await browser.signs_in((await house.hold()).page, "bob")
            assert page.status == 403
            assert "was refused here" in page.text
        house.issuer.codes.changes = {"auth_time": house.clock() - 20}
        assert (await browser.signs_in((await house.hold()).page, "bob")).status == 200

    async def test_one_sign_in_is_one_decision(self, house: House, browser: Browser) -> None:
        request = await house.hold(approvals_needed=2)
        page = await browser.signs_in(request.page, "bob")
        await self.decides(browser, page, "approve")
        assert is_over(await browser.get(page.url))
        assert is_over(await self.decides(browser, page, "approve"))
        assert len((await house.stored(request.id)).approvals) == 1

    async def test_a_browser_that_keeps_its_cookie_has_no_second_decision(self, house: House, browser: Browser) -> None:
        request = await house.hold(approvals_needed=2)
        for page, sent in (
            (await browser.signs_in(request.page, "bob"), {"decision": "approve"}),
            (await browser.signs_in(await house.link(), "bob"), {}),
        ):
            kept = {each.key: each.value for each in browser.session.cookie_jar}
            seal = {"seal": page.hidden("seal")} if sent else {}
            assert (await browser.post(page.url, csrf=page.hidden("csrf"), **seal, **sent)).status == 200
            browser.session.cookie_jar.update_cookies(kept, URL(house.url))
            assert is_over(await browser.get(page.url))
            assert is_over(await browser.post(page.url, csrf=page.hidden("csrf"), **seal, **sent))

    async def test_two_accounts_of_one_person_are_one_approval(self, house: House, browser: Browser) -> None:
        request = await house.hold(approvals_needed=2)
        await self.decides(browser, await browser.signs_in(request.page, "bob"), "approve")
        again = await browser.signs_in(request.page, "bob")
        assert "was counted already" in (await self.decides(browser, again, "approve")).text
        other = house.browser()
        await self.decides(other, await other.signs_in(request.page, "dana"), "approve")
        assert (await house.stored(request.id)).state is State.APPROVED

    async def test_a_page_of_one_request_decides_no_other(self, house: House, browser: Browser) -> None:
        one, other = await house.hold(), await house.hold()
        page, others = await browser.signs_in(one.page, "bob"), await browser.signs_in(other.page, "bob")
        refused = await self.decides(browser, page, "approve", seal=others.hidden("seal"))
        assert refused.status == 403
        refused = await self.decides(browser, page, "approve", seal=f"{one.id}.1.{'0' * 32}")
        assert refused.status == 409
        assert "does not belong to what the request holds now" in refused.text
        assert (await house.stored(one.id)).state is (await house.stored(other.id)).state is State.PENDING

    async def test_a_request_that_changed_meanwhile_is_not_approved(self, house: House, browser: Browser) -> None:
        request = await house.hold()
        page = await browser.signs_in(request.page, "bob")
        await house.desk.withdraw(request.id, "the client cancelled")
        assert "It was decided already" in (await self.decides(browser, page, "approve")).text

    async def test_what_has_to_be_typed_is_typed_on_the_page(self, house: House, browser: Browser) -> None:
        request = await house.hold(to_type="public.customers", full_view=True)
        page = await browser.signs_in(request.page, "bob")
        assert "To approve it, type: public.customers" in page.text
        again = await self.decides(browser, page, "approve", typed="customers")
        assert "That is not what has to be typed" in again.text
        await self.decides(browser, again, "approve", typed="public.customers")
        assert (await house.stored(request.id)).state is State.APPROVED

    async def test_the_glass_is_broken_on_the_page(self, house: House, browser: Browser) -> None:
        request = await house.hold(
            approvals_needed=2, reviewer_groups=frozenset({"x"}), glass="dbas", glass_groups=frozenset({"dba"})
        )
        page = await browser.signs_in(request.page, "bob")
        assert "Break the glass" in page.text
        assert ">Approve<" not in page.html
        again = await self.decides(browser, page, "break", reason="down since 10:00", typed="yes")
        assert "type exactly: break glass" in again.text
        done = await self.decides(browser, again, "break", reason="down since 10:00", typed="Break glass")
        assert "You broke the glass" in done.text
        stored = await house.stored(request.id)
        assert (stored.state, stored.broken) == (State.APPROVED, "down since 10:00")
        assert house.entries("decided")[0]["break_glass"] == "down since 10:00"

    async def test_texts_of_people_stay_text(self, house: House, browser: Browser) -> None:
        nasty = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>'\"&\u202e"
        held = replace(
            DELETE, sql=f"DELETE FROM t WHERE a = '{nasty}'", relations=(nasty,), parameters=((nasty,),), opaque=nasty
        )
        request = await house.hold(
            statements=(held,), agent=nasty, claimed_reason=nasty, rule=nasty, why=nasty, environment=nasty, client=nasty,
            approvals=(Approval(replace(CAROL, user=nasty), "web", house.clock()),), approvals_needed=2, to_type=nasty,
        )  # fmt: skip
        page = await browser.signs_in(request.page, "bob")
        assert page.status == 200
        assert "<script" not in page.html
        assert "<img" not in page.html
        assert "\u202e" not in page.html
        assert "[U+202E]" in page.html

    async def test_an_unknown_request(self, house: House, browser: Browser) -> None:
        page = await browser.post(f"{house.url}/approve/01J9Z3K7Q9")
        assert page.status == 404

    @pytest.mark.parametrize(
        "path", ["/approve/%00", "/approve/%ED%A0%80", "/approve/a%2Fb", "/approve/", f"/approve/{'a' * 65}"]
    )
    async def test_what_can_be_no_id_is_no_page(self, house: House, browser: Browser, path: str) -> None:
        house.store.away = True  # which is not even asked
        assert (await browser.get(house.url + path)).status == (await browser.post(house.url + path)).status == 404

    @pytest.mark.parametrize("path", ["/link/%00", "/link/%ED%A0%80", "/login/%00", "/login/é"])
    async def test_odd_addresses_are_over(self, house: House, browser: Browser, path: str) -> None:
        assert is_over(await browser.get(URL(house.url + path, encoded=path.isascii())))

    async def test_the_directory_decides_over_groups(self, house: House, browser: Browser) -> None:
        async def nobody(_email: str) -> Person | None:
            return None

        house.desk._people._directory = nobody
        page = await browser.signs_in((await house.hold()).page, "bob")
        assert "You are not a reviewer" in page.text


async def test_the_store_is_away(house: House, browser: Browser) -> None:
    link = await house.link()
    house.store.away = True
    page = await browser.get(link)
    assert page.status == 503
    assert "does not answer" in page.text


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded; charset=none-such", b"csrf=x"),
        ("application/x-www-form-urlencoded", b"csrf=\xff"),
        ("multipart/form-data", b"no boundary"),
    ],
)
async def test_a_form_that_can_not_be_read(house: House, browser: Browser, kind: str, body: bytes) -> None:
    asked = await browser.signs_in(await house.link(), "bob")
    headers = {"Content-Type": kind, "Origin": house.url}
    async with browser.session.post(asked.url, data=body, headers=headers) as response:
        assert response.status == 403
        assert "Not accepted" in await response.text()
    assert (await browser.get(asked.url)).status == 200


async def test_a_flood_of_pages_leaves_the_store_to_the_wire(
    house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to be known to open one, and the store's connections are those that held statements wait for."""
    asked, full, go_on = 0, asyncio.Event(), asyncio.Event()

    async def slow(_ticket: str) -> None:
        nonlocal asked
        asked += 1
        if asked == AT_ONCE:
            full.set()
        await go_on.wait()

    monkeypatch.setattr(MemoryStore, "ticket", lambda _store, ticket: slow(ticket))
    pages = [asyncio.create_task(browser.get(f"{house.url}/link/{each}")) for each in range(3 * AT_ONCE)]
    async with asyncio.timeout(20):
        await full.wait()
        for _ in range(5):
            assert (await browser.get(f"{house.url}/no-page")).status == 404  # the others had time to come in
        assert asked == AT_ONCE
        go_on.set()
        assert all(map(is_over, await asyncio.gather(*pages)))


async def test_cookies_are_bound_to_the_host_where_there_is_https(aiohttp_server: Serve) -> None:
    house = await House.open(aiohttp_server, public_url="https://gate.example.com")
    browser = house.browser()
    secret = (await house.link()).rpartition("/")[2]
    begun = await browser.post(f"{house.url}/link/{secret}", origin="https://gate.example.com")
    cookie = begun.headers["Set-Cookie"]
    assert re.match(r"__Host-hoop-[0-9a-f]{16}=", cookie)
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert URL(begun.goes_to).query["redirect_uri"] == "https://gate.example.com/login/callback"
    await house.close()


async def test_the_store_keeps_no_secret(house: House, browser: Browser) -> None:
    secret = (await house.link()).rpartition("/")[2]
    begun = await browser.begins(f"{house.url}/link/{secret}")
    cookies = {each.value for each in browser.session.cookie_jar}
    kept = json.dumps(house.store._tickets)
    assert cookies
    assert not [
        each for each in {secret, *cookies, *URL(begun.goes_to).query.values()} if len(each) > 20 and each in kept
    ]
