"""What looks like a secret and is none: numbers, ids, hashes, code, prose and placeholders of everyday tables and logs.

What lives here: one row of LOOKALIKES a sort (note, how many, how to make a text). A number that happens to be a card by
the public format (a brand's first digits, its length, the check digit) is drawn again: it would be one to anybody.
"""

import base64
import random
import string
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.masking.personal_forms import BRANDS, PLACES, card, fours, grouped, iban, is_card, with_luhn

HEX = "0123456789abcdef"
LOWER, UPPER, ALNUM = string.ascii_lowercase, string.ascii_uppercase, string.ascii_letters + string.digits

Make = Callable[[random.Random], str]


@dataclass(frozen=True, slots=True)
class Lookalike:
    note: str
    count: int
    make: Make


def some(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choices(alphabet, k=length))


def digits(rng: random.Random, length: int) -> str:
    return rng.choice("123456789") + some(rng, string.digits, length - 1)


NUMBER_PLACES = (*PLACES, "order §", "§ shipped", '{"id": §}', "id=§", "no. §, 3 items", "ref§x", "#§")


def _placed(make: Make, places: tuple[str, ...] = NUMBER_PLACES) -> Make:
    return lambda rng: rng.choice(places).replace("§", make(rng))


def _not_card(make: Make) -> Make:
    def again(rng: random.Random) -> str:
        while is_card(number := make(rng)):
            pass
        return number

    return again


def _broken_card(rng: random.Random) -> str:
    """A brand's first digits and length, one digit off."""
    number = card(rng, rng.choice(list(BRANDS)))
    return number[:-1] + str((int(number[-1]) + rng.randint(1, 9)) % 10)


def _luhn_only(rng: random.Random) -> str:
    return with_luhn(rng.choice("1789") + some(rng, string.digits, rng.choice([11, 13, 14, 14, 14, 16, 17])))


def _wrong_length(rng: random.Random) -> str:
    """A brand's first digits and a right check digit, of a length the brand does not have."""
    first, size = rng.choice(
        [
            ("34", 16),
            ("37", 17),
            ("51", 15),
            ("55", 17),
            ("2221", 15),
            ("35", 15),
            ("2720", 17),
        ]
    )
    return with_luhn(first + some(rng, string.digits, size - len(first) - 1))


def _stamp(unit: int) -> Make:
    return lambda rng: str(rng.randint(1_400_000_000, 1_900_000_000)) + some(rng, string.digits, unit)


def _moment(rng: random.Random) -> datetime:
    return datetime(2019, 1, 1, tzinfo=UTC) + timedelta(
        seconds=rng.randint(0, 300_000_000), microseconds=rng.randint(0, 999_999)
    )


def _date(rng: random.Random) -> str:
    form = rng.choice([
        "%Y-%m-%d", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%fZ", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%Y%m%d%H%M%S", "%Y%m%d%H%M%S%f",
        "%Y%m%d-%H%M%S", "%d %b %Y", "%y%m%d-%H%M", "%Y-%j", "%Y %m %d %H %M %S", "%Y-%m-%d %H:%M:%S+02:00",
    ])  # fmt: skip
    return _moment(rng).strftime(form)


def _uuid(rng: random.Random) -> str:
    made = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    return rng.choice([made, made, made.upper(), made.replace("-", ""), f"urn:uuid:{made}"])


def _uuid_of_digits(rng: random.Random) -> str:
    """As seeds and fixtures have them: no letter in it."""
    return f"{digits(rng, 8)}-{digits(rng, 4)}-4{digits(rng, 3)}-{rng.choice('89')}{digits(rng, 3)}-{digits(rng, 12)}"


def _ean(first: Callable[[random.Random], str]) -> Make:
    def make(rng: random.Random) -> str:
        body = (first(rng) + some(rng, string.digits, 12))[:12]
        return body + str(-sum(int(each) * (1 + 2 * (at % 2)) for at, each in enumerate(body)) % 10)

    return make


def _isbn(rng: random.Random) -> str:
    number = _ean(lambda rng: rng.choice(["978", "979"]))(rng)
    return rng.choice(
        [
            number,
            f"ISBN {number[:3]}-{number[3]}-{number[4:8]}-{number[8:12]}-{number[12]}",
            f"{number[:3]} {number[3:]}",
        ]
    )


