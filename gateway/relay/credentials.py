"""From a Secret of policies.yaml to the password for a target, at each connect.

What lives here: environment, file, Entra ID tokens. What must not: keeping a password longer than it is good for, or
writing one anywhere. A file is looked at each time, and read anew unless it is the one that was read, so that a rotated secret
needs no restart.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import TargetUnavailable
from gateway.failures import in_words
from gateway.policy.model import Secret

# Azure Database for PostgreSQL takes an Entra access token for this resource as the password.
POSTGRES_RESOURCE = "https://ossrdbms-aad.database.windows.net"
_MARGIN = 300.0  # seconds before its end that a token is no longer handed out: a connect may take a while
#: Seconds that a file must not have been changed for when it is read: a change within the clock's tick would not show.
_SETTLED = 1.0
_AUTHORITY = "https://login.microsoftonline.com"


#: Of a file: device, inode, size, and when it and its inode were last changed (ns).
_State = tuple[int, int, int, int, int] | None


class CredentialMissing(TargetUnavailable):
    """No password for a target. The client learns only that; `detail` is for the log and never holds a secret."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            "the gateway has no password for this target", hint="the gateway's log says why; its operator can fix it"
        )
        self.detail = detail


@dataclass(slots=True)
class _Cached:
    """One client id's token; the lock lets one connect fetch it while the others wait."""

    token: str = field(default="", repr=False)
    good_until: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Credentials:
    """Reads secrets when they are needed. `environ` also names how to reach Entra ID, by Azure's usual variables."""

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        *,
        clock: Callable[[], float] = time.time,
        http_client: Any = None,  # msal's plug for HTTP; None: its own
    ) -> None:
        self._environ = environ
        self._clock = clock
        self._http_client = http_client
        self._entra: dict[str, _Cached] = {}
        self._files: dict[str, tuple[_State, str]] = {}

    async def password(self, secret: Secret) -> str:
        """The password as it is now. Raises CredentialMissing."""
        if secret.env is not None:
            return self._from_environment(secret.env)
        if secret.file is not None:
            return await self._from_file(secret.file)
        if secret.entra is not None:
            return await self._from_entra(secret.entra)
        raise CredentialMissing("the secret names neither env, file nor entra")

    def _from_environment(self, name: str) -> str:
        value = self._environ.get(name, "")
        if not value:
            raise CredentialMissing(f"the environment variable {name} is not set")
        return value

    async def _from_file(self, path: str) -> str:
        """The look is a stat on the loop, a thread would cost fifty times as much; a file that was changed is read in one."""
        known = self._files.pop(path, None)
        if known is None or known[0] != _state(path):
            state, password = await asyncio.to_thread(_read, path)
            known = state, password
            if state is None or self._clock() - max(state[-2:]) / 1e9 < _SETTLED:
                return password
        self._files[path] = known
        return known[1]

    async def _from_entra(self, client_id: str) -> str:
        cached = self._entra.setdefault(client_id, _Cached())
        async with cached.lock:
            if self._clock() < cached.good_until - _MARGIN:
                return cached.token
            try:
                answer = await asyncio.to_thread(self._ask_entra, client_id)
            except CredentialMissing:
                raise
            except Exception as error:  # msal lets through requests', its own and whatever a broken answer causes
                raise CredentialMissing(f"Entra ID, client {client_id}: {type(error).__name__}") from error
            token = answer.get("access_token")
            if not isinstance(token, str):
                reason = f"{answer.get('error')}: {answer.get('error_description')}"
                raise CredentialMissing(f"Entra ID, client {client_id}: {reason}")
            cached.token, cached.good_until = token, self._clock() + float(answer.get("expires_in", 0))
            return token

    def _ask_entra(self, client_id: str) -> Mapping[str, Any]:
        """A client secret or a federated token (workload identity) if one is set, else the machine's managed identity."""
        import msal  # noqa: PLC0415  # 0.1 s and 20 MiB that most installations never need

        credential = self._client_credential()
        if credential is None:
            client = msal.ManagedIdentityClient(
                msal.UserAssignedManagedIdentity(client_id=client_id), http_client=self._http_client or _session()
            )
            answer: Mapping[str, Any] = client.acquire_token_for_client(resource=POSTGRES_RESOURCE)
            return answer
        host = self._environ.get("AZURE_AUTHORITY_HOST", _AUTHORITY).rstrip("/")
        app = msal.ConfidentialClientApplication(
            client_id,
            client_credential=credential,
            authority=f"{host}/{self._from_environment('AZURE_TENANT_ID')}",
            http_client=self._http_client,
        )
        answer = app.acquire_token_for_client([f"{POSTGRES_RESOURCE}/.default"])
        return answer or {}

    def _client_credential(self) -> str | dict[str, Callable[[], str]] | None:
        if secret := self._environ.get("AZURE_CLIENT_SECRET"):
            return secret
        if path := self._environ.get("AZURE_CLIENT_SECRET_FILE"):
            return _from_file(Path(path))
        if path := self._environ.get("AZURE_FEDERATED_TOKEN_FILE"):
            return {"client_assertion": lambda: _from_file(Path(path))}
        return None


def _session() -> Any:
    """What msal's managed identity client talks HTTP with; it makes none of its own."""
    import requests  # noqa: PLC0415  # comes with msal

    return requests.Session()


def _state(path: str) -> _State:
    """Which file it is and when it was last changed; None where it can't be looked at."""
    try:
        seen = os.stat(path)  # noqa: PTH116 - each login asks, and making a Path costs more than the look
    except OSError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _read(path: str) -> tuple[_State, str]:
    """The file's state before it was read, and the password; blocking. A change meanwhile makes the next look another."""
    return _state(path), _from_file(Path(path))


def _from_file(path: Path) -> str:
    """A mounted secret without the newline that editors add; blocking."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialMissing(f"the secret file {path}: {in_words(error)}") from None
    password = text.removesuffix("\n").removesuffix("\r")
    if not password:
        raise CredentialMissing(f"the secret file {path} is empty")
    return password
