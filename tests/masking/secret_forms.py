"""Forms of secrets: what each kind looks like by its issuer's description, and the texts people put it in.

What lives here: one row of FORMS a form (kind, note, how many, how to make a text and the secret in it). Cards, IBAN, SSN, phone
and e-mail are in personal_forms.py. No import of the gateway: these are claims about the world, not about our detectors.
"""

import base64
import json
import random
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.masking import personal_forms
from tests.masking.places import JSON_PLACES, KEY_PLACES, Made, place

ALNUM = string.ascii_letters + string.digits
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
BASE64 = ALNUM + "+/"
URLSAFE = ALNUM + "_-"
HEX = "0123456789abcdef"
PASSWORD = ALNUM + "!#$%^*-_+."

Make = Callable[[random.Random], Made]


@dataclass(frozen=True, slots=True)
class Form:
    kind: str
    note: str
    count: int
    make: Make


def some(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choices(alphabet, k=length))


def _key(make: Callable[[random.Random], str]) -> Make:
    """The secret in the places keys are found: alone, assigned, in JSON, CSV, URLs, sentences, glued to words."""
    return lambda rng: place(rng, make(rng), KEY_PLACES)


def _token(prefix: str, alphabet: str, *lengths: int) -> Make:
    return _key(lambda rng: prefix + some(rng, alphabet, rng.choice(lengths)))


def _github(letter: str, length: int = 30) -> Make:
    """Since 2021: a prefix, random letters, and six of base 62 that are their CRC-32."""

    def make(rng: random.Random) -> str:
        body = some(rng, ALNUM, length)
        rest, check = zlib.crc32(body.encode()), ""
        for _ in range(6):
            rest, digit = divmod(rest, 62)
            check = BASE62[digit] + check
        return "gh" + letter + "_" + body + check

    return _key(make)


def _github_fine(rng: random.Random) -> str:
    return "github" + "_pat_" + some(rng, ALNUM, 22) + "_" + some(rng, ALNUM, 59)


def _gitlab_routable(rng: random.Random) -> str:
    return (
        "glp"
        "at-" + some(rng, URLSAFE, rng.randint(27, 60)) + ".01." + some(rng, string.digits + string.ascii_lowercase, 9)
    )


def _digits(rng: random.Random, low: int, high: int) -> str:
    return rng.choice("123456789") + some(rng, string.digits, rng.randint(low, high) - 1)


def _slack(prefix: str, numbers: int, tail: Callable[[random.Random], str]) -> Make:
    return _key(lambda rng: "-".join([prefix, *(_digits(rng, 11, 13) for _ in range(numbers)), tail(rng)]))


def _slack_app(rng: random.Random) -> str:
    return (
        "xa"
        "pp-1-A"
        + some(rng, string.ascii_uppercase + string.digits, 10)
        + "-"
        + _digits(rng, 13, 13)
        + "-"
        + some(rng, HEX, 64)
    )


def _slack_hook(rng: random.Random) -> Made:
    """The last part alone is the secret: team and channel ids are not."""
    upper, secret = string.ascii_uppercase + string.digits, some(rng, ALNUM, 24)
    path = rng.choice(
        [
            f"services/T{some(rng, upper, 10)}/B{some(rng, upper, 10)}/",
            f"workflows/T{some(rng, upper, 10)}/A{some(rng, upper, 10)}/{_digits(rng, 18, 18)}/",
        ]
    )
    text, _ = place(rng, "https://hooks.sl" + "ack.com/" + path + secret, KEY_PLACES)
    return text, secret


def _openai(prefix: str, half: int) -> Make:
    """All of them but the oldest hold the base 64 of "OpenAI" in their middle."""
    middle, alphabet = "T3Blb" + "kFJ", URLSAFE if half > 20 else ALNUM
    return _key(lambda rng: prefix + some(rng, alphabet, half) + middle + some(rng, alphabet, half))


def _azure_client(rng: random.Random) -> str:
    return (
        some(rng, ALNUM + "_~.", 3) + rng.choice(string.digits) + "Q~" + some(rng, ALNUM + "_~.-", rng.randint(31, 34))
    )


