"""What `/hoop` answers over a running gateway: each verb is handed what it asks of the parts.

What lives here: who is an auditor, and how the log, the replicas and the chats stand when somebody asks. What must not:
words and order of the answers (bots), which chat asks (chats.py).
"""

import time
from collections.abc import Awaitable, Callable, Mapping

from bots.answers import Verb
from bots.commands import Commands
from bots.explaining import Explaining
from bots.lifting import Lifting
from bots.linking import Linking
from bots.revoking import Revoking
from bots.sessions import Sessions
from bots.status import Look, Status
from bots.weekly import Weekly
from gateway import http
from gateway.approvals.desk import Desk
from gateway.approvals.health import ChatHealth
from gateway.approvals.request import Person
from gateway.approvals.upkeep import LAPSE
from gateway.audit import tail
from gateway.audit.log import AuditLog
from gateway.audit.spool import Spool
from gateway.policy.model import Policy, Target
from gateway.running.chats import Chats, fresh_secret
from gateway.running.monitoring import Monitoring
from gateway.settings import Settings, derive
from gateway.sql.catalog import Catalog
from gateway.store.postgres import PostgresStore

_CLOCK_HINT = "set this machine's clock: from 300 s on Slack's clicks are refused"


class Verbs:
    """`policy` is the one in force, `catalog` a target's where it is known, `health` how each chat takes what is sent;
    `record` writes an audit entry; `scrub` masks what somebody typed; `public_url` is how browsers reach us."""

    def __init__(
        self,
        settings: Settings,
        store: PostgresStore,
        spool: Spool,
        audit: AuditLog,
        desk: Desk,
        chats: Chats,
        weekly: Weekly,
        monitoring: Monitoring,
        *,
        policy: Callable[[], Policy],
        catalog: Callable[[Target], Awaitable[Catalog | None]],
        health: Callable[[], Mapping[str, ChatHealth]],
        record: Callable[..., None],
        scrub: Callable[[str], str],
        public_url: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._store = store
        self._spool = spool
        self._audit = audit
        self._desk = desk
        self._chats = chats
        self._weekly = weekly
        self._monitoring = monitoring
        self._policy = policy
        self._catalog = catalog
        self._health = health
        self._record = record
        self._scrub = scrub
        self._public_url = public_url

    def commands(self) -> Commands:
        """For one chat."""
        return Commands(
            self._desk,
            self._store.audit,
            record=self._record,
            proof=self._proof,
            auditor=self._is_auditor,
            cursor_key=derive(self._settings.secret, "cursors"),
            clock=time.time,
            more=self._further_verbs(),
        )

    def _further_verbs(self) -> dict[str, Verb]:
        auditor, clock = self._is_auditor, time.time
        sessions = Sessions(
            lambda: self._store.sessions(LAPSE), self._desk.pending, record=self._record, auditor=auditor, clock=clock
        )
        status = Status(
            self._parts,
            self._look,
            self._tail,
            self._weekly.last_days,
            self._health_of_chats,
            auditor=auditor,
            clock=clock,
        )
        policy = Explaining(self._policy, self._catalog, auditor=auditor, clock=clock)
        lifting = Lifting(self._desk, clock)
        revoking = Revoking(
            self._desk,
            lambda: self._store.sessions(LAPSE),
            self._store.end_session,
            record=self._record,
            auditor=auditor,
            clock=clock,
            scrub=self._scrub,
        )
        linking = Linking(
            self._store,
            page=(lambda secret: f"{self._public_url()}/link/{secret}") if self._settings.web else None,
            key=derive(self._settings.secret, "links"),
            fresh=fresh_secret,
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

    def _is_auditor(self, person: Person) -> bool:
        return any(person.groups & each.groups for each in self._policy().reviewers.values())

    async def _parts(self) -> dict[str, str]:
        """For `/hoop status`: what `/readyz` tells, and by how much our clock is off."""
        parts = await self._monitoring.ready()
        off = await self._chats.clock_off()
        return parts if off is None else parts | {"clock": f"{off}; {_CLOCK_HINT}" if off else http.OK}

    async def _look(self) -> Look:
        """What the store says of all replicas, for /hoop status."""
        return Look(
            tuple(await self._store.alive(LAPSE)),
            tuple(await self._desk.pending(1000)),
            await self._store.backlog(),
            tuple(await self._store.parked()),
        )

    async def _tail(self) -> tuple[str, bool]:
        """How the newest entries of this process's own chain stand in the store, looked at now."""
        found = await tail.look(self._store, self._spool, self._audit.shipped)
        if found.wrong is not None:
            return f"Audit log: NOT intact at #{found.wrong:,} of {self._spool.replica}: run hoop audit verify", False
        waiting = self._spool.seq - self._audit.shipped
        behind = f"; {waiting:,} not stored yet" if waiting else ""
        return f"Audit log: the newest {found.count:,} entries, up to #{found.last:,}, are intact{behind}", True

    def _health_of_chats(self) -> dict[str, ChatHealth | None]:
        """How each chat that is set up takes what this process sends."""
        known = self._health()
        return {chat: known.get(chat) for chat in self._chats.fronts}

    async def _proof(self) -> str:
        """How far the log is known to be intact: this process's own chain."""
        return f"log intact through #{self._spool.seq}, head {self._spool.head[:8]}"
