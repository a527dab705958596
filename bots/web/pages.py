"""What the gateway's own pages say, as HTML. Pure.

What lives here: words, layout, escaping, and the headers that keep a page what it is. What must not: what may be shown to
whom (app.py), what a request says (bots.cards). Every text of anybody's goes through `_text`; there is no script at all, the
one style sheet is named by its hash, and no other site may frame a page or be sent a form of it.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bots.cards import Card, Fact, SqlText
from bots.previews import Table
from bots.texts import in_utc, line, moment, visible

_STYLE = """
:root { color-scheme: light dark; --soft: #5a6175; --line: #d5d9e2; --wash: #f4f5f8; --go: #0b6b41; --stop: #b3202f; --warn: #8a4b00 }
@media (prefers-color-scheme: dark) { :root { --soft: #a8afc0; --line: #444b5c; --wash: #23272f; --go: #0b6b41; --stop: #b3202f; --warn: #ffb55a } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2.5rem auto; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.45rem; line-height: 1.25 } h2 { font-size: 1.1rem; margin: 1.8rem 0 .4rem }
p, dl { margin: .6rem 0 } .soft { color: var(--soft) } .loud { color: var(--warn); font-weight: 650 }
dt { font-weight: 600 } dd { margin: 0 0 .5rem; overflow-wrap: anywhere }
pre, code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }
pre { background: var(--wash); border: 1px solid var(--line); border-radius: 6px; padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 60vh; overflow-y: auto }
.code { font-size: 1.5rem; letter-spacing: .06em; font-weight: 650 }
table { border-collapse: collapse; font-size: .9rem } .wide { overflow-x: auto }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left } .changed { font-weight: 650 }
form { border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; margin: 1rem 0 }
form.plain { border: 0; padding: 0 } label { display: block; margin: .3rem 0; font-weight: 600 }
input, textarea { font: inherit; box-sizing: border-box; width: 100%; padding: .4rem .5rem; border: 1px solid var(--soft); border-radius: 6px }
button { font: inherit; font-weight: 650; margin-top: .5rem; padding: .5rem 1.1rem; border: 0; border-radius: 6px; color: #fff; background: #2f56d9; cursor: pointer }
button.go { background: var(--go) } button.stop { background: var(--stop) }
:focus-visible { outline: 3px solid #2f56d9; outline-offset: 2px }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

#: Of every page. `same-origin` and not `no-referrer`: with that a browser names no origin for our own forms either, and
#: another site is told none both ways, so no secret of an address goes there.
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page: HTTP status and the whole HTML."""

    status: int
    html: str


def _page(title: str, *parts: str, status: int = 200, head: str = "") -> Page:
    body = "\n".join(part for part in parts if part)
    html = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{_text(title)} - hoop</title>{head}<style>{_STYLE}</style></head>"
        f"<body><main><h1>{_text(title)}</h1>\n{body}\n</main></body></html>\n"
    )
    return Page(status, html)


def _text(text: str) -> str:
    return escape(visible(in_utc(text), keep="\n\t"), quote=True)


def _p(text: str, kind: str = "") -> str:
    return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{_text(text)}</p>" if text else ""


def _list(facts: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts) + "</dl>"


def _form(
    button: str, *inputs: str, hidden: Sequence[tuple[str, str]] = (), kind: str = "", plain: bool = False
) -> str:
    """A form to the page's own address, with one button."""
    fields = "".join(f'<input type="hidden" name="{name}" value="{_text(value)}">' for name, value in hidden)
    shown = "".join(inputs)
    return (
        f'<form method="post"{" class=plain" if plain else ""}>{fields}{shown}'
        f"<button{f' class={kind}' if kind else ''}>{_text(button)}</button></form>"
    )


def _input(name: str, label: str, ident: str) -> str:
    return (
        f'<label for="{ident}">{_text(label)}</label>'
        f'<input id="{ident}" name="{name}" required autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="200">'
    )


def _area(name: str, label: str, ident: str) -> str:
    return (
        f'<label for="{ident}">{_text(label)}</label>'
        f'<textarea id="{ident}" name="{name}" rows="2" required minlength="3" maxlength="1000"></textarea>'
    )


# --- notices ---------------------------------------------------------------------------------------------------------


def notice(title: str, *texts: str, status: int = 200) -> Page:
    """A page that says something and asks nothing."""
    return _page(title, *(_p(each) for each in texts), status=status)


OVER = (
    "This page's time is over",
    "The link was used already, its time is up, or it was begun in another browser. Nothing was changed.",
    "Begin again where you got it: in your chat.",
)


def over() -> Page:
    """What was good once is no more, or never was: both look the same."""
    return notice(*OVER, status=410)


def going(url: str) -> Page:
    """Sends the browser on to the issuer. Not by a redirect: a form's redirects would have to be ours all the way (form-action)."""
    refresh = f'<meta http-equiv="refresh" content="0;url={_text(url)}">'
    link = f'<p><a href="{_text(url)}" rel="noreferrer">Go on to the sign-in</a></p>'
    return _page("Signing in", _p("Your organisation's sign-in opens now."), link, head=refresh)


# --- linking ---------------------------------------------------------------------------------------------------------


def link_begins(account: str) -> Page:
    """The page of a link, before anything happened."""
    return _page(
        "Link a chat account",
        _list([("Chat account", line(account))]),
        _p("Sign in as yourself. Then this page asks you whether this chat account is yours."),
        _p("If somebody sent you this link, close the page: it is for the account above alone.", "loud"),
        _form("Sign in", plain=True),
    )


def link_asks(account: str, user: str, subject: str, issuer: str, csrf: str) -> Page:
    """After the sign-in: is this account yours?"""
    facts = [
        ("Chat account", line(account)),
        ("You signed in as", line(user)),
        ("Subject", f"{line(subject)} at {line(issuer)}"),
    ]
    return _page(
        "Is this chat account yours?",
        _list(facts),
        _p("Once linked, what this account clicks counts as yours: its approvals are your approvals."),
        _p("If the chat account is somebody else's, close this page. Nothing is linked then.", "loud"),
        _form("Yes, it is mine", hidden=[("csrf", csrf)], plain=True),
    )


def link_code(account: str, code: str) -> Page:
    """The last step is in the chat, by the account itself."""
    return _page(
        "Now type this code in your chat",
        _list([("Chat account", line(account))]),
        f'<p class="code"><code>/hoop link {_text(code)}</code></p>',
        _p("With it the chat account says that it is yours. Tell it to nobody; nobody will ask you for it."),
    )


def renewed(account: str, user: str) -> Page:
    """The account was linked with this very person already."""
    return notice(
        "You are signed in again",
        f"{line(account)} is linked with {line(user)}. Your groups are those of this sign-in. You can close this page.",
    )


# --- approving -------------------------------------------------------------------------------------------------------


def approve_begins(request_id: str) -> Page:
    """The page of a request, before anybody has signed in: it shows nothing of it."""
    return _page(
        f"Request {line(request_id, 40)}",
        _p("Its rule wants a fresh sign-in before it is approved. After it you see the request and decide."),
        _form("Sign in", plain=True),
    )


@dataclass(frozen=True, slots=True)
class Choices:
    """What this reader may do: `approve` with `typed` ("" for nothing to type), `glass` by typing that ("" for not)."""

    approve: bool
    typed: str
    glass: str


def decide(card: Card, user: str, choices: Choices, hidden: Sequence[tuple[str, str]], note: str = "") -> Page:
    """The request in full, and what its reader may do about it. `note`: why the last try changed nothing."""
    return _page(
        card.headline,
        f'<p role="alert" class="loud">{_text(note)}</p>' if note else "",
        _p(f"You are signed in as {line(user)}.", "soft"),
        _p(card.outcome),
        _p(f"Risk: {card.risk}" if card.risk else "", "loud"),
        _p(card.consequence),
        _list([_fact(each) for each in card.who]),
        *(_statement(each) for each in card.statements),
        _rows(card),
        _list(
            [
                ("Why held", card.why),
                *([("Locks", card.where_held)] if card.where_held else []),
                *([("Quorum", card.quorum)] if card.quorum else []),
                *(
                    [("Expires", f"{moment(card.expires_at)}, then nothing runs")]
                    if card.expires_at is not None
                    else []
                ),
            ]
        ),
        _p(card.footer, "soft"),
        *_choices(choices, hidden),
    )


def _choices(choices: Choices, hidden: Sequence[tuple[str, str]]) -> list[str]:
    forms = ["<h2>Decide</h2>"] if choices.approve or choices.glass else []
    if choices.approve:
        typed = [_input("typed", f"To approve it, type: {line(choices.typed, 300)}", "typed")] if choices.typed else []
        forms.append(_form("Approve", *typed, hidden=[*hidden, ("decision", "approve")], kind="go"))
        reason = _area("reason", "Why you deny it (the requester gets it as the error's text)", "reason")
        forms.append(_form("Deny", reason, hidden=[*hidden, ("decision", "deny")], kind="stop"))
    if choices.glass:
        why = _area(
            "reason",
            "Break the glass, in an emergency: why it can't wait for the other approvals (all its channels are told)",
            "why",
        )
        words = _input("typed", f"To break the glass, type: {line(choices.glass, 300)}", "words")
        forms.append(_form("Break the glass", why, words, hidden=[*hidden, ("decision", "break")], kind="stop"))
    return forms


def _fact(fact: Fact) -> tuple[str, str]:
    return f"{fact.label}{' (claimed, not verified)' if fact.claimed else ''}", fact.value


def _statement(sql: SqlText) -> str:
    values = f"<p>Values</p><pre>{_text(chr(10).join(sql.values))}</pre>" if sql.values else ""
    digest = _p(f"{len(sql.text):,} characters, sha256 {sql.sha256}", "soft")
    return f'<h2>{_text(sql.title)}</h2><pre tabindex="0" aria-label="SQL">{_text(sql.text)}</pre>{values}{digest}'


def _rows(card: Card) -> str:
    notes = "; ".join(part for part in (card.preview_note, card.preview.note if card.preview else "") if part)
    return f"{_table(card.preview) if card.preview is not None else ''}{_p(notes)}"


def _table(table: Table) -> str:
    head = "".join(f"<th>{_text(each)}</th>" for each in table.columns)
    rows = "".join(
        "<tr>"
        + "".join(f"<td{' class=changed' if each.changed else ''}>{_text(each.text)}</td>" for each in row)
        + "</tr>"
        for row in table.rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'
