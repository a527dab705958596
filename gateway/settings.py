"""Environment -> frozen Settings. The mapping is an argument; os.environ is read by the command line alone.

What lives here: names, defaults and checks of the variables of `hoop serve`, and the keys derived from HOOP_SECRET.
Secrets come from a variable or, with _FILE behind its name, from a file; neither repr nor an error ever shows one.
Every problem is reported at once.
"""

import difflib
import ipaddress
import os
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

#: NIST SP 800-107: a key of HMAC-SHA-256 and HKDF-SHA-256 has no use for less than the hash's strength.
MIN_SECRET: Final = 32
#: Seconds that a connection to a target is kept for the next session of the same person: DROP DATABASE waits 5 s for others to leave
#: (CountOtherDBBackends).
KEEP: Final = 2
#: Slack, "Using Socket Mode": connections that an app may have at the same time.
MOST_SOCKETS: Final = 10
#: What to do about a certificate and a key that can't be used.
PAIR: Final = "HOOP_TLS_CERT and HOOP_TLS_KEY are PEM files of one certificate"
#: What keys are derived for; the same secret gives another key for each.
PURPOSES: Final = ("buttons", "cursors", "links", "masks", "cancel keys", "digests")

_SECRETS: Final = (
    *("HOOP_STORE", "HOOP_AUDIT_KEY", "HOOP_SECRET", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN"),
    *("TEAMS_APP_PASSWORD", "HOOP_WEB_CLIENT_SECRET"),
)
#: What `hoop token` reads: it may stand in the same environment.
ELSEWHERE: Final = ("HOOP_ISSUER", "HOOP_CLIENT_ID", "HOOP_SCOPE")
_TEAMS: Final = ("TEAMS_APP_ID", "TEAMS_APP_PASSWORD", "TEAMS_TENANT_ID")


class SettingsError(Exception):
    """The environment can't be used. `problems` are sentences that start with the variable's name."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


LISTEN: Final = Address("0.0.0.0", 6432)  # noqa: S104 - the documented default; plain text needs loopback
HTTP: Final = Address("0.0.0.0", 8080)  # noqa: S104 - as above


def unusable_pair(error: Exception) -> str:
    """What is wrong when certificate and key can't be loaded: OpenSSL's own words ("PEM lib") name neither."""
    return f"certificate and key can't be used ({type(error).__name__})"


@contextmanager
def listening(name: str, address: Address) -> Iterator[None]:
    """Around a bind: an OSError says which variable to change, whoever binds."""
    try:
        yield
    except OSError as error:
        # the texts of asyncio and socket repeat the address; a name that is not found has a number of its own, below 0
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else error.strerror or str(error)
        told = OSError(f"can't listen on {address}: {why}; change {name}")
        told.errno = error.errno
        raise told from error


@dataclass(frozen=True, slots=True)
class Slack:
    """`app_token` set: Socket Mode. `api_url` is another Slack (tests, the demo). `shared_channels` are the ids of those in which
    another organisation may read along."""

    bot_token: str = field(repr=False)
    signing_secret: str = field(repr=False)
    app_token: str = field(repr=False, default="")
    api_url: str = "https://slack.com/api/"
    shared_channels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Teams:
    """A single-tenant bot; the two URLs are set for sovereign clouds and tests."""

    app_id: str
    app_password: str = field(repr=False)
    tenant_id: str
    openid_metadata_url: str | None = None
    login_url: str | None = None


@dataclass(frozen=True, slots=True)
class Web:
    """The gateway's own client at an issuer, by which people sign in to its pages. `issuer` "": the only one of the policy."""

    client_id: str
    client_secret: str = field(repr=False)
    issuer: str = ""
    scope: str = "openid profile email"


@dataclass(frozen=True, slots=True)
class Settings:
    """All that `hoop serve` takes from its environment."""

    store: str = field(repr=False)
    audit_key: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    listen: Address = LISTEN
    http: Address = HTTP
    policies: Path = Path("policies.yaml")
    tls_cert: Path | None = None
    tls_key: Path | None = None
    public_url: str = ""
    insecure_loopback: bool = False
    log: str = "json"
    spool: Path = Path("spool")
    workers: int = 1
    target_keep: int = KEEP
    slack: Slack | None = None
    teams: Teams | None = None
    web: Web | None = None


def read(environ: Mapping[str, str]) -> Settings:
    """Read the settings. Raises SettingsError with every problem found. An empty variable counts as not set."""
    values = _Values(environ)
    settings = _made(values)
    _check_tls(settings, values)
    _check_web(settings, values)
    _check_workers(settings, values)
    if values.problems:
        raise SettingsError(values.problems)
    return settings


def _made(values: "_Values") -> Settings:
    return Settings(
        store=values.store(),
        audit_key=values.key("HOOP_AUDIT_KEY"),
        secret=values.key("HOOP_SECRET"),
        listen=values.address("HOOP_LISTEN", LISTEN),
        http=values.address("HOOP_HTTP", HTTP),
        policies=Path(values.get("HOOP_POLICIES") or "policies.yaml"),
        tls_cert=values.file("HOOP_TLS_CERT"),
        tls_key=values.file("HOOP_TLS_KEY"),
        public_url=values.url("HOOP_PUBLIC_URL"),
        insecure_loopback=values.flag("HOOP_INSECURE_LOOPBACK"),
        log=values.choice("HOOP_LOG", ("json", "console")),
        spool=Path(values.get("HOOP_SPOOL") or "spool"),
        workers=values.count("HOOP_WORKERS", 1),
        target_keep=values.count("HOOP_TARGET_KEEP", KEEP, range(31)),
        slack=values.slack(),
        teams=values.teams(),
        web=values.web(),
    )


def unknown(environ: Mapping[str, str], named: Container[str] = ()) -> list[str]:
    """A sentence for each HOOP_ variable that nothing reads: misspelt, it would pass for one that is not set. `named` are those that
    the policy names."""
    of_services = tuple(f"{each.removesuffix(_SERVICE)}_" for each in environ if each.endswith(_SERVICE))
    known = _names()
    strange = [each for each in environ if each.startswith(_PREFIX) and each not in known and each not in named]
    return [f"{name}: no such setting; {_near(name, known)}" for name in strange if not name.startswith(of_services)]


#: Kubernetes sets NAME_SERVICE_HOST, NAME_PORT and more for each service, and one may be called hoop.
_SERVICE: Final = "_SERVICE_HOST"
_PREFIX: Final = "HOOP_"


def _names() -> set[str]:
    """All HOOP_ variables that are read: whatever is set, `_made` asks for each of them."""
    values = _Values({})
    _made(values)
    return {*values.asked, *(f"{each}_FILE" for each in _SECRETS), *ELSEWHERE}


def _near(name: str, known: set[str]) -> str:
    ends = sorted(each.removeprefix(_PREFIX) for each in known if each.startswith(_PREFIX))
    near = difflib.get_close_matches(name.removeprefix(_PREFIX), ends, n=1, cutoff=0.5)
    return f"did you mean {_PREFIX}{near[0]}?" if near else ".env.example lists them all"


def derive(secret: bytes, purpose: str) -> bytes:
    """Derive the 32-byte key for one of PURPOSES (HKDF-SHA256, RFC 5869). Raises ValueError for another purpose."""
    if purpose not in PURPOSES:
        raise ValueError(f"no key is derived for {purpose!r}")
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"hoop {purpose} v1".encode()).derive(secret)


