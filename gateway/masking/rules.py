"""The table of what secrets look like (RULES), the finders it uses, and an example of each, built at run time.

What lives here: one row a kind of secret. What must not: compiling, searching, policy (detectors.py does that).

Each rule has two patterns. `near` is loose and runs over raw wire bytes, a whole run of rows at once; it may hit too often
but never misses what `pattern` finds in one value, whatever bytes stand around the value (the last byte of a length word
may be an ASCII digit or letter, so `near` has no edges: performance.md 8). `pattern` and `find` decide on the value alone.
"""

import base64
import binascii
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gateway.masking import cards
from gateway.masking.cards import Match

Span = tuple[int, int, str]  # start, end (bytes), what is put there
Find = Callable[[bytes, Match], list[Span]]

_ALNUM = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_KEY_CHARS = _ALNUM | frozenset(b"_-")


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: `name` is what policies and counts call it, `what` says which kind.

    `find` gets the value and a match of `pattern` and answers the spans to replace ([] = a false hit, the search goes on
    one byte later unless `run`). `near` defaults to `pattern`. `example` builds a value that is found: nothing key-shaped is committed.
    """

    name: str
    what: str
    pattern: str
    find: Find
    example: Callable[[], str]
    near: str = ""
    run: bool = False  # `pattern` matches whole runs: what `find` doesn't take of one is not looked at again


# --- finders: from a match to the spans that are replaced -------------------------------------------------------------


def _edges(data: bytes, start: int, end: int, chars: frozenset[int] = _ALNUM) -> bool:
    """True when neither neighbour of data[start:end] is one of `chars`."""
    return not cards.glued_left(data, start, chars) and not (end < len(data) and data[end] in chars)


def whole(mask: str) -> Find:
    return lambda _data, m: [(m.start(), m.end(), mask)]


def _alone(mask: str, *, left: frozenset[int] = _ALNUM, check: Callable[[bytes], bool] = lambda _: True) -> Find:
    """The whole match, if it isn't a part of a longer word and passes `check`."""

    def find(data: bytes, m: Match) -> list[Span]:
        start, end = m.start(), m.end()
        glued = cards.glued_left(data, start, left) or (end < len(data) and data[end] in _ALNUM)
        return [] if glued or not check(data[start:end]) else [(start, end, mask)]

    return find


def _group(mask: str, groups: int = 1, check: Callable[[bytes], bool] = lambda _: True) -> Find:
    """The first of `groups` groups that took part in the match, if it passes `check`."""

    def find(data: bytes, m: Match) -> list[Span]:
        spans = ((m.start(g), m.end(g)) for g in range(1, groups + 1) if m.start(g) >= 0)
        return [(a, b, mask) for a, b in spans if b > a and check(data[a:b])]

    return find


