"""pgcli in a dumb terminal: a person's session, completion included (it reads the catalog on a connection of its own).

Ctrl-C is a key press; pgcli then says "cancelled query" and no SQLSTATE.
"""

import csv
import os
import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.drivers.playing import Place, Rows, play
from tests.drivers.terminal import Terminal

_PROMPT = "@@ready "
_SETTINGS = """[main]
enable_pager = False
multi_line = False
table_format = csv
verbose_errors = True
destructive_warning =
history_file = {folder}/history
log_file = {folder}/log
"""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class PgcliError(Exception):
    """What pgcli printed of a statement that failed."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Pgcli:
    def __init__(self, place: Place, folder: Path) -> None:
        settings = folder / "config"
        settings.write_text(_SETTINGS.format(folder=folder))
        program = Path(sys.executable).with_name("pgcli")
        words = ["--pgclirc", str(settings), "--less-chatty", "--prompt", _PROMPT, "--application-name", "pgcli"]
        environment = {
            **os.environ,
            "PGPASSWORD": place.token,
            "PGSSLMODE": "verify-full" if place.ca else "disable",
            "PGSSLROOTCERT": place.ca,
            "TERM": "dumb",
            "XDG_CONFIG_HOME": str(folder),
        }
        where = ["-h", place.host, "-p", str(place.port), "-U", place.user, "-d", place.database]
        self.tls = bool(place.ca)
        self.terminal = Terminal([str(program), *words, *where], environment)
        self.terminal.until(_PROMPT)
        self.names: dict[str, str] = {}

    def hello(self) -> dict[str, object]:
        return {"driver": f"pgcli {version('pgcli')}", "tls": self.tls}

    def _ask(self, sql: str) -> list[str]:
        """The lines of the answer: a header and rows if any, then the status. Raises PgcliError."""
        self.terminal.type(f"{sql};\r")
        printed = _ESCAPES.sub("", self.terminal.until(_PROMPT)).replace("\r", "")
        answer = printed.partition(f"{sql};\n")[2]
        if failed := re.search(r"^SQLSTATE code: (\w+)$", answer, re.MULTILINE):
            raise PgcliError(failed[1], answer.partition("\nSeverity: ")[0])
        if "cancelled query" in answer:
            raise PgcliError("cancelled query", answer.strip())
        return [each for each in answer.splitlines() if each and not each.startswith(("NOTICE: ", "Time: "))]

    def read(self, sql: str) -> Rows:
        _, *rows, _ = csv.reader(self._ask(sql))
        return [[int(each) if each.isdigit() else each for each in row] for row in rows]

    def prepared(self, sql: str, value: int) -> Rows:
        if sql not in self.names:
            self.names[sql] = f"p{len(self.names)}"
            self._ask(f"PREPARE {self.names[sql]} AS {sql.replace('{}', '$1')}")
        return self.read(f"EXECUTE {self.names[sql]} ({value})")

    def change(self, sql: str, value: int) -> int:
        status = self._ask(sql.replace("{}", str(value)))[-1]
        return int(status.rpartition(" ")[2])

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
    with tempfile.TemporaryDirectory() as made:
        play(Pgcli(Place.given(), Path(made)))
