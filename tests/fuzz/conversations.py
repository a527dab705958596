"""What the client of the session's fuzzer says: whole conversations of about MESSAGES messages, in any order or as drivers do.

What must not live here: what comes of them (sessions.py), what the target makes of a text (target.py).
"""

from collections.abc import Callable, Sequence
from random import Random

from gateway.session.replies import OPEN_AT, PER_TURN
from gateway.sql.parse import MAX_BYTES
from gateway.wire.frontend import FLUSH, SYNC, bind, close, describe, execute, message, parse, query
from tests.fuzz.target import CARD

MESSAGES = 40
#: Behind a text it makes one that the session itself doesn't read: the parser's process is asked (gateway.sql.parse.MAX_BYTES).
BIG = " " * MAX_BYTES

#: Our grammar refuses it, and the target takes it.
REFUSED = "FROBNICATE {}"
#: Texts that may run unasked. `{}` is a number that tells them apart.
HARMLESS = (
    "SELECT {}",
    "SELECT name FROM customers WHERE id = {}",
    "SELECT {} FROM generate_series(1, 3)",
    "SELECT lower('boom {}')",
    "SHOW search_path",
    "SELECT reader({})",
    "COPY customers TO STDOUT",
    "BEGIN",
    "BEGIN READ ONLY",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "RELEASE s",
    "SET search_path = other",
    "SET default_transaction_read_only = off",
    "SET work_mem = '{}kB'",
    "RESET search_path",
    "PREPARE p AS SELECT {}",
    "PREPARE p AS DELETE FROM customers WHERE id = {}",
    "EXECUTE p",
    "DEALLOCATE p",
    "DEALLOCATE ALL",
    "DECLARE c CURSOR FOR SELECT {}",
    "FETCH c",
    "CLOSE c",
    "DISCARD ALL",
    "",
    "/* reason: because */ SELECT {}",
    "SELECT card_number FROM customers WHERE id = {}",
    "SELECT card_number AS x FROM customers c WHERE c.id IN ({}, 4)",
    "SELECT name FROM customers WHERE card_number = '{}'",
    f"SELECT '{CARD}'",
    "SET DateStyle = 'German'",
    "SET LOCAL work_mem = '{}kB'",
    "SET default_transaction_read_only = on",
    "SET hoop.reason = 'x{}'",
    "SET application_name = 'a{}'",
    "DECLARE h CURSOR WITH HOLD FOR SELECT {}",
    "START TRANSACTION",
    "/* n */ BEGIN",
    "END",
    "ABORT",
)
#: Texts that people must approve first, or that nobody may run.
GUARDED = (
    "DELETE FROM customers WHERE id = {}",
    "UPDATE customers SET name = 'x' WHERE id = {}",
    "INSERT INTO orders VALUES ({})",
    "INSERT INTO orders VALUES ({}) RETURNING id",
    "SELECT evil({})",
    "COPY customers FROM STDIN",
    "CREATE TABLE t{} (id int)",
    "CREATE FUNCTION reader() RETURNS int LANGUAGE sql AS 'DELETE {}'",
    "DROP TABLE customers",
    "CREATE TEMP TABLE customers (id int)",
    "DO 'rename {}'",
    "INSERT INTO jobs VALUES ('rename {}')",
    REFUSED,
    "WITH d AS (DELETE FROM customers WHERE id = {} RETURNING 1) SELECT 1",
    "LOCK TABLE customers",
    "VACUUM",
    "INSERT INTO orders SELECT card_number FROM customers WHERE id = {}",
)
#: Plain reads, as an application sends them over and over.
READS = (
    "SELECT {}",
    "SELECT id FROM orders",
    "SELECT name FROM customers WHERE id = {}",
    "SELECT name FROM customers WHERE id = $1",
    "SELECT name FROM customers WHERE card_number = '{}'",
    "SELECT card_number FROM customers WHERE id = {}",
    "SELECT id FROM orders WHERE customer IN ({}, 1)",
    "SELECT reader({})",
    f"SELECT '{CARD}'",
    "/* reason: because */ SELECT {}",
)
#: Writes, the same way: most are plain, and some only look so.
WRITES = (
    "INSERT INTO orders VALUES ({})",
    "INSERT INTO orders VALUES ({}) RETURNING id",
    "UPDATE customers SET name = 'x' WHERE id = {}",
    "UPDATE customers SET name = $1 WHERE id = {}",
    "UPDATE customers SET name = $1, card_number = $2",
    "UPDATE customers SET name = $1 RETURNING id",
    "INSERT INTO orders SELECT id FROM orders WHERE customer IN ({}, 1)",
    "UPDATE customers SET id = id WHERE card_number = '{}'",
    "DELETE FROM orders WHERE id = {}",
    "DELETE FROM orders",
    "DELETE FROM customers WHERE id = {}",
    "DELETE FROM customers WHERE id = {} RETURNING card_number",
    "UPDATE customers SET name = '[redacted]' WHERE id = {}",
    "UPDATE customers SET card_number = '{}'",
    "UPDATE customers SET name = 'boom' WHERE id = {}",
    "UPDATE customers SET name = reader({})",
    "UPDATE customers SET name = evil({})",
    "INSERT INTO orders SELECT card_number FROM customers WHERE id = {}",
    "INSERT INTO jobs VALUES ('rename {}')",
    "SELECT name FROM customers WHERE id = {} FOR UPDATE",
    "SELECT card_number FROM customers WHERE id = $1 FOR UPDATE SKIP LOCKED",
    "SELECT nextval('orders_id')",
    "SET LOCAL app.tenant = '{}'",
    "SET statement_timeout = '{}s'",
    "SELECT set_config('app.tenant', '{}', true)",
    "SELECT set_config('app.tenant', $1, true)",
    "SELECT pg_advisory_xact_lock({})",
    "SELECT set_config('app.tenant', card_number, false) FROM customers WHERE id = {}",
    "SELECT set_config('app.tenant', 'x', false), card_number FROM customers WHERE id = {}",
)
#: What pools send when a connection is given back, and parts of it.
_RESETS = (
    "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
    "RESET ALL",
    "CLOSE ALL;",
    "UNLISTEN *",
    "CLOSE ALL; SELECT pg_advisory_unlock_all()",
    "RESET ALL; SELECT {}",
    "UPDATE customers SET name = 'x' WHERE id = {}; RESET ALL",
)
_BEGINS = ("BEGIN", "BEGIN", "BEGIN", "START TRANSACTION", "/* n */ BEGIN", "BEGIN READ ONLY")
#: What the end of a block decides on, or the next statement is read or judged by.
_SETS = (
    "SET search_path = other",
    "SET LOCAL search_path = other",
    "RESET search_path",
    "SET DateStyle = 'German'",
    "SET LOCAL DateStyle = 'German'",
    "SET default_transaction_read_only = on",
    "SET default_transaction_read_only = off",
    "SET LOCAL default_transaction_read_only = off",
    "SET LOCAL default_transaction_read_only = on",
    "SET hoop.reason = 'because'",
    "SET application_name = 'another'",
)
_VALUES: tuple[list[bytes | None], ...] = ([], [b"1"], [None])
_ENDS = ("COMMIT", "COMMIT", "ROLLBACK", "END", "ABORT", "COMMIT AND CHAIN")
_TEXTS = HARMLESS * 2 + GUARDED
_NAMES = ("", "", "", "a", "b", "p", "x" * 70, "x" * 63)
_PORTALS = ("", "", "", "a", "c", "é" * 40)


