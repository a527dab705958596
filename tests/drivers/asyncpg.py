"""asyncpg: every statement with parameters is a named prepared one, its values binary. Cancelling the task cancels."""

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import asyncpg

from tests.drivers.playing import Place, Rows, play

T = TypeVar("T")


class Waiting:
    """A loop in a thread of its own, so that a cancel goes out while nobody asks for anything; one task at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._running: Future[Any] | None = None
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._running = running
        return running.result()

    def cancel(self) -> None:
        if self._running is not None:
            self._running.cancel()


class Asyncpg:
    def __init__(self, place: Place) -> None:
        self.waiting = Waiting()
        self.tls = ssl.create_default_context(cafile=place.ca) if place.ca else False
        self.connection: asyncpg.Connection[Any] = self.waiting.run(
            asyncpg.connect(
                host=place.host,
                port=place.port,
                user=place.user,
                database=place.database,
                password=place.token,
                ssl=self.tls,
            )
        )
        self.transaction = self.connection.transaction()

    def hello(self) -> dict[str, object]:
        transport = self.connection._transport  # type: ignore[attr-defined]  # nothing public says whether TLS is in use
        return {
            "driver": f"asyncpg {asyncpg.__version__}",
            "tls": transport.get_extra_info("ssl_object") is not None,
        }

    def read(self, sql: str) -> Rows:
        return [tuple(each) for each in self.waiting.run(self.connection.fetch(sql))]

    def prepared(self, sql: str, value: int) -> Rows:
        return [tuple(each) for each in self.waiting.run(self.connection.fetch(sql.replace("{}", "$1"), value))]

    def change(self, sql: str, value: int) -> int:
        tag = self.waiting.run(self.connection.execute(sql.replace("{}", "$1"), value))
        return int(tag.rpartition(" ")[2])

    def begin(self) -> None:
        self.transaction = self.connection.transaction()
        self.waiting.run(self.transaction.start())

    def commit(self) -> None:
        self.waiting.run(self.transaction.commit())

    def rollback(self) -> None:
        self.waiting.run(self.transaction.rollback())

    def cancel(self) -> None:
        self.waiting.cancel()

    def explain(self, error: BaseException) -> tuple[str, str]:
        return getattr(error, "sqlstate", None) or type(error).__name__, str(error)


if __name__ == "__main__":
    play(Asyncpg(Place.given()))