def _imei(rng: random.Random) -> str:
    """15 digits and the same check digit as cards; the first two name the body that gave it out."""
    number = with_luhn(rng.choice(["35", "35", "86", "01", "99"]) + some(rng, string.digits, 12))
    return rng.choice(
        [
            number,
            f"IMEI {number}",
            f"{number[:2]}-{number[2:8]}-{number[8:14]}-{number[14]}",
            f"imei: {number[:6]} {number[6:8]} {number[8:14]} {number[14]}",
        ]
    )


def _tracking(rng: random.Random) -> str:
    usps = "9" + rng.choice("234") + digits(rng, 20)
    return rng.choice([
        "1Z" + some(rng, string.digits + UPPER, 8) + digits(rng, 8), usps, fours(usps), _not_card(lambda rng: digits(rng, 12))(rng),
        "JJD" + _not_card(lambda rng: digits(rng, 18))(rng), "00" + digits(rng, 18), "RR" + digits(rng, 9) + "DE", "96" + digits(rng, 20), "TBA" + digits(rng, 12),
    ])  # fmt: skip


def _long_number(rng: random.Random) -> str:
    return digits(rng, rng.randint(20, 40))


def _iccid(rng: random.Random) -> str:
    return with_luhn("89" + digits(rng, rng.choice([16, 17])))


def _amount(rng: random.Random) -> str:
    value = rng.randint(1, 10 ** rng.randint(4, 17))
    return rng.choice(
        [
            f"{value / 100:.2f}",
            f"{value:,}",
            f"EUR {value:,}.00",
            f"{value}.{rng.randint(0, 99):02d}",
            f"-{value}",
            f"{value / 7:.15f}",
            f"{value:e}",
        ]
    )


def _place(rng: random.Random) -> str:
    north, east = rng.uniform(-90, 90), rng.uniform(-180, 180)
    return rng.choice(
        [
            f"{north:.7f}, {east:.7f}",
            f"({north:.15f},{east:.14f})",
            f"POINT({east:.10f} {north:.10f})",
            f"geo:{north:.6f},{east:.6f}",
        ]
    )


def _range(rng: random.Random) -> str:
    size = rng.choice([4, 6, 8, 12, 16])
    number = _not_card(lambda rng: digits(rng, size))
    first, second = number(rng), number(rng)
    return rng.choice(
        [
            f"{first}-{second}",
            f"{first} - {second}",
            f"ids {first}..{second}",
            f"{first},{second}",
            f"[{first}, {second})",
            f"between {first} and {second}",
        ]
    )


def _years(rng: random.Random) -> str:
    """Four numbers of four: sizes, years, ports; never a card together."""
    while is_card("".join(numbers := [str(rng.randint(1000, 9999)) for _ in range(4)])):
        pass
    return rng.choice([" ", ",", ", ", "-", "/"]).join(numbers)


def _network(rng: random.Random) -> str:
    four = ".".join(str(rng.randint(0, 255)) for _ in range(4))
    six = ":".join(some(rng, HEX, 4) for _ in range(8))
    mac = rng.choice([":", "-"]).join(some(rng, HEX, 2) for _ in range(6))
    digit_mac = ":".join(some(rng, string.digits, 2) for _ in range(8))
    return rng.choice(
        [
            four,
            f"{four}:{rng.randint(1, 65535)}",
            f"{four}/24",
            six,
            "2001:db8::" + some(rng, HEX, 4),
            mac,
            digit_mac,
            f"{four} - {four}",
        ]
    )


def _version(rng: random.Random) -> str:
    a, b, c = (rng.randint(0, 30) for _ in range(3))
    return rng.choice([
        f"{a}.{b}.{c}", f"v{a}.{b}.{c}-beta.{a}+build.{rng.randint(1000, 99999)}", f"PostgreSQL 15.{b} (Debian 15.{b}-0+deb12u1)",
        f"python-{a}.{b}.{c}.tar.gz", f"linux-image-6.1.0-{b}-amd64", f"{a}.{b}.{c}.{rng.randint(100, 9999)}", f"Chrome/{rng.randint(90, 130)}.0.{rng.randint(1000, 9999)}.{c}",
    ])  # fmt: skip


def _phone_like(rng: random.Random) -> str:
    a, b, c = digits(rng, 3), digits(rng, 3), digits(rng, 4)
    return rng.choice([
        digits(rng, 10), digits(rng, 9), f"{a}-{digits(rng, 2)}-{b}", f"PO-{a}{b}-{c}", f"{c}-{a}", f"INV {c}/{a}", f"{digits(rng, 5)}-{c}",
        f"{digits(rng, 2)}-{digits(rng, 7)}", f"SKU-{a}-{b}", f"{a}x{b}x{c}", f"rev {a}:{b}", f"{c}+{c}", f"x={a} y={b} z={c}",
    ])  # fmt: skip


