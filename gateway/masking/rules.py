"""The table of what secrets look like (RULES), the finders it uses, and an example of each, built at run time.

What lives here: one row a kind of secret. What must not: compiling, searching, policy (detectors.py does that).

Each rule has two patterns. `near` is loose and runs over raw wire bytes, a whole run of rows at once; it may hit too often
but never misses what `pattern` finds in one value, whatever bytes stand around the value (the last byte of a length word
may be an ASCII digit or letter, so `near` has no edges: performance.md 8). `pattern` and `find` decide on the value alone.
"""

import base64
import binascii
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import re2

from gateway.masking import cards, ibans
from gateway.masking.cards import Match, Span

Find = Callable[[bytes, Match], list[Span]]

_ALNUM = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_KEY_CHARS = _ALNUM | frozenset(b"_-")
_DIGITS = frozenset(b"0123456789")
_CAPITAL_CHARS = _DIGITS | frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HEX_CHARS = _DIGITS | frozenset(b"abcdef")
_BASE64_CHARS = _ALNUM | frozenset(b"+/=")
_NOTHING: frozenset[int] = frozenset()


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


def _alone(
    mask: str,
    *,
    left: frozenset[int] = _ALNUM,
    right: frozenset[int] = _ALNUM,
    check: Callable[[bytes], bool] = lambda _: True,
) -> Find:
    """The whole match, if it isn't a part of a longer word and passes `check`."""

    def find(data: bytes, m: Match) -> list[Span]:
        start, end = m.start(), m.end()
        glued = cards.glued_left(data, start, left) or (end < len(data) and data[end] in right)
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
    """True for a value of an assignment that looks generated: 3 bits a character or more, and letters and digits or case_noise."""
    digits = sum(c in _DIGITS for c in secret)
    letters = sum(65 <= (c & 0xDF) <= 90 for c in secret)
    return letters >= 2 and (digits >= 2 or case_noise(secret)) and _entropy(secret) >= 3.0


def case_noise(secret: bytes) -> bool:
    """True where capitals are one letter in four or more and the case changes at every fourth: as by chance, not camelCase."""
    capital = [c < 0x61 for c in secret if 65 <= (c & 0xDF) <= 90]
    changes = sum(a != b for a, b in itertools.pairwise(capital))
    return len(capital) >= 12 and changes * 4 >= len(capital) and sum(capital) * 4 >= len(capital)


def chosen(secret: bytes) -> bool:
    """True for an unquoted value that may be a password: letters and two digits or case_noise, and no code."""
    if not given(secret) or _CODE.match(secret):
        return False
    digits = sum(c in _DIGITS for c in secret)
    letters = sum(65 <= (c & 0xDF) <= 90 for c in secret)
    return letters >= 1 and (digits >= 2 or case_noise(secret)) and _entropy(secret) >= 2.5


def given(secret: bytes) -> bool:
    """False for what stands where a password would: null, ****, ${NAME}, <password>, [redacted], PASSWORD. Digits are never so."""
    return not _STANDS_FOR.fullmatch(secret)


