"""psycopg 3: prepares a statement by itself once it was run five times."""

import psycopg

from tests.drivers.playing import Place, Rows, play


class Psycopg3:
    def __init__(self, place: Place) -> None:
        self.connection = psycopg.connect(place.libpq(), password=place.token, autocommit=True)

    def hello(self) -> dict[str, object]:
        return {"driver": f"psycopg {psycopg.__version__}", "tls": self.connection.pgconn.ssl_in_use}

    def read(self, sql: str) -> Rows:
        return self.connection.execute(sql.encode()).fetchall()

    def prepared(self, sql: str, value: int) -> Rows:
        return self.connection.execute(sql.replace("{}", "%s").encode(), [value]).fetchall()

    def change(self, sql: str, value: int) -> int:
        return self.connection.execute(sql.replace("{}", "%s").encode(), [value]).rowcount

    def begin(self) -> None:
        self.connection.autocommit = False

    def commit(self) -> None:
        self.connection.commit()
        self.connection.autocommit = True

    def rollback(self) -> None:
        self.connection.rollback()
        self.connection.autocommit = True

    def cancel(self) -> None:
        self.connection.cancel_safe(timeout=5)

    def explain(self, error: BaseException) -> tuple[str, str]:
        sqlstate = getattr(error, "sqlstate", None)
        return sqlstate or type(error).__name__, str(error)


if __name__ == "__main__":
    play(Psycopg3(Place.given()))
