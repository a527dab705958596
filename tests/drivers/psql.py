"""psql in a terminal: `python -m tests.drivers.psql PROGRAM`. Ctrl-C is a key press.

From version 18 on a prepared statement is the protocol's (\\parse, \\bind_named); before it is SQL's PREPARE.
"""

import os
import re
import subprocess
import sys

from tests.drivers.playing import Place, Rows, play
from tests.drivers.terminal import Terminal

_MARK = "@@said "


class PsqlError(Exception):
    """What psql says of a statement that failed."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Psql:
    def __init__(self, place: Place, program: str) -> None:
        self.version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        self.by_protocol = int(re.findall(r"\d+", self.version)[0]) >= 18
        self.tls = bool(place.ca)
        words = [
            "-X",
            "-q",
            "-A",
            "-t",
            "-n",
            "-P",
            "pager=off",
            "-F",
            "\t",
            "-v",
            "PROMPT1=",
            "-v",
            "PROMPT2=",
            "-d",
            place.libpq(),
        ]
        self.terminal = Terminal([program, *words], {**os.environ, "PGPASSWORD": place.token})
        self.names: dict[str, str] = {}

    def hello(self) -> dict[str, object]:
        self._ask("SELECT 1")
        return {"driver": self.version.strip(), "tls": self.tls}

    def _ask(self, sql: str, end: str = ";") -> tuple[list[str], int]:
        """Rows as lines, and psql's ROW_COUNT."""
        self.terminal.type(f"{sql}{end}\n\\echo {_MARK}:SQLSTATE :ROW_COUNT :LAST_ERROR_MESSAGE\n")
        printed = self.terminal.until(_MARK)
        sqlstate, count, message = self.terminal.line().split(" ", 2)
        if sqlstate != "00000":
            raise PsqlError(sqlstate, printed.strip() or message)
        lines = [each.rstrip("\r") for each in printed.splitlines()]
        return [each for each in lines if each and not each.startswith("NOTICE")], int(count)

    def _rows(self, lines: list[str]) -> Rows:
        return [[int(each) if each.isdigit() else each for each in line.split("\t")] for line in lines]

    def read(self, sql: str) -> Rows:
        return self._rows(self._ask(sql)[0])

    def prepared(self, sql: str, value: int) -> Rows:
        name = self.names.get(sql)
        if name is None:
            name = self.names[sql] = f"p{len(self.names)}"
            statement = sql.replace("{}", "$1")
            if self.by_protocol:
                self._ask(statement, f" \\parse {name}")
            else:
                self._ask(f"PREPARE {name} AS {statement}")
        if self.by_protocol:
            return self._rows(self._ask("", f"\\bind_named {name} {value} \\g")[0])
        return self._rows(self._ask(f"EXECUTE {name} ({value})")[0])

    def change(self, sql: str, value: int) -> int:
        if self.by_protocol:
            return self._ask(sql.replace("{}", "$1"), f" \\bind {value} \\g")[1]
        return self._ask(sql.replace("{}", str(value)))[1]

    def begin(self) -> None:
        self._ask("BEGIN")

    def commit(self) -> None:
        self._ask("COMMIT")

    def rollback(self) -> None:
        self._ask("ROLLBACK")

    def cancel(self) -> None:
        self.terminal.interrupt()

    def explain(self, error: BaseException) -> tuple[str, str]:
        return getattr(error, "sqlstate", type(error).__name__), str(error)


if __name__ == "__main__":
    play(Psql(Place.given(), sys.argv[1]))
