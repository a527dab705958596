"""What each rule's finder takes of a match and what it leaves: edges, lengths, checks. Searching is in test_detectors.py."""

import pytest

from gateway.masking.detectors import Detectors
from gateway.masking.rules import NAMES, OWN_TEXTS, RULES, iban_valid, mixed, random_looking

LETTERS = "aB3dE5fG7hJ9kLmN2pQr4sTu6vWx8yZ1"


def left(text: str, *names: str) -> str:
    return Detectors.build(names, {}).scrub(text)[0]


def test_every_rule_is_one_that_policies_or_our_own_texts_may_name() -> None:
    assert {rule.name for rule in RULES} == {*NAMES, *OWN_TEXTS}
    assert len({rule.what for rule in RULES}) == len(RULES)


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
        ("219 09 9999.", "219 09 9999."),
        ("219-09 9999", "219-09 9999"),
        ("219-00-9999", "219-00-9999"),
        ("219-09-0000", "219-09-0000"),
        ("x219-09-9999", "x219-09-9999"),
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
    ],
)
def test_iban(text: str, expected: str) -> None:
    assert left(text, "iban") == expected


def test_a_right_remainder_alone_is_no_iban() -> None:
    assert iban_valid("NO9386011117947")
    assert not iban_valid("NO37860111179470"), "too long for its country"
    assert not iban_valid("ZZ4986011117947"), "no such country"


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
        ("bearer abcdefghijklmnopqrstuvwxyz", "bearer abcdefghijklmnopqrstuvwxyz"),
        (f"api_key={LETTERS}; x", "api_key=[api_key]; x"),
        (f'{{"token": "{LETTERS}"}}', '{"token": "[api_key]"}'),
        ("AKIA" + "ABCDEFGHIJKLMNOP" + "Q", "AKIA" + "ABCDEFGHIJKLMNOP" + "Q"),
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
