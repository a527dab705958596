"""A relay that does nothing: `python -m bench.relay PORT TARGET_PORT` copies bytes both ways on uvloop, and prints nothing.

What is left when all that the gateway is for is taken away; the gateway's CPU is quoted against this one's.
"""

import asyncio
import sys
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One socket; what it reads goes to the other, or waits in `early` until that is connected."""

    def __init__(self, peer: "Side | None" = None, target: int = 0) -> None:
        self.peer = peer
        self.transport: asyncio.Transport
        self.early = b""
        self._target = target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.peer is None:
            self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        try:
            _, peer = await asyncio.get_running_loop().create_connection(lambda: Side(self), "127.0.0.1", self._target)
        except OSError:
            self.transport.close()
            return
        self.peer = peer
        peer.transport.write(self.early)

    def data_received(self, data: bytes) -> None:
        if self.peer is None:
            self.early += data
        else:
            self.peer.transport.write(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.peer is not None:
            self.peer.transport.close()


async def main(port: int, target: int) -> None:
    """Relay until killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Side(target=target), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
