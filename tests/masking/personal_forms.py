"""Forms of what belongs to a person: payment cards, IBAN, US SSN, phone numbers and e-mail addresses.

What lives here: the issuers' ranges and check digits (ISO/IEC 7812, ISO 13616, SSA), and texts with such a number in them.
Pure functions of the random source they are given.
"""

import random
import string
from collections.abc import Callable

from tests.masking.places import JSON_PLACES, Made, place

NBSP, NARROW, THIN, FIGURE, HARD = "\u00a0", "\u202f", "\u2009", "\u2012", "\u2011"
#: What stands between the groups of a card's digits.
SEPARATORS = (" ", "-", ".", NBSP, NARROW, THIN, FIGURE, HARD)

#: brand: first digits (ranges of equal length), lengths. ISO/IEC 7812 and the brands' own pages.
BRANDS: dict[str, tuple[tuple[tuple[int, int], ...], tuple[int, ...]]] = {
    "visa": (((4, 4),), (16, 16, 16, 16, 16, 13, 19)),
    "mastercard": (((51, 55),), (16,)),
    "mastercard 2-series": (((2221, 2720),), (16,)),
    "amex": (((34, 34), (37, 37)), (15,)),
    "discover": (((6011, 6011), (644, 649), (65, 65)), (16, 16, 16, 19)),
    "jcb": (((3528, 3589),), (16,)),
    "diners": (((300, 305), (36, 36), (38, 39)), (14,)),
    "maestro": (
        ((5018, 5018), (5020, 5020), (5038, 5038), (5893, 5893), (6304, 6304), (6759, 6759), (6761, 6763)),
        (13, 16, 16, 18, 19),
    ),
    "unionpay": (((62, 62),), (16, 16, 16, 17, 18, 19)),
}
GROUPS = {
    13: (4, 3, 3, 3),
    14: (4, 6, 4),
    15: (4, 6, 5),
    16: (4, 4, 4, 4),
    17: (4, 4, 4, 5),
    18: (4, 4, 4, 6),
    19: (4, 4, 4, 4, 3),
}


def luhn(digits: str) -> bool:
    doubled = (int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def with_luhn(digits: str) -> str:
    return next(digits + last for last in string.digits if luhn(digits + last))


#: First digits (from, to) and lengths of brands and lengths that no sample is made of, so that no look-alike is one by chance.
OTHERS: tuple[tuple[int, int, range], ...] = (
    (300, 305, range(14, 20)), (36, 36, range(14, 20)), (38, 39, range(14, 20)),  # Diners, also longer than 14
    (3528, 3589, range(16, 20)), (6011, 6011, range(16, 20)), (644, 649, range(16, 20)), (65, 65, range(16, 20)),  # JCB, Discover
    (62, 62, range(16, 20)), (81, 81, range(16, 20)),  # UnionPay
    (60, 60, range(16, 17)), (82, 82, range(16, 17)), (508, 508, range(16, 17)),  # RuPay
    (2200, 2205, range(16, 20)), (9792, 9792, range(16, 17)), (8600, 8600, range(16, 17)), (9860, 9860, range(16, 17)),  # Mir, Troy, Uzcard, Humo
    (50, 50, range(13, 20)), (56, 69, range(13, 20)),  # Maestro
    (1, 1, range(15, 16)),  # UATP
)  # fmt: skip


def is_card(digits: str) -> bool:
    """By the public format: a brand's first digits and length, and the check digit."""
    if not luhn(digits):
        return False
    rows = [(low, high, lengths) for ranges, lengths in BRANDS.values() for low, high in ranges]
    return any(
        len(digits) in lengths and low <= int(digits[: len(str(low))]) <= high
        for low, high, lengths in (*rows, *OTHERS)
    )


def card(rng: random.Random, brand: str) -> str:
    ranges, lengths = BRANDS[brand]
    first, length = str(rng.randint(*rng.choice(ranges))), rng.choice(lengths)
    return with_luhn(first + "".join(rng.choices(string.digits, k=length - len(first) - 1)))


def grouped(digits: str, separator: str) -> str:
    parts, at = [], 0
    for size in GROUPS[len(digits)]:
        parts.append(digits[at : at + size])
        at += size
    return separator.join(parts)


CARD_PLACES = (
    "§", "§", "§", "card §", "Charged § for the order.", "my card is §, exp 12/27, cvv 123", '{"card": "§", "amount": 1999}', '{"pan":§}',
    "17,ann,§,2027-01", "17;ann;§;9.99", "card=§&exp=1227", "PAN:§;", "(§)", "[§]", "<pan>§</pan>", "'§'", '"§"', "card§", "§x", "no§exp",
    "visa_§_", "#§", "§.", "§,", "2024-05-01T10:00:00Z INFO paid with § ok", "\t§\t", "§\n", "%B§^DOE/ANN^2712101", ";§=27121010000",
    "Karte§ä", "{§}", "card:§/12", "x§y", "INSERT INTO cards VALUES (1, '§')", "tel 555-0101 card §", "§ 12/27", "order 17: §",
)  # fmt: skip
#: Where a number without quotes must have no separators.
PLAIN = ('{"pan":§}', "%B§^DOE/ANN^2712101", ";§=27121010000", "card=§&exp=1227")


def _card(brand: str, separators: tuple[str, ...]) -> Callable[[random.Random], Made]:
    def make(rng: random.Random) -> Made:
        separator = rng.choice(separators)
        places = tuple(each for each in CARD_PLACES if not separator or each not in PLAIN)
        return place(rng, grouped(card(rng, brand), separator), places)

    return make


def _full_width(rng: random.Random) -> Made:
    """As Japanese keyboards type them."""
    wide = card(rng, rng.choice(["visa", "jcb"])).translate({ord("0") + n: 0xFF10 + n for n in range(10)})
    return place(rng, wide, ("§", "カード§", "card §"))


#: country: BBAN in ISO 13616's own notation, as (length, n|a|c).
IBANS: dict[str, tuple[tuple[int, str], ...]] = {
    "DE": ((18, "n"),), "GB": ((4, "a"), (14, "n")), "FR": ((10, "n"), (11, "c"), (2, "n")), "NL": ((4, "a"), (10, "n")), "ES": ((20, "n"),),
    "IT": ((1, "a"), (10, "n"), (12, "c")), "CH": ((5, "n"), (12, "c")), "AT": ((16, "n"),), "BE": ((12, "n"),), "PL": ((24, "n"),),
    "SE": ((20, "n"),), "NO": ((11, "n"),), "DK": ((14, "n"),), "FI": ((14, "n"),), "PT": ((21, "n"),), "IE": ((4, "a"), (14, "n")),
    "LU": ((3, "n"), (13, "c")), "CZ": ((20, "n"),), "TR": ((5, "n"), (1, "n"), (16, "c")), "SA": ((2, "n"), (18, "c")), "AE": ((19, "n"),),
    "MT": ((4, "a"), (5, "n"), (18, "c")), "BR": ((23, "n"), (1, "a"), (1, "c")), "GR": ((7, "n"), (16, "c")), "HU": ((24, "n"),),
    "RO": ((4, "a"), (16, "c")), "UA": ((6, "n"), (19, "c")), "LI": ((5, "n"), (12, "c")), "HR": ((17, "n"),), "IL": ((19, "n"),),
}  # fmt: skip
CLASSES = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits + string.ascii_uppercase}