def _ssn_like(rng: random.Random) -> str:
    area = rng.choice(["000", "666", str(rng.randint(900, 999))])
    good, group, serial = f"{rng.randint(100, 600)}", f"{rng.randint(1, 99):02d}", f"{rng.randint(1, 9999):04d}"
    return rng.choice([
        f"{area}-{group}-{serial}", f"{area}-{group}-{serial}", f"{good}-00-{serial}", f"{good}-{group}-0000", f"{good}{group}{serial}",
        f"1{good}-{group}-{serial}", f"{good}-{group}-{serial}7", f"{good}-{group}-{serial[:3]}", f"{area} {group} {serial}",
    ])  # fmt: skip


def _iban_wrong(rng: random.Random) -> str:
    made = iban(rng, rng.randint(1, 96))
    return rng.choice([made, fours(made)])


def _iban_like(rng: random.Random) -> str:
    """Two letters and digits: other people's numbers."""
    return rng.choice([UPPER[rng.randint(0, 25)] + "Q", "XX", "ZZ", "PO", "ID"]) + _not_card(
        lambda rng: digits(rng, rng.randint(14, 24))
    )(rng)


def _hash(rng: random.Random) -> str:
    length = rng.choice([7, 12, 32, 40, 40, 40, 64, 64, 128])
    made = some(rng, HEX, length)
    return rng.choice(
        [
            made,
            f"commit {made}",
            f"sha256:{made}",
            f"Merge {made[:7]} into main",
            f'etag: "{made}"',
            f"image@sha256:{made}",
            made.upper(),
        ]
    )


def _image(rng: random.Random) -> str:
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + rng.randbytes(rng.randint(60, 900))).decode()
    photo = base64.b64encode(b"\xff\xd8\xff\xe0\0\x10JFIF" + rng.randbytes(rng.randint(60, 900))).decode()
    return rng.choice([data, f"data:image/png;base64,{data}", photo, f'<img src="data:image/jpeg;base64,{photo}">'])


def _public_key(rng: random.Random) -> str:
    dashes, body = "-" * 5, base64.b64encode(rng.randbytes(300)).decode()
    return rng.choice([
        "ssh-rsa AAAAB3NzaC1yc2E" + body + " ann@laptop", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5" + body[:68] + " ann@laptop", "SHA256:" + body[:43],
        f"{dashes}BEGIN CERTIFICATE{dashes}\n{body}\n{dashes}END CERTIFICATE{dashes}", f"{dashes}BEGIN PUBLIC KEY{dashes}\n{body}\n{dashes}END PUBLIC KEY{dashes}",
    ])  # fmt: skip


def _product_key(rng: random.Random) -> str:
    groups, size = rng.choice([(5, 5), (4, 4), (4, 5), (3, 6)])
    return "-".join(some(rng, UPPER + string.digits, size) for _ in range(groups))


def _slug(rng: random.Random) -> str:
    """Long ids of things, in the alphabets keys have: orders, videos, documents, requests."""
    return rng.choice(["ord_", "cus_", "req-", "doc/", "evt_", "txn:", "run-", "", "s3://shop-bucket/"]) + some(
        rng, ALNUM, rng.randint(11, 44)
    )


WORDS = (
    "customer", "order", "invoice", "token", "password", "secret", "key", "api", "monthly", "report", "service", "controller", "handler", "payment",
    "address", "private", "access", "session", "engine", "status", "table", "index", "user", "account", "reset", "policy", "login", "vault",
)  # fmt: skip


def _names(rng: random.Random, separator: str, low: int = 3, high: int = 6) -> str:
    return separator.join(rng.choices(WORDS, k=rng.randint(low, high)))


def _dotted(rng: random.Random) -> str:
    return rng.choice([
        "com.example." + _names(rng, ".") + ".Main", _names(rng, "."), f"{some(rng, ALNUM, 20)}.{some(rng, ALNUM, 30)}.{some(rng, ALNUM, 25)}",
        "www." + _names(rng, "-") + ".example.co.uk", f"{_names(rng, '_')}.{_names(rng, '_')}.{_names(rng, '_')}", "eye.eyelet.eyJa", "k8s.io/api/core.v1.Pod",
    ])  # fmt: skip


