"""`hoop token`: the device grant against the demo's issuer, msal against the same, and the command as a process."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import Any

import pytest
import requests
from aiohttp import web
from joserfc import jwt

from gateway.cli.token import Grant, TokenError, device_token, entra_app, entra_token, is_entra
from gateway.demo.issuer import CLIENT_ID, DemoIssuer, Fault


class Sleeps:
    """Time that passes at once; what the client waited for is kept. It moves the issuer's clock along."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.waited: list[float] = []

    def clock(self) -> float:
        return self.now

    async def __call__(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
async def issuer(sleeps: Sleeps) -> AsyncIterator[DemoIssuer]:
    running = await DemoIssuer.start(interval=5, clock=sleeps.clock)
    yield running
    await running.close()


def _code(invitation: str) -> str:
    return invitation.split("enter the code ")[1][:9]


async def test_an_approved_device(issuer: DemoIssuer, sleeps: Sleeps) -> None:
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        assert issuer.decide(_code(text), "ann")

    token = await device_token(Grant(issuer.url, CLIENT_ID, "openid"), tell, sleep=sleeps)
    assert jwt.decode(token, issuer.public_key()).claims["sub"] == "person-ann"
    assert f"{issuer.url}/device" in told[0]
    assert token not in told[0]
    assert sleeps.waited == [5]


async def test_pending_then_approved(issuer: DemoIssuer, sleeps: Sleeps) -> None:
    codes: list[str] = []

    async def sleep(seconds: float) -> None:
        await sleeps(seconds)
        if len(sleeps.waited) == 3:
            issuer.decide(codes[0], "bob")

    token = await device_token(Grant(issuer.url, CLIENT_ID), lambda text: codes.append(_code(text)), sleep=sleep)
    assert jwt.decode(token, issuer.public_key()).claims["sub"] == "person-bob"
    assert sleeps.waited == [5, 5, 5]


async def test_slow_down_adds_five_seconds(issuer: DemoIssuer, sleeps: Sleeps) -> None:
    codes: list[str] = []

    async def sleep(seconds: float) -> None:
        sleeps.waited.append(seconds)
        sleeps.now += 1 if len(sleeps.waited) == 2 else seconds  # too early by the issuer's clock
        if len(sleeps.waited) == 3:
            issuer.decide(codes[0], "bob")

    await device_token(Grant(issuer.url, CLIENT_ID), lambda text: codes.append(_code(text)), sleep=sleep)
    assert sleeps.waited == [5, 5, 10]


async def test_denied(issuer: DemoIssuer, sleeps: Sleeps) -> None:
    def tell(text: str) -> None:
        assert issuer.decide(_code(text), None)

    with pytest.raises(TokenError, match="the sign-in was refused"):
        await device_token(Grant(issuer.url, CLIENT_ID), tell, sleep=sleeps)


async def test_nobody_came(issuer: DemoIssuer, sleeps: Sleeps) -> None:
    with pytest.raises(TokenError, match="the code has expired"):
        await device_token(Grant(issuer.url, CLIENT_ID), lambda _: None, sleep=sleeps)
    assert sum(sleeps.waited) == 600


async def test_an_issuer_that_goes_away_is_asked_less_often(issuer: DemoIssuer, sleeps: Sleeps) -> None:
    async def sleep(seconds: float) -> None:
        await sleeps(seconds)
        if len(sleeps.waited) == 1:
            await issuer.close()

    with pytest.raises(TokenError, match="the code has expired"):
        await device_token(Grant(issuer.url, CLIENT_ID), lambda _: None, sleep=sleep)
    assert sleeps.waited == [5, 10, 20, 40, 80, 160, 320]


async def test_unknown_clients_and_broken_issuers(issuer: DemoIssuer, sleeps: Sleeps) -> None:
    with pytest.raises(TokenError, match="the issuer answered invalid_client"):
        await device_token(Grant(issuer.url, "other"), lambda _: None, sleep=sleeps)
    for fault, reason in ((Fault.STATUS_500, "HTTP status 500"), (Fault.WRONG_ISSUER, "names another issuer")):
        issuer.fault = fault
        with pytest.raises(TokenError, match=reason):
            await device_token(Grant(issuer.url, CLIENT_ID), lambda _: None, sleep=sleeps)
    with pytest.raises(TokenError, match="https is required"):
        await device_token(Grant("http://issuer.example.com", CLIENT_ID), lambda _: None, sleep=sleeps)


async def test_an_issuer_cannot_write_to_the_terminal(sleeps: Sleeps) -> None:
    async def discovery(request: web.Request) -> web.Response:
        url = str(request.url.origin())
        return web.json_response(
            {"issuer": url, "device_authorization_endpoint": f"{url}/d", "token_endpoint": f"{url}/t"}
        )

    async def begin(_request: web.Request) -> web.Response:
        return web.json_response({"error": "x\x1b[2J", "error_description": "y\r\nz"}, status=400)

    app = web.Application()
    app.add_routes([web.get("/.well-known/openid-configuration", discovery), web.post("/d", begin)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    grant = Grant(f"http://127.0.0.1:{runner.addresses[0][1]}", CLIENT_ID)
    try:
        with pytest.raises(TokenError) as failure:
            await device_token(grant, lambda _: None, sleep=sleeps)
        assert str(failure.value) == "the issuer answered x[2J: yz"
    finally:
        await runner.cleanup()


ENTRA = "https://login.microsoftonline.com/tenant"


class _Forwarder:
    """msal's pluggable HTTP client: what is meant for Entra goes to the demo's issuer, and its answers look like Entra's."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._session = requests.Session()
        self._session.trust_env = False

    def get(self, url: str, **options: Any) -> "_Answer":
        return _Answer(self._session.get(self._map(url), **options), self._issuer)

    def post(self, url: str, **options: Any) -> "_Answer":
        return _Answer(self._session.post(self._map(url), **options), self._issuer)

    def _map(self, url: str) -> str:
        assert url.startswith(ENTRA)
        return url.replace(ENTRA, self._issuer).replace("/v2.0/", "/")

    def close(self) -> None:
        self._session.close()


class _Answer:
    def __init__(self, response: requests.Response, issuer: str) -> None:
        self.status_code = response.status_code
        self.headers = response.headers
        answer = response.json()
        if "token_endpoint" in answer:
            answer["authorization_endpoint"] = f"{ENTRA}/authorize"  # msal asks for it even where it has no use
        self.text = json.dumps(answer).replace(issuer, ENTRA)

    def raise_for_status(self) -> None:
        assert self.status_code < 400


@pytest.mark.parametrize("person", ["dana", None])
async def test_msal_runs_the_same_grant(person: str | None) -> None:
    issuer = await DemoIssuer.start(interval=0)
    forwarder = _Forwarder(issuer.url)
    grant = Grant(f"{ENTRA}/v2.0", CLIENT_ID, "api://hoop/.default")

    def tell(text: str) -> None:
        assert issuer.decide(_code(text), person)

    try:
        asked = entra_token(await asyncio.to_thread(entra_app, grant, forwarder), grant, tell)
        if person is None:
            with pytest.raises(TokenError, match="the sign-in was refused"):
                await asked
        else:
            assert jwt.decode(await asked, issuer.public_key()).claims["sub"] == "person-dana"
    finally:
        forwarder.close()
        await issuer.close()


def test_which_issuers_are_entra() -> None:
    assert is_entra("https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0")
    assert is_entra("https://sts.windows.net/11111111-2222-3333-4444-555555555555/")
    assert not is_entra("https://login.microsoftonline.com.example.com/x")


_COMMAND = """
import typer
from gateway.cli.token import register
app = typer.Typer()
app.callback()(lambda: None)
register(app)
app()
"""


async def _run(*arguments: str, **env: str) -> asyncio.subprocess.Process:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("HOOP_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _COMMAND, "token", *arguments, stdout=PIPE, stderr=PIPE, env={**plain, **env}
    )


async def test_the_command_prints_the_token_alone() -> None:
    issuer = await DemoIssuer.start(interval=0)
    try:
        async with asyncio.timeout(60):
            process = await _run(HOOP_ISSUER=issuer.url, HOOP_CLIENT_ID=CLIENT_ID)
            assert process.stderr is not None
            assert issuer.decide(_code((await process.stderr.readline()).decode()), "ann")
            out, err = await process.communicate()
        assert process.returncode == 0
        assert jwt.decode(out.decode().strip(), issuer.public_key()).claims["sub"] == "person-ann"
        assert out.count(b"\n") == 1
        assert out.strip() not in err
    finally:
        await issuer.close()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "--issuer and --client-id missing"),
        (["--issuer", "https://issuer.example.com"], 2, "--client-id missing"),
        (["--issuer", "nonsense", "--client-id", "x"], 2, "is no URL"),
        (["--issuer", "https://login.microsoftonline.com/t/v2.0", "--client-id", "x"], 2, "--scope missing"),
        (["--issuer", "http://127.0.0.1:1", "--client-id", "x"], 1, "ClientConnectorError"),
        (["--no-such-option"], 2, "No such option"),
    ],
)
async def test_the_command_refuses(arguments: list[str], code: int, text: str) -> None:
    async with asyncio.timeout(60):
        process = await _run(*arguments)
        out, err = await process.communicate()
    assert (process.returncode, out) == (code, b"")
    assert text in err.decode()
    assert "Traceback" not in err.decode()