def _base64_of(rng: random.Random, size: int) -> str:
    return base64.b64encode(rng.randbytes(size)).decode()


def _azure_storage(rng: random.Random) -> Made:
    key, name = _base64_of(rng, 64), "shop" + some(rng, string.ascii_lowercase, 5)
    ends = f"DefaultEndpointsProtocol=https;AccountName={name};AccountKey={key};EndpointSuffix=core.windows.net"
    cosmos = f"AccountEndpoint=https://{name}.documents.azure.com:443/;AccountKey={key};"
    short = f"AccountName={name};AccountKey={key}"
    return place(rng, rng.choice([ends, ends, cosmos, short]), JSON_PLACES)[0], key


def _azure_bus(rng: random.Random) -> Made:
    key = _base64_of(rng, 32)
    host = f"Endpoint=sb://shop-{some(rng, string.ascii_lowercase, 4)}.servicebus.windows.net/"
    text = f"{host};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={key}"
    return place(rng, text + rng.choice(["", ";EntityPath=orders"]), JSON_PLACES)[0], key


def _azure_sas(rng: random.Random) -> Made:
    signed = _base64_of(rng, 32).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    url = (
        f"https://shop{some(rng, string.ascii_lowercase, 4)}.blob.core.windows.net/invoices/{rng.randint(1, 9999)}.pdf"
    )
    first = rng.choice(
        [
            "sv=2022-11-02&sr=b&sp=r&se=2030-01-01T00:00:00Z",
            "sp=rl&st=2024-01-01&se=2031-01-01&spr=https&sv=2023-01-03&sr=c",
        ]
    )
    last = rng.choice(["", "", "&comp=list"])
    return place(rng, f"{url}?{first}&sig={signed}{last}", JSON_PLACES)[0], signed


AWS_NAMES = (
    "aws_secret_access_key",
    "AWS_SECRET_ACCESS_KEY",
    "aws_secret_key",
    "SecretAccessKey",
    "secretAccessKey",
    "AWS_SECRET",
)
ASSIGN = (
    "§=",
    "§ = ",
    "§: ",
    "§:",
    '"§": ',
    "'§': ",
    "§ => ",
    "§ := ",
    "--§=",
    "export §=",
    "set §=",
    '{"id": 3, "§": ',
)
QUOTED = ('"§": ', "'§': ", "§ => ", "§ := ", '{"id": 3, "§": ')


def _assigned(rng: random.Random, names: tuple[str, ...], secret: str) -> Made:
    """name, sign, value: quoted where the language asks for it, sometimes elsewhere."""
    sign = rng.choice(ASSIGN)
    quote = ('"' if '"' in sign else "'") if sign in QUOTED else rng.choice(["", "", '"', "'"])
    tail = "}" if "{" in sign else rng.choice(["", "", "\n", ", retries 3" if quote else " # do not share"])
    head = rng.choice(["", "", "", "2024-05-01 10:00:00 DEBUG config ", "region = eu-central-1\n"])
    return f"{head}{sign.replace('§', rng.choice(names))}{quote}{secret}{quote}{tail}", secret


def _aws_secret(rng: random.Random) -> Made:
    return _assigned(rng, AWS_NAMES, some(rng, BASE64, 40))


def _aws_access(rng: random.Random) -> str:
    return rng.choice(["AK" + "IA", "AK" + "IA", "AS" + "IA"]) + some(rng, string.ascii_uppercase + "234567", 16)


def _aws_pair(rng: random.Random) -> Made:
    """The credentials.csv of the console and the passwd file of s3fs: the id names what stands behind it."""
    secret = some(rng, BASE64, 40)
    return f"{_aws_access(rng)}{rng.choice([',', ':', ', ', ' '])}{secret}", secret


GENERIC_NAMES = (
    "password", "passwd", "pwd", "secret", "api_key", "apikey", "api-key", "apiKey", "access_token", "accessToken", "auth_token",
    "client_secret", "clientSecret", "token", "private_key", "encryption_key", "DB_PASSWORD", "MYSQL_ROOT_PASSWORD", "SHOP_SECRET_KEY",
    "X-Api-Key", "secret_key", "refresh_token", "session_token", "webhook_secret", "signing_key", "PGPASSWORD", "jwt_secret", "passphrase",
)  # fmt: skip