def _path(rng: random.Random) -> str:
    return rng.choice([
        f"/var/lib/{_names(rng, '/')}/{digits(rng, 10)}.log", f"C:\\{_names(rng, chr(92))}\\{_names(rng, '-')}.xml", f"s3://{_names(rng, '-')}/{_names(rng, '/')}/part-0000{digits(rng, 5)}.parquet",
        f"~/.ssh/{_names(rng, '_')}.pub", f"https://example.com/{_names(rng, '/')}?page={rng.randint(1, 99)}&sort={_names(rng, '_')}", f"./{_names(rng, '/')}.py:{rng.randint(1, 900)}:{rng.randint(1, 80)}",
    ])  # fmt: skip


def _not_email(rng: random.Random) -> str:
    a, b = rng.choice(WORDS), rng.choice(WORDS)
    v = f"{rng.randint(0, 20)}.{rng.randint(0, 30)}.{rng.randint(0, 9)}"
    return rng.choice([
        f"{a}@{b}", f"@{a}/{b}@{v}", f"npm i {a}-{b}@{v}", f"{a}@^{v}", f"{a}@2x.png", f"@{a}.{b}", f"@app.{a}('/{b}')", f"ping @{a} and @{b}",
        f"{a}@localhost", f"{a}@latest", f"com.example.{a.title()}@{some(rng, HEX, 8)}", f"{a} @ {b}.com", f"pkg:npm/{a}@{v}", f"{b}@{v}-rc.1", f"{a}@@{b}",
    ])  # fmt: skip


PROSE = (
    "The password must be at least 12 characters long.", "I forgot my password, please reset it.", "Your token expired 3 days ago.",
    "password changed by the administrator", "She asked for the secret of the sauce: patience.", "API key rotation is due in March",
    "Passwords: see the vault, section 4", "secret santa: bring a present under 20 euros", "the key to success is persistence", "token ring networks",
    "Invalid password for user ann", "password authentication failed for user \"postgres\"", "token refresh failed: connection reset by peer",
    "two-factor secret not set for account 4417", "Passphrase required", "bearer of good news", "api_key is missing from the request", "password reset e-mail sent",
)  # fmt: skip
VALUES = (
    "null", "None", "true", "false", "undefined", "''", '""', "nil", "required", "optional", "string", "varchar(255)", "not set", "changed", "expired", "missing",
    "********", "****", "xxxxxxxx", "XXXXXXXXXXXXXXXX", "<your key>", "<password>", "<redacted>", "[FILTERED]", "[REDACTED]", "YOUR_API_KEY", "your-api-key-here",
    "${DB_PASSWORD}", "$PASSWORD", "%(password)s", "{{ secrets.TOKEN }}", "{password}", "os.environ['DB_PASSWORD']", "process.env.API_KEY", "getpass()", "$1", "?", ":password", "%s", "...",
)  # fmt: skip
NAMES = ("password", "passwd", "token", "secret", "api_key", "apiKey", "client_secret", "access_token", "DB_PASSWORD")


def _placeholder(rng: random.Random) -> str:
    sign = rng.choice(["=", ": ", " = ", ":", " => "])
    return rng.choice(NAMES) + sign + rng.choice(VALUES) + rng.choice(["", "", ", retries: 3", "\n", ";"])


def _about_keys(rng: random.Random) -> str:
    """Names with a secret's name in them and a value that is none."""
    return rng.choice([
        f"token_count={rng.randint(100, 999999)}", f"max_tokens: {rng.randint(16, 128000)}", "token_type: bearer", f"primary_key={_names(rng, '_')}", "passwordResetRequired=false",
        f"password_updated_at: {_date(rng)}", "tokenizer=cl100k_base", f"keyboard={rng.choice(['qwertz', 'dvorak'])}", f"secretName: {_names(rng, '-')}", f"api_key_id={rng.randint(1, 9999)}",
        f"foreign key: {_names(rng, '_')}", f"sort_key={_names(rng, '_')}", "password_encryption = scram-sha-256", f"secret_version: {rng.randint(1, 40)}", f"token_ttl=3600s, key={rng.choice(WORDS)}",
        f"keyspace: {_names(rng, '_')}", f"secret_arn_suffix: {_names(rng, '/')}", f"partition_key: {_moment(rng):%Y-%m-%d}", f"password_min_length={rng.randint(8, 20)}", "auth: none",
    ])  # fmt: skip