def _text(random: Random) -> str:
    count = 1 if random.random() < 0.85 else random.randint(2, 4)
    text = "; ".join(random.choice(_TEXTS).format(random.randint(100, 130)) for _ in range(count))
    if random.random() > 0.05:
        return text
    return random.choice((text, REFUSED.format(random.randint(100, 130)))) + BIG


def _one(random: Random) -> bytes:
    """Any message, in no order."""
    name, portal = random.choice(_NAMES), random.choice(_PORTALS)
    return random.choice(
        (
            lambda: query(_text(random)),
            lambda: parse(name, _text(random)),
            lambda: bind(portal, name, [b"1"] * random.choice((0, 0, 1))),
            lambda: execute(portal, random.choice((0, 0, 1, 2))),
            lambda: describe("S", name),
            lambda: describe("P", portal),
            lambda: close("S", name),
            lambda: close("P", portal),
            lambda: SYNC,
            lambda: SYNC,
            lambda: FLUSH,
            lambda: message(b"F", b"\0\0\0\7\0\0\0\0\0\0"),
            lambda: message(b"d", b"1\tx\n"),
            lambda: message(b"c", b""),
            lambda: message(b"f", b"no\0"),
        )
    )()


def _batch(random: Random) -> list[bytes]:
    """What a driver sends: Parse, Bind, Describe, Execute, Sync; now and then without one of them or with one twice."""
    found: list[bytes] = []
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        name, portal = random.choice(_NAMES), random.choice(_PORTALS)
        found += [
            close("S", name) if name else b"",
            parse(name, _text(random)),
            bind(portal, name),
            describe("P", portal),
            execute(portal, random.choice((0, 0, 0, 1))),
            random.choice((b"", b"", FLUSH)),
        ]
    found = [each for each in found if each and random.random() > 0.05]
    at = random.randrange(len(found) + 1)
    return [*found[:at], *found[at : at + 1], *found[at:], SYNC] if random.random() < 0.1 else [*found, SYNC]


