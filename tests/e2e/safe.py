"""A second front door of the stack's gateway, with TLS and nothing else. Its certificate is its own, self-signed."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.relay.server import Doors, Server
from tests.e2e.certificates import self_signed
from tests.e2e.stack import Stack


@dataclass(frozen=True)
class Safe:
    """A front door with TLS that takes no plain text; `certificate` is what a client must trust."""

    port: int
    certificate: Path
    server: Server


@asynccontextmanager
async def open_safe(stack: Stack, folder: Path) -> AsyncIterator[Safe]:
    """Open one on a free port; certificate and key go to `folder`."""
    certificate, key = self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["postgresql"])

    async def begin() -> tuple[Server, int]:
        first = stack.demo.gateway.server
        doors: Doors = replace(first._doors, tls=context, plaintext_loopback=False)
        server = Server(
            *(doors, first.policy, first._issuers, first._shell, first._catalogs),
            *(first._password, first._saw, first._tell),
        )
        return server, server.listen("127.0.0.1", 0)

    server, port = await stack.on(begin())
    yield Safe(port, certificate, server)
    await stack.on(server.close())