_STANDS_FOR = re2.compile(
    r"(?i:null|none|nil|true|false|undefined|required|optional|redacted|masked|your(?:[_-][a-z]+)+)"
    r"|PASSWORD|[*x?.]+|X{4,}|%s|%\([a-z_]+\)?s?|\$[A-Z_]+|\$[0-9]{1,2}|:[a-z_]+"
    r"|\$?\{[A-Za-z_.]*\}?|\{\{[A-Za-z_. ]*(?:\}\})?|<[A-Za-z_ -]*>?|\[[A-Za-z_]+\]"
    r"|process\.env\.[A-Z_]+|[A-Za-z_.]+[(\[][)\]]?|(?:var)?char\([0-9]{1,4}\)?"
)
_CODE = re2.compile(r"[A-Za-z_][A-Za-z0-9_.]*[(\[]|[{$<]")


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
    """Area, group and serial as the SSA issues them: no 000, 666, 9xx; no 00; no 0000. The number is the last group."""
    start, end = m.start(1), m.end(1)
    digits = bytes(c for c in data[start:end] if c in _DIGITS)
    wrong = digits[:3] in (b"000", b"666") or digits[:1] == b"9" or digits[3:5] == b"00" or digits[5:] == b"0000"
    breaks = bytes(c for c in data[start:end] if c not in _DIGITS)
    torn = breaks[: len(breaks) // 2] != breaks[len(breaks) // 2 :]
    return [] if wrong or torn or _of_number(data, start, end) else [(start, end, "[ssn]")]


def _of_number(data: bytes, start: int, end: int) -> bool:
    """Whether data[start:end] is a part of a longer number: a digit beside it, or one behind a hyphen or a dot."""
    before, behind = data[max(0, start - 1) : start], data[end : end + 2]
    if behind[:1] in (b"-", b"."):
        behind = behind[1:]
    return before in (b"-", b".", b"+") or before.isdigit() or behind[:1].isdigit()


def _iban(data: bytes, m: Match) -> list[Span]:
    """The country's number of characters from the start of the match (more capitals may follow)."""
    start, text, at = m.start(), "", m.start()
    wanted = ibans.LENGTHS[data[start : start + 2].decode()]
    while at < m.end() and len(text) < wanted:
        text += chr(data[at]) if data[at] in _ALNUM else ""
        at += 1
    named = data[start - 4 : start].upper() == b"IBAN"
    alone = (named or not cards.glued_left(data, start)) and not (at < len(data) and data[at] in _ALNUM)
    return [(start, at, "[iban]")] if alone and ibans.valid(text) else []


def _phone(data: bytes, m: Match) -> list[Span]:
    """8 to 15 digits (E.164), 11 or more behind 00, not part of a longer number, a word or a row of numbers."""
    start, end = m.start(), m.end()
    digits = sum(c in _DIGITS for c in data[start:end])
    enough = 11 if data[start : start + 2] == b"00" else 8
    if not enough <= digits <= 15 or _in_row(data, start, end):
        return []
    return [(start, end, "[phone]")] if _edges(data, start, end, _ALNUM | frozenset(b"-")) else []


def _in_row(data: bytes, start: int, end: int) -> bool:
    """Whether digits with spaces between them go on before `start`."""
    before = data[max(0, start - 2) : start]
    return data[start] in _DIGITS and b" " in data[start:end] and before[:1].isdigit() and before[1:] == b" "


def _phone_named(data: bytes, m: Match) -> list[Span]:
    """8 to 13 digits that begin with 0 behind a word for telephone: without the word nobody could tell."""
    start, end = m.start(1), m.end(1)
    digits = sum(c in _DIGITS for c in data[start:end])
    return [(start, end, "[phone]")] if 8 <= digits <= 13 and not data[end : end + 1].isdigit() else []


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
    r"(?:api[ _-]?key|apikey|secret|secret[ _-]?key|access[ _-]?key|account[ _-]?key|private[ _-]?key|signing[ _-]?key|encryption[ _-]?key"
    r"|auth[ _-]?token|token|credentials?|passw(?:or)?d|pwd|passphrase)"
)
_ASSIGN = r"""["'\\]{0,2}(?:[ \t]{0,3}(?:=>|:=|=|:|>)[ \t]{0,3}|[ \t]{1,3}value=)["'\\]{0,2}"""
_BREAK = "[ \u00a0\u202f\u2011-]"  # between groups of digits; also what keeps them on one line
_LOCAL = r"[A-Za-z0-9\x{80}-\x{10FFFF}._%+-]"
_LABEL = r"[A-Za-z0-9\x{80}-\x{10FFFF}-]"
_LOGIN = (
    "(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|ssh|git)://" + _LOCAL + "+@[A-Za-z0-9.-]*"
)  # a user and a host
_FILE = re2.compile(r"\.(?:png|jpe?g|gif|svg|webp|ico|css|js|json|html)$")  # icon@2x.png; no top-level domains
_PASS = r"(?:pass(?:word|wd|phrase)|pwd|secret_?key)"  # noqa: S105  # a pattern, not a password
_KEY = "[api_key]"


