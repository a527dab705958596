"""What the detectors cost by what the rows hold: prose, documents of JSON, log lines, HTML, base64, ids: CPU s a GB of results.

W3's rows (bench.streams) are one mixture; here each kind stands alone, in values of 3 kB or as it comes. Nothing in them is a secret.
"""

from bench.machine import one_cpu
from bench.result import Result
from bench.stack import running
from bench.streams import ROUNDS, interleaved
from bench.ways import BIG_BOUNCER, BOUNCER, CLEAR, DIRECT, GATEWAY, all_ways
from gateway.demo.postgres import EmbeddedPostgres
from gateway.demo.sample import SHOP, SHOP_USER

_BYTES = 20_000_000  # of each kind, about
_ITEM = """jsonb_build_object('id', n * 100 + i, 'sku', 'A-' || i % 977, 'uuid', md5(n || '/' || i)::uuid, 'email', 'ann' || i || '@example.com',
    'created_at', timestamptz '2026-11-27' + i * interval '1 minute', 'updated', 1764246600000 + n * 100 + i, 'active', i % 2 = 0,
    'tags', '["sale", "new"]'::jsonb, 'url', 'https://example.com/products/' || i || '/image.jpg', 'price', (i % 1000) / 100.0)"""
_LINE = """format('2026-11-27T12:31:%s.%sZ INFO  [worker-%s] com.example.shop.OrderService - processed order_id=%s customer=%s took=%sms status=OK trace=%s',
    i % 60, 100000 + i % 900000, i % 9, n * 100 + i, i * 7, i % 900, md5(n || '-' || i))"""
_TAG = """format('<div class="card col-%s" data-id="%s"><a href="/shop/%s/%s">item %s</a><p style="color: #%s; margin: 0 auto">all is well</p></div>',
    i % 12, n * 100 + i, i % 17, i, i, left(md5(n || '-' || i), 6))"""
#: Kind -> the SQL of one row from n, and about how many bytes it has.
KINDS = {
    "prose": ("(SELECT string_agg('order ' || i || ' left the house on time and was signed for', '. ') FROM generate_series(n, n + 60) AS i)", 3_000),
    "JSON, documents": (f"(SELECT jsonb_agg({_ITEM}) FROM generate_series(n, n + 10) AS i)", 3_000),
    "JSON, one object": (f"(SELECT {_ITEM} FROM generate_series(n, n) AS i)", 290),
    "log lines": (f"(SELECT {_LINE} FROM generate_series(n, n) AS i)", 180),
    "log files": (f"(SELECT string_agg({_LINE}, E'\\n') FROM generate_series(n, n + 16) AS i)", 3_000),
    "HTML": (f"(SELECT string_agg({_TAG}, E'\\n') FROM generate_series(n, n + 22) AS i)", 3_000),
    "base64": ("(SELECT replace(encode(decode(string_agg(md5(n || '/' || i), ''), 'hex'), 'base64'), E'\\n', '') FROM generate_series(1, 140) AS i)", 3_000),
    "hex": ("(SELECT string_agg(md5(n || '/' || i), '') FROM generate_series(1, 94) AS i)", 3_000),
    "ids and times": ("md5(n::text)::uuid AS id, 1764246600000 + n AS at, 900719925474000000 + n AS flake, n % 9 AS kind, now() AS seen", 100),
}  # fmt: skip
_TABLE = """
CREATE TABLE bench_{number} AS SELECT {value} FROM generate_series(1, {rows}) AS n;
VACUUM ANALYZE bench_{number};
GRANT SELECT ON bench_{number} TO {user};
"""
WORKLOADS = {kind: f"SELECT * FROM bench_{number}" for number, kind in enumerate(KINDS)}


async def measure() -> Result:
    """All kinds, plain, the ways in turn."""
    with one_cpu():
        async with running(fill=fill) as stack, all_ways(stack) as ways:
            rows = await interleaved("", ways.of(DIRECT, BOUNCER, BIG_BOUNCER, CLEAR, GATEWAY), WORKLOADS)
    notes = [
        f"{ROUNDS} rounds in turn on one CPU, the median; some {_BYTES // 1_000_000} MB of each kind",
        *ways.missing,
    ]
    return Result("contents", rows, notes)


async def fill(postgres: EmbeddedPostgres) -> None:
    """Make the tables."""
    for number, (value, size) in enumerate(KINDS.values()):
        await postgres.psql(_TABLE.format(number=number, value=value, rows=_BYTES // size, user=SHOP_USER), SHOP)
