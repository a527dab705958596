"""The sample data is what the demo's story and the masking rules rely on."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from gateway.demo import sample
from gateway.demo.postgres import EmbeddedPostgres, PostgresError

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]  # generic in the stubs only


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server of our own: roles and databases of these names belong to whoever loads the sample first."""
    with tempfile.TemporaryDirectory(prefix="hoop-tests-") as base:
        Path(base).chmod(0o711)
        server = asyncio.run(EmbeddedPostgres.start(Path(base)))
        yield server
        asyncio.run(server.stop())


@pytest.fixture(scope="module")
def made(server: EmbeddedPostgres) -> sample.Sample:
    return asyncio.run(sample.load(server))


@pytest.fixture
async def shop(server: EmbeddedPostgres, made: sample.Sample) -> "AsyncIterator[Connection]":
    """As the gateway logs in; everything is rolled back."""
    connection = await asyncpg.connect(server.dsn(sample.SHOP, sample.SHOP_USER, made.shop_password))
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


def _luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    return sum(digits[0::2] + [d * 2 // 10 + d * 2 % 10 for d in digits[1::2]]) % 10 == 0


async def test_rows_and_shapes(shop: "Connection") -> None:
    counts = {
        table: await shop.fetchval(f"SELECT count(*) FROM {table}") for table in ("customers", "products", "orders")
    }
    assert counts == {"customers": 200, "products": 40, "orders": 1000}
    customers = await shop.fetch("SELECT * FROM customers")
    assert all(re.fullmatch("4[0-9]{15}", row["card_number"]) and _luhn(row["card_number"]) for row in customers)
    assert len({row["card_number"] for row in customers}) == 200
    assert all(re.fullmatch("sk" + "_live_[0-9a-f]{40}", row["api_key"]) for row in customers)
    assert all(re.fullmatch(r"[a-z.]+@example\.(com|net|org)", row["email"]) for row in customers)
    assert await shop.fetchval("SELECT count(*) FROM orders WHERE total <= 0") == 0
    assert await shop.fetchval("SELECT max(created_at) < '2027-01-01' AND count(DISTINCT status) = 5 FROM orders")


def test_no_key_shaped_literal_is_committed() -> None:
    text = files("gateway.demo").joinpath("sample.sql").read_text("utf-8")
    assert not re.search("sk" + "_live|[0-9]{13}", text)


async def test_a_customer_takes_the_orders_along(shop: "Connection") -> None:
    assert await shop.fetchval("SELECT count(*) FROM orders WHERE customer_id = 1") == 5
    assert await shop.execute("DELETE FROM customers WHERE id = 1") == "DELETE 1"
    assert await shop.fetchval("SELECT count(*) FROM orders WHERE customer_id = 1") == 0


async def test_the_login_may_do_what_the_demo_shows_and_no_more(shop: "Connection") -> None:
    owned = await shop.fetch(
        "SELECT relname FROM pg_class WHERE relowner = 'hoop'::regrole AND relkind = 'r' ORDER BY 1"
    )
    assert [each["relname"] for each in owned] == ["order_items", "products"]
    for shown in ("ALTER TABLE products ADD note text", "TRUNCATE order_items", "DROP TABLE order_items"):
        await shop.execute(shown)
    await shop.execute("INSERT INTO products (name, price, stock) VALUES ('Tin Whistle', 9.50, 3)")
    await shop.execute("UPDATE orders SET status = 'returned' WHERE id = 7")
    await shop.execute("CREATE TABLE notes (id integer)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await shop.execute("DROP TABLE customers")


async def test_the_logins_are_kept_apart(server: EmbeddedPostgres, made: sample.Sample) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(server.dsn(sample.STORE, sample.SHOP_USER, made.shop_password))
    store = await asyncpg.connect(made.store_dsn)
    await store.execute("CREATE TABLE t (); DROP TABLE t")
    await store.close()
    assert made.shop_password not in repr(made)
    assert made.shop_password not in server.log.read_text()
    with pytest.raises(PostgresError) as failure:
        await sample.load(server)
    assert "PASSWORD" not in str(failure.value)
