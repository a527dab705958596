"""What stands around a gateway, looked at one by one: store, issuers, targets, chats. Each look ends in Findings.

What lives here: how something is asked without changing it, and what to do about an answer. What does not: the settings and
files of this machine, order and printing (doctor.py). No text holds a secret: errors are told by their names.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bots.slack.checks import SHARED, ahead, header, is_shared, skew_text
from bots.slack.sender import HINTS, error_of, open_client
from bots.texts import count
from gateway.approvals.upkeep import LAPSE
from gateway.cli.manifest import SCOPES
from gateway.errors import GatewayError, StoreUnavailable
from gateway.identity.documents import Documents, IssuerError
from gateway.identity.issuers import Issuers
from gateway.policy.model import Issuer, Policy, Target
from gateway.policy.readers import logins
from gateway.policy.reviewers import asked_in
from gateway.policy.unmatched import is_pattern, named_at, unmatched
from gateway.relay import target as targets
from gateway.relay.credentials import CredentialMissing, Credentials
from gateway.relay.side import NO_READER, load_catalog, risks
from gateway.settings import Settings, Slack, Teams
from gateway.store.port import Backlog, Post, Store
from gateway.store.postgres import PostgresStore, missing_migrations

_REACH = "check that this machine may reach it"
_LESS = "take that right away, or give the gateway a login without it"
#: Risks of a target that are mended otherwise.
_FIXES = {NO_READER: "give the target a `reader` in the policies file, or move it to PostgreSQL 16"}


class State(Enum):
    """NOTE: worth knowing, nothing is broken."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and for a problem what to do."""

    part: str
    state: State
    text: str
    fix: str = ""


def ok(part: str, text: str) -> Finding:
    """A part that is well."""
    return Finding(part, State.OK, text)


def problem(part: str, text: str, fix: str = "") -> Finding:
    """A part that is not."""
    return Finding(part, State.PROBLEM, text, fix)


# --- store -----------------------------------------------------------------------------------------------------------


async def store(dsn: str, policy: Policy | None) -> list[Finding]:
    """The store, and what it tells: who runs, which cards were given up, which Teams channels are known."""
    try:
        missing, may_run = await missing_migrations(dsn)
        if missing:
            return [_behind(missing, may_run=may_run)]
        opened = await PostgresStore.connect(dsn)
    except StoreUnavailable as error:
        return [problem("store", error.message, error.hint)]
    try:
        return [ok("store", "reached, its schema is up to date"), *await _told_by(opened, policy)]
    except StoreUnavailable as error:
        return [problem("store", error.message, error.hint)]
    finally:
        await opened.close()


def _behind(missing: int, *, may_run: bool) -> Finding:
    """The gateway runs what is missing when it starts, if its login may."""
    text = f"{count(missing, 'migration')} of its schema not run"
    if may_run:
        return Finding("store", State.NOTE, f"reached; {text}: hoop serve makes its tables when it starts")
    fix = "start the gateway once with a HOOP_STORE login that owns the schema and may CREATE in the database"
    return problem("store", f"{text}, and this login may not run them", fix)


async def _told_by(opened: Store, policy: Policy | None) -> list[Finding]:
    running = await opened.alive(LAPSE)
    replicas = f"{count(len(running), 'replica')} running: {', '.join(running)}"
    return [
        ok("replicas", replicas) if running else Finding("replicas", State.NOTE, "no gateway runs with this store now"),
        _cards(await opened.backlog(), await opened.parked(1)),
        *[each for channel in _channels(policy, "teams:") for each in await _known(opened, channel)],
    ]


def _cards(backlog: Backlog, newest: list[Post]) -> Finding:
    if not newest:
        return ok("cards", f"none given up, {backlog.waiting:,} to be shown or redrawn")
    one = newest[0]
    text = f"{count(backlog.parked, 'card')} given up; the newest: request {one.request}, {one.last_error}"
    return problem("cards", text, "mend what it names, then start the gateway again: it tries once more")


async def _known(opened: Store, channel: str) -> list[Finding]:
    if await opened.service_url(channel.removeprefix("teams:")) is not None:
        return []
    fix = "add the app to that team in Teams; the gateway must run to hear of it"
    return [problem("teams", f"no way to {channel} is known: nothing in that tenant ever wrote to the app", fix)]


# --- issuers and targets -----------------------------------------------------------------------------------------------


async def issuer(rule: Issuer, *, insecure_loopback: bool) -> Finding:
    """Can its keys be had?"""
    made = Issuers([rule], insecure_loopback=insecure_loopback)
    try:
        said = await made.ready()
    finally:
        await made.close()
    part = f"issuer {rule.issuer}"
    return (
        ok(part, "its keys are there")
        if said == "ok"
        else problem(part, said, f"{_REACH}, and `issuers` in the policies file")
    )