def _sample_key(rng: random.Random) -> str:
    """A vendor's prefix and no key behind it."""
    return rng.choice([
        "sk" + "-xxxx", "sk" + "-" + "x" * 32, "sk" + "_live_...", "gh" + "p_xxxxxxxxxxxx", "AK" + "IA****************", "AK" + "IA is the prefix of long-term keys", "xo" + "xb-<your-token>",
        "glp" + "at-<token>", "np" + "m_config_registry", "np" + "m_lifecycle_event", "S" + "G.example", "AI" + "za...", "sk" + "-learn 1.4.2", "sk" + "-ant-...", "SKU" + digits(rng, 12),
        "SK" + digits(rng, 8), "py" + "pi-server 2.0.1", "xo" + "xo, gossip", "wh" + "sec_...", "github" + "_pat_<here>", "skip-" + _names(rng, "-"), "task-" + _names(rng, "-", 4, 7), "risk-" + _not_card(lambda rng: digits(rng, 14))(rng),
    ])  # fmt: skip


def _no_password(rng: random.Random) -> str:
    return rng.choice([
        "postgres://app@db.example/shop", "postgresql://db:5432/shop?sslmode=require", "redis://cache:6379/0", "mongodb://localhost:27017", "jdbc:postgresql://db:5432/shop", "jdbc:oracle:thin:@//db:1521/shop",
        "postgres://app:****@db/shop", "postgres://app:${PGPASSWORD}@db/shop", "postgres://app:<password>@db/shop", "mysql://USER:PASSWORD@HOST/DB", "http://example.com:8080/@scope/pkg", "https://example.com/a:b/c@d",
        "host=db port=5432 user=app dbname=shop", "amqp://rabbit:5672/%2F", "Server=db;Database=shop;Integrated Security=true", "https://unpkg.com/react@18.2.0/umd/react.js", "ssh://git.example/shop.git",
        f"http://10.0.0.{rng.randint(1, 254)}:{rng.randint(1024, 65535)}/x?at=12:30", "hook: https://example.com/services/T0/B0", "amqp://{user}:{password}@{host}/", "redis://:$REDIS_PASSWORD@cache:6379",
    ])  # fmt: skip


def _log(rng: random.Random) -> str:
    at, number = _moment(rng), digits(rng, 6)
    return rng.choice([
        f"{at:%Y-%m-%d %H:%M:%S.%f} UTC [{number}] LOG:  checkpoint complete: wrote {digits(rng, 4)} buffers ({rng.uniform(0, 90):.1f}%); sync={rng.uniform(0, 9):.3f} s",
        f'10.0.{rng.randint(0, 255)}.{rng.randint(0, 255)} - - [{at:%d/%b/%Y:%H:%M:%S +0000}] "GET /v1/{_names(rng, "/")} HTTP/1.1" 200 {digits(rng, 5)} "-" "curl/8.1"',
        f"ERROR o.e.{_names(rng, '.')} - request {_uuid(rng)} failed after {number} ms", f"{at.timestamp():.6f} pid={number} tid={digits(rng, 15)} addr=0x{some(rng, HEX, 12)}",
        f"I{at:%m%d %H:%M:%S.%f} {number} {_names(rng, '_')}.go:{rng.randint(10, 999)}] retrying", f"lsn 0/{some(rng, HEX.upper(), 7)} xid {number} wal 0000000100000{some(rng, HEX.upper(), 11)}",
    ])  # fmt: skip


def _sql(rng: random.Random) -> str:
    a, b = _names(rng, "_", 1, 2), _names(rng, "_", 1, 2)
    return rng.choice([
        f"SELECT password, token FROM {a} WHERE id = {digits(rng, 9)}", f"UPDATE {a} SET password = $1 WHERE id = $2", f"CREATE TABLE {a} (id bigint, password text NOT NULL, secret bytea)",
        f"ALTER TABLE {a} ADD PRIMARY KEY ({b})", f"SELECT * FROM {a} WHERE at BETWEEN '2024-01-01' AND '2024-02-01' LIMIT {rng.randint(10, 1000)}", f"INSERT INTO {a} VALUES ({digits(rng, 8)}, {digits(rng, 8)}, {digits(rng, 4)})",
        f"GRANT SELECT ON {a} TO reader", f"SELECT {a}.{b}, count(*) FROM {a} JOIN {b} ON {a}.id = {b}.{a}_id GROUP BY 1", f"COMMENT ON COLUMN {a}.token IS 'see the wiki'",
    ])  # fmt: skip


