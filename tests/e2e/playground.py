"""Microsoft's Agents Playground with a signing forwarder round it: the page is theirs, the tokens are the tests' issuer's.

    Playground --(no token)--> forwarder --(JWT)--> gateway
    Playground <---------------- forwarder <--(our token)-- gateway

So the gateway needs no mode without authentication. The forwarder also says what the Playground leaves out of its roster and
Teams does not: tenant and role. npm installs the Playground when a test asks for it; it is never shipped.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from tests.fakes.microsoft import HOST, Microsoft
from tests.fakes.teams import APP_ID, TENANT, User
from tests.npm import NODE

CHANNEL = "19:approvals@thread.tacv2"
START = 90.0
_USERS = 5  # the Playground wants so many beside the clicker, no more and no fewer


class Playground:
    """`page` is the address to open; `bot_url` where the forwarder sends what the page does."""

    def __init__(self, microsoft: Microsoft, clicker: User, others: list[User]) -> None:
        self.microsoft = microsoft
        self.clicker = clicker
        self.others = others
        self.bot_url = ""
        self.delivered: list[str] = []

    @asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator["Playground"]:
        """Start both, end both."""
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        self.page = f"http://{HOST}:{port}"
        (folder / ".m365agentsplayground.yml").write_text(self._config(), "utf-8")
        async with aiohttp.ClientSession() as self._http:
            forwarder = await self._forward()
            self.service_url = f"http://{HOST}:{forwarder.addresses[0][1]}/_connector"
            process = await asyncio.create_subprocess_exec(
                *(
                    "node",
                    str(NODE / "node_modules/@microsoft/m365agentsplayground/cli.js"),
                    "start",
                    "--dt",
                    "-c",
                    "msteams",
                ),
                *(
                    "-e",
                    f"http://{HOST}:{forwarder.addresses[0][1]}/api/messages",
                    "-p",
                    str(port),
                    "--su",
                    self.service_url,
                ),
                cwd=folder,
                env={**os.environ, "BROWSER": "none"},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                await self._listening(process)
                yield self
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.communicate()
                await forwarder.cleanup()

    @staticmethod
    async def _listening(process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async with asyncio.timeout(START):
            while b"Listening on" not in (line := await process.stdout.readline()):
                assert line, "the Playground ended before it listened"

    def _config(self) -> str:
        names = [f"spare{k}" for k in range(_USERS - len(self.others))]
        spare = [
            User(f"29:{name}", name, f"{name}@example.com", f"aad-{name}", f"{name}@example.com") for name in names
        ]
        users = "".join(f"  - {_entry(each)}\n" for each in [*self.others, *spare])
        return f"""version: "0.1.1"
tenantId: {TENANT}
bot: {{id: "28:{APP_ID}", name: Hoop Gate}}
currentUser: {_entry(self.clicker)}
users:
{users}personalChat: {{id: "a:personal"}}
groupChat: {{id: "19:group@thread.v2", name: Group Chat}}
team:
  id: "19:team@thread.tacv2"
  name: Databases
  aadGroupId: 00000000-0000-0000-0000-000000000031
  channels: [{{id: "{CHANNEL}", name: db-approvals}}]
"""

    async def _forward(self) -> web.AppRunner:
        app = web.Application(client_max_size=1 << 24)
        app.add_routes(
            [web.post("/api/messages", self._to_bot), web.route("*", "/_connector/{tail:.*}", self._to_page)]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        return runner

    async def _to_bot(self, request: web.Request) -> web.Response:
        activity = await request.json()
        activity.setdefault("channelData", {}).setdefault("tenant", {"id": TENANT})
        self.delivered.append(activity["type"])
        headers = {"Authorization": f"Bearer {self.microsoft.sign(activity['serviceUrl'])}"}
        async with self._http.post(self.bot_url, json=activity, headers=headers) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    async def _to_page(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.microsoft.issued:
            return web.json_response({"error": {"code": "Unauthorized"}}, status=401)
        url = URL(f"{self.page}{request.raw_path}", encoded=True)
        headers = {"Content-Type": "application/json"}
        async with self._http.request(request.method, url, data=await request.read(), headers=headers) as answer:
            body = await answer.read()
            if "/members/" in request.raw_path and answer.status == 200:
                return web.json_response({**await answer.json(), "tenantId": TENANT, "userRole": "user"})
            return web.Response(status=answer.status, body=body, content_type=answer.content_type)


def _entry(user: User) -> str:
    fields: dict[str, Any] = {
        "id": user.id, "name": user.name, "userPrincipleName": user.upn, "aadObjectId": user.aad,
        "givenName": user.name, "surname": "Example", "email": user.email,
    }  # fmt: skip
    return "{" + ", ".join(f'{name}: "{value}"' for name, value in fields.items()) + "}"