def _generic(alphabet: str, low: int, high: int) -> Make:
    return lambda rng: _assigned(rng, GENERIC_NAMES, some(rng, alphabet, rng.randint(low, high)))


def _generic_password(rng: random.Random) -> Made:
    """As a password manager makes them: every class of character in it."""
    secret = (
        some(rng, ALNUM, 4)
        + some(rng, string.digits, 2)
        + some(rng, "!#$%^*+", 1)
        + some(rng, PASSWORD, rng.randint(4, 12))
        + some(rng, ALNUM, 1)
    )
    return _assigned(
        rng, ("password", "passwd", "PWD", "db_password", "ADMIN_PASSWORD", "passphrase", "userPassword"), secret
    )


def _generic_elsewhere(rng: random.Random) -> Made:
    secret = some(rng, ALNUM, rng.randint(24, 40))
    texts = [
        f"<password>{secret}</password>",
        f'<add key="ApiKey" value="{secret}" />',
        f"GET /v1/orders?api_key={secret}&page=2 HTTP/1.1",
        f"https://example.com/hook?token={secret}",
        f"curl -H 'X-Api-Key: {secret}' https://api.example.com/v1/orders",
        f"Authorization: Bearer {secret}",
        f"login --user ann --password {secret} --verbose",
        f"access_token={secret}&token_type=bearer&expires_in=3600",
        json.dumps({"user": "ann", "credentials": {"password": secret}}),
        json.dumps(json.dumps({"token": secret})),
    ]
    return rng.choice(texts), secret


def _basic(rng: random.Random) -> Made:
    secret = base64.b64encode(f"ann:{some(rng, ALNUM, rng.randint(10, 30))}".encode()).decode()
    return place(rng, "Authorization: Basic " + secret, JSON_PLACES)[0], secret


def _twilio_auth(rng: random.Random) -> Made:
    return _assigned(rng, ("TWILIO_AUTH_TOKEN", "twilio_auth_token", "authToken", "auth_token"), some(rng, HEX, 32))


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def _jwt(rng: random.Random) -> str:
    name, size = rng.choice([("HS256", 32), ("HS512", 64), ("RS256", 256), ("ES256", 64), ("EdDSA", 64)])
    head: dict[str, object] = (
        {"alg": name, "typ": "JWT"} if rng.random() < 0.7 else {"typ": "JWT", "alg": name, "kid": some(rng, HEX, 8)}
    )
    claims = {
        "sub": some(rng, string.digits, 10),
        "name": "Ann Example",
        "iat": rng.randint(1_500_000_000, 1_800_000_000),
        "admin": True,
    }
    signed = base64.urlsafe_b64encode(rng.randbytes(size)).decode().rstrip("=")
    return f"{_part(head)}.{_part(claims)}.{signed}"


PEM_LABELS = (
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "PRIVATE KEY",
    "DSA PRIVATE KEY",
    "PGP PRIVATE KEY BLOCK",
)


