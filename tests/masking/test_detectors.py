"""Detectors: every row of the table finds its own example, on the value and on raw bytes; look-alikes stay."""

import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.masking import ibans
from gateway.masking.detectors import Detectors, compile_pattern, loosened
from gateway.masking.rules import NAMES, OWN_TEXTS, RULES, Rule

ALL = Detectors.build((*NAMES, *OWN_TEXTS), {})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.what)
def test_each_rule_finds_its_example_by_itself(rule: Rule) -> None:
    only = Detectors.build([rule.name], {})
    text, counts = only.scrub(f"see {rule.example()} there")
    assert counts[rule.name] >= 1
    assert text.startswith("see ")
    assert text != f"see {rule.example()} there"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.what)
def test_the_loose_look_never_misses_whatever_stands_around(rule: Rule) -> None:
    only = Detectors.build([rule.name], {})
    for before in (b"0", b"9", b"A", b"z", b"_", b"\x00", b"\xff"):
        for behind in (b"0", b"Z", b"\x00\x00\x00\x39", b"\xc3"):
            value = rule.example().encode() + behind  # with a digit behind it, a card is none
            assert only.suspicious(b"\x00\x00\x00" + before + value) or not only.hits(value)


@pytest.mark.parametrize("rule", [r for r in RULES if r.name == "api_key"], ids=lambda rule: rule.what)
def test_a_key_leaves_nothing_of_its_secret_part(rule: Rule) -> None:
    example = rule.example()
    text, _ = ALL.scrub(f"'{example}'")
    assert example[-20:].rstrip("=%3D") not in text


@pytest.mark.parametrize(
    "text",
    [
        "plain words and nothing else", "task-0123456789abcdefghijklmnop", "risk-assessment-of-the-whole-project", "token: yes",
        "select count(*) from tokens where key = 1", "the secret of good soup is time", "SLOVAKIATOURISMGUIDEFORBEGINNERS",
        "https://example.com:8080/path?q=1", "eyJub3QiOiJhIGp3dCJ9.e30.c2ln", "@mention and a@b", "password authentication failed",
        "2026-11-25 13:58:11", "000-12-3456", "666-12-3456", "900-12-3456", "123-45-6789-0", "GB00 NWBK 6016 1331 9268 19", "1.234.567",
    ],
)  # fmt: skip
def test_look_alikes_stay(text: str) -> None:
    found = Detectors.build(("card", "api_key", "jwt", "private_key", "ssn", "iban", "email"), {})
    assert found.scrub(text) == (text, {})


def test_hashes_and_uuids_stay() -> None:
    detectors = Detectors.build(("card", "api_key", "jwt", "private_key", "ssn", "iban"), {})
    for i in range(3000):
        digest = hashlib.sha256(str(i).encode()).hexdigest()
        for text in (
            digest,
            digest[:32],
            digest[:40].upper(),
            str(uuid.UUID(digest[:32])),
            f"sku {digest[:8]}-{i:06d}",
        ):
            assert detectors.scrub(text) == (text, {}), text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("ALTER ROLE ann PASSWORD 'hunter2'", "hunter2"), ("CREATE USER a WITH ENCRYPTED PASSWORD E'hun\\'ter2'", "ter2"),
        ("ALTER ROLE a PASSWORD $x$hunter2$x$", "hunter2"), ("ALTER ROLE a PASSWORD/* */ 'hun''ter2' VALID UNTIL '2027-01-01'", "ter2"),
        ("ALTER ROLE a PASSWORD 'hun'\n  'ter2'", "ter2"), ("CREATE USER a IDENTIFIED BY 'hunter2'", "hunter2"),
        ("ALTER ROLE a PASSWORD U&'hunter2'", "hunter2"), ("ALTER ROLE a PASSWORD 'hun\\' , PASSWORD 'ter2'", "ter2"),
        ("SELECT dblink('host=db password=hunter2 user=x')", "hunter2"), ("SELECT dblink('password=''hunter 2'' user=x')", "hunter 2"),
        ("postgres://ann:hunter2@db:5432/shop", "hunter2"), ("redis://:hunter2@cache", "hunter2"),
        ("OPTIONS (user 'x', password 'hunter2')", "hunter2"), ('{"password": "hunter2"}', "hunter2"), ("PASSWORD 'hunter2", "hunter2"),
        ("UPDATE users SET password = 'hunter2' WHERE id = 1", "hunter2"),
    ],
)  # fmt: skip
def test_passwords_in_our_own_texts(text: str, secret: str) -> None:
    scrubbed, counts = ALL.scrub(text)
    assert secret not in scrubbed
    assert "[password]" in scrubbed
    assert counts


