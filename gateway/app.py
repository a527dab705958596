"""The composition root: settings and policy in, a running gateway out. Read `start` top-down; `stop` is its mirror.

    store -> spool -> audit log -> desk -> issuers -> server <- Slack, outbox, HTTP

Nothing is decided here. What is started last is stopped first, so that no hold is left without somebody to withdraw it and
no entry without a shipper.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import generate_latest
from slack_sdk.web.async_client import AsyncWebClient

from bots.answers import Verb
from bots.commands import Commands
from bots.explaining import Explaining
from bots.home import Home
from bots.lifting import Lifting
from bots.linking import Linking
from bots.revoking import Revoking
from bots.sessions import Sessions
from bots.slack.app import SlackFront, SlackRefused
from bots.slack.checks import SHARED, shared_channels
from bots.slack.sender import SlackSender, open_client
from bots.status import Look, Status
from bots.web.app import CALLBACK, WebFront
from bots.weekly import Weekly
from gateway import http
from gateway.approvals.desk import Desk
from gateway.approvals.health import ChatHealth
from gateway.approvals.outbox import Below, Front, Outbox
from gateway.approvals.pace import LIMITS, Limit
from gateway.approvals.people import Directory
from gateway.approvals.request import ApprovalRequest, Person
from gateway.approvals.upkeep import LAPSE
from gateway.audit import tail
from gateway.audit.files import is_live, spooled
from gateway.audit.log import AuditLog
from gateway.audit.spool import Spool
from gateway.errors import GatewayError, PolicyError, StoreUnavailable
from gateway.identity.claims import Identity
from gateway.identity.client import WebClient
from gateway.identity.documents import Documents
from gateway.identity.issuers import Issuers
from gateway.masking.detectors import Detectors
from gateway.masking.diagnostics import scrub_sql
from gateway.metrics import Metrics, merged
from gateway.policies import read_policy
from gateway.policy.model import Policy, Secret, Target
from gateway.policy.needs import missing
from gateway.policy.readers import logins
from gateway.policy.reviewers import asked_in
from gateway.policy.shadowed import shadowed
from gateway.policy.unenforced import notes, unasked
from gateway.policy.unheard import unheard, unknown_groups
from gateway.policy.unmatched import named_at, unmatched
from gateway.relay.catalogs import Catalogs
from gateway.relay.certificate import Certificate
from gateway.relay.credentials import Credentials
from gateway.relay.endings import Endings
from gateway.relay.looks import Looks
from gateway.relay.parser import Parsers
from gateway.relay.relay import Shell
from gateway.relay.server import Doors, Farewell, Server
from gateway.relay.side import CatalogReader, load_catalog, risks
from gateway.relay.turn import Turn
from gateway.settings import Settings, Slack, derive, listening
from gateway.siblings import Siblings, Worker
from gateway.sql.catalog import Catalog
from gateway.store.port import Backlog
from gateway.store.postgres import PostgresStore

log = structlog.get_logger()

#: Seconds that running sessions get to hear 57P01 and withdraw their holds.
DRAIN = 5.0
POLICY_LOOK_EVERY = 2.0
#: People whose last token is remembered as stored; then all are forgotten and stored once more.
MOST_SEEN = 10_000

#: Seconds that a login, or a probe (http.READY_WITHIN), waits for a store that hangs.
ANSWERS_WITHIN = 0.5
_STORELESS = "reads and logins go on, nothing is held or released"
_SHARED_HINT = "Name a channel of your own under reviewers, or list it in SLACK_SHARED_CHANNELS"
_CLOCK_HINT = "set this machine's clock: from 300 s on Slack's clicks are refused"


def replica_name(worker: int = 0) -> str:
    """host:start:worker, the name of this process's audit chain (architecture.md, The record)."""
    return f"{socket.gethostname()}:{int(time.time())}-{secrets.token_hex(2)}:{worker}"


