"""The gateway's own pages: one sign-in in a browser, then a link for a chat account or a decision about a request.

    GET  /link/SECRET, /approve/ID    says what it is for; a preview robot may open it as often as it likes
    POST the same                     takes the ticket, sets a cookie of this browser's own, sends it to the issuer
    GET  /login/callback              the same browser comes back: its code is redeemed, the ID token judged
    GET  /login/FLOW                  what was asked for, shown to who signed in
    POST /login/FLOW                  the answer, once, by a form of that page

What lives here: the order of things, and what makes each step good once and in one browser only. What must not: texts
(pages.py), what an ID token must say (gateway.identity.login), who may decide what (the desk: the same path as a click in
chat). An address proves nothing here: a link's is good for a sign-in, after which the chat account itself has to say that it
is its owner's (bots.linking); a request's is no secret at all.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from bots.cards import card
from bots.commands import REFUSALS, told
from bots.linking import LIFETIME
from bots.seals import genuine, seal, unsealed
from bots.texts import count, line
from bots.web import pages
from bots.web.attempts import Attempts, source
from bots.web.pages import HEADERS, Choices, Page
from gateway.approvals import glass
from gateway.approvals.decisions import Approve, BreakGlass, Decided, Decision, Deny
from gateway.approvals.decisions import Refused as DeskRefused
from gateway.approvals.desk import Desk
from gateway.approvals.request import ApprovalRequest, Person, Refusal, identity, refusal_of, said, same_person
from gateway.errors import GatewayError
from gateway.identity.accounts import from_values
from gateway.identity.claims import TokenRefused
from gateway.identity.client import SignedIn, WebClient
from gateway.identity.documents import IssuerError
from gateway.identity.login import Attempt, flow_of, same, ticket
from gateway.store.port import Store

CALLBACK = "/login/callback"
#: What an id can look like; anything else is no page, and no question to the store.
_ID = "{id:[0-9A-Za-z-]{1,64}}"
_LEAST_REASON, _LONGEST = 3, 1000
#: So many pages are made at once, of whoever asks: the store's connections are those that held statements wait for.
AT_ONCE = 4
#: Sign-ins that one address may begin a minute, and answers that one person may send: far above what people do.
BEGINS, ANSWERS = 30, 20

Body = dict[str, Any]
log = structlog.get_logger()

NOT_READY = "The sign-in is not to be had just now. Nothing was changed: please try again."
REFUSED = "Your organisation's sign-in was refused here. Nothing was changed."
FOREIGN = "A form of another site, or none that can be read, was sent here. Nothing was changed."
STALE_FORM = "This form is not of the page that you see. Nothing was changed: load the page again."
TOO_OFTEN = "Too many tries within a minute, from your address or by you. Nothing was decided or changed."
NOT_FINISHED = "The sign-in was not finished. Nothing was changed."
NO_REASON = f"Nothing was decided. Write a reason of {_LEAST_REASON} to {_LONGEST:,} characters."


@dataclass(frozen=True, slots=True)
class _Visit:
    """A browser that has signed in: its attempt, what it came for (`body` of its ticket), who it is."""

    attempt: Attempt
    body: Body
    person: Person

    @property
    def hidden(self) -> list[tuple[str, str]]:
        return [("csrf", self.attempt.csrf)]


class WebFront:
    """Mount `routes()`. `key` is that of tickets, `button_key` seals the forms of decisions, `public_url` is how browsers reach
    us (no slash at its end), `fresh` makes secrets, `clock` is Unix seconds."""

    def __init__(
        self,
        client: WebClient,
        store: Store,
        desk: Desk,
        *,
        key: bytes,
        button_key: bytes,
        public_url: Callable[[], str],
        fresh: Callable[[], str],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._store = store
        self._desk = desk
        self._key = key
        self._button_key = button_key
        self._public_url = public_url
        self._fresh = fresh
        self._clock = clock
        self._begins, self._answers = Attempts(BEGINS), Attempts(ANSWERS)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._decisions: dict[str, Callable[[ApprovalRequest, str, str], Decision]] = {
            "approve": lambda _request, _reason, typed: Approve(typed, read=True),  # the page shows all of it
            "deny": lambda _request, reason, _typed: Deny(reason),
            "break": lambda _request, reason, typed: BreakGlass(reason, typed, read=True),
        }

    def routes(self) -> list[web.RouteDef]:
        """Every page."""
        return [
            web.get("/link/{secret}", self._guarded(self._link_page)),
            web.post("/link/{secret}", self._guarded(self._link_begins)),
            web.get(f"/approve/{_ID}", self._guarded(self._approve_page)),
            web.post(f"/approve/{_ID}", self._guarded(self._approve_begins)),
            web.get(CALLBACK, self._guarded(self._back)),
            web.get("/login/{flow}", self._guarded(self._shown)),
            web.post("/login/{flow}", self._guarded(self._answered)),
        ]

    def _guarded(self, act: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[..., Awaitable[web.Response]]:
        """A handler that takes no form of another site, and whose every answer is a page of ours."""

        async def handler(request: web.Request) -> web.Response:
            if request.method == "POST" and not (self._is_ours(request) and await _is_read(request)):
                return _answer(pages.notice("Not accepted", FOREIGN, status=403))
            try:
                async with self._at_once:
                    return await act(request)
            except TokenRefused as error:
                log.warning("web.sign_in_refused", why=error.detail)
                return _answer(pages.notice("Not signed in", REFUSED, error.hint or "", status=403))
            except IssuerError as error:
                log.warning("web.issuer_failed", error=str(error))
                return _answer(pages.notice("Not signed in", NOT_READY, status=502))
            except GatewayError as error:
                return _answer(pages.notice("Not possible now", f"{error.message}. Please try again.", status=503))

        return handler

    def _is_ours(self, request: web.Request) -> bool:
        """Browsers say where a form comes from; one that doesn't is stopped by the form's own token."""
        ours = urlsplit(self._public_url())
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        return origin in (None, f"{ours.scheme}://{ours.netloc}") and site in (None, "same-origin")

    # The two ways in -----------------------------------------------------------------------------------------------

    async def _link_page(self, request: web.Request) -> web.Response:
        body = await self._store.ticket(ticket(self._key, "link", request.match_info["secret"]))
        return _answer(
            pages.over() if body is None else pages.link_begins(from_values(json.loads(body)["account"]).name)
        )

    async def _link_begins(self, request: web.Request) -> web.Response:
        body = await self._store.take_ticket(ticket(self._key, "link", request.match_info["secret"]))
        return _answer(pages.over()) if body is None else await self._begin(json.loads(body))

    async def _approve_page(self, request: web.Request) -> web.Response:
        return _answer(pages.approve_begins(request.match_info["id"]))

    async def _approve_begins(self, request: web.Request) -> web.Response:
        if wait := self._begins.wait(source(request.remote or ""), self._clock()):
            return _too_often(wait)
        wanted = await self._desk.show(request.match_info["id"])
        if wanted is None:
            return _answer(pages.notice("Unknown request", REFUSALS[Refusal.UNKNOWN_REQUEST], status=404))
        now = self._clock()
        return await self._begin({"purpose": "approve", "request": wanted.id, "began": now, "until": now + LIFETIME})

    async def _begin(self, body: Body) -> web.Response:
        """Off to the issuer, with a secret of this browser's own."""
        attempt = Attempt(self._fresh())
        url = await self._client.begin(attempt, fresh=body["purpose"] == "approve")
        await self._put("flow", attempt, body)
        answer = _answer(pages.going(url))
        left = max(1, int(body["until"] - self._clock()))
        answer.set_cookie(
            self._cookie(attempt.flow),
            attempt.secret,
            max_age=left,
            path="/",
            secure=self._is_https(),
            httponly=True,
            samesite="Lax",  # Strict would not come back from the issuer
        )
        return answer

    # Back from the issuer ------------------------------------------------------------------------------------------

    async def _back(self, request: web.Request) -> web.Response:
        """The code in the address is of use only with the cookie of the browser that asked for it."""
        query = request.query
        state = query.get("state", "")
        attempt = self._attempt(request, flow_of(state))
        if attempt is None or not same(attempt.state, state):
            return _answer(pages.over())
        kept = await self._store.take_ticket(ticket(self._key, "flow", attempt.secret))
        if kept is None:
            return _answer(pages.over())
        if "iss" in query and not self._client.is_issuer(query["iss"]):
            raise TokenRefused("iss: another issuer answers")
        if "error" in query or "code" not in query:
            why = f"The sign-in says: {line(query.get('error', 'nothing'), 60)}."
            return _answer(pages.notice("Not signed in", NOT_FINISHED, why, status=403))
        body = json.loads(kept)
        signed_in = await self._client.redeem(attempt, query["code"], body.get("began"))
        return await self._came_back(attempt, body, signed_in)

    async def _came_back(self, attempt: Attempt, body: Body, signed_in: SignedIn) -> web.Response:
        who = signed_in.person
        if signed_in.tells_groups:
            await self._store.saw(who, self._clock())
        if body["purpose"] == "link":
            account = from_values(body["account"])
            linked = await self._store.linked(account)
            if linked is not None and (linked.issuer, linked.subject) == (who.issuer, who.subject):
                return self._last(attempt, pages.renewed(account.name, who.user))
        await self._put("signed in", attempt, {**body, "who": {**asdict(who), "groups": sorted(who.groups)}})
        return web.Response(status=303, headers={**HEADERS, "Location": f"{self._public_url()}/login/{attempt.flow}"})

    # Who has signed in ---------------------------------------------------------------------------------------------

    async def _shown(self, request: web.Request) -> web.Response:
        visit = await self._visit(request)
        if visit is None:
            return _answer(pages.over())
        if visit.body["purpose"] == "link":
            who, account = visit.person, from_values(visit.body["account"])
            return _answer(pages.link_asks(account.name, who.user, who.subject, who.issuer, visit.attempt.csrf))
        return _answer(await self._request_page(visit))

    async def _answered(self, request: web.Request) -> web.Response:
        visit = await self._visit(request)
        if visit is None:
            return _answer(pages.over())
        form = {name: str(value) for name, value in (await request.post()).items()}
        if not same(form.get("csrf", ""), visit.attempt.csrf):
            return _answer(pages.notice("Not accepted", STALE_FORM, status=403))
        if wait := self._answers.wait(identity(visit.person.issuer, visit.person.subject), self._clock()):
            return _too_often(wait)
        if visit.body["purpose"] == "link":
            return await self._confirmed(visit)
        return await self._decided(visit, form)

    async def _visit(self, request: web.Request) -> _Visit | None:
        attempt = self._attempt(request, request.match_info["flow"])
        kept = None if attempt is None else await self._store.ticket(ticket(self._key, "signed in", attempt.secret))
        if attempt is None or kept is None:
            return None
        body = json.loads(kept)
        return _Visit(attempt, body, _person(body["who"]))

    async def _used_up(self, visit: _Visit) -> bool:
        """Take the ticket behind a page; False: somebody was faster."""
        return await self._store.take_ticket(ticket(self._key, "signed in", visit.attempt.secret)) is not None

    async def _confirmed(self, visit: _Visit) -> web.Response:
        """The browser's half of a link: the account's half is to type the code."""
        if not await self._used_up(visit):
            return _answer(pages.over())
        who, account = visit.person, from_values(visit.body["account"])
        kept = {"issuer": who.issuer, "subject": who.subject, "user": who.user, "email": who.email}
        code = visit.attempt.code
        await self._store.put_ticket(
            ticket(self._key, "code", account.key, code), json.dumps(kept), visit.body["until"]
        )
        return self._last(visit.attempt, pages.link_code(account.name, code))

    # Decisions -----------------------------------------------------------------------------------------------------

    async def _request_page(self, visit: _Visit, note: str = "") -> Page:
        """The request, for whom it concerns, and forms for what they may do."""
        person = await self._desk.person(visit.person)
        wanted = await self._desk.show(visit.body["request"])
        if wanted is None:
            return pages.notice("Unknown request", REFUSALS[Refusal.UNKNOWN_REQUEST], status=404)
        now = self._clock()
        refusal = refusal_of(wanted, person, now)
        may_break = bool(wanted.glass) and glass.refusal_of(wanted, person, now) is None
        if not (glass.may_look(wanted, person) or same_person(wanted.requester, person)):
            return pages.notice(
                "Not yours to decide", told(DeskRefused(Refusal.NOT_A_REVIEWER, wanted), person, now), status=403
            )
        choices = Choices(refusal is None, wanted.to_type, glass.to_type(wanted) if may_break else "")
        if refusal is not None and not may_break:
            note = told(DeskRefused(refusal, wanted), person, now)
        sealed = seal(self._button_key, wanted, visit.person)
        return pages.decide(
            card(glass.as_seen_by(wanted, person), now), person.user, choices, [*visit.hidden, ("seal", sealed)], note
        )

    async def _decided(self, visit: _Visit, form: dict[str, str]) -> web.Response:
        opened, reason = unsealed(form.get("seal", "")), said(form.get("reason", ""), _LONGEST + 1)
        make, wanted = self._decisions.get(form.get("decision", "")), await self._desk.show(visit.body["request"])
        if make is None or opened is None or wanted is None or opened[0] != wanted.id:
            return _answer(pages.notice("Not accepted", STALE_FORM, status=403))
        decision = make(wanted, reason, form.get("typed", ""))
        if not isinstance(decision, Approve) and not _LEAST_REASON <= len(reason) <= _LONGEST:
            return _answer(await self._request_page(visit, NO_REASON))
        person = await self._desk.person(visit.person)
        if (wrong := _mistyped(wanted, decision)) is not None:
            return _answer(await self._request_page(visit, told(wrong, person, self._clock(), decision)))
        if not await self._used_up(visit):
            return _answer(pages.over())
        sealed = partial(genuine, self._button_key, rev=opened[1], mac=opened[2], reader=visit.person)
        answer = await self._desk.decide(wanted.id, opened[1], person, decision, "web", genuine=sealed)
        done = "Decided" if isinstance(answer, Decided) else "Nothing was decided"
        page = pages.notice(done, told(answer, person, self._clock(), decision), "You can close this page.")
        return self._last(visit.attempt, replace(page, status=200 if isinstance(answer, Decided) else 409))

    # Tickets and cookies -------------------------------------------------------------------------------------------

    async def _put(self, kind: str, attempt: Attempt, body: Body) -> None:
        await self._store.put_ticket(ticket(self._key, kind, attempt.secret), json.dumps(body), body["until"])

    def _attempt(self, request: web.Request, flow: str) -> Attempt | None:
        """The attempt that this browser has the secret of."""
        secret = request.cookies.get(self._cookie(flow), "") if flow else ""
        return Attempt(secret) if secret else None

    def _last(self, attempt: Attempt, page: Page) -> web.Response:
        answer = _answer(page)
        answer.del_cookie(self._cookie(attempt.flow), path="/", secure=self._is_https(), httponly=True, samesite="Lax")
        return answer

    def _cookie(self, flow: str) -> str:
        """__Host-: no other host of the domain can set it. It wants https, which loopback may lack."""
        return f"__Host-hoop-{flow}" if self._is_https() else f"hoop-{flow}"

    def _is_https(self) -> bool:
        return self._public_url().startswith("https://")


def _mistyped(request: ApprovalRequest, decision: Decision) -> DeskRefused | None:
    """What the form can mend without another sign-in; the desk looks at it again."""
    match decision:
        case Approve(typed):
            wrong = typed.strip() != request.to_type
        case BreakGlass(_, typed):
            wrong = typed.strip().casefold() != glass.to_type(request).casefold()
        case _:
            wrong = False
    return DeskRefused(Refusal.NOT_TYPED, request) if wrong else None


async def _is_read(request: web.Request) -> bool:
    """Whether its form could be read; kept in the request. Who sends one slowly takes nobody's turn."""
    try:
        await request.post()
    except (ValueError, LookupError):  # bytes, charsets and boundaries that are none
        return False
    return True


def _person(values: Body) -> Person:
    return Person(**{**values, "groups": frozenset(values["groups"]), "also": tuple(values["also"])})


def _too_often(wait: int) -> web.Response:
    answer = _answer(
        pages.notice("Too often", f"{TOO_OFTEN} Wait {count(wait, 'second')}, then try again.", status=429)
    )
    answer.headers["Retry-After"] = str(wait)
    return answer


def _answer(page: Page) -> web.Response:
    return web.Response(text=page.html, status=page.status, content_type="text/html", headers=HEADERS)
