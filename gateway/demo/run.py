"""The demo: an embedded PostgreSQL, a loopback issuer, a local workspace and the real gateway, on 127.0.0.1 only.

Nothing here is a mock of the gateway: it is `gateway.app` with real Slack code that talks to bots.workspace through its
API address. Everything lives in one temporary directory and is gone when the demo ends.
"""

import asyncio
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from aiohttp import web

from bots.texts import count
from bots.web.app import CALLBACK
from bots.workspace.delivery import ANSWER_SECONDS
from bots.workspace.workspace import Workspace
from gateway.app import Gateway
from gateway.approvals.pace import LIMITS, Limit
from gateway.approvals.request import Person
from gateway.demo import sample
from gateway.demo.codes import CLIENT_ID as WEB_CLIENT_ID
from gateway.demo.issuer import CLIENT_ID, DemoIssuer
from gateway.demo.postgres import EmbeddedPostgres
from gateway.policies import read_policy
from gateway.settings import Address, Settings, Slack, Web

CHANNEL = "C0APPROVALS"
HOST = "127.0.0.1"
_TOKEN_LIFETIME = 12 * 3600


@dataclass(frozen=True, slots=True)
class Ports:
    """What to listen on; 0 takes a free port."""

    wire: int = 6432
    http: int = 8080