def _text(rng: random.Random) -> str:
    return rng.choice([
        "The quick brown fox jumps over the lazy dog", "lorem ipsum dolor sit amet, consectetur adipiscing elit", f"test {digits(rng, 4)}", "asdf1234", "0123456789", "1234567890123456", "0000000000000000", "AAAA-BBBB-CCCC",
        "abcdefghijklmnopqrstuvwxyz0123456789", f"Table {rng.randint(1, 40)}: {rng.randint(1, 99)} of {rng.randint(100, 999)} rows", f"Ann Example, {rng.randint(1, 99)} High Street, {digits(rng, 5)} Berlin",
        f"{rng.randint(1, 28)} days, {rng.randint(1, 23)}:{rng.randint(10, 59)}:{rng.randint(10, 59)}", f"{rng.choice(UPPER)}{rng.choice(UPPER)}-{digits(rng, 4)}-{rng.choice(UPPER)}{rng.choice(UPPER)}", "9999 9999 9999 9999", "π ≈ 3.14159265358979323846",
    ])  # fmt: skip


LOOKALIKES: list[Lookalike] = [
    Lookalike("card number, one digit off", 130, _placed(_not_card(_broken_card))),
    Lookalike(
        "card number, one digit off, grouped",
        60,
        _placed(lambda rng: grouped(_not_card(_broken_card)(rng), rng.choice(" -"))),
    ),
    Lookalike("order number", 100, _placed(_not_card(lambda rng: digits(rng, rng.randint(13, 19))))),
    Lookalike("order number with a check digit, no brand", 90, _placed(_not_card(_luhn_only))),
    Lookalike("order number with a check digit, not a brand's length", 60, _placed(_not_card(_wrong_length))),
    Lookalike("number of 20 digits and more", 70, _placed(_long_number)),
    Lookalike("time in ms", 25, _placed(_stamp(3))),
    Lookalike("time in us", 30, _placed(_stamp(6))),
    Lookalike("time in ns", 30, _placed(_stamp(9))),
    Lookalike("date", 90, _placed(_date)),
    Lookalike("UUID", 80, _placed(_uuid, PLACES)),
    Lookalike("UUID of digits", 25, _placed(_uuid_of_digits, PLACES)),
    Lookalike("EAN", 60, _placed(_not_card(_ean(lambda rng: rng.choice(["40", "42", "50", "76", "00", "69"]))))),
    Lookalike("ISBN", 40, _isbn),
    Lookalike("IMEI", 60, _placed(_imei, PLACES)),
    Lookalike("ICCID", 30, _placed(_iccid)),
    Lookalike("tracking number", 90, _placed(_tracking)),
    Lookalike("amount", 60, _amount),
    Lookalike("latitude, longitude", 50, _place),
    Lookalike("range of ids", 70, _range),
    Lookalike("four numbers of four digits", 50, _years),
    Lookalike("address of a network", 80, _network),
    Lookalike("version", 50, _version),
    Lookalike("phone-like", 100, _placed(_phone_like)),
    Lookalike("SSN-like", 100, _placed(_ssn_like)),
    Lookalike("IBAN, wrong check digits", 80, _placed(_iban_wrong, PLACES)),
    Lookalike("IBAN-like", 40, _placed(_iban_like, PLACES)),
    Lookalike("hash", 100, _placed(_hash, PLACES)),
    Lookalike("image in base 64", 50, _image),
    Lookalike("public key, certificate, fingerprint", 40, _public_key),
    Lookalike("product key", 50, _placed(_product_key, PLACES)),
    Lookalike("id in the alphabet of keys", 80, _placed(_slug, PLACES)),
    Lookalike("dotted names", 50, _dotted),
    Lookalike("path", 60, _path),
    Lookalike("@, not e-mail", 90, _placed(_not_email, ("§", "§", "see §", "'§'", "- §\n"))),
    Lookalike("prose about secrets", 40, lambda rng: rng.choice(PROSE)),
    Lookalike("placeholder", 140, _placeholder),
    Lookalike("names of keys", 90, _about_keys),
    Lookalike("prefix of a key", 60, _placed(_sample_key, ("§", "§", "key: §", "see § here", "KEY=§"))),
    Lookalike("connection without a password", 60, _no_password),
    Lookalike("log line", 80, _log),
    Lookalike("SQL", 60, _sql),
    Lookalike("text", 60, _text),
]
