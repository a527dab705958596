"""What each rule's finder takes of a match and what it leaves: edges, lengths, checks. Searching is in test_detectors.py."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.masking.detectors import Detectors, compile_pattern
from gateway.masking.rules import NAMES, OWN_TEXTS, RULES, Rule, mixed, random_looking

LETTERS = "aB3dE5fG7hJ9kLmN2pQr4sTu6vWx8yZ1"


def left(text: str, *names: str) -> str:
    return Detectors.build(names, {}).scrub(text)[0]


def test_every_rule_is_one_that_policies_or_our_own_texts_may_name() -> None:
    assert {rule.name for rule in RULES} == {*NAMES, *OWN_TEXTS}
    assert len({rule.what for rule in RULES}) == len(RULES)


#: Those whose patterns Python reads as RE2 does.
DRAWN = [each for each in RULES if each.near and "\\x{" not in each.pattern]


@pytest.mark.parametrize("rule", DRAWN, ids=lambda rule: rule.what)
@settings(deadline=None, max_examples=50)
@given(st.data())
def test_whatever_a_rule_finds_is_near(rule: Rule, data: st.DataObject) -> None:
    """Rows in which nothing is near are looked at no further."""
    value = data.draw(st.from_regex(re.compile(rule.pattern), fullmatch=True)).encode()
    found = compile_pattern(rule.what, rule.pattern).search(value)
    if found is None or b"\0" in value or not rule.find(value, found):
        return
    assert compile_pattern(rule.what, rule.near).search(value)


@pytest.mark.parametrize(
    ("secret", "is_mixed", "is_random"),
    [
        (LETTERS.encode(), True, True),
        (LETTERS.lower().encode(), False, True),
        (b"abcdefghijklmnop", False, False),
        (b"0123456789012345", False, False),
        (b"aB1aB1aB1aB1aB1a", False, False),
        (b"abcdefghijklmno1", False, False),
        (b"1234567890abcdef", False, True),
    ],
)
def test_what_no_one_types(secret: bytes, is_mixed: bool, is_random: bool) -> None:
    assert (mixed(secret), random_looking(secret)) == (is_mixed, is_random)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("219-09-9999", "[ssn]"),
        ("219 09 9999.", "[ssn]."),
        ("219\u00a009\u00a09999", "[ssn]"),
        ("219-09-9999.5", "219-09-9999.5"),
        ("219-09-9999-1", "219-09-9999-1"),
        ("4.219-09-9999", "4.219-09-9999"),
        ("219-09 9999", "219-09 9999"),
        ("219-00-9999", "219-00-9999"),
        ("219-09-0000", "219-09-0000"),
        ("x219-09-9999y", "x[ssn]y"),
        ("1219-09-9999", "1219-09-9999"),
        ('{"ssn": "219099999"}', '{"ssn": "[ssn]"}'),
        ("SSN 219099999", "SSN [ssn]"),
        ("SSN 666099999", "SSN 666099999"),
        ("SSN 2190999991", "SSN 2190999991"),
        ("(219-09-9999)", "([ssn])"),
    ],
)
def test_ssn(text: str, expected: str) -> None:
    assert left(text, "ssn") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+49 151 23456789", "[phone]"),
        ("+49 151 12", "+49 151 12"),
        ("+1234567", "+1234567"),
        ("(212) 555-0142", "[phone]"),
        ("212-555-01423", "212-555-01423"),
        ("112-555-0142", "112-555-0142"),
        ("1-212-555-0142", "[phone]"),
        ("call 212 555 0142", "call [phone]"),
        ("17 212 555 0142", "17 212 555 0142"),
        ("0049 171 2345678", "[phone]"),
        ("2242 2574 0072 4966", "2242 2574 0072 4966"),
        ("Tel. 030/901820", "Tel. [phone]"),
        ('{"phone": "(030) 901820"}', '{"phone": "[phone]"}'),
        ("mobile: 07700 900123", "mobile: [phone]"),
        ("030/901820", "030/901820"),
        ("phone: 0123", "phone: 0123"),
    ],
)
def test_phone(text: str, expected: str) -> None:
    assert left(text, "phone") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DE89370400440532013000", "[iban]"),
        ("DE89 3704 0044 0532 0130 00 BIC", "[iban] BIC"),
        ("XDE89370400440532013000", "XDE89370400440532013000"),
        ("DE88370400440532013000", "DE88370400440532013000"),
        ("FR89370400440532013000", "FR89370400440532013000"),
        ("ibanDE89370400440532013000", "iban[iban]"),
        ("DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000", "[iban]"),
    ],
)
def test_iban(text: str, expected: str) -> None:
    assert left(text, "iban") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a eyJhbGciOiJub25lIn0.eyJzIjoxfQ. b", "a [jwt] b"),
        ("a eyJub3QiOiJhIGp3dCJ9.eyJzIjoxfQ. b", "a eyJub3QiOiJhIGp3dCJ9.eyJzIjoxfQ. b"),
        ("a eyJhbGciOiJub25lIn0 b", "a eyJhbGciOiJub25lIn0 b"),
    ],
)
def test_a_jwt_has_a_header_that_names_its_algorithm(text: str, expected: str) -> None:
    assert left(text, "jwt") == expected


def test_a_putty_key_runs_to_the_end_of_the_value() -> None:
    assert left("a PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\nAAAA\n\nmore", "private_key") == "a [private_key]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Authorization: Bearer {LETTERS}", "Authorization: Bearer [api_key]"),
        ("Authorization: Basic dXNlcjpw", "Authorization: Basic [api_key]"),
        ("<Authorization>Basic dXNlcjpw</Authorization>", "<Authorization>Basic [api_key]</Authorization>"),
        (
            '<header name="Authorization" value="Basic dXNlcjpw"/>',
            '<header name="Authorization" value="Basic [api_key]"/>',
        ),
        ("authorization\"'   => 'basic dXNlcjpw'", "authorization\"'   => 'basic [api_key]'"),
        ("Authorization  Basic dXNlcjpw", "Authorization  Basic dXNlcjpw"),
        (f"github_pat__{LETTERS}", "[api_key]"),
        (f"sk-_{LETTERS}", "[api_key]"),
        ("bearer abcdefghijklmnopqrstuvwxyz", "bearer abcdefghijklmnopqrstuvwxyz"),
        (f"api_key={LETTERS}; x", "api_key=[api_key]; x"),
        (f'{{"token": "{LETTERS}"}}', '{"token": "[api_key]"}'),
        ("AKIA" + "ABCDEFGHIJKLMNOP" + "Q", "AKIA" + "ABCDEFGHIJKLMNOP" + "Q"),
        ("keyAKIA" + "ABCDEFGHIJKLMNOPold", "key[api_key]old"),
        ("key%3DAKIA" + "ABCDEFGHIJKLMNOP%26", "key%3D[api_key]%26"),
        ("1SK" + "0123456789abcdef" * 2 + "old", "1[api_key]old"),
        ("SK" + "0123456789abcdef" * 3, "SK" + "0123456789abcdef" * 3),
        ("keySG." + LETTERS[:22] + "." + LETTERS + LETTERS[:11] + "!", "key[api_key]!"),
        ("_sk-" + LETTERS + LETTERS[:16] + "_", "_[api_key]_"),
        ("x" + "A" * 85 + "B==", "x" + "A" * 85 + "B=="),
        (f"webhook_secret_key: {LETTERS}", "webhook_secret_key: [password]"),
        (f"<password>{LETTERS}</password>", "<password>[api_key]</password>"),
        (f'<add key="ApiKey" value="{LETTERS}" />', '<add key="ApiKey" value="[api_key]" />'),
        (f"login --password {LETTERS} -v", "login --password [api_key] -v"),
        ("token: customerPrimaryEmailAddress", "token: customerPrimaryEmailAddress"),
        ("token: QEayPVjqPDsjlnzuzgAJohFDRIGYY", "token: [api_key]"),
        ("(AKIA" + "ABCDEFGHIJKLMNOP)", "([api_key])"),
        ("SK" + "0123456789abcdef" * 2, "[api_key]"),
        ("desk-" + LETTERS, "desk-" + LETTERS),
    ],
)
def test_only_the_secret_part_of_a_key_goes(text: str, expected: str) -> None:
    assert left(text, "api_key") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ALTER ROLE a PASSWORD 'x' VALID UNTIL 'y'", "ALTER ROLE a PASSWORD '[password]' VALID UNTIL 'y'"),
        ("ALTER ROLE a PASSWORD 'x' 'y'", "ALTER ROLE a PASSWORD '[password]' 'y'"),
        ("ALTER ROLE a PASSWORD 'x'\n 'y' VALID", "ALTER ROLE a PASSWORD '[password]' VALID"),
        ("PASSWORD -- why\n 'x', b", "PASSWORD -- why\n '[password]', b"),
        ("PASSWORD E'x\\'y', b", "PASSWORD '[password]', b"),
        ("PASSWORD 'x\\', b", "PASSWORD '[password]', b"),
        ("PASSWORD $a$x$b$y$a$, b", "PASSWORD '[password]', b"),
        ("PASSWORD $a$x", "PASSWORD '[password]'"),
        ("PASSWORD NULL", "PASSWORD NULL"),
    ],
)
def test_a_password_constant_ends_where_postgresql_ends_it(text: str, expected: str) -> None:
    assert left(text, "sql_password") == expected


@pytest.mark.parametrize(
    "value",
    ["null", "None", "true", "****", "xxxxxxxx", "${DB_PASSWORD}", "$PASSWORD", "$1", "<password>", "{{ secrets.X }}", "[REDACTED]",
     "[password]", "your-password-here", "process.env.PASSWORD", "getpass()", "%(password)s", "?"],
)  # fmt: skip
def test_what_stands_for_a_password_is_none(value: str) -> None:
    for text in (f"password={value}", f"password: {value}", f"postgres://app:{value}@db/shop".replace("?", "***")):
        assert left(text, "password") == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=hunter2", "password=[password]"),
        ("password=<Tr0ub4dor", "password=[password]"),
        ("password={ub4dor}", "password=[password]"),
        ("password=your-dog-4", "password=[password]"),
        ("password: 2aMM41$6SFJzy!Gz", "password: [password]"),
        ("passphrase => Summer2024-", "passphrase => [password]"),
        ("password: see the vault", "password: see the vault"),
        ("password: varchar(255)", "password: varchar(255)"),
        ("password: 2024-05-01", "password: 2024-05-01"),
        ("postgres://app@server:hunter2@db/shop", "postgres://app@server:[password]@db/shop"),
    ],
)
def test_passwords(text: str, expected: str) -> None:
    assert left(text, "password") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@example.com", "[email]"),
        ("j\u00fcrgen@m\u00fcller.example.de", "[email]"),
        ("GET /reset?mail=ann%40example.com&x=1", "GET /reset?mail=[email]&x=1"),
        ("icon@2x.png", "icon@2x.png"),
        ("postgres://app@db.example.com/shop", "postgres://app@db.example.com/shop"),
        ("mailto:ann@example.com", "mailto:[email]"),
        ("sip://ann@example.com", "sip://[email]"),
        ("postgres://app@db.example.com/shop of ann@example.com", "postgres://app@db.example.com/shop of [email]"),
    ],
)
def test_email(text: str, expected: str) -> None:
    assert left(text, "email") == expected