def _key_rule(what: str, pattern: str, find: Find | None = None, *, example: Callable[[], str], near: str = "") -> Rule:
    return Rule("api_key", what, pattern, find or whole(_KEY), example, near)


RULES: tuple[Rule, ...] = (
    Rule("card", "payment card, all brands", cards.RUN, cards.find, cards.example, cards.NEAR, run=True),
    _key_rule("AWS key id and secret side by side", r"A[KS]IA[A-Z0-9]{16}[\s,:;|=\"']{1,4}([A-Za-z0-9/+]{40})", _group(_KEY),
              example=lambda: _key("AKIA", 16, _CAPITALS)() + "," + _body(40), near=r"A[KS]IA[A-Z0-9]{4}"),
    _key_rule("AWS key id", r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}",
              _alone(_KEY, left=_CAPITAL_CHARS - _DIGITS, right=_CAPITAL_CHARS), example=_key("AKIA", 16, _CAPITALS),
              near=r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{4}"),
    _key_rule("GitHub token", r"gh[pousr]_[A-Za-z0-9_]{36,}", example=_key("ghp_", 36), near=r"gh[pousr]_"),
    _key_rule("GitHub fine-grained token", r"github_pat_[A-Za-z0-9_]{22,}", example=_key("github_pat_", 82),
              near=r"github_pat_[A-Za-z0-9_]"),
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
    _key_rule("OpenAI key with its mark", r"sk-[A-Za-z0-9_-]{10,}T3BlbkFJ[A-Za-z0-9_-]{10,}",
              example=lambda: "sk-" + _body(20) + "T3Blbk" + "FJ" + _body(20), near=r"T3BlbkFJ"),
    _key_rule("OpenAI key, old", r"sk-[A-Za-z0-9]{48}", _alone(_KEY, left=_NOTHING, right=_NOTHING, check=lambda k: mixed(k[3:])),
              example=_key("sk-", 48), near=r"sk-[A-Za-z0-9_-]"),
    _key_rule("OpenAI key", r"sk-[A-Za-z0-9_-]{20,}", _alone(_KEY, left=_KEY_CHARS, check=lambda k: mixed(k[3:])),
              example=_key("sk-", 48), near=r"sk-[A-Za-z0-9_-]"),
    _key_rule("sk- key in hex", r"sk-(?:or-v1-)?(?:[0-9a-f]{64}|[0-9a-f]{32})", _alone(_KEY, left=_KEY_CHARS),
              example=lambda: "sk-" + _hex(32), near=r"sk-[0-9a-o]"),
    _key_rule("Azure client secret", r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}", example=lambda: "aB3" + "8Q~" + _body(34),
              near=r"[0-9]Q~"),
    _key_rule("Azure storage or bus key", r"[A-Za-z0-9+/]{86}==", _alone(_KEY, left=_BASE64_CHARS - frozenset(b"=")), example=lambda: _body(86) + "==", near=r"[A-Za-z0-9+/]=="),
    _key_rule("Azure service key", r"[A-Za-z0-9]{40,}JQQJ99[A-Za-z0-9]{26}", example=lambda: _body(52) + "JQQJ99" + _body(26),
              near=r"JQQJ99"),
    _key_rule("Azure shared access signature", r"(?i)[?&]sig=([A-Za-z0-9%/+=]{40,})", _group(_KEY),
              example=lambda: "?sv=2024&sig=" + _body(43) + "%3D", near=r"(?i)[?&]sig="),
    _key_rule("Azure shared access key", r"(?i)SharedAccessKey=([A-Za-z0-9/+]{20,}=*)", _group(_KEY),
              example=lambda: "SharedAccessKey=" + _body(43) + "=", near=r"(?i)SharedAccessKey="),
    _key_rule("npm token", r"npm_[A-Za-z0-9]{36,}", example=_key("npm_", 36), near=r"npm_"),
    _key_rule("PyPI token", r"pypi-[A-Za-z0-9_-]{50,}", example=_key("pypi-AgEI", 80), near=r"pypi-"),
    _key_rule("SendGrid key", r"SG\.[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,}",
              example=lambda: "SG." + _body(22) + "." + _body(43), near=r"SG\."),
    _key_rule("Twilio key", r"SK[0-9a-f]{32}", _alone(_KEY, left=_NOTHING, right=_HEX_CHARS), example=lambda: "SK" + _hex(32), near=r"SK[0-9a-f]{8}"),
    _key_rule("Mailgun key", r"key-[0-9a-f]{32}", _alone(_KEY), example=lambda: "key-" + _hex(32), near=r"key-[0-9a-f]{8}"),
    _key_rule("prefixed token of another vendor", r"(?:dop_v1_|hf_|shp[a-z]{2}_|glsa_|dapi|hvs\.|lin_api_|sq0csp-|rubygems_|pul-|dckr_pat_|PMAK-)[A-Za-z0-9_-]{24,}",
              _alone(_KEY, check=random_looking), example=_key("hvs.", 40),
              near=r"(?:dop_v1_|hf_|shp[a-z]{2}_|glsa_|dapi|hvs\.|lin_api_|sq0csp-|rubygems_|pul-|dckr_pat_|PMAK-)[A-Za-z0-9_-]{8}"),
    _key_rule("bearer token", r"(?i)bearer[ \t]{1,3}([A-Za-z0-9._~+/-]{20,}=*)", _group(_KEY, check=random_looking),
              example=lambda: "Authorization: Bearer " + _body(32), near=r"(?i)bearer[ \t]"),
    _key_rule("basic authorization", r"(?i)authorization" + _ASSIGN + r"basic[ \t]{1,3}([A-Za-z0-9+/]{8,}=*)", _group(_KEY),
              example=lambda: "Authorization: Basic " + _body(24), near=r"(?i)authorization[\"'\\ \t]{0,5}(?:[=:>]|value=)"),
    _key_rule("assignment of something random", r"(?i)" + _NAMES + _ASSIGN + r"([A-Za-z0-9_./+~%-]{16,}=*)",
              _group(_KEY, check=random_looking), example=lambda: "api_key=" + _body(24),
              near=r"(?i)(?:key|token|secret|credentials?|passw(?:or)?d|pwd|passphrase)[\"'\\ \t]{0,5}(?:[=:>]|value=)"),
    _key_rule("option of a command", r"(?i)--[a-z-]{0,20}" + _NAMES + r"[ \t]{1,3}[\"']?([A-Za-z0-9_./+~%-]{12,}=*)",
              _group(_KEY, check=random_looking), example=lambda: "login --password " + _body(24), near=r"(?i)--[a-z-]{0,20}" + _NAMES),
    Rule("jwt", "JSON Web Token", r"e(?:yJ|yA|wo)[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}", _jwt, _example_jwt,
         r"e(?:yJ|yA|wo)[A-Za-z0-9_-]{8,}\."),
    Rule("private_key", "PEM private key", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY", _private_key,
         lambda: "\n".join(["-----BEGIN " + "PRIVATE KEY-----", _body(64), "-----END " + "PRIVATE KEY-----"])),
    Rule("private_key", "PuTTY private key", r"PuTTY-User-Key-File-[0-9]", _rest("[private_key]"),
         lambda: "PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\n" + _body(64)),
    Rule("private_key", "age secret key", r"AGE-SECRET-KEY-1[A-Z0-9]{20,}", whole("[private_key]"),
         _key("AGE-SECRET-" + "KEY-1", 58, _CAPITALS)),
    Rule("email", "e-mail address", _LOGIN + "|(" + _LOCAL + "+(?:@|%40)(?:" + _LABEL + r"+\.)+[A-Za-z]{2,24})",
         _group("[email]", check=lambda found: not _FILE.search(found)), lambda: "ann@" + "example.com", _LOCAL + "(?:@|%40)" + _LABEL, run=True),
    Rule("ssn", "US social security number", r"([0-9]{3}" + _BREAK + "[0-9]{2}" + _BREAK + r"[0-9]{4})", _ssn,
         lambda: "-".join(["219", "09", "9999"])),
    Rule("ssn", "US social security number without hyphens, named", r"(?i)(?:ssn|social.security(?:.number)?)[\"'\\ \t:=#]{1,6}([0-9]{9})",
         _ssn, lambda: "SSN: 219" + "099999", r"(?i)(?:ssn|social.security(?:.number)?)[\"'\\ \t:=#]{1,6}[0-9]"),
    Rule("iban", "IBAN, compact or in groups", "(?:" + "|".join(ibans.LENGTHS) + r")[0-9]{2}(?:" + _BREAK + r"?[A-Z0-9]){11,30}", _iban,
         _example_iban, r"[A-Z]{2}[0-9]{2}(?:" + _BREAK + r"?[A-Z0-9]){4}"),
    Rule("phone", "international number", r"(?:\+[1-9][0-9]{0,2}|00[1-9][0-9] [0-9]{1,3})(?:[ .-]?\(?[0-9]{1,5}\)?){2,6}", _phone,
         lambda: "+49 151 2345" + " 6789", r"\+[1-9][0-9]{0,2}[ .(-]{0,2}[0-9]|00[1-9][0-9] [0-9]"),
    Rule("phone", "North American number", r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}", _phone,
         lambda: "(212) 555" + "-0142"),
    Rule("phone", "national number, named", r"(?i)(?:tel|phone|telefon|mobile?|handy|cell|fax)[a-z.]{0,4}[\"'\\ \t:=]{1,6}(\(?0[1-9][0-9]{1,4}\)?(?:[ /.-]{0,3}[0-9]{2,8}){1,4})",
         _phone_named, lambda: "Tel. 030 901" + "820", r"(?i)(?:tel|phone|telefon|mobile?|handy|cell|fax)[a-z.]{0,4}[\"'\\ \t:=]{1,6}\(?0[1-9]"),
    Rule("password", "password in a URL", r"[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s:/'\"]{0,128}:([^\s'\"/?#]+)@", _group("[password]", check=given),
         lambda: "postgres://ann:" + _body(8) + "@db/shop", r"://[^\s:/'\"\x00]*:[^\s'\"/?#]"),
    Rule("password", "password=value", r"(?i)" + _PASS + r"""=(?:''([^']+)''|'((?:[^'\\]|\\.)+)'|"([^"]+)"|([^\s'"\\;,&)$][^\s'"\\;,&)]*))""",
         _group("[password]", 4, given), lambda: "host=db password=" + _body(8), "(?i)" + _PASS + "="),
    Rule("password", "password = 'value' or \"password\": \"value\"",
         r"(?i)" + _PASS + r"""["'\\]{0,2}\s{0,4}(?::=|=>|=|:)\s{0,4}(?:N|E)?(?:''([^']+)''|'((?:[^'\\]|\\.)+)'|\\?"((?:[^"\\]|\\.)+))""",
         _group("[password]", 3, given), lambda: '{"password": "' + _body(8) + '"}', "(?i)" + _PASS + r"""["'\\]{0,2}\s{0,4}[:=]"""),
    Rule("password", "password: value", r"(?i)" + _PASS + r"""["'\\]{0,2}[ \t]{0,3}(?::=|=>|=|:)[ \t]{0,3}([^\s'"\\;,&)]{8,})""",
         _group("[password]", check=chosen), lambda: "password: " + _body(10), "(?i)" + _PASS + r"""["'\\]{0,2}[ \t]{0,3}[:=]"""),
    Rule("sql_password", "string constant behind PASSWORD or IDENTIFIED BY",
         r"(?i)(?:password|identified\s+by)(?:\s|/\*(?:[^*]|\*[^/])*\*/|--[^\n]*\n)*((?:e|u&|n)?'|\$(?:[A-Za-z_\x{80}-\x{10FFFF}][A-Za-z0-9_\x{80}-\x{10FFFF}]*)?\$)",
         _sql_literal, lambda: "ALTER ROLE ann PASSWORD '" + _body(8) + "'", r"(?i)password|identified\s+by"),
)  # fmt: skip

#: The names that policies may use in `masking.detect`.
NAMES = ("card", "api_key", "jwt", "private_key", "email", "ssn", "iban", "phone")
#: Always looked for in our own texts (cards, audit, diagnostics), whatever the policy says.
OWN_TEXTS = ("password", "sql_password")