def _pem(rng: random.Random) -> Made:
    """RFC 7468: lines of 64 between the two marks; as text, with the newlines escaped (JSON), on one line, or cut off."""
    label, dashes = rng.choice(PEM_LABELS), "-" * 5
    size = rng.choice([118, 121, 400, 608, 1190])
    data = _base64_of(rng, size)
    lines = [data[at : at + 64] for at in range(0, len(data), 64)]
    if label.startswith("RSA") and rng.random() < 0.3:
        lines = ["Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC," + some(rng, HEX.upper(), 32), "", *lines]
    end = rng.choice(["\n", "\n", "\n", "\r\n", "\\n", "\\n", " "])
    pem = end.join([f"{dashes}BEGIN {label}{dashes}", *lines, f"{dashes}END {label}{dashes}", ""])
    if rng.random() < 0.1:
        pem = pem[: rng.randint(len(pem) // 2, len(pem) - 40)]  # a log line that was cut
    secret = end.join(lines)[-64:] if dashes + "END" in pem else pem[-64:]
    text = rng.choice(
        ["§", "§", "key: §", '{"type": "service_account", "private_key": "§"}', "3,deploy key,§", "it was:§"]
    ).replace("§", pem)
    return text, secret


WORDS = ("summer", "orange", "harbor", "copper", "violet", "monday", "dragon", "silver", "rocket", "winter")


def _password(rng: random.Random) -> str:
    """What people take: random, or a word with a number."""
    word = rng.choice(WORDS).title() + str(rng.randint(10, 9999)) + rng.choice(["", "-", "_x"])
    return rng.choice(
        [
            some(rng, ALNUM, rng.randint(8, 24)),
            some(rng, ALNUM, 6) + some(rng, "!$*-_.~", 2) + some(rng, ALNUM, 6),
            word,
        ]
    )


def _encoded(rng: random.Random) -> str:
    return (
        some(rng, ALNUM, 4)
        + rng.choice(["%40", "%3A", "%2F", "%23", "%3F"])
        + some(rng, ALNUM, 5)
        + rng.choice(["", "%21", "%25"])
    )


URLS = (
    "postgres://app:§@db.example.com:5432/shop", "postgresql://app:§@10.0.0.5/shop?sslmode=require", "postgresql+psycopg://app:§@db/shop",
    "mysql://root:§@mysql.internal:3306/shop", "mysql+pymysql://app:§@db/shop", "mariadb://app:§@db:3306/shop",
    "mongodb://app:§@m1.example.com:27017,m2.example.com:27017/shop?replicaSet=rs0", "mongodb+srv://app:§@cluster0.ab1cd.mongodb.net/shop",
    "redis://:§@cache:6379/0", "rediss://default:§@cache.example.com:6380", "amqp://guest:§@rabbit:5672/%2F", "amqps://app:§@mq.example.com",
    "https://deploy:§@git.example.com/shop.git", "ftp://files:§@ftp.example.com/in", "smtp://mail:§@smtp.example.com:587",
    "clickhouse://app:§@ch:9000/events", "mssql+pyodbc://sa:§@mssql/shop?driver=ODBC+Driver+17", "nats://app:§@nats:4222",
)  # fmt: skip
PARAMETERS = (
    "jdbc:postgresql://db.example.com:5432/shop?user=app&password=§", "jdbc:postgresql://db/shop?user=app&password=§&ssl=true",
    "jdbc:mysql://db:3306/shop?user=app&password=§", "jdbc:sqlserver://db:1433;databaseName=shop;user=sa;password=§;encrypt=true",
    "host=db.example.com port=5432 user=app password=§ dbname=shop", "user=app password=§ host=db", "host=db password='§' dbname=shop",
    "Server=db;Database=shop;User Id=sa;Password=§;", "Server=tcp:shop.database.windows.net,1433;User ID=app;Password=§;Encrypt=True",
    "Driver={ODBC Driver 17 for SQL Server};Server=db;UID=app;PWD=§;", "Data Source=db;User ID=scott;Password=§",
)  # fmt: skip


def _connection(texts: tuple[str, ...], password: Callable[[random.Random], str]) -> Make:
    def make(rng: random.Random) -> Made:
        secret = password(rng)
        return place(rng, rng.choice(texts).replace("§", secret), JSON_PLACES)[0], secret

    return make


def _rows(kind: str, *rows: tuple[str, int, Make]) -> list[Form]:
    return [Form(kind, note, count, make) for note, count, make in rows]


FORMS: list[Form] = [
    *(Form(*row) for row in personal_forms.ROWS),
    *_rows("aws access key id", ("AKIA, ASIA", 40, _key(_aws_access))),
    *_rows("aws secret key", ("assigned", 40, _aws_secret), ("behind its id", 12, _aws_pair)),
    *_rows(
        "github",
        ("classic", 20, _github("p")),
        ("fine-grained", 20, _key(_github_fine)),
        ("oauth", 10, _github("o")),
        ("app, user", 10, _github("u")),
        ("app, server", 10, _github("s")),
        ("app, refresh", 10, _github("r", 70)),
    ),
    *_rows(
        "gitlab",
        ("personal", 20, _token("glp" + "at-", URLSAFE, 20)),
        ("personal, routable", 10, _key(_gitlab_routable)),
        ("deploy", 6, _token("gld" + "t-", URLSAFE, 20)),
        ("runner", 6, _token("glr" + "t-", URLSAFE, 20)),
        ("trigger", 6, _token("glp" + "tt-", HEX, 40)),
        ("oauth secret", 6, _token("glo" + "as-", HEX, 64)),
        ("agent", 6, _token("glag" + "ent-", URLSAFE, 50)),
        ("feed", 4, _token("glf" + "t-", URLSAFE, 20)),
    ),
    *_rows(
        "slack",
        ("bot", 15, _slack("xo" + "xb", 2, lambda rng: some(rng, ALNUM, 24))),
        ("user", 15, _slack("xo" + "xp", 3, lambda rng: some(rng, HEX, 32))),
        ("app", 12, _key(_slack_app)),
        ("refresh", 6, _token("xo" + "xe-1-", ALNUM, 146)),
        ("rotated", 6, _token("xo" + "xe.xo" + "xb-1-", ALNUM, 163)),
        ("webhook", 16, _slack_hook),
    ),
    *_rows(
        "stripe",
        ("live", 15, _token("sk_" + "live_", ALNUM, 24, 99)),
        ("test", 15, _token("sk_" + "test_", ALNUM, 24, 99)),
        ("restricted", 15, _token("rk_" + "live_", ALNUM, 24, 99)),
        ("webhook", 8, _token("wh" + "sec_", ALNUM, 32)),
    ),
    *_rows(
        "google",
        ("api key", 25, _token("AI" + "za", URLSAFE, 35)),
        ("client secret", 20, _token("GOC" + "SPX-", URLSAFE, 28)),
        ("access token", 8, _token("ya" + "29.", URLSAFE, 120, 180)),
    ),
    *_rows(
        "openai",
        ("old", 20, _openai("sk" + "-", 20)),
        ("oldest", 10, _token("sk" + "-", ALNUM, 48)),
        ("project", 20, _openai("sk" + "-proj-", 58)),
        ("service account", 8, _openai("sk" + "-svcacct-", 74)),
    ),
    *_rows(
        "anthropic",
        ("api", 30, _key(lambda rng: "sk" + "-ant-api03-" + some(rng, URLSAFE, 93) + "AA")),
        ("admin", 10, _key(lambda rng: "sk" + "-ant-admin01-" + some(rng, URLSAFE, 93) + "AA")),
    ),
    *_rows(
        "azure",
        ("storage", 25, _azure_storage),
        ("service bus", 10, _azure_bus),
        ("client secret", 20, _key(_azure_client)),
        ("shared access signature", 15, _azure_sas),
    ),
    *_rows("npm", ("token", 40, _token("np" + "m_", ALNUM, 36))),
    *_rows("pypi", ("token", 40, _token("py" + "pi-AgEI" + "cHlwaS5vcmc", URLSAFE, 130, 170))),
    *_rows(
        "sendgrid", ("key", 40, _key(lambda rng: "S" + "G." + some(rng, URLSAFE, 22) + "." + some(rng, URLSAFE, 43)))
    ),
    *_rows("twilio", ("api key", 25, _token("S" + "K", HEX, 32)), ("auth token, assigned", 25, _twilio_auth)),
    *_rows(
        "generic",
        ("alphanumeric", 50, _generic(ALNUM, 20, 48)),
        ("hex", 20, _generic(HEX, 32, 64)),
        ("base 64", 20, _generic(BASE64, 24, 64)),
        ("url-safe", 20, _generic(URLSAFE, 20, 64)),
        ("password", 50, _generic_password),
        ("header, URL, XML, flag", 40, _generic_elsewhere),
        ("basic", 10, _basic),
    ),
    *_rows("jwt", ("signed", 60, _key(_jwt))),
    *_rows("private key", ("PEM", 60, _pem)),
    *_rows(
        "connection string",
        ("URL", 60, _connection(URLS, _password)),
        ("URL, encoded", 25, _connection(URLS, _encoded)),
        ("parameters", 50, _connection(PARAMETERS, _password)),
    ),
]
