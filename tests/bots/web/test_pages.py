"""Pages as HTML: no text of anybody's becomes markup, no page has a script, each stands on its own."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.cards import card
from bots.web import pages
from bots.web.pages import HEADERS, Choices, Page
from tests.bots.samples import NOW, PLAIN, WILD

NASTY = "</p><script>alert(1)</script>\"'><img src=x onerror=y>&amp;\u202e\ud800"
EVERY = {
    "over": pages.over(),
    "notice": pages.notice(NASTY, NASTY),
    "going": pages.going(f"https://issuer.example/authorize?a=1&b={NASTY}"),
    "link begins": pages.link_begins(NASTY),
    "link asks": pages.link_asks(NASTY, NASTY, NASTY, NASTY, NASTY),
    "link code": pages.link_code(NASTY, "8F3K-2M9Q"),
    "renewed": pages.renewed(NASTY, NASTY),
    "approve begins": pages.approve_begins(NASTY),
    "decide": pages.decide(card(PLAIN, NOW), NASTY, Choices(True, NASTY, NASTY), [("seal", NASTY)], NASTY),
}
TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "h1",
    "h2",
    "p",
    "a",
    "dl",
    "dt",
    "dd",
    "pre",
    "code",
    "div",
    "table",
    "tr",
    "th",
    "td",
    "form",
    "input",
    "label",
    "textarea",
    "button",
}


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.labels += [value or "" for name, value in attrs if name == "for"]
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(page: Page) -> None:
    found = _Tags(page.html)
    assert found.open == []
    assert found.seen <= TAGS
    assert not [each for each in found.attributes if each.startswith("on") or each == "style"]
    assert len(found.ids) == len(set(found.ids))
    assert set(found.labels) == set(found.ids), "every field has its label"
    assert "\u202e" not in page.html


@pytest.mark.parametrize("name", EVERY)
def test_a_page_is_well_made(name: str) -> None:
    page = EVERY[name]
    check(page)
    page.html.encode()
    assert re.search(r"<h1>[^<]+</h1>", page.html)
    assert '<html lang="en">' in page.html


@given(WILD, st.text(max_size=50))
def test_any_request_is_a_page(request: object, user: str) -> None:
    page = pages.decide(card(request, NOW), user, Choices(True, user, user), [("seal", "x")], user)  # type: ignore[arg-type]
    check(page)
    page.html.encode()


def test_the_style_is_the_one_that_the_headers_name() -> None:
    style = re.search(r"<style>(.*?)</style>", pages.over().html, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in HEADERS["Content-Security-Policy"]


def test_only_what_the_reader_may_do_is_offered() -> None:
    def buttons(choices: Choices) -> list[str]:
        return re.findall(r"<button[^>]*>([^<]*)<", pages.decide(card(PLAIN, NOW), "bob", choices, []).html)

    assert buttons(Choices(False, "", "")) == []
    assert buttons(Choices(True, "", "")) == ["Approve", "Deny"]
    assert buttons(Choices(False, "", "break glass")) == ["Break the glass"]
    assert buttons(Choices(True, "", "break glass")) == ["Approve", "Deny", "Break the glass"]