class _Values:
    """The variables, files read in, and what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []
        self.asked = {*_SECRETS}
        self._unread: set[str] = set()
        self._secrets = {name: self._secret(name) for name in _SECRETS}

    def get(self, name: str) -> str:
        self.asked.add(name)
        return self._secrets[name] if name in self._secrets else self._environ.get(name, "").strip()

    def wrong(self, name: str, message: str) -> None:
        self.problems.append(f"{name}: {message}")

    def is_wrong(self, name: str) -> bool:
        """True if it was refused: its default stands in for it and is not what was asked for."""
        return any(each.startswith(f"{name}: ") for each in self.problems)

    def _secret(self, name: str) -> str:
        direct, path = self._environ.get(name, "").strip(), self._environ.get(f"{name}_FILE", "").strip()
        if direct and path:
            self.wrong(name, f"both {name} and {name}_FILE are set; keep one")
        if direct or not path:
            return direct
        text = self._read(name, path)
        if not text:
            self._unread.add(name)
        return text

    def _read(self, name: str, path: str) -> str:
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            self.wrong(f"{name}_FILE", f"{path} can't be read: {error.strerror}")
        except UnicodeDecodeError:  # its own text would quote the secret's bytes
            self.wrong(f"{name}_FILE", f"{path} is not UTF-8 text")
        else:
            if not text:
                self.wrong(f"{name}_FILE", f"{path} is empty")
            return text
        return ""

    def _is_missing(self, name: str) -> bool:
        """True if nothing was given at all; a file that could not be read has been reported already."""
        return not self.get(name) and name not in self._unread

    def key(self, name: str) -> bytes:
        found = self.get(name).encode()
        if self._is_missing(name):
            self.wrong(name, f"missing; a random one of {MIN_SECRET} bytes or more is wanted (openssl rand -base64 48)")
        elif found and len(found) < MIN_SECRET:
            self.wrong(name, f"too short: {len(found)} bytes, and {MIN_SECRET} is the least")
        return found

    def store(self) -> str:
        found = self.get("HOOP_STORE")
        if self._is_missing("HOOP_STORE"):
            self.wrong(
                "HOOP_STORE", "missing; a DSN like postgresql://hoop_gate:PASSWORD@db.example.com/hoop is wanted"
            )
        elif found and not found.startswith(("postgresql://", "postgres://")):
            self.wrong("HOOP_STORE", "a DSN starts with postgresql://")
        return found

    def address(self, name: str, default: Address) -> Address:
        found = self.get(name)
        if not found:
            return default
        host, _, port = found.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        if not bare or (":" in bare and bare == host) or not port.isdecimal() or int(port) > 65535:
            self.wrong(name, f'"{found}" is no address like 0.0.0.0:6432 or [::1]:6432')
            return default
        return Address(bare, int(port))

    def file(self, name: str) -> Path | None:
        found = self.get(name)
        if found and not Path(found).is_file():
            self.wrong(name, f"there is no file {found}")
        return Path(found) if found else None

    def url(self, name: str) -> str:
        found = self.get(name)
        try:
            parts = urlsplit(found)
            known = not found or (parts.scheme in ("http", "https") and bool(parts.hostname))
            plain = parts.scheme == "http" and not _is_loopback(parts.hostname or "")
        except ValueError:
            known, plain = False, False
        if not known or plain:
            self.wrong(name, f'"{found}" is no https:// URL' + (" (http:// is for loopback only)" if plain else ""))
        return found

    def flag(self, name: str) -> bool:
        found = self.get(name)
        if found not in ("", "0", "1"):
            self.wrong(name, f'"{found}" is neither 1 nor 0')
        return found == "1"

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        found = self.get(name) or choices[0]
        if found not in choices:
            self.wrong(name, f'"{found}" is none of {", ".join(choices)}')
        return found

    def count(self, name: str, default: int, among: range = range(1, 257)) -> int:
        found = self.get(name)
        if not found:
            return default
        if not found.isdecimal() or int(found) not in among:
            self.wrong(name, f'"{found}" is no number from {among[0]} to {among[-1]}')
            return default
        return int(found)

    def slack(self) -> Slack | None:
        token, signing, app = (self.get(f"SLACK_{name}") for name in ("BOT_TOKEN", "SIGNING_SECRET", "APP_TOKEN"))
        if not (token or signing or app):
            return None
        if self._is_missing("SLACK_BOT_TOKEN"):
            self.wrong("SLACK_BOT_TOKEN", "missing, while other Slack settings are there")
        if self._is_missing("SLACK_SIGNING_SECRET") and self._is_missing("SLACK_APP_TOKEN"):
            self.wrong("SLACK_SIGNING_SECRET", "missing; it proves that a click is Slack's (or use SLACK_APP_TOKEN)")
        api_url = self.url("SLACK_API_URL") or Slack("", "").api_url
        shared = frozenset(self.get("SLACK_SHARED_CHANNELS").replace(",", " ").split())
        return Slack(token, signing, app, api_url if api_url.endswith("/") else api_url + "/", shared)

    def teams(self) -> Teams | None:
        found = {name: self.get(name) for name in _TEAMS}
        if not any(found.values()):
            return None
        for name in filter(self._is_missing, _TEAMS):
            self.wrong(name, "missing, while other Teams settings are there")
        return Teams(
            found["TEAMS_APP_ID"],
            found["TEAMS_APP_PASSWORD"],
            found["TEAMS_TENANT_ID"],
            self.url("TEAMS_OPENID_METADATA_URL") or None,
            self.url("TEAMS_LOGIN_URL") or None,
        )

    def web(self) -> Web | None:
        client, secret, issuer = (self.get(f"HOOP_WEB_{name}") for name in ("CLIENT_ID", "CLIENT_SECRET", "ISSUER"))
        scope = self.get("HOOP_WEB_SCOPE") or Web("", "").scope
        if not (client or secret or issuer):
            return None
        for name in filter(self._is_missing, ("HOOP_WEB_CLIENT_ID", "HOOP_WEB_CLIENT_SECRET")):
            self.wrong(name, "missing, while other settings of the web client are there")
        if "openid" not in scope.split():
            self.wrong("HOOP_WEB_SCOPE", "openid has to be among the scopes")
        return Web(client, secret, issuer, scope)


def _check_web(settings: Settings, values: _Values) -> None:
    """The issuer sends browsers back to an address that it knows."""
    local = settings.http.is_loopback or values.is_wrong("HOOP_HTTP")
    if settings.web is not None and not settings.public_url and not local:
        values.wrong("HOOP_PUBLIC_URL", "missing; people who sign in come back to HOOP_PUBLIC_URL/login/callback")


def _check_workers(settings: Settings, values: _Values) -> None:
    if settings.slack and settings.slack.app_token and settings.workers > MOST_SOCKETS:
        values.wrong(
            "HOOP_WORKERS",
            f"{settings.workers} are too many with SLACK_APP_TOKEN: each has a Socket Mode connection, and Slack allows "
            f"{MOST_SOCKETS} an app; leave SLACK_APP_TOKEN out, and Slack sends to HOOP_PUBLIC_URL",
        )


def _check_tls(settings: Settings, values: _Values) -> None:
    """Outside loopback a token never travels in plain text; on loopback only when it was asked for."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        missing = "HOOP_TLS_KEY" if settings.tls_key is None else "HOOP_TLS_CERT"
        values.wrong(missing, "missing; certificate and key go together")
    elif settings.tls_cert is None and not settings.insecure_loopback:
        values.wrong(
            "HOOP_TLS_CERT", "missing; without TLS only HOOP_INSECURE_LOOPBACK=1 on a loopback HOOP_LISTEN works"
        )
        values.wrong("HOOP_TLS_KEY", "missing; certificate and key go together")
    if settings.insecure_loopback and not settings.listen.is_loopback and not values.is_wrong("HOOP_LISTEN"):
        values.wrong("HOOP_INSECURE_LOOPBACK", f"HOOP_LISTEN is {settings.listen.host}, which is not loopback")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
