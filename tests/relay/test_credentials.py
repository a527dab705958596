"""Secrets from environment and file, and Entra tokens by the real msal against loopback endpoints."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web

from gateway.policy.model import Secret
from gateway.relay.credentials import POSTGRES_RESOURCE, CredentialMissing, Credentials
from tests.fakes.clock import Clock


async def _refusal(credentials: Credentials, secret: Secret) -> str:
    with pytest.raises(CredentialMissing) as failure:
        await credentials.password(secret)
    assert failure.value.sqlstate == "08006"
    assert failure.value.message == "the gateway has no password for this target"
    return failure.value.detail


async def test_environment() -> None:
    credentials = Credentials({"SHOP_PASSWORD": " kept as it is ", "EMPTY": ""})
    assert await credentials.password(Secret(env="SHOP_PASSWORD")) == " kept as it is "
    for name in ("EMPTY", "UNSET"):
        assert await _refusal(credentials, Secret(env=name)) == f"the environment variable {name} is not set"


async def test_a_file_is_read_at_each_connect(tmp_path: Path) -> None:
    path = tmp_path / "password"
    credentials, secret = Credentials({}), Secret(file=str(path))
    assert "no such file or directory" in await _refusal(credentials, secret)
    path.write_text("first\n")
    assert await credentials.password(secret) == "first"
    path.write_bytes(b"second pass\r\n")
    assert await credentials.password(secret) == "second pass"
    path.write_bytes(b"\n")
    assert "is empty" in await _refusal(credentials, secret)
    path.write_bytes(b"secret\xff")
    assert "secret\\xff" not in await _refusal(credentials, secret)


async def test_a_file_that_has_settled_is_read_again_once_it_is_another(tmp_path: Path) -> None:
    path, clock = tmp_path / "password", Clock()
    clock.now = time.time() + 60  # so that all files here have been as they are for a minute
    credentials, secret = Credentials({}, clock=clock), Secret(file=str(path))
    path.write_text("first")
    for _ in range(2):
        assert await credentials.password(secret) == "first"
    path.write_text("other")  # as long, and in its place
    assert await credentials.password(secret) == "other"
    (tmp_path / "next").write_text("third")
    (tmp_path / "next").rename(path)
    assert await credentials.password(secret) == "third"
    path.unlink()
    assert "no such file or directory" in await _refusal(credentials, secret)
    path.write_text("third")
    assert await credentials.password(secret) == "third"


async def test_a_link_that_is_turned_is_another_file(tmp_path: Path) -> None:
    """As Kubernetes changes a mounted secret."""
    clock = Clock()
    clock.now = time.time() + 60
    credentials, secret = Credentials({}, clock=clock), Secret(file=str(tmp_path / "password"))
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        (tmp_path / "new").symlink_to(name)
        (tmp_path / "new").rename(tmp_path / "password")
        for _ in range(2):
            assert await credentials.password(secret) == name


async def test_nothing_named() -> None:
    assert "neither" in await _refusal(Credentials({}), Secret())


class Cloud:
    """Loopback ends of Entra's token endpoint and of a managed identity; `asked` keeps what they were asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, str]] = []
        self.paths: Counter[str] = Counter()
        self.refuse = False

    async def discovery(self, _request: web.Request) -> web.Response:
        base = "https://login.microsoftonline.com/tenant"
        return web.json_response(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
            }
        )

    async def instance(self, _request: web.Request) -> web.Response:
        return web.json_response({"metadata": []})

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append({name: str(value) for name, value in (await request.post()).items()})
        if self.refuse:
            return web.json_response({"error": "invalid_client", "error_description": "AADSTS7000215"}, status=401)
        return web.json_response(
            {"access_token": f"token {len(self.asked)}", "token_type": "Bearer", "expires_in": 3600}
        )

    async def identity(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        return web.json_response({"access_token": f"token {len(self.asked)}", "expires_on": "99999999999"})


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    made = Cloud()
    app = web.Application()
    app.add_routes(
        [
            web.get("/tenant/v2.0/.well-known/openid-configuration", made.discovery),
            web.get("/common/discovery/instance", made.instance),
            web.post("/tenant/token", made.token),
            web.get("/identity", made.identity),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


class Forwarder:
    """msal's pluggable HTTP client: what is meant for Entra goes to loopback."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def get(self, url: str, **options: Any) -> requests.Response:
        return self._session.get(self._map(url), **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        return self._session.post(self._map(url), **options)

    def _map(self, url: str) -> str:
        return url.replace("https://login.microsoftonline.com", self._url)

    def close(self) -> None:
        self._session.close()


ENTRA = Secret(entra="client-1")


async def test_client_secret_and_cache(cloud: Cloud) -> None:
    clock, http = Clock(1_000_000.0), Forwarder(cloud.url)
    environ = {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_SECRET": "hush"}
    credentials = Credentials(environ, clock=clock, http_client=http)
    async with asyncio.timeout(60):
        assert set(await asyncio.gather(*(credentials.password(ENTRA) for _ in range(5)))) == {"token 1"}
        assert len(cloud.asked) == 1
        assert (cloud.asked[0]["client_id"], cloud.asked[0]["client_secret"]) == ("client-1", "hush")
        assert cloud.asked[0]["scope"] == f"{POSTGRES_RESOURCE}/.default"
        clock.now += 3299
        assert await credentials.password(ENTRA) == "token 1"
        clock.now += 2
        assert await credentials.password(ENTRA) == "token 2"
    http.close()


async def test_a_federated_token(cloud: Cloud, tmp_path: Path) -> None:
    http = Forwarder(cloud.url)
    (tmp_path / "federated").write_text("assertion")
    environ = {"AZURE_TENANT_ID": "tenant", "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "federated")}
    async with asyncio.timeout(60):
        assert await Credentials(environ, http_client=http).password(ENTRA) == "token 1"
    assert cloud.asked[0]["client_assertion"] == "assertion"
    http.close()


async def test_a_refusal_says_why_without_the_secret(cloud: Cloud) -> None:
    cloud.refuse = True
    http = Forwarder(cloud.url)
    environ = {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_SECRET": "hush"}
    async with asyncio.timeout(60):
        detail = await _refusal(Credentials(environ, http_client=http), ENTRA)
    assert "AADSTS7000215" in detail
    assert "hush" not in json.dumps(detail)
    http.close()


async def test_no_tenant_and_no_network(cloud: Cloud) -> None:
    assert "AZURE_TENANT_ID" in await _refusal(Credentials({"AZURE_CLIENT_SECRET": "hush"}), ENTRA)
    http = Forwarder("http://127.0.0.1:1")
    environ = {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_SECRET": "hush"}
    async with asyncio.timeout(60):
        assert "ConnectionError" in await _refusal(Credentials(environ, http_client=http), ENTRA)
    http.close()


async def test_managed_identity(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{cloud.url}/identity")  # as Azure App Service does
    monkeypatch.setenv("IDENTITY_HEADER", "h")
    http = Forwarder(cloud.url)
    credentials = Credentials({}, http_client=http)
    async with asyncio.timeout(60):
        assert await credentials.password(ENTRA) == "token 1"
        assert await credentials.password(ENTRA) == "token 1"
    assert [(ask["client_id"], ask["resource"]) for ask in cloud.asked] == [("client-1", POSTGRES_RESOURCE)]
    http.close()