class Demo:
    """`start`, use `gateway`, `workspace`, `issuer`, `postgres`; `stop` takes everything away again."""

    def __init__(
        self,
        ports: Ports,
        settings: Mapping[str, str] | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        binaries: Path | None = None,
        truncate_timeout: str = "2m",
    ) -> None:
        """`truncate_timeout` is how long the policy lets a TRUNCATE wait (the tour has one expire). `settings` are the database's, `binaries` another PostgreSQL's than the wheel's; `answer_seconds` is how long the workspace waits for the bot, as Slack does."""
        self._ports = ports
        self.say: Callable[[str], object] = lambda _line: None  # what happens while it runs, for whoever looks on
        self.limits: Mapping[tuple[str, str], Limit] = LIMITS
        self._postgres_settings = settings or {}
        self._binaries = binaries
        self._truncate_timeout = truncate_timeout
        self._base = Path(tempfile.mkdtemp(prefix="hoop-demo-"))
        self.postgres: EmbeddedPostgres | None = None
        self.workspace = Workspace(
            name="Example Inc",
            app_name="Hoop",
            suggestions=("/hoop pending", "/hoop audit", "/hoop link", "/hoop help"),
            answer_seconds=answer_seconds,
        )
        self.issuer: DemoIssuer
        self.gateway: Gateway

    async def start(self) -> None:
        """Start everything. Raises PostgresError, OSError and what the gateway raises; what had started is stopped."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self._base.chmod(0o711)  # as root the database runs as another user and must reach its own directory
        self.postgres = await EmbeddedPostgres.start(
            self._base, settings=self._postgres_settings, binaries=self._binaries
        )
        loaded = await sample.load(self.postgres)
        self.issuer = await DemoIssuer.start()
        await self._open_workspace()
        policies = self._write_policy(loaded.shop_password)
        audit_key = secrets.token_hex(32)
        settings = Settings(
            store=loaded.store_dsn,
            audit_key=audit_key.encode(),
            secret=secrets.token_hex(32).encode(),
            listen=Address(HOST, self._ports.wire),
            http=Address(HOST, self._ports.http),
            policies=policies,
            insecure_loopback=True,
            spool=self._base / "spool",
            slack=Slack(self.workspace.bot_token, self.workspace.signing_secret, api_url=self.workspace.api_url),
            web=Web(WEB_CLIENT_ID, self.issuer.codes.secret),
        )
        self.gateway = Gateway(settings, read_policy(policies), self._directory, self.limits)
        self.gateway.on_policy = lambda policy: self.say(
            f"The policy was loaded again: {count(len(policy.rules), 'rule')}, version {policy.version}"
        )
        self.gateway.routes = [web.get("/workspace", self._to_workspace)]
        await self.gateway.start()
        self.issuer.codes.redirect_uris.add(f"http://{HOST}:{self.gateway.ports.http}{CALLBACK}")
        self._write_environment(settings)
        self.workspace.events_url = f"http://{HOST}:{self.gateway.ports.http}/slack/events"

    async def _open_workspace(self) -> None:
        people = (
            ("Ann", "ann@example.com", "Engineer", ()),
            ("Bob", "bob@example.com", "DBA", ("dbas",)),
            ("Dana", "dana@example.com", "DBA", ("dbas",)),
            ("Eve", "eve@example.com", "Marketing", ()),
        )
        for name, email, title, groups in people:
            self.workspace.add_person(name, email, title, groups)
        everybody = [name for name, *_ in people]
        topic = "Statements that wait for a decision"
        self.workspace.add_channel("db-approvals", everybody, channel_id=CHANNEL, topic=topic)
        self.workspace.add_channel("general", everybody, topic="Anything")
        await self.workspace.start(HOST, 0)

    def _write_policy(self, password: str) -> Path:
        assert self.postgres is not None  # noqa: S101 - it was started before
        password_file = self._base / "shop.password"
        password_file.touch(mode=0o600)
        password_file.write_text(password, "utf-8")
        text = files("gateway.demo").joinpath("policies.yaml").read_text("utf-8")
        path = self._base / "policies.yaml"
        path.write_text(
            text.format(
                issuer=self.issuer.url,
                port=self.postgres.port,
                password_file=password_file,
                channel=CHANNEL,
                truncate_timeout=self._truncate_timeout,
            ),
            "utf-8",
        )
        return path

    def _write_environment(self, settings: Settings) -> None:
        """All that this demo's gateway runs with, for a shell's `.` command: `hoop audit`, `token`, `doctor` ... then mean this one."""
        ports, slack = self.gateway.ports, settings.slack
        assert slack is not None  # noqa: S101 - the demo's workspace
        known = {
            "HOOP_POLICIES": settings.policies,
            "HOOP_STORE": settings.store,
            "HOOP_AUDIT_KEY": settings.audit_key.decode(),
            "HOOP_SECRET": settings.secret.decode(),
            "HOOP_SPOOL": settings.spool,
            "HOOP_LISTEN": f"{HOST}:{ports.wire}",
            "HOOP_HTTP": f"{HOST}:{ports.http}",
            "HOOP_INSECURE_LOOPBACK": "1",
            "HOOP_WEB_CLIENT_ID": WEB_CLIENT_ID,
            "HOOP_WEB_CLIENT_SECRET": self.issuer.codes.secret,
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_SIGNING_SECRET": slack.signing_secret,
            "SLACK_API_URL": slack.api_url,
            "HOOP_ISSUER": self.issuer.url,
            "HOOP_CLIENT_ID": CLIENT_ID,
        }
        lines = [f"export {name}={shlex.quote(str(value))}" for name, value in known.items()]
        path = self._base / "env"
        path.touch(mode=0o600)
        path.write_text("\n".join([f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH", *lines, ""]), "utf-8")

    async def _directory(self, email: str) -> Person | None:
        return self.issuer.directory(email)

    async def _to_workspace(self, _request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(self.workspace.page_url("Bob", "db-approvals"))

    def token(self, person: str, lifetime: float = _TOKEN_LIFETIME) -> str:
        """A token of one of the demo's people (ann, cursor, bob, dana, eve)."""
        return self.issuer.mint(person, lifetime=lifetime)

    def welcome(self) -> str:
        """What the demo prints: lines to paste."""
        wire, page = self.gateway.ports.wire, f"http://{HOST}:{self.gateway.ports.http}/workspace"
        psql = shutil.which("psql") or str(self.postgres.binaries / "psql" if self.postgres else "psql")
        place = f"host={HOST} port={wire} dbname=shop user=hoop sslmode=disable"
        lines = [
            "The gateway is up. Leave this running; open two more windows.",
            "",
            f"1. Reviewers' chat, as Bob the DBA (its left side switches persons):  {page}",
            "",
            "2. An AI agent's psql (a token in the place of a password, valid 12 hours):",
            f"   PGPASSWORD={self.token('cursor')} \\",
            f"     {psql} '{place} application_name=cursor'",
            "",
            "   Try:  SELECT name, card_number, api_key FROM customers LIMIT 3;",
            "         DELETE FROM customers WHERE id = 7;        -- waits until Bob or Dana clicks",
            "         UPDATE customers SET city = 'Oslo';        -- refused: no WHERE",
            "         DELETE FROM order_items WHERE order_id = 4;  -- More, Approve this shape: again without asking",
            "         ALTER TABLE products ADD note text;        -- approved on the gateway's page (sign in as Bob)",
            "         DROP TABLE order_items;                    -- two DBAs, or More, Break glass",
            "         TRUNCATE order_items;                      -- expires in 2 minutes",
            "",
            "3. A person, Ann the engineer:",
            f"   PGPASSWORD={self.token('ann')} \\",
            f"     {psql} '{place}'",
            "",
            "4. The `hoop` command for this demo, and a token of your own for a driver (psycopg, asyncpg):",
            f"   . {shlex.quote(str(self._base / 'env'))}",
            "   TOKEN=$(hoop token)          # opens nothing by itself: follow the link it prints",
            f"   postgresql://hoop:$TOKEN@{HOST}:{wire}/shop?sslmode=disable",
            "   hoop audit verb:delete       # also: hoop audit verify, hoop check",
            "   hoop explain --target shop --user ann --group engineering 'DELETE FROM orders WHERE id = 1'",
            "",
            f"   The policy is {self._base / 'policies.yaml'}: edit it, and it is loaded within seconds.",
            f"   health: http://{HOST}:{self.gateway.ports.http}/readyz    stop: Ctrl-C",
        ]
        return "\n".join(lines)

    async def stop(self) -> None:
        """Stop in the other order and remove every file."""
        for part in ("gateway", "workspace", "issuer"):
            found = getattr(self, part, None)
            if found is not None:
                await (found.close() if part == "issuer" else found.stop())
        if self.postgres is not None:
            await self.postgres.stop()
        await asyncio.to_thread(shutil.rmtree, self._base, ignore_errors=True)