def _renamed(random: Random) -> list[bytes]:
    """Names, code that changes what they mean, and their use; the Syncs between them anywhere."""
    code = random.choice(("DO 'rename {}'", "INSERT INTO jobs VALUES ('rename {}')")).format(random.randint(100, 130))
    by_sql = random.random() < 0.3
    steps = [
        [query("PREPARE p AS SELECT 100") if by_sql else parse("p", "SELECT 100")],
        [query(code)] if by_sql or random.random() < 0.5 else [parse("", code), bind("", ""), execute("")],
        [query("EXECUTE p")] if by_sql else [bind("", "p"), execute("")],
    ]
    for each in steps:
        each.extend([SYNC] if random.random() < 0.6 else [])
    return [close("S", "p"), *(part for each in steps for part in each), SYNC]


def _repeated(random: Random) -> list[bytes]:
    """The same plain reads over and over, as an application sends them, in a block or not."""
    texts = (
        "SELECT name FROM customers WHERE id = {}",
        "SELECT 100",
        "SELECT id FROM orders WHERE customer IN ({}, 1)",
    )
    found = [parse("a", random.choice(texts[1:]).format(1)), describe("S", "a"), SYNC]
    block = random.random() < 0.4
    if block:
        found.append(query(random.choice(("BEGIN", "BEGIN", "START TRANSACTION", "BEGIN READ ONLY"))))
    for _ in range(random.randint(3, 12)):
        formats = random.choice(((), (0,), (1,)))
        described = random.choice((b"", describe("P", "")))
        prepared = bind("", "a", [b"1"] * random.choice((0, 0, 1)), (), formats) + described + execute("") + SYNC
        text = random.choice(texts).format(random.randint(100, 130))
        once = parse("", text) + bind("", "", (), (), formats) + describe("P", "") + execute("") + SYNC
        found.append(random.choice((query(text), prepared, once)))
    if block and random.random() < 0.3:
        found.append(query(random.choice(_TEXTS).format(100)))
    if block:
        found.append(query(random.choice(("COMMIT", "COMMIT", "ROLLBACK", "END"))))
    return [close("S", "a"), *found]


def _plain(random: Random, texts: Sequence[str]) -> str:
    return random.choice(texts).format(random.randint(118, 126))