def mixed(secret: bytes) -> bool:
    """True for what no one types: upper case, lower case and digits together, 3 bits a character or more."""
    kinds = (
        any(c in b for c in secret)
        for b in (b"0123456789", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")
    )
    return all(kinds) and _entropy(secret) >= 3.0


def random_looking(secret: bytes) -> bool:
    """True for a value of an assignment that looks generated: letters and digits, 3 bits a character or more."""
    digits = sum(48 <= c <= 57 for c in secret)
    letters = sum(65 <= (c & 0xDF) <= 90 for c in secret)
    return digits >= 2 and letters >= 2 and _entropy(secret) >= 3.0


def _entropy(data: bytes) -> float:
    """Shannon entropy in bits a byte."""
    total = len(data)
    return -sum(n / total * math.log2(n / total) for n in Counter(data).values())


def _jwt(data: bytes, m: Match) -> list[Span]:
    """A JWS or JWE whose first part is base64url of a JSON object with "alg" (RFC 7515, RFC 7516)."""
    start, end = m.start(), m.end()
    header = data[start : data.index(b".", start)]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return []
    return [(start, end, "[jwt]")] if isinstance(decoded, dict) and "alg" in decoded else []


def _private_key(data: bytes, m: Match) -> list[Span]:
    """From the BEGIN line to the END line, or to the end of the value where that is missing (a cut key is a key)."""
    end = data.find(b"-----END", m.end())
    if end < 0:
        return [(m.start(), len(data), "[private_key]")]
    close = data.find(b"-----", end + 8)
    return [(m.start(), close + 5 if close >= 0 else len(data), "[private_key]")]


def _rest(mask: str) -> Find:
    return lambda data, m: [(m.start(), len(data), mask)]


def _ssn(data: bytes, m: Match) -> list[Span]:
    """Area, group and serial as the SSA issues them: no 000, 666, 9xx; no 00; no 0000."""
    start, end = m.start(), m.end()
    digits = bytes(c for c in data[start:end] if 48 <= c <= 57)
    wrong = digits[:3] in (b"000", b"666") or digits[:1] == b"9" or digits[3:5] == b"00" or digits[5:] == b"0000"
    glued = not _edges(data, start, end, _ALNUM | frozenset(b"-.+"))
    return [] if wrong or glued or data[start + 3] != data[start + 6] else [(start, end, "[ssn]")]


#: Length of an IBAN by country (ISO 13616 registry).
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28,
    "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip


def iban_valid(text: str) -> bool:
    """Check a compact upper-case IBAN: its country's length, and mod 97 = 1 (ISO 7064)."""
    if IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def _iban(data: bytes, m: Match) -> list[Span]:
    """The country's number of characters from the start of the match (more capitals may follow)."""
    start, text, at = m.start(), "", m.start()
    wanted = IBAN_LENGTHS[data[start : start + 2].decode().upper()]
    while at < m.end() and len(text) < wanted:
        text += chr(data[at]).upper() if data[at] in _ALNUM else ""
        at += 1
    return [(start, at, "[iban]")] if iban_valid(text) and _edges(data, start, at) else []


def _phone(data: bytes, m: Match) -> list[Span]:
    """8 to 15 digits (E.164), not part of a longer number or word."""
    start, end = m.start(), m.end()
    digits = sum(48 <= c <= 57 for c in data[start:end])
    return [(start, end, "[phone]")] if 8 <= digits <= 15 and _edges(data, start, end, _ALNUM | frozenset(b"-")) else []


def _sql_literal(data: bytes, m: Match) -> list[Span]:
    """The string constant behind PASSWORD: '...', E'...', U&'...', $tag$...$tag$, with continuation lines (manual 4.1.2)."""
    start = m.start(1)
    opening = data[start : m.end(1)]
    if opening.endswith(b"$"):
        close = data.find(opening, m.end(1))
        return [(start, len(data) if close < 0 else close + len(opening), "'[password]'")]
    return [(start, _end_of_quoted(data, m.end(1), escapes=opening[:1] in b"eE"), "'[password]'")]


def _end_of_quoted(data: bytes, at: int, *, escapes: bool) -> int:
    """Offset behind a quoted constant whose first quote ends at `at`; an open one runs to the end of the text."""
    while at < len(data):
        if escapes and data[at] == 0x5C:
            at += 2
        elif data[at] != 0x27:
            at += 1
        elif data[at + 1 : at + 2] == b"'":
            at += 2
        else:
            behind = len(data) - len(data[at + 1 :].lstrip())
            if b"\n" not in data[at + 1 : behind] or data[behind : behind + 1] != b"'":
                return at + 1
            at = behind + 1
    return len(data)


# --- examples: built from parts, so that no key-shaped text is committed -----------------------------------------------

_LETTERS = "aB3dE5fG7hJ9kLmN2pQr4sTu6vWx8yZ1"


def _body(length: int, alphabet: str = _LETTERS) -> str:
    return "".join(alphabet[i * 7 % len(alphabet)] for i in range(length))


def _hex(length: int) -> str:
    return _body(length, "0a1b2c3d4e5f6789")


def _key(prefix: str, length: int, alphabet: str = _LETTERS) -> Callable[[], str]:
    return lambda: prefix + _body(length, alphabet)


def _example_jwt() -> str:
    parts = (json.dumps({"alg": "HS256", "typ": "JWT"}), json.dumps({"sub": "ann"}))
    return ".".join([*(base64.urlsafe_b64encode(p.encode()).decode().rstrip("=") for p in parts), _body(43)])


def _example_iban() -> str:
    body = "DE", "370400440532013000"
    check = 98 - int(body[1] + "".join(str(int(c, 36)) for c in body[0]) + "00") % 97
    return f"{body[0]}{check:02d}{body[1]}"


# --- the table ------------------------------------------------------------------------------------------------------

_CAPITALS = "A2BC3DE4FG5HJ6KL7MNPQRSTUVWXYZ"
_NAMES = (
    r"(?:api[ _-]?key|apikey|secret|access[ _-]?key|account[ _-]?key|private[ _-]?key|signing[ _-]?key|encryption[ _-]?key"
    r"|auth[ _-]?token|token|credentials?)"
)
_ASSIGN = r"""["'\\]{0,2}[ \t]{0,3}(?:=>|:=|=|:)[ \t]{0,3}["'\\]{0,2}"""
_PASS = r"(?:pass(?:word|wd|phrase)|pwd|secret_?key)"  # noqa: S105  # a pattern, not a password
_KEY = "[api_key]"


def _key_rule(what: str, pattern: str, find: Find | None = None, *, example: Callable[[], str], near: str = "") -> Rule:
    return Rule("api_key", what, pattern, find or whole(_KEY), example, near)


RULES: tuple[Rule, ...] = (
    Rule("card", "payment card, all brands", cards.RUN, cards.find, cards.example, cards.NEAR, run=True),
    _key_rule("AWS key id and secret side by side", r"A[KS]IA[A-Z0-9]{16}[\s,:;|=\"']{1,4}([A-Za-z0-9/+]{40})", _group(_KEY),
              example=lambda: _key("AKIA", 16, _CAPITALS)() + "," + _body(40), near=r"A[KS]IA[A-Z0-9]{4}"),
    _key_rule("AWS key id", r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}", _alone(_KEY), example=_key("AKIA", 16, _CAPITALS),
              near=r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{4}"),
    _key_rule("GitHub token", r"gh[pousr]_[A-Za-z0-9_]{36,}", example=_key("ghp_", 36), near=r"gh[pousr]_"),
    _key_rule("GitHub fine-grained token", r"github_pat_[A-Za-z0-9_]{22,}", example=_key("github_pat_", 82),
              near=r"github_pat_[A-Za-z0-9]"),
    _key_rule("GitLab token", r"gl(?:pat|dt|rt|rtr|ptt|cbt|oas|soat|ft|imt|agent|ffct)-[A-Za-z0-9_.-]{20,}",
              example=_key("glpat-", 20), near=r"gl[a-z]{2,5}-[A-Za-z0-9_.-]{4}"),
    _key_rule("Slack token", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}", example=_key("xoxb-1234567890-", 24),
              near=r"xox[a-z][.-]"),
    _key_rule("Slack app token", r"xapp-[0-9]-[A-Za-z0-9-]{10,}", example=_key("xapp-1-", 40), near=r"xapp-[0-9]-"),
    _key_rule("Slack webhook", r"hooks\.slack\.com/[a-z]+/[A-Za-z0-9/_+-]{20,}", example=_key("hooks.slack.com/services/T0/B0/", 24),
              near=r"hooks\.slack\.com/"),
    _key_rule("Stripe key", r"(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{10,}", example=_key("sk_live_", 24),
              near=r"[sr]k_(?:live|test|prod)_"),
    _key_rule("Stripe webhook secret", r"whsec_[A-Za-z0-9+/=]{24,}", example=_key("whsec_", 32), near=r"whsec_"),
    _key_rule("Google API key", r"AIza[0-9A-Za-z_-]{35,}", example=_key("AIza", 35), near=r"AIza"),
    _key_rule("Google OAuth secret", r"GOCSPX-[A-Za-z0-9_-]{20,}", example=_key("GOCSPX-", 28), near=r"GOCSPX-"),
    _key_rule("Google access token", r"ya29\.[0-9A-Za-z_-]{20,}", example=_key("ya29.", 60), near=r"ya29\."),
    _key_rule("Anthropic key", r"sk-ant-[A-Za-z0-9_-]{20,}", example=_key("sk-ant-api03-", 90), near=r"sk-ant-"),
    _key_rule("OpenAI project key", r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}", example=_key("sk-proj-", 60),
              near=r"sk-(?:proj|svcacct|admin)-"),
    _key_rule("OpenAI key", r"sk-[A-Za-z0-9_-]{20,}", _alone(_KEY, left=_KEY_CHARS, check=lambda k: mixed(k[3:])),
              example=_key("sk-", 48), near=r"sk-[A-Za-z0-9]"),
    _key_rule("sk- key in hex", r"sk-(?:or-v1-)?(?:[0-9a-f]{64}|[0-9a-f]{32})", _alone(_KEY, left=_KEY_CHARS),
              example=lambda: "sk-" + _hex(32), near=r"sk-[0-9a-o]"),
    _key_rule("Azure client secret", r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}", example=lambda: "aB3" + "8Q~" + _body(34),
              near=r"[0-9]Q~"),
    _key_rule("Azure storage or bus key", r"[A-Za-z0-9+/]{86}==", example=lambda: _body(86) + "==", near=r"[A-Za-z0-9+/]=="),
    _key_rule("Azure service key", r"[A-Za-z0-9]{40,}JQQJ99[A-Za-z0-9]{26}", example=lambda: _body(52) + "JQQJ99" + _body(26),
              near=r"JQQJ99"),
    _key_rule("Azure shared access signature", r"(?i)[?&]sig=([A-Za-z0-9%/+=]{40,})", _group(_KEY),
              example=lambda: "?sv=2024&sig=" + _body(43) + "%3D", near=r"(?i)[?&]sig="),
    _key_rule("Azure shared access key", r"(?i)SharedAccessKey=([A-Za-z0-9/+]{20,}=*)", _group(_KEY),
              example=lambda: "SharedAccessKey=" + _body(43) + "=", near=r"(?i)SharedAccessKey="),
    _key_rule("npm token", r"npm_[A-Za-z0-9]{36,}", example=_key("npm_", 36), near=r"npm_"),
    _key_rule("PyPI token", r"pypi-[A-Za-z0-9_-]{50,}", example=_key("pypi-AgEI", 80), near=r"pypi-"),
    _key_rule("SendGrid key", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", _alone(_KEY),
              example=lambda: "SG." + _body(22) + "." + _body(43), near=r"SG\."),
    _key_rule("Twilio key", r"SK[0-9a-f]{32}", _alone(_KEY), example=lambda: "SK" + _hex(32), near=r"SK[0-9a-f]{8}"),
    _key_rule("Mailgun key", r"key-[0-9a-f]{32}", _alone(_KEY), example=lambda: "key-" + _hex(32), near=r"key-[0-9a-f]{8}"),
    _key_rule("prefixed token of another vendor", r"(?:dop_v1_|hf_|shp[a-z]{2}_|glsa_|dapi|hvs\.|lin_api_|sq0csp-|rubygems_|pul-|dckr_pat_|PMAK-)[A-Za-z0-9_-]{24,}",
              _alone(_KEY, check=random_looking), example=_key("hvs.", 40),
              near=r"(?:dop_v1_|hf_|shp[a-z]{2}_|glsa_|dapi|hvs\.|lin_api_|sq0csp-|rubygems_|pul-|dckr_pat_|PMAK-)[A-Za-z0-9_-]{8}"),
    _key_rule("bearer token", r"(?i)bearer[ \t]{1,3}([A-Za-z0-9._~+/-]{20,}=*)", _group(_KEY, check=random_looking),
              example=lambda: "Authorization: Bearer " + _body(32), near=r"(?i)bearer[ \t]"),
    _key_rule("basic authorization", r"(?i)authorization" + _ASSIGN + r"basic[ \t]{1,3}([A-Za-z0-9+/]{8,}=*)", _group(_KEY),
              example=lambda: "Authorization: Basic " + _body(24), near=r"(?i)authorization[\"'\\ \t]{0,4}[=:]"),
    _key_rule("assignment of something random", r"(?i)" + _NAMES + _ASSIGN + r"([A-Za-z0-9_./+~%-]{16,}=*)",
              _group(_KEY, check=random_looking), example=lambda: "api_key=" + _body(24),
              near=r"(?i)(?:key|token|secret|credentials?)[\"'\\ \t]{0,5}(?:=|:)"),
    Rule("jwt", "JSON Web Token", r"e(?:yJ|yA|wo)[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}", _jwt, _example_jwt,
         r"e(?:yJ|yA|wo)[A-Za-z0-9_-]{8,}\."),
    Rule("private_key", "PEM private key", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY", _private_key,
         lambda: "\n".join(["-----BEGIN " + "PRIVATE KEY-----", _body(64), "-----END " + "PRIVATE KEY-----"])),
    Rule("private_key", "PuTTY private key", r"PuTTY-User-Key-File-[0-9]", _rest("[private_key]"),
         lambda: "PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\n" + _body(64)),
    Rule("private_key", "age secret key", r"AGE-SECRET-KEY-1[A-Z0-9]{20,}", whole("[private_key]"),
         _key("AGE-SECRET-" + "KEY-1", 58, _CAPITALS)),
    Rule("email", "e-mail address", r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}", whole("[email]"),
         lambda: "ann@" + "example.com", r"[A-Za-z0-9._%+-]@[A-Za-z0-9-]"),
    Rule("ssn", "US social security number", r"[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}", _ssn, lambda: "-".join(["219", "09", "9999"])),
    Rule("iban", "IBAN, compact or in groups", "(?:" + "|".join(IBAN_LENGTHS) + r")[0-9]{2}(?:[ -]?[A-Z0-9]){11,30}", _iban,
         _example_iban, r"[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){4}"),
    Rule("phone", "international number", r"\+[1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{1,5}\)?){2,6}", _phone,
         lambda: "+49 151 2345" + " 6789", r"\+[1-9][0-9]{0,2}[ .(-]{0,2}[0-9]"),
    Rule("phone", "North American number", r"(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])[2-9][0-9]{2}[ .-][0-9]{4}", _phone,
         lambda: "(212) 555" + "-0142"),
    Rule("password", "password in a URL", r"[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s:/@'\"]{0,128}:([^\s'\"/?#]+)@", _group("[password]"),
         lambda: "postgres://ann:" + _body(8) + "@db/shop", r"://[^\s:/@'\"\x00]*:[^\s'\"/?#]"),
    Rule("password", "password=value", r"(?i)" + _PASS + r"""=(?:''([^']+)''|'((?:[^'\\]|\\.)+)'|"([^"]+)"|([^\s'"\\;,&)$][^\s'"\\;,&)]*))""",
         _group("[password]", 4), lambda: "host=db password=" + _body(8), "(?i)" + _PASS + "="),
    Rule("password", "password = 'value' or \"password\": \"value\"",
         r"(?i)" + _PASS + r"""["'\\]{0,2}\s{0,4}(?::=|=>|=|:)\s{0,4}(?:N|E)?(?:''([^']+)''|'((?:[^'\\]|\\.)+)'|\\?"((?:[^"\\]|\\.)+))""",
         _group("[password]", 3), lambda: '{"password": "' + _body(8) + '"}', "(?i)" + _PASS + r"""["'\\]{0,2}\s{0,4}[:=]"""),
    Rule("sql_password", "string constant behind PASSWORD or IDENTIFIED BY",
         r"(?i)(?:password|identified\s+by)(?:\s|/\*(?:[^*]|\*[^/])*\*/|--[^\n]*\n)*((?:e|u&|n)?'|\$(?:[A-Za-z_\x{80}-\x{10FFFF}][A-Za-z0-9_\x{80}-\x{10FFFF}]*)?\$)",
         _sql_literal, lambda: "ALTER ROLE ann PASSWORD '" + _body(8) + "'", r"(?i)password|identified\s+by"),
)  # fmt: skip

#: The names that policies may use in `masking.detect`.
NAMES = ("card", "api_key", "jwt", "private_key", "email", "ssn", "iban", "phone")
#: Always looked for in our own texts (cards, audit, diagnostics), whatever the policy says.
OWN_TEXTS = ("password", "sql_password")
