"""pg8000, its native interface: pure Python. It has no way to cancel."""

import ssl
from importlib.metadata import version

import pg8000.native

from tests.drivers.playing import Place, Rows, play


class Pg8000:
    def __init__(self, place: Place) -> None:
        self.tls = ssl.create_default_context(cafile=place.ca) if place.ca else None
        self.connection = pg8000.native.Connection(
            place.user,
            host=place.host,
            port=place.port,
            database=place.database,
            password=place.token,
            ssl_context=self.tls,
        )
        self.statements: dict[str, pg8000.native.PreparedStatement] = {}

    def hello(self) -> dict[str, object]:
        return {
            "driver": f"pg8000 {version('pg8000')}",
            "tls": isinstance(self.connection._usock, ssl.SSLSocket),
        }

    def read(self, sql: str) -> Rows:
        return self.connection.run(sql) or []

    def prepared(self, sql: str, value: int) -> Rows:
        if sql not in self.statements:
            self.statements[sql] = self.connection.prepare(sql.replace("{}", ":v"))
        return self.statements[sql].run(v=value) or []

    def change(self, sql: str, value: int) -> int:
        self.connection.run(sql.replace("{}", ":v"), v=value)
        return int(self.connection.row_count)

    def begin(self) -> None:
        self.connection.run("START TRANSACTION")

    def commit(self) -> None:
        self.connection.run("COMMIT")

    def rollback(self) -> None:
        self.connection.run("ROLLBACK")

    def cancel(self) -> None:
        raise RuntimeError("pg8000 has no cancel")

    def explain(self, error: BaseException) -> tuple[str, str]:
        if isinstance(error, pg8000.native.DatabaseError):
            return error.args[0]["C"], error.args[0]["M"]
        return type(error).__name__, str(error)


if __name__ == "__main__":
    play(Pg8000(Place.given()))