def _breath(random: Random, texts: Sequence[str]) -> bytes:
    """One that is parsed, bound and executed in one breath; its types, values and formats fit now and then."""
    name = random.choice(("", "", "", "", "", "z"))
    types = random.choice(((), (), (), (23,), (25,), (99999,)))
    values = random.choice(
        ([], [], [b"1"], [None], [CARD.encode()], [b"\0\0\0\7"], [b"\xff"], [b"1", b"2"], [b"a\0"], [b"[redacted]"])
    )
    given, wanted = random.choice(((), (), (0,), (1,))), random.choice(((), (), (0,), (1,), (0, 1)))
    described = random.choice((*[describe("P", "")] * 4, b"", describe("S", name)))
    said = parse(name, _plain(random, texts), types) + bind("", name, values, given, wanted) + described
    return (close("S", name) if name else b"") + said + execute("", random.choice((0, 0, 0, 0, 1))) + SYNC


def _again(random: Random, _texts: Sequence[str]) -> bytes:
    """One that was parsed before, bound once more."""
    return _bound(random, random.choice(("", "a", "z")), random.choice(_VALUES))


def _bound(random: Random, name: str, values: list[bytes | None]) -> bytes:
    described = random.choice((b"", describe("P", "")))
    return bind("", name, values, (), random.choice(((), (1,)))) + described + execute("") + SYNC


def _described_before(random: Random, texts: Sequence[str]) -> list[bytes]:
    """One that is prepared and described by itself, and then bound over and over."""
    types: tuple[int, ...] = random.choice(((), (), (25,)))
    text = random.choice(
        (_plain(random, texts), "SELECT id FROM orders")
    )  # what is masked of a number rests on its format
    first = close("S", "a") + parse("a", text, types) + describe("S", "a") + SYNC
    values = random.choice(_VALUES)
    return [first, *(_bound(random, "a", values) for _ in range(random.randint(4, 12)))]


def _read_anew(random: Random, texts: Sequence[str]) -> list[bytes]:
    """One that is prepared, and bound over and over while settings change by which constants and values are read."""
    first = close("S", "a") + parse("a", _plain(random, texts)) + describe("S", "a") + SYNC
    values = random.choice(_VALUES)
    sets = query(random.choice(("SET DateStyle = 'German'", "SET LOCAL DateStyle = 'German'", "RESET DateStyle")))
    before, behind = ([_bound(random, "a", values) for _ in range(3)] for _ in range(2))
    found = [first, *before, sets, *behind]
    if random.random() < 0.5:
        return found
    return [query("BEGIN"), *found, query(random.choice(("COMMIT", "ROLLBACK"))), before[0]]


def _aside(random: Random) -> bytes:
    """What makes or drops names, or nothing."""
    alone = (describe("S", ""), describe("S", "a"), close("S", ""), close("P", ""), execute(""), b"", FLUSH)
    if random.random() < 0.5:
        return query(
            f"{random.choice(('SAVEPOINT', 'RELEASE', 'RELEASE SAVEPOINT', 'ROLLBACK TO'))} s{random.randint(1, 2)}"
        )
    return random.choice((*(each + SYNC for each in alone), query("DEALLOCATE ALL"), query("DISCARD ALL"), query("")))


def _edge(random: Random, texts: Sequence[str]) -> bytes:
    """What begins or ends a block: a Query, parsed in one breath, or under a name that may be given already."""
    text = random.choice(texts)
    bound = bind("", "") + describe("P", "") + execute("") + SYNC
    named = bind("", text) + random.choice((b"", describe("P", ""))) + execute("") + SYNC
    given = close("S", text) + parse(text, text) + random.choice((b"", describe("S", text))) + SYNC
    return random.choice((query(text), query(text), parse("", text) + bound, named, given + named))


def _given(random: Random, texts: Sequence[str]) -> bytes:
    """What drivers say of a name by itself, or round one that is executed: parsed, described, flushed, closed."""
    name = random.choice(("", "", "g", "g", "h"))
    types = random.choice(((), (), (), (25,), (23,)))
    given = parse(name, _plain(random, texts), types) + random.choice((*[describe("S", name)] * 4, b""))
    used = _bound(random, name, random.choice(_VALUES))[: -len(SYNC)]
    gone = random.choice((close("S", name), close("P", ""), close("S", "h") + close("P", ""), b""))
    before = close("S", name) + SYNC if name and random.random() < 0.8 else b""
    return random.choice(
        (
            before + given + random.choice((SYNC, SYNC, FLUSH)),
            before + given + used + SYNC,
            used + gone + SYNC,
            gone + SYNC,
            given + gone + SYNC,
            query(f"DEALLOCATE {name or 'h'}"),
        )
    )