def test_parameters_are_no_passwords() -> None:
    text = "UPDATE users SET password=$1 WHERE id=$2"
    assert ALL.scrub(text) == (text, {})


def test_a_private_key_is_masked_to_its_end_line_or_to_the_end() -> None:
    head, tail = "-----BEGIN RSA " + "PRIVATE KEY-----\n", "-----END RSA " + "PRIVATE KEY-----"
    keys = Detectors.build(["private_key"], {})
    assert keys.scrub(f"a {head}MIIE\nabc\n{tail} b")[0] == "a [private_key] b"
    assert keys.scrub(f"a {head}MIIE\nabc")[0] == "a [private_key]"


def test_iban_checks_length_and_remainder() -> None:
    example = next(rule.example() for rule in RULES if rule.name == "iban")
    assert ibans.valid(example)
    assert not ibans.valid(example[:-1] + str((int(example[-1]) + 1) % 10))
    spaced = " ".join(example[i : i + 4] for i in range(0, len(example), 4))
    assert Detectors.build(["iban"], {}).scrub(f"to {spaced} OK") == ("to [iban] OK", {"iban": 1})


def test_a_policy_pattern_with_edges_is_found_in_raw_bytes_and_keeps_its_edges_on_values() -> None:
    own = Detectors.build([], {"order_token": r"\bord_[A-Za-z0-9]{4}\b"})
    assert own.suspicious(b"\x00\x00\x00\x61ord_aB3d7")
    assert own.scrub("x ord_aB3d y") == ("x [order_token] y", {"order_token": 1})
    assert own.scrub("xord_aB3d") == ("xord_aB3d", {})


@pytest.mark.parametrize(
    ("pattern", "loose"),
    [
        (r"^a\b", "a"),
        (r"[^$]x$", "[^$]x"),
        (r"[]^]\Az", "[]^]z"),
        (r"\\b", r"\\b"),
        (r"\$1\^", r"\$1\^"),
        (r"\Qa^\E", None),
    ],
)
def test_loosened(pattern: str, loose: str | None) -> None:
    assert loosened(pattern) == loose


def test_a_pattern_that_cannot_be_loosened_makes_every_value_a_candidate() -> None:
    own = Detectors.build([], {"odd": r"\Qa^b\E"})
    assert own.suspicious(b"anything")
    assert own.scrub("a^b") == ("[odd]", {"odd": 1})


def test_unknown_names_and_bad_patterns_are_told() -> None:
    with pytest.raises(ValueError, match="detector cards is not known"):
        Detectors.build(["cards"], {})
    with pytest.raises(ValueError, match=r"pattern odd: .*look-around"):
        Detectors.build([], {"odd": "(?=x)"})
    with pytest.raises(ValueError, match="pattern odd"):
        compile_pattern("odd", "(")


def test_the_same_choice_is_compiled_once() -> None:
    """Each session builds its policy's: a thousand of them must not compile a thousand times, statement by statement."""
    one = Detectors.build(["card", "jwt"], {"order": "ord_[0-9]+"})
    assert Detectors.build(("card", "jwt"), {"order": "ord_[0-9]+"}) is one
    assert one.also(OWN_TEXTS) is one.also(OWN_TEXTS)
    assert Detectors.build(["card"], {"order": "ord_[0-9]+"}) is not one


def test_nothing_chosen_finds_nothing() -> None:
    none = Detectors.build([], {})
    assert not none.suspicious("".join(rule.example() for rule in RULES).encode())


def test_text_that_is_not_utf8_is_searched_all_the_same() -> None:
    secret = next(r.example() for r in RULES if r.what == "GitHub token").encode()
    assert ALL.clean(b"\xff\xfe" + secret + b" \xe9") == (b"\xff\xfe[api_key] \xe9", {"api_key": 1})


@given(st.text(max_size=60), st.sampled_from(RULES), st.text(max_size=60))
def test_scrub_is_stable_and_hits_imply_suspicion(before: str, rule: Rule, behind: str) -> None:
    text = before + rule.example() + behind
    once, counts = ALL.scrub(text)
    assert bool(counts) <= ALL.suspicious(text.encode())
    assert ALL.scrub(once)[0] == ALL.scrub(ALL.scrub(once)[0])[0]


def test_sessions_of_one_policy_share_what_was_compiled() -> None:
    """Compiling takes milliseconds; what is kept per Detectors (diagnostics.scrub_sql) is kept once, too."""
    one = Detectors.build(["card", "jwt"], {"order": "ord_[0-9]+"})
    assert Detectors.build(["card", "jwt"], {"order": "ord_[0-9]+"}) is one
    assert Detectors.build(["card", "jwt"], {"order": "ord_[a-z]+"}) is not one
    assert one.also(["email"]) is one.also(["email"])