def iban(rng: random.Random, off: int = 0) -> str:
    """With its check digits, or with check digits that are wrong by `off` (1 to 96)."""
    country = rng.choice(list(IBANS))
    bban = "".join("".join(rng.choices(CLASSES[kind], k=size)) for size, kind in IBANS[country])
    number = int("".join(str(int(each, 36)) for each in bban + country + "00"))
    check = (98 - number % 97 - 2 + off) % 97 + 2
    return f"{country}{check:02d}{bban}"


def fours(text: str, separator: str = " ") -> str:
    return separator.join(text[at : at + 4] for at in range(0, len(text), 4))


PLACES = (*JSON_PLACES, "Please pay to § by Friday.", "<v>§</v>", "v=§;w=1", "ref:§.")


def _iban(spell: Callable[[str], str]) -> Callable[[random.Random], Made]:
    return lambda rng: place(rng, spell(iban(rng)), (*PLACES, "IBAN§", "IBAN: §", "IBAN §"))


def ssn(rng: random.Random) -> tuple[str, str, str]:
    """Area, group, serial as the SSA gives them out: no 000, 666 or 9xx, no zeros in the others."""
    area = rng.choice([each for each in range(1, 900) if each != 666])
    return f"{area:03d}", f"{rng.randint(1, 99):02d}", f"{rng.randint(1, 9999):04d}"


def _ssn(separator: str) -> Callable[[random.Random], Made]:
    return lambda rng: place(
        rng, separator.join(ssn(rng)), (*PLACES, "SSN §", "ssn:§", "social security number §", "x§y", "ssn§")
    )


def _ssn_named(rng: random.Random) -> Made:
    return place(rng, "".join(ssn(rng)), ("SSN: §", "ssn=§", '{"ssn": "§"}', "SSN §"))


def _digits(rng: random.Random, length: int) -> str:
    return "".join(rng.choices(string.digits, k=length))


def _nanp(rng: random.Random) -> tuple[str, str, str]:
    return (
        rng.choice("23456789") + rng.choice("012345678") + _digits(rng, 1),
        rng.choice("23456789") + _digits(rng, 2),
        _digits(rng, 4),
    )


def _phone_e164(rng: random.Random) -> Made:
    code, length = rng.choice(
        [
            ("1", 10),
            ("44", 10),
            ("49", 10),
            ("49", 11),
            ("33", 9),
            ("34", 9),
            ("39", 10),
            ("91", 10),
            ("81", 10),
            ("55", 11),
            ("61", 9),
            ("420", 9),
        ]
    )
    number = "".join(_nanp(rng)) if code == "1" else rng.choice("23456789") + _digits(rng, length - 1)
    return place(rng, f"+{code}{number}", (*PLACES, "tel:§", "call §"))