@dataclass(slots=True)
class Ports:
    """Where it listens once it has started."""

    wire: int = 0
    http: int = 0


class Gateway:
    """A running gateway. `limits`: how often a chat may be asked; a workspace of the tests has none. `worker`: which one of several
    on the same two ports (docs/adr/0002), each of which is a replica."""

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        directory: Directory | None = None,
        limits: Mapping[tuple[str, str], Limit] = LIMITS,
        worker: Worker | None = None,
    ) -> None:
        self.settings = settings
        self.policy = policy
        self.ports = Ports()
        self.metrics = Metrics()
        self.outbox: Outbox | None = None
        self.routes: list[web.RouteDef] = []  # of the chats, and further ones of whoever starts it (the demo's)
        self.on_policy: Callable[[Policy], object] = lambda _policy: None  # hears of each policy that replaced another
        self._directory = directory
        self._catalogs: Catalogs | None = None
        self._certificate: Certificate | None = None
        self._slack: SlackFront | None = None
        self._limits = limits
        self._worker = worker
        self._siblings = None if worker is None else Siblings(worker, self._counted)
        self._tells = worker is None or worker.number == 1  # what is the same of all workers is said by the first
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stops: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._seen = _stamp(settings.policies)
        self._stored: dict[
            tuple[str, str], tuple[Person, float]
        ] = {}  # (issuer, subject) -> as last stored, and as of when
        self._farewell: Farewell | None = None
        self._asking: asyncio.Task[str] | None = None  # whether the store answers
        self.broken = asyncio.Event()

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start everything in order. Raises GatewayError, OSError, ChatRefused; what had started is stopped again."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings = self.settings
        replica = replica_name(self._worker.number if self._worker else 0)
        self.store = await PostgresStore.connect(settings.store)
        self._stops += [self.store.close, self._say_stopped]
        self.spool = Spool.open(settings.spool, replica, settings.audit_key, time.time)
        self.audit = AuditLog(self.spool, self.store)
        await self.audit.look_back()  # the desk settles what dead processes held by what their logs say
        self.metrics.spool_waiting.set_function(lambda: self.spool.seq - self.audit.shipped)
        self._background(self.audit.run(), vital=True)
        self._stops.append(self.audit.stop)
        self.desk = Desk(
            self.store,
            self.spool,
            clock=time.time,
            link_max_age=self.policy.limits.link_max_age,
            directory=self._directory,
            ended=lambda state: self.metrics.decisions.labels(state.value).inc(),
            counted=self._approval_counted,
            flooded=self._flood_stopped,
            scrub=self._scrub,
            page=lambda request_id: f"{self._public_url()}/approve/{request_id}",
        )
        await self.desk.start(replica, await asyncio.to_thread(_ended_here, settings.spool))
        self._stops.append(self.desk.close)
        self._record_policy()
        self._fronts: dict[str, Front] = {}
        self._weekly = Weekly(self.store, self._fronts, self._channels, time.time)
        self.issuers = Issuers(self.policy.issuers, insecure_loopback=settings.insecure_loopback)
        self._stops.append(self.issuers.close)
        self._start_web()
        self._fronts |= {**await self._start_slack(), **await self._start_teams()}
        self._warn_of_chats()
        if self._siblings is not None:
            await self._siblings.start()
            self._stops.append(self._siblings.close)
        await self._start_http()
        outbox = self.outbox = Outbox(
            self.store,
            self._fronts,
            time.time,
            undeliverable=self.desk.undeliverable,
            escalate=self.desk.escalate,
            replica=replica,
            limits=self._limits,
            counted=self._count_cards,
            noted=self._note_chat,
        )
        await outbox.start()
        self._background(self._weekly.run())
        self._stops.append(outbox.close)
        await self._start_server(replica)
        self._background(self._watch_policy())
        self._background(self._look_at_logins())
        log.info("gateway.started", wire=self.ports.wire, http=self.ports.http, replica=replica)

    async def stop(self) -> None:
        """No new sessions; holds withdrawn and told; cards updated; the log's end signed."""
        for stop in reversed(self._stops):
            try:
                await stop()
            except Exception:
                log.exception("gateway.stop_failed", part=getattr(stop, "__qualname__", "?"))
        self._stops.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._farewell is not None:
            log.info("gateway.stopped", **asdict(self._farewell))

    async def _say_stopped(self) -> None:
        """Others need not wait for our heartbeat to lapse, once they can read in the store all that we knew."""
        if self._farewell is not None and self.audit.shipped == self.spool.seq:
            await self.store.stopped(self.spool.replica)

    def _background(self, work: Coroutine[Any, Any, Any], *, vital: bool = False) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if vital:
            task.add_done_callback(self._vital_ended)
        return task

    def _vital_ended(self, task: asyncio.Task[Any]) -> None:
        """Without its audit log the gateway must not go on."""
        if not task.cancelled() and task.exception() is not None:
            log.critical("gateway.audit_broken", problem=str(task.exception()))
            self.broken.set()

    # --- parts --------------------------------------------------------------------------------------------------------

    async def _start_slack(self) -> dict[str, Front]:
        slack = self.settings.slack
        if slack is None:
            return {}
        client = open_client(slack.bot_token, slack.api_url)
        self._stops.append(_closing(client))
        key = derive(self.settings.secret, "buttons")
        front = SlackFront(
            client,
            slack.signing_secret,
            self.desk,
            self._commands(),
            button_key=key,
            clock=time.time,
            app_token=slack.app_token or None,
            home=Home(self.desk, record=self._record, clock=time.time),
        )
        self.routes += front.routes()
        await front.start()
        self._stops.append(front.stop)
        self._slack = front
        if shared := await self._shared_channels(slack, client):
            raise SlackRefused(f"{', '.join(shared)}: {SHARED}. {_SHARED_HINT}")
        return {"slack": SlackSender(client, key, time.time)}

    async def _shared_channels(self, slack: Slack, client: AsyncWebClient) -> list[str]:
        """Of the channels in which somebody is asked, those where others read along and nobody said that they may."""
        asked = {each.removeprefix("slack:") for each in asked_in(self.policy.reviewers.values(), "slack:")}
        return await shared_channels(client, sorted(asked - slack.shared_channels))

    async def _warn_of_shared(self) -> None:
        """A policy that comes later: its cards go there, and operators hear of it."""
        slack = self.settings.slack
        if slack is None or not self._tells:
            return
        client = open_client(slack.bot_token, slack.api_url)
        try:
            for channel in await self._shared_channels(slack, client):
                log.error("slack.shared_channel", channel=channel, problem=SHARED, hint=_SHARED_HINT)
        finally:
            await _closing(client)()

    async def _start_teams(self) -> dict[str, Front]:
        teams = self.settings.teams
        if teams is None:
            return {}
        from bots.teams.app import open_teams  # noqa: PLC0415 - botbuilder costs 0.3 s and 20 MiB: not without Teams

        front, sender = open_teams(
            teams,
            self.store,
            self.desk,
            self._commands(),
            button_key=derive(self.settings.secret, "buttons"),
            insecure_loopback=self.settings.insecure_loopback,
            clock=time.time,
        )
        self.routes += front.routes()
        self._stops.append(front.stop)
        await front.start()
        return {"teams": sender}

    def _start_web(self) -> None:
        if self.settings.web is None:
            return
        documents = Documents(insecure_loopback=self.settings.insecure_loopback)
        self._stops.append(documents.close)
        client = WebClient(
            self.settings.web,
            self.issuers,
            documents,
            redirect_uri=lambda: self._public_url() + CALLBACK,
            clock=time.time,
        )
        front = WebFront(
            client,
            self.store,
            self.desk,
            key=derive(self.settings.secret, "links"),
            button_key=derive(self.settings.secret, "buttons"),
            public_url=self._public_url,
            fresh=_fresh_secret,
            clock=time.time,
        )
        self.routes += front.routes()

    def _public_url(self) -> str:
        """How browsers reach us. Without HOOP_PUBLIC_URL that is loopback (settings see to it), by the port that it got."""
        return self.settings.public_url.rstrip("/") or f"http://{self.settings.http.host}:{self.ports.http}"

    def _commands(self) -> Commands:
        return Commands(
            self.desk,
            self.store.audit,
            record=self._record,
            proof=self._proof,
            auditor=self._is_auditor,
            cursor_key=derive(self.settings.secret, "cursors"),
            clock=time.time,
            more=self._further_verbs(),
        )

    def _further_verbs(self) -> dict[str, Verb]:
        auditor, clock = self._is_auditor, time.time
        sessions = Sessions(
            lambda: self.store.sessions(LAPSE), self.desk.pending, record=self._record, auditor=auditor, clock=clock
        )
        status = Status(
            self._parts, self._look, self._tail, self._weekly.last_days, self._chats, auditor=auditor, clock=clock
        )
        policy = Explaining(lambda: self.policy, self._catalog, auditor=auditor, clock=clock)
        lifting = Lifting(self.desk, clock)
        revoking = Revoking(
            self.desk,
            lambda: self.store.sessions(LAPSE),
            self.store.end_session,
            record=self._record,
            auditor=auditor,
            clock=clock,
            scrub=self._scrub,
        )
        linking = Linking(
            self.store,
            page=(lambda secret: f"{self._public_url()}/link/{secret}") if self.settings.web else None,
            key=derive(self.settings.secret, "links"),
            fresh=_fresh_secret,
            record=self._record,
            clock=clock,
        )
        return {
            "lift": lifting.verb(),
            "policy": policy.verb(),
            "sessions": sessions.verb(),
            "link": linking.verb(),
            "status": status.verb(),
            **revoking.verbs(),
        }

    async def _start_http(self) -> None:
        app = http.make(self._ready, self._scrape, self.routes)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        shared = self._worker is not None
        address = self.settings.http
        with listening("HOOP_HTTP", address):
            await web.TCPSite(runner, address.host, address.port, reuse_port=shared).start()
        self.ports.http = runner.addresses[0][1]
        self._stops.append(runner.cleanup)

    async def _start_server(self, replica: str) -> None:
        settings = self.settings
        credentials = Credentials(os.environ)
        parser = Parsers()
        reader = CatalogReader()

        async def password(_target: Target, secret: Secret) -> str:
            return await credentials.password(secret)

        async def catalog(target: Target) -> Any:
            return await reader.load(target, await own_password(target))

        async def reload(target: Target) -> Any:
            """What DDL has changed holds for everybody's login there, on every replica."""
            for other in self.server.targets_in_use():
                if other.name == target.name and other.user != target.user:
                    self._background(catalogs.reload(other))
            _, catalog = await asyncio.gather(self._tell_of_ddl(replica, target), catalogs.reload(target))
            return catalog

        def outdated(channel: str, payload: str) -> None:
            """The store's ear: DDL on another replica; an empty payload: it may have been missed."""
            other, _, name = payload.partition(" ")
            if channel == "catalog" and other != replica:
                for target in catalogs.kept(name):
                    self._background(catalogs.reload(target))

        async def own_password(target: Target) -> str:
            return await password(target, target.password)

        looks = Looks(own_password, time.time)
        self._stops += [parser.close, reader.close, looks.close]
        catalogs = self._catalogs = Catalogs(catalog, self.policy.limits.catalog_refresh, self._catalog_changed)
        turn = Turn(self.spool, asyncio.get_running_loop().call_soon)
        self._certificate = Certificate(settings.tls_cert, settings.tls_key) if settings.tls_cert else None
        shell = Shell(self.desk, self.spool, turn, parser, self.metrics, self._background, reload, looks.look)
        doors = Doors(
            None if self._certificate is None else self._certificate.context,
            settings.insecure_loopback,
            replica,
            derive(settings.secret, "masks"),
            derive(settings.secret, "digests"),
            derive(settings.secret, "cancel keys"),
        )
        self.server = Server(doors, self.policy, self.issuers, shell, catalogs, password, self._saw, self.store.cancel)
        await self.store.listen(self.server.heard)
        server = self.server
        endings = Endings(server.session_ids, self.store.endings, server.end_session, self._background)
        await self.store.listen(endings.heard)
        await self.store.listen(outdated)
        address = settings.listen
        with listening("HOOP_LISTEN", address):
            self.ports.wire = self.server.listen(address.host, address.port, shared=self._worker is not None)
        self._stops.append(self._drain)
        self._background(catalogs.run(self.server.targets_in_use))

    async def _tell_of_ddl(self, replica: str, target: Target) -> None:
        """Untold, the others find out within `catalog_refresh`."""
        try:
            await self.store.outdated(replica, target.name)
        except StoreUnavailable:
            log.warning("catalog.not_told", target=target.name)

    def _catalog_changed(self, target: Target, catalog: Any) -> None:
        self.server.catalog_changed(target, catalog)

    async def _drain(self) -> None:
        self._farewell = await self.server.close()
        try:
            async with asyncio.timeout(DRAIN):
                while self.server.working:
                    await asyncio.gather(*self.server.working, return_exceptions=True)
        except TimeoutError:
            log.warning("gateway.drain_timed_out", sessions=self.server.sessions)

    # --- what the parts ask of each other -----------------------------------------------------------------------------

    async def _ready(self) -> dict[str, str]:
        store = await self._store_answers()
        spool = "unwritable" if self.spool.broken else http.OK
        parts = {"store": store, "spool": spool, "issuers": await self.issuers.ready() or http.OK}
        return parts if self._siblings is None else parts | {"workers": _answering(await self._siblings.silent())}

    async def _store_answers(self) -> str:
        """Without it clients are served, and so they are by no other replica better. A store that hangs is asked one question at a
        time: probes give up early, and asyncpg takes its own time to be cancelled."""
        if self._asking is None or self._asking.done():
            self._asking = self._background(self._ask_store())
        done, _ = await asyncio.wait({self._asking}, timeout=ANSWERS_WITHIN)
        problem = self._asking.result() if done else f"the gateway's store does not answer within {ANSWERS_WITHIN} s"
        return f"{http.DEGRADED}; {problem}: {_STORELESS}" if problem else http.OK

    async def _ask_store(self) -> str:
        """What is wrong with it, or nothing."""
        try:
            await self.store.alive(LAPSE)
        except StoreUnavailable as error:
            return error.message
        return ""

    def _counted(self) -> bytes:
        return generate_latest(self.metrics.registry)

    async def _scrape(self) -> bytes:
        if self._worker is None or self._siblings is None:
            return self._counted()
        return merged(await self._siblings.counted(), self._worker.count)

    async def _parts(self) -> dict[str, str]:
        """For `/hoop status`: what `/readyz` tells, and by how much our clock is off."""
        parts = await self._ready()
        off = None if self._slack is None else await self._slack.clock()
        return parts if off is None else parts | {"clock": f"{off}; {_CLOCK_HINT}" if off else http.OK}

    async def _saw(self, identity: Identity) -> None:
        """Remember who logged in, so that a reviewer's groups are known by e-mail: as of when the token was issued, however late
        it comes. What the same token said before is stored already, or something newer is: pools connect often. The store being
        away hinders nobody, and one that hangs nobody for long."""
        person = Person(identity.issuer, identity.subject, identity.user, identity.email, identity.groups)
        who, at = (identity.issuer, identity.subject), min(time.time(), identity.issued_at or time.time())
        if self._stored.get(who) == (person, at):
            return
        await asyncio.wait({self._background(self._keep(person, at))}, timeout=ANSWERS_WITHIN)

    async def _keep(self, person: Person, at: float) -> None:
        try:
            await self.store.saw(person, at)
        except StoreUnavailable:
            log.warning("person.not_stored")
            return
        if len(self._stored) >= MOST_SEEN:
            self._stored.clear()
        self._stored[person.issuer, person.subject] = person, at

    def _chats(self) -> dict[str, ChatHealth | None]:
        """How each chat that is set up takes what this process sends."""
        known = self.outbox.health if self.outbox is not None else {}
        return {chat: known.get(chat) for chat in self._fronts}

    def _note_chat(self, chat: str, health: ChatHealth) -> None:
        self.metrics.chat_calls.labels(chat, "failed" if health.failures else "shown").inc()
        if health.last_ok is not None:
            self.metrics.chat_last_ok.labels(chat).set(health.last_ok)

    def _warn_of_chats(self) -> None:
        if not self._tells:
            return
        for warning in unasked(self.policy, self._fronts):
            log.warning("chat.not_configured", warning=warning)
        for warning in unheard(self.policy):
            log.warning("reviewers.no_channel", warning=warning)
        for warning in unknown_groups(self.policy) if self.settings.web is None else ():
            log.warning("reviewers.groups_unknown", warning=warning)

    def _channels(self) -> dict[str, tuple[str, ...]]:
        return {name: each.channels for name, each in self.policy.reviewers.items()}

    def _approval_counted(self, request: ApprovalRequest) -> None:
        """Say so below its cards."""
        if self.outbox is not None:
            self.outbox.tell(request, Below.COUNTED)

    def _flood_stopped(self, request: ApprovalRequest) -> None:
        """Say so once below a card of theirs, for the many that have none."""
        if self.outbox is not None:
            self.outbox.tell(request, Below.FLOODED)

    def _count_cards(self, backlog: Backlog) -> None:
        self.metrics.cards_waiting.set(backlog.waiting)
        self.metrics.cards_parked.set(backlog.parked)

    def _record(self, kind: str, **fields: Any) -> None:
        self.spool.record(kind, **fields)
        self.spool.flush()

    async def _proof(self) -> str:
        """How far the log is known to be intact: this process's own chain."""
        return f"log intact through #{self.spool.seq}, head {self.spool.head[:8]}"

    async def _tail(self) -> tuple[str, bool]:
        """How the newest entries of this process's own chain stand in the store, looked at now."""
        found = await tail.look(self.store, self.spool, self.audit.shipped)
        if found.wrong is not None:
            return f"Audit log: NOT intact at #{found.wrong:,} of {self.spool.replica}: run hoop audit verify", False
        waiting = self.spool.seq - self.audit.shipped
        behind = f"; {waiting:,} not stored yet" if waiting else ""
        return f"Audit log: the newest {found.count:,} entries, up to #{found.last:,}, are intact{behind}", True

    async def _look(self) -> Look:
        """What the store says of all replicas, for /hoop status."""
        return Look(
            tuple(await self.store.alive(LAPSE)),
            tuple(await self.desk.pending(1000)),
            await self.store.backlog(),
            tuple(await self.store.parked()),
        )

    async def _catalog(self, target: Target) -> Catalog | None:
        return None if self._catalogs is None else await self._catalogs.get(target)

    def _is_auditor(self, person: Person) -> bool:
        return any(person.groups & each.groups for each in self.policy.reviewers.values())

    def _scrub(self, text: str) -> str:
        masking = self.policy.masking
        return scrub_sql(text, Detectors.build(masking.detect, masking.patterns))

    # --- policy -------------------------------------------------------------------------------------------------------

    def reload(self) -> bool:
        """Read the policies file again, and the certificate if it was renewed; a bad one is refused and the old one stays."""
        self._renew_certificate()
        self._seen = _stamp(self.settings.policies)
        try:
            policy = read_policy(self.settings.policies)
        except PolicyError as error:
            problems = error.problems
        else:
            problems = missing(policy, self.settings.web)
        if problems:
            log.error("policy.refused", problems=problems)
            return False
        if policy.version == self.policy.version:
            log.info("policy.unchanged", file=str(self.settings.policies), version=policy.version)
        else:
            self.policy = policy
            self.issuers.use(policy.issuers)
            self.desk.use(policy.limits.link_max_age)
            self.server.adopt(policy)
            if self._catalogs is not None:
                self._catalogs.refresh = policy.limits.catalog_refresh
            self._record_policy()
            self._warn_of_chats()
            self._background(self._warn_of_shared())
            self._background(self._look_at_logins())
            log.info("policy.loaded", version=policy.version)
            self.on_policy(policy)
        return True

    def _renew_certificate(self) -> None:
        if self._certificate is None or not self._certificate.changed:
            return
        try:
            self._certificate.renew()
        except GatewayError as error:
            log.error("certificate.refused", error=error.message, hint=error.hint)
        else:
            log.info("certificate.renewed", file=str(self.settings.tls_cert))

    def _record_policy(self) -> None:
        self._record("policy_loaded", policy=self.policy.version)
        if not self._tells:
            return
        for note in (*notes(self.policy), *shadowed(self.policy)):
            log.warning("policy.not_enforced", note=note)

    async def _look_at_logins(self) -> None:
        """Say of each target what its logins should not be able to do, and which masks mask nothing; nothing waits for it."""
        if not self._tells:
            return
        credentials, policy = Credentials(os.environ), self.policy
        for target in policy.targets.values():
            for login in logins(target):
                try:
                    for risk in await risks(login, await credentials.password(login.password)):
                        log.warning("target.risky_login", target=target.name, risk=risk)
                except GatewayError as error:
                    log.warning("target.not_looked_at", target=target.name, login=login.user, problem=_told(error))
            await self._look_for_columns(policy, target, credentials)

    async def _look_for_columns(self, policy: Policy, target: Target, credentials: Credentials) -> None:
        """Warn of masking columns that name this target, and no column of it. Of those for several targets `hoop doctor` tells.

        The catalog is read aside: sessions should not be given one from before they came.
        """
        own = [each for each in named_at(policy, target.name) if each.partition(".")[0] == target.name]
        if not own:
            return
        try:
            catalog = await load_catalog(target, await credentials.password(target.password))
        except GatewayError as error:
            log.warning("masking.columns_not_looked_for", target=target.name, problem=_told(error))
            return
        found = await asyncio.to_thread(unmatched, policy, target.name, catalog.relations.values())
        for column in (each for each in own if each in found):
            hint = f"nothing is masked by it: no column of {target.name} is called that{found[column]}"
            log.warning("masking.no_such_column", target=target.name, column=column, hint=hint)

    async def _watch_policy(self) -> None:
        while True:
            await asyncio.sleep(POLICY_LOOK_EVERY)
            self._renew_certificate()
            if _stamp(self.settings.policies) != self._seen:
                self.reload()


def _told(error: GatewayError) -> str:
    """To operators: what clients are not told of it, or all that they are."""
    detail: str = getattr(error, "detail", "")
    return detail or "; ".join(filter(None, (error.message, error.hint)))


def _ended_here(spool: Path) -> list[str]:
    """Former replicas of this spool directory: their processes have ended, so what they held can be withdrawn at once."""
    return [replica for replica, files in spooled(spool).items() if not is_live(files)]


def _answering(silent: list[int]) -> str:
    """The workers that do not answer have no part in what this one can do."""
    return f"{http.OK}; no answer from {', '.join(map(str, silent))}" if silent else http.OK


def _fresh_secret() -> str:
    """For a link or a cookie: 256 bits as text."""
    return secrets.token_urlsafe(32)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def _closing(client: Any) -> Callable[[], Coroutine[Any, Any, None]]:
    async def close() -> None:
        if client.session is not None:
            await client.session.close()

    return close