def _as_drivers(random: Random, texts: Sequence[str]) -> list[bytes]:
    """One read as drivers send it that keep no statement: given a name, described, bound, closed, each by itself, over and over."""
    name, text = random.choice(("", "g", "h")), _plain(random, texts)
    types = random.choice(((), (), (25,)))
    values: list[bytes | None] = [b"1"] * text.count("$")
    ends = random.choice((SYNC, SYNC, FLUSH))
    described = random.choice((describe("S", name), describe("S", name), b""))
    more = random.choice((b"", close("S", name), close("P", "")))
    found = list[bytes]()
    for _ in range(random.randint(3, 6)):
        used = _bound(random, name, values)[: -len(SYNC)]
        if random.random() < 0.3:
            found += [parse(name, text, types) + described + used + more + SYNC]
        else:
            found += [parse(name, text, types) + described + ends, used + more + SYNC]
        found += [] if more[5:6] == b"S" or not name else [close("S", name) + SYNC]
    if name and random.random() < 0.3:
        gone = random.choice(
            (
                f"DEALLOCATE {name}1",
                f'deallocate prepare "{name}"',
                f"DEALLOCATE {name.upper()}1;",
                f"DEALLOCATE {name}",
            )
        )
        found = [parse(f"{name}1", text, types) + described + SYNC, _bound(random, f"{name}1", values), query(gone)] * 4
    return [close("S", name) + SYNC, *found]


def _step(random: Random, texts: Sequence[str]) -> bytes:
    kinds: tuple[tuple[float, Callable[[Random, Sequence[str]], bytes]], ...] = (
        (0.33, _breath),
        (0.40, _given),
        (0.55, _again),
        (0.75, lambda random, texts: query(_plain(random, texts))),
        (0.78, lambda random, texts: query(_several(random, texts))),
        (0.82, lambda random, _: _aside(random)),
        (0.87, lambda random, _: query(random.choice(HARMLESS).format(random.randint(118, 126)))),
        (1.0, lambda random, _: _edge(random, _BEGINS + _ENDS)),
    )
    luck = random.random()
    return next(make for below, make in kinds if luck < below)(random, texts)


def _several(random: Random, texts: Sequence[str]) -> str:
    """A query string of more than one, mostly, or what takes a session back."""
    if random.random() < 0.3:
        return random.choice(_RESETS).format(random.randint(100, 130))
    edges = (random.choice(_BEGINS), random.choice(_ENDS), random.choice(_SETS))
    found = [_plain(random, random.choice((texts, READS[:3]))) for _ in range(random.choice((2, 2, 2, 3, 4)))]
    if random.random() < 0.1:
        found[random.randrange(len(found))] = random.choice(edges)
    return random.choice(("; ", ";", ";\n", " ;; ")).join(found) + random.choice(("", "", ";", "; "))


def _block(random: Random, texts: Sequence[str]) -> list[bytes]:
    inside = [_step(random, texts) for _ in range(random.randint(0, 5))]
    if random.random() < 0.4:
        name = f"s{random.randint(1, 9)}"
        ends = random.choice(("RELEASE", "RELEASE", "RELEASE SAVEPOINT", "ROLLBACK TO"))
        inside = [query(f"SAVEPOINT {name}"), *inside[:2], query(f"{ends} {name}"), *inside[2:]]
    return [_edge(random, _BEGINS), *inside, _edge(random, _ENDS)]


