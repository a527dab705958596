"""psycopg2: parameters are written into the text; a prepared statement is SQL's own PREPARE."""

import psycopg2

from tests.drivers.playing import Place, Rows, play


class Psycopg2:
    def __init__(self, place: Place) -> None:
        self.connection = psycopg2.connect(place.libpq(), password=place.token)
        self.connection.autocommit = True
        self.names: dict[str, str] = {}

    def hello(self) -> dict[str, object]:
        return {"driver": f"psycopg2 {psycopg2.__version__}", "tls": self.connection.info.ssl_in_use}

    def read(self, sql: str) -> Rows:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def prepared(self, sql: str, value: int) -> Rows:
        with self.connection.cursor() as cursor:
            if sql not in self.names:
                self.names[sql] = f"p{len(self.names)}"
                cursor.execute(f"PREPARE {self.names[sql]} AS {sql.replace('{}', '$1')}")
            cursor.execute(f"EXECUTE {self.names[sql]} (%s)", [value])
            return list(cursor.fetchall())

    def change(self, sql: str, value: int) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(sql.replace("{}", "%s"), [value])
            return int(cursor.rowcount)

    def begin(self) -> None:
        self.connection.autocommit = False

    def commit(self) -> None:
        self.connection.commit()
        self.connection.autocommit = True

    def rollback(self) -> None:
        self.connection.rollback()
        self.connection.autocommit = True

    def cancel(self) -> None:
        self.connection.cancel()

    def explain(self, error: BaseException) -> tuple[str, str]:
        return getattr(error, "pgcode", None) or type(error).__name__, str(error)


if __name__ == "__main__":
    play(Psycopg2(Place.given()))
