"""What a command is asked by and answered with: Viewer, Answer, Page, Verb. Values only, for every front.

An Answer's texts are literal and safe to look at, as a Card's. How a chat draws one is that chat's business.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bots.cards import Card
from bots.previews import Table
from gateway.approvals.request import Person
from gateway.identity.accounts import Account


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks, as the front has verified them, and where: "slack", "teams" or "cli"; `account` is theirs in that chat."""

    person: Person
    front: str
    account: Account | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A way to another page; `cursor` is signed and goes back to `Commands.page`."""

    label: str
    cursor: str


@dataclass(frozen=True, slots=True)
class File:
    """A text that is too long to be shown: for whoever asks, alone."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Way:
    """A button that leads out of the chat, to a page of ours."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a front shows: title, lines, a card, a table, literal text, footer, in this order. `way`: a button beside those of
    the pages, for this reader alone. `share`: for all to see. `file` goes to whoever asks, where the front can hand one over."""

    title: str
    lines: tuple[str, ...] = ()
    card: Card | None = None
    table: Table | None = None
    code: str = ""
    footer: str = ""
    pages: tuple[Page, ...] = ()
    way: Way | None = None
    share: bool = False
    file: File | None = None


@dataclass(frozen=True, slots=True)
class Verb:
    """A command: its answer to the text behind its name, and its help, the first line of which stands in the list of all."""

    answer: Callable[[str, Viewer], Awaitable[Answer]]
    help: tuple[str, ...]