def _pipeline(random: Random, texts: Sequence[str]) -> bytes:
    """Several that end in one Sync: parsed each, or bound to one statement that was prepared; a block may begin or end with it."""
    edges = [random.choice(_BEGINS)] if random.random() < 0.3 else []
    ends = [random.choice(_ENDS)] if random.random() < 0.2 else []
    if random.random() < 0.1:
        edges, ends = ends, edges
    plain = [_plain(random, texts)] * random.choice((1, 2, 3)) + [_plain(random, texts)] * random.choice((0, 1))
    if random.random() < 0.01:  # around what the ordinary way takes in one turn
        plain = plain[:1] * (PER_TURN // random.choice((2, 3, 4, 5)) + random.randint(-2, 2))
    parsed = random.random() < 0.5
    values = random.choice(_VALUES)
    if random.random() < 0.01:  # around what it sends at once
        values = [b"x" * (OPEN_AT // random.choice((1, 1, len(plain))) - random.randint(0, 100))]
    named = b"".join([_bound(random, "a", values)[: -len(SYNC)] for _ in plain])
    once = [_parsed(random, text, described=random.random() < 0.8) for text in plain]
    if ends and random.random() < 0.2:  # it goes on behind the block's end
        once.insert(random.randrange(len(once)), _parsed(random, ends.pop()))
    middle = b"".join(once) if parsed else named
    extra = random.choice((*[b""] * 8, bind("", "") + execute(""), parse("", plain[0]), describe("S", "a"), FLUSH))
    return (
        b"".join([_parsed(random, each) for each in edges])
        + middle
        + extra
        + b"".join([_parsed(random, each) for each in ends])
        + SYNC
    )


def _parsed(random: Random, text: str, *, described: bool = False) -> bytes:
    """One that is parsed, bound to a value where it has a place for one, and executed."""
    wanted = random.choice(((), (), (), (1,)))
    values = [b"1"] * text.count("$")
    return parse("", text) + bind("", "", values, (), wanted) + (describe("P", "") if described else b"") + execute("")


def _falls_back(random: Random) -> list[bytes]:
    """A setting, before or inside a block that holds little else, and what follows that."""
    sets, reads = query(random.choice(_SETS)), [query(_plain(random, READS[:3])) for _ in range(2)]
    begins, ends = _edge(random, _BEGINS[:-1]), _edge(random, _ENDS[:-1])
    return random.choice(([begins, sets, ends], [begins, *reads, sets, ends], [sets, begins, sets, ends])) + reads


def steady(random: Random, texts: Sequence[str] = READS) -> list[bytes]:
    """These texts one by one, many of them the same, in blocks and not, and now and then something between them."""
    found = [*_described_before(random, texts), *[_breath(random, texts)] * 4]
    while len(found) < MESSAGES:
        luck = random.random()
        if luck < 0.1:
            found += _repeated(random)
        elif luck < 0.25:
            found += _described_before(random, texts)
        elif luck < 0.3:
            found += _read_anew(random, texts)
        elif luck < 0.35:
            found += _falls_back(random)
        elif luck < 0.45:
            found += _as_drivers(random, texts)
        elif luck < 0.52:
            found += [query(_several(random, texts))] * random.choice((1, 3, 3))
        elif luck < 0.6:
            found += _block(random, texts)
        elif luck < 0.7:
            found += [_pipeline(random, texts)] * random.choice((1, 4, 8))
        else:
            found += [_step(random, texts)] * random.choice((1, 1, 3))
    return found


def conversation(random: Random) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < MESSAGES:
        luck = random.random()
        if luck < 0.04:
            found += _renamed(random)
        elif luck < 0.14:
            found += _repeated(random)
        elif luck < 0.35:
            found.append(query(_text(random)))
        elif luck < 0.75:
            found += _batch(random)
        else:
            found += [_one(random) for _ in range(random.randint(1, 6))]
    return found


def damaged(random: Random, raw: bytes) -> bytes:
    body = bytearray(raw[5:])
    if not body:
        return raw
    luck = random.random()
    if luck < 0.4:
        body[random.randrange(len(body))] = random.randrange(256)
    elif luck < 0.6:
        del body[random.randrange(len(body)) :]
    elif luck < 0.8:
        body += random.randbytes(3)
    else:
        return random.choice(b"QPBDECSHFXdcfpz").to_bytes() + raw[1:]
    return message(raw[:1], bytes(body))
