"""The composition root: settings and policy in, a running gateway out. Read `start` top-down; `stop` is its mirror.

    store -> spool -> audit log -> desk -> issuers -> chats -> HTTP -> outbox -> server

What lives here: what is started after what, and what is handed to whom; a new policy is handed on here, too. What is
started last is stopped first, so that no hold is left without somebody to withdraw it and no entry without a shipper.
What must not: deciding anything; what a part of it does by itself while it runs (gateway.running).
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from bots.weekly import Weekly
from gateway import http
from gateway.approvals.desk import Desk
from gateway.approvals.outbox import Below, Outbox
from gateway.approvals.pace import LIMITS, Limit
from gateway.approvals.people import Directory
from gateway.approvals.request import ApprovalRequest
from gateway.audit.files import is_live, spooled
from gateway.audit.log import AuditLog
from gateway.audit.spool import Spool
from gateway.errors import StoreUnavailable
from gateway.identity.issuers import Issuers
from gateway.masking.detectors import Detectors
from gateway.masking.diagnostics import scrub_sql
from gateway.metrics import Metrics
from gateway.policy.model import Policy, Secret, Target
from gateway.relay.catalogs import Catalogs
from gateway.relay.certificate import Certificate
from gateway.relay.credentials import Credentials
from gateway.relay.endings import Endings
from gateway.relay.looks import Looks
from gateway.relay.parser import Parsers
from gateway.relay.relay import Shell
from gateway.relay.server import Doors, Farewell, Server
from gateway.relay.side import CatalogReader
from gateway.relay.spares import Spares
from gateway.relay.turn import Turn
from gateway.running.chats import Chats
from gateway.running.lookout import Lookout
from gateway.running.monitoring import Monitoring, counted
from gateway.running.reloading import Reloading
from gateway.running.remembering import Remembering
from gateway.running.verbs import Verbs
from gateway.settings import Settings, derive, listening
from gateway.siblings import Siblings, Worker
from gateway.sql.catalog import Catalog
from gateway.store.postgres import PostgresStore

log = structlog.get_logger()

#: Seconds that running sessions get to hear 57P01 and withdraw their holds.
DRAIN = 5.0


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
        self.routes: list[web.RouteDef] = []  # further ones of whoever starts it (the demo's)
        self.on_policy: Callable[[Policy], object] = lambda _policy: None  # hears of each policy that replaced another
        self._directory = directory
        self._catalogs: Catalogs | None = None
        self._limits = limits
        self._worker = worker
        self._siblings = None if worker is None else Siblings(worker, partial(counted, self.metrics))
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stops: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._reloading = Reloading(settings.policies)
        self._farewell: Farewell | None = None
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
        settings, worker = self.settings, self._worker
        self._lookout = Lookout(settings, tells=worker is None or worker.number == 1)
        replica = replica_name(worker.number if worker else 0)
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
        self.issuers = Issuers(self.policy.issuers, insecure_loopback=settings.insecure_loopback)
        self._stops.append(self.issuers.close)
        self._remembering = Remembering(self.store, self._background)
        self.monitoring = Monitoring(
            self.store,
            self.spool,
            self.issuers,
            self.metrics,
            worker=worker,
            siblings=self._siblings,
            background=self._background,
        )
        self.chats = Chats(
            settings,
            self.store,
            self.desk,
            self.issuers,
            record=self._record,
            public_url=self._public_url,
            on_stop=self._stops.append,
        )
        weekly = Weekly(self.store, self.chats.fronts, self._channels, time.time)
        self.verbs = self._make_verbs(weekly)
        await self.chats.start(self.verbs.commands, self.policy)
        self._lookout.tell_of_chats(self.policy, self.chats.fronts)
        if self._siblings is not None:
            await self._siblings.start()
            self._stops.append(self._siblings.close)
        await self._start_http()
        outbox = self.outbox = Outbox(
            self.store,
            self.chats.fronts,
            time.time,
            undeliverable=self.desk.undeliverable,
            escalate=self.desk.escalate,
            replica=replica,
            limits=self._limits,
            counted=self.monitoring.count_cards,
            noted=self.monitoring.note_chat,
        )
        await outbox.start()
        self._background(weekly.run())
        self._stops.append(outbox.close)
        await self._start_server(replica)
        self._background(self._reloading.watch(self.reload))
        self._background(self._lookout.tell_of_logins(self.policy))
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

    def _make_verbs(self, weekly: Weekly) -> Verbs:
        return Verbs(
            self.settings,
            self.store,
            self.spool,
            self.audit,
            self.desk,
            self.chats,
            weekly,
            self.monitoring,
            policy=lambda: self.policy,
            catalog=self._catalog,
            health=lambda: self.outbox.health if self.outbox is not None else {},
            record=self._record,
            scrub=self._scrub,
            public_url=self._public_url,
        )

    def _public_url(self) -> str:
        """How browsers reach us. Without HOOP_PUBLIC_URL that is loopback (settings see to it), by the port that it got."""
        return self.settings.public_url.rstrip("/") or f"http://{self.settings.http.host}:{self.ports.http}"

    async def _start_http(self) -> None:
        app = http.make(self.monitoring.ready, self.monitoring.scrape, [*self.routes, *self.chats.routes])
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
        certificate = None
        if settings.tls_cert is not None:
            certificate = Certificate(settings.tls_cert, settings.tls_key)
            self._reloading.follow(certificate, settings.tls_cert)
        shell = Shell(self.desk, self.spool, turn, parser, self.metrics, self._background, reload, looks.look)
        doors = Doors(
            None if certificate is None else certificate.context,
            settings.insecure_loopback,
            replica,
            derive(settings.secret, "masks"),
            derive(settings.secret, "digests"),
            derive(settings.secret, "cancel keys"),
        )
        saw = self._remembering.saw
        spares = Spares(settings.target_keep)
        self.server = Server(
            doors, self.policy, self.issuers, shell, catalogs, password, saw, self.store.cancel, spares
        )
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

    def _record(self, kind: str, **fields: Any) -> None:
        self.spool.record(kind, **fields)
        self.spool.flush()

    async def _catalog(self, target: Target) -> Catalog | None:
        return None if self._catalogs is None else await self._catalogs.get(target)

    def _scrub(self, text: str) -> str:
        masking = self.policy.masking
        return scrub_sql(text, Detectors.build(masking.detect, masking.patterns))

    # --- policy -------------------------------------------------------------------------------------------------------

    def reload(self) -> bool:
        """Read the policies file again, and the certificate if it was renewed; a bad one is refused and the old one stays."""
        policy = self._reloading.again(self.policy, self.settings.web)
        if policy is not None and policy is not self.policy:
            self._adopt(policy)
        return policy is not None

    def _adopt(self, policy: Policy) -> None:
        self.policy = policy
        self.issuers.use(policy.issuers)
        self.desk.use(policy.limits.link_max_age)
        self.server.adopt(policy)
        if self._catalogs is not None:
            self._catalogs.refresh = policy.limits.catalog_refresh
        self._record_policy()
        self._lookout.tell_of_chats(policy, self.chats.fronts)
        self._background(self._lookout.tell_of_shared(policy))
        self._background(self._lookout.tell_of_logins(policy))
        log.info("policy.loaded", version=policy.version)
        self.on_policy(policy)

    def _record_policy(self) -> None:
        self._record("policy_loaded", policy=self.policy.version)
        self._lookout.tell_of_policy(self.policy)


def _ended_here(spool: Path) -> list[str]:
    """Former replicas of this spool directory: their processes have ended, so what they held can be withdrawn at once."""
    return [replica for replica, files in spooled(spool).items() if not is_live(files)]