async def web(settings: Settings, policy: Policy) -> Finding:
    """Can people be sent to sign in? Whether the issuer knows the client and its redirect address only a sign-in tells."""
    assert settings.web is not None  # noqa: S101 - the caller's condition
    named = settings.web.issuer or policy.issuers[0].issuer
    documents = Documents(insecure_loopback=settings.insecure_loopback)
    try:
        metadata = await documents.discover(named)
        for endpoint in ("authorization_endpoint", "token_endpoint"):
            documents.check(str(metadata.get(endpoint)))
    except IssuerError as error:
        return problem("web", str(error), f"{_REACH}; HOOP_WEB_ISSUER names who people sign in at")
    finally:
        await documents.close()
    base = settings.public_url.rstrip("/") or f"http://{settings.http.host}:{settings.http.port}"
    return ok("web", f"people sign in at {named}; its client {settings.web.client_id} must know {base}/login/callback")


async def target(named: Target, credentials: Credentials) -> list[Finding]:
    """Each login of a target, logged in to as the gateway does it, and what it should not be able to do."""
    return [each for login in logins(named) for each in await _login(login, credentials)]


async def _login(login: Target, credentials: Credentials) -> list[Finding]:
    part = f"target {login.name} as {login.user}"
    try:
        password = await credentials.password(login.password)
        link = await targets.connect(login, password, {"application_name": "hoop doctor"})
        link.door.close()
        found = await risks(login, password)
    except CredentialMissing as error:
        return [problem(part, error.detail, "set it where the gateway runs, or change `password` in the policies file")]
    except GatewayError as error:
        return [problem(part, error.message, error.hint or _way_in(login, error.__cause__))]
    return [problem(part, risk, _FIXES.get(risk, _LESS)) for risk in found] or [
        ok(part, "logged in, no right too many")
    ]


def _way_in(login: Target, cause: BaseException | None) -> str:
    """What to look at where a target lets nobody in: TLS comes before any password."""
    if isinstance(cause, ssl.SSLCertVerificationError | FileNotFoundError):
        ca = f"is {login.sslrootcert}" if login.sslrootcert else "is not set: the system's CAs count"
        return f"`sslrootcert` of the target {ca}; it names the CA of the server's certificate, which has to be for {login.host}"
    where = f"{login.host}:{login.port}, database {login.database}, sslmode {login.sslmode}"
    return f"check {where}, its pg_hba.conf and the password"


async def masked(policy: Policy, credentials: Credentials) -> list[Finding]:
    """Masking columns that no column is called. A pattern is told where no target has a match: its table may be to come."""
    named = [each for each in policy.targets.values() if named_at(policy, each.name)]
    looks = await asyncio.gather(*(_unmatched(policy, each, credentials) for each in named))
    found = [look for look in looks if isinstance(look, Finding)]
    lost = {each.name: look for each, look in zip(named, looks, strict=True) if not isinstance(look, Finding)}
    found += [
        problem("masking", f"{entry}: no column of {name} is called that{hint}", _UNMASKED)
        for name, entries in lost.items()
        for entry, hint in entries.items()
        if not is_pattern(entry)
    ]
    found += _patterns(policy, lost)
    return found or ([ok("masking", "each of its columns is there")] if named else [])


_UNMASKED = "nothing is masked by it: mend `masking: columns` in the policies file, or take it out"