def _phone_international(rng: random.Random) -> Made:
    a, b, c = _nanp(rng)
    d = _digits(rng, 4)
    forms = [
        f"+1 {a} {b} {c}", f"+1-{a}-{b}-{c}", f"+1 ({a}) {b}-{c}", f"+44 20 7{d[:3]} {c}", f"+44 7{d[:3]} {b}{d[1:]}", f"+44 (0)20 7{d[:3]} {c}",
        f"+49 30 {b}{d}", f"+49 171 {b}{d}", f"+49 (0)89 {b}-{d}", f"+33 6 {d[:2]} {d[2:]} {c[:2]} {c[2:]}", f"0049 171 {b}{d}", f"+49-40-{b}{d}",
    ]  # fmt: skip
    return place(rng, rng.choice(forms), (*PLACES, "Tel. §", "call §", "phone: §"))


def _phone_us(rng: random.Random) -> Made:
    a, b, c = _nanp(rng)
    forms = [f"({a}) {b}-{c}", f"{a}-{b}-{c}", f"{a}.{b}.{c}", f"1-{a}-{b}-{c}", f"({a}){b}-{c}", f"{a} {b} {c}"]
    return place(rng, rng.choice(forms), (*PLACES, "Tel. §", "call §", "phone: §"))


def _phone_europe(rng: random.Random) -> Made:
    """National forms, with the word that says what they are: without it nobody could tell."""
    a, b = _digits(rng, 3), _digits(rng, 4)
    forms = [
        f"020 7{a} {b}",
        f"07700 900{a}",
        f"0161 496 {b}",
        f"030 {a}{b}",
        f"0171 {a}{b}",
        f"030/{a}{b}",
        f"(030) {a}{b}",
        f"089-{a}{b}",
        f"0171/{a}{b}",
    ]
    return place(rng, rng.choice(forms), ("Tel. §", "phone: §", "Tel: §", '{"phone": "§"}', "mobile §", "Telefon §"))


FIRST = (
    "ann",
    "bob",
    "carol.smith",
    "d.o'hara",
    "eve+shop",
    "f_jones",
    "grace99",
    "h-kim",
    "ivan.petrov",
    "J.Doe",
    "info",
    "x",
    "KONTAKT",
    "jürgen",
)
HOSTS = (
    "example.com", "example.co.uk", "mail.example.org", "EXAMPLE.DE", "my-shop.example.io", "sub.dept.example.edu", "example.photography",
    "xn--mller-kva.example", "müller.example.de", "a.io",
)  # fmt: skip


def email(rng: random.Random) -> str:
    return f"{rng.choice(FIRST)}{rng.choice(['', '', str(rng.randint(1, 99))])}@{rng.choice(HOSTS)}"


EMAIL_PLACES = (
    *PLACES,
    "mailto:§",
    "<§>",
    "Ann Example <§>",
    "from:§;to:x",
    "mail §, please",
    "user=§&x=1",
    "[§](link)",
    "owner(§)",
    "to=§.",
)


def _email(rng: random.Random) -> Made:
    return place(rng, email(rng), EMAIL_PLACES)


def _email_encoded(rng: random.Random) -> Made:
    encoded = f"ann{rng.randint(1, 99)}%40{rng.choice(HOSTS[:6])}"
    return place(rng, encoded, ("GET /reset?mail=§&x=1", "mail=§", "https://example.com/u/§/edit"))


#: kind, note, how many, how to make one: what secret_forms.Form is made of.
ROWS: list[tuple[str, str, int, Callable[[random.Random], Made]]] = [
    *(("card", f"{brand}, plain", 28, _card(brand, ("",))) for brand in BRANDS),
    *(("card", f"{brand}, spaces or hyphens", 20, _card(brand, (" ", "-"))) for brand in BRANDS),
    *(("card", f"{brand}, non-breaking", 6, _card(brand, (NBSP, NARROW, THIN, FIGURE, HARD))) for brand in BRANDS),
    ("card", "dots", 6, _card("visa", (".",))),
    ("card", "full width", 6, _full_width),
    ("iban", "plain", 70, _iban(str)),
    ("iban", "in fours", 50, _iban(fours)),
    ("iban", "in fours, non-breaking", 12, _iban(lambda text: fours(text, NBSP))),
    ("iban", "small letters", 12, _iban(str.lower)),
    ("ssn", "hyphens", 70, _ssn("-")),
    ("ssn", "spaces", 25, _ssn(" ")),
    ("ssn", "plain, named", 15, _ssn_named),
    ("phone", "E.164", 50, _phone_e164),
    ("phone", "international", 60, _phone_international),
    ("phone", "US", 50, _phone_us),
    ("phone", "GB and DE, named", 40, _phone_europe),
    ("email", "plain", 110, _email),
    ("email", "in a URL", 12, _email_encoded),
]
