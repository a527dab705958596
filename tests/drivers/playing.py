"""What every Python program of this folder does: take commands on standard input, answer each by a JSON line.

    read TAB sql | prepared TAB sql TAB value | change TAB sql TAB value | begin | commit | rollback | cancel

`{}` in a statement stands for the value, an integer, and becomes the driver's own placeholder. A program first says `driver`
(name and version) and `tls` (whether the driver says that it speaks TLS), then for each command `rows`, `count` (rows
changed), `error` and `message`, or nothing. `cancel` comes while another command waits and has no answer of its own. Where
to connect comes in the environment: DRIVER_HOST, DRIVER_PORT, DRIVER_TOKEN, and DRIVER_CA, which is empty for plain text.
The programs in JavaScript, Java and Go keep the same rules.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Place:
    """Where the gateway is and what lets us in."""

    host: str
    port: int
    token: str
    ca: str
    user: str = "hoop"
    database: str = "shop"

    @classmethod
    def given(cls) -> "Place":
        given = os.environ
        return cls(given["DRIVER_HOST"], int(given["DRIVER_PORT"]), given["DRIVER_TOKEN"], given["DRIVER_CA"])

    def libpq(self) -> str:
        """The connection string of whatever is made of libpq, without the token."""
        tls = f"sslmode=verify-full sslrootcert={self.ca}" if self.ca else "sslmode=disable"
        return f"host={self.host} port={self.port} dbname={self.database} user={self.user} {tls}"


class Driver(Protocol):
    """One connection by one driver. Whatever a statement raises goes to `explain`."""

    def hello(self) -> dict[str, Any]: ...
    def read(self, sql: str) -> Rows: ...
    def prepared(self, sql: str, value: int) -> Rows: ...
    def change(self, sql: str, value: int) -> int: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def cancel(self) -> None: ...
    def explain(self, error: BaseException) -> tuple[str, str]:
        """SQLSTATE (or the exception's name) and message, as the driver shows them."""
        ...


def play(driver: Driver) -> None:
    """Answer commands until standard input ends."""
    _say(driver.hello())
    commands: queue.Queue[list[str]] = queue.Queue()
    threading.Thread(target=_listen, args=(driver, commands), daemon=True).start()
    while words := commands.get():
        _say(_answer(driver, *words))


def _listen(driver: Driver, commands: queue.Queue[list[str]]) -> None:
    for line in sys.stdin:
        words = line.rstrip("\n").split("\t")
        if words == ["cancel"]:
            driver.cancel()
        else:
            commands.put(words)
    commands.put([])


def _answer(driver: Driver, what: str, sql: str = "", value: str = "0") -> dict[str, Any]:
    try:
        match what:
            case "read":
                return {"rows": [list(each) for each in driver.read(sql)]}
            case "prepared":
                return {"rows": [list(each) for each in driver.prepared(sql, int(value))]}
            case "change":
                return {"count": driver.change(sql, int(value))}
            case _:
                getattr(driver, what)()
                return {}
    except BaseException as error:  # a cancelled task is no Exception; whatever it is, the test shall see it
        sqlstate, message = driver.explain(error)
        return {"error": sqlstate, "message": message}


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)