def _patterns(policy: Policy, lost: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """`lost`: target -> entry -> hint, of the targets that could be read."""
    for entry in dict.fromkeys(each for entries in lost.values() for each in entries if is_pattern(each)):
        at = [name for name in lost if entry in named_at(policy, name)]
        if all(entry in lost[name] for name in at):
            hint = next((lost[name][entry] for name in at if lost[name][entry]), "")
            yield Finding("masking", State.NOTE, f"{entry}: no column of {' or '.join(at)} is called that{hint}")


async def _unmatched(policy: Policy, target: Target, credentials: Credentials) -> dict[str, str] | Finding:
    try:
        catalog = await load_catalog(target, await credentials.password(target.password))
    except GatewayError as error:
        return Finding("masking", State.NOTE, f"the columns of {target.name} were not looked at: {error.message}")
    return unmatched(policy, target.name, catalog.relations.values())


# --- chats -------------------------------------------------------------------------------------------------------------


def unset_chats(policy: Policy, slack: Slack | None, teams: Teams | None) -> list[Finding]:
    """Channels of a chat that is not set up: nobody there can be asked."""
    unset = [kind for kind, settings in (("slack:", slack), ("teams:", teams)) if settings is None]
    variables = {"slack:": "SLACK_BOT_TOKEN and SLACK_SIGNING_SECRET", "teams:": "TEAMS_APP_ID and its like"}
    return [
        problem(kind[:-1], f"reviewers are asked in {', '.join(named)}, and it is not set up", f"set {variables[kind]}")
        for kind in unset
        if (named := _channels(policy, kind))
    ]


def _channels(policy: Policy | None, kind: str) -> list[str]:
    return asked_in(policy.reviewers.values() if policy is not None else (), kind)


@asynccontextmanager
async def _client(settings: Slack, token: str) -> AsyncIterator[AsyncWebClient]:
    client = open_client(token, settings.api_url)
    try:
        yield client
    finally:
        if client.session is not None:
            await client.session.close()


async def slack(settings: Slack, policy: Policy | None, clock: Callable[[], float] = time.time) -> list[Finding]:
    """The bot's token and scopes, both clocks, each channel; the app's token in Socket Mode."""
    async with _client(settings, settings.bot_token) as client:
        try:
            said = await client.auth_test()
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            return [_refused("SLACK_BOT_TOKEN", error)]
        headers = {name.lower(): value for name, value in said.headers.items()}
        found = [ok("slack", f"the token is good: {said.get('user')} in {said.get('team')}")]
        found += [*_scopes(headers), *_skew(headers, clock())]
        for channel in _channels(policy, "slack:"):
            place = channel.removeprefix("slack:")
            found += [await _channel(client, place, headers, may_be_shared=place in settings.shared_channels)]
    return [*found, *(await _socket(settings) if settings.app_token else ())]


def _refused(what: str, error: Exception) -> Finding:
    if isinstance(error, SlackApiError):
        code = error_of(error)
        return problem("slack", f"Slack refuses {what}: {code}", HINTS.get(code, "see Slack's page about that error"))
    return problem("slack", f"Slack does not answer ({type(error).__name__})", _REACH)


def _scopes(headers: Mapping[str, str]) -> list[Finding]:
    given = {each.strip() for each in header(headers, "x-oauth-scopes").split(",")}
    missing = [each for each in SCOPES if each not in given]
    if not missing or given == {""}:
        return []
    return [problem("slack", f"the app lacks {', '.join(missing)}", "upload hoop manifest slack and install it again")]


def _skew(headers: Mapping[str, str], now: float) -> list[Finding]:
    text = skew_text(ahead(headers, now))
    fix = "set this machine's clock (NTP): clicks that look 5 minutes old are refused"
    return [problem("clock", text, fix)] if text else []


async def _channel(client: AsyncWebClient, channel: str, headers: Mapping[str, str], *, may_be_shared: bool) -> Finding:
    part = f"slack channel {channel}"
    try:
        told = (await client.conversations_info(channel=channel))["channel"]
    except SlackApiError as error:
        code = error_of(error)
        if code == "missing_scope":
            return Finding(
                part, State.NOTE, "not looked at: that needs the scope channels:read (groups:read if private)"
            )
        return problem(part, code, HINTS.get(code, "see Slack's page about that error"))
    except (aiohttp.ClientError, TimeoutError) as error:
        return problem(part, f"Slack does not answer ({type(error).__name__})", _REACH)
    if told.get("is_archived"):
        return problem(part, "it is archived", HINTS["is_archived"])
    if is_shared(told) and not may_be_shared:
        return problem(part, SHARED, "name a channel of your own, or allow it: SLACK_SHARED_CHANNELS")
    public = "chat:write.public" in header(headers, "x-oauth-scopes") and not told.get("is_private")
    if not told.get("is_member") and not public:
        return problem(part, "the app is not in it", HINTS["not_in_channel"])
    return ok(part, f"#{told.get('name')}, the app can write there")


async def _socket(settings: Slack) -> list[Finding]:
    async with _client(settings, settings.app_token) as client:
        try:
            await client.apps_connections_open(app_token=settings.app_token)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            return [_refused("SLACK_APP_TOKEN", error)]
    return [ok("slack", "Socket Mode can be opened")]


async def teams(settings: Teams, *, insecure_loopback: bool) -> Finding:
    """Does Microsoft give the bot a token?"""
    from bots.teams.edge import Edge  # noqa: PLC0415 - a gateway without Teams need not load it
    from bots.teams.tokens import LoginAway, LoginRefused, Tokens  # noqa: PLC0415 - the same

    documents = Documents(insecure_loopback=insecure_loopback)
    edge = Edge(settings.app_id, settings.tenant_id, documents, time.time, settings.openid_metadata_url or "")

    async def scope() -> str:
        return f"{await edge.issuer()}/.default"

    login = settings.login_url or ""
    tokens = Tokens(settings.app_id, settings.app_password, settings.tenant_id, scope, time.time, login)
    try:
        await tokens.token()
    except LoginRefused as error:
        return problem(
            "teams", str(error), "check TEAMS_APP_ID, TEAMS_APP_PASSWORD and TEAMS_TENANT_ID (docs/teams.md)"
        )
    except (LoginAway, IssuerError) as error:
        return problem("teams", str(error), _REACH)
    finally:
        await tokens.close()
        await edge.close()
    return ok("teams", "Microsoft gives the app a token")
