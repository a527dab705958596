"""The grammar of `/hoop audit ...` and `hoop audit ...` (one parser for every front). Pure; the clock arrives as an argument.

A query answers with *end entries*: each statement appears once, as `finished` (executed, failed, unknown), `refused`
(by policy, it never ran) or `decided` with an outcome other than approved (denied, expired, withdrawn ...). So an end entry
repeats what can be asked for: user, target, tables, columns, tag, sql, rule, request, decided_by, rows, masked, clear ...
A query with `login:` asks for logins instead: the sessions that began (`session_started`), and the clients that got none.

    query  = { ["-"] key ":" value { "," value } | word } [limit:n] [sort:time|rows|duration] [format:table|csv|json] [share]
    time   = 10m | 24h | 7d | 2w | ISO date[time][zone] | today | yesterday        rows = >100 | <=5 | 10..500 | 7
    "who ran" SQL ..., "did" who "expose a secret" ...       are rewritten to filters

What a filter means for an entry is said once, by `matches`; PATTERNS and DECISIONS are the tables behind it, for a
store that says the same in SQL. Everything is compared without regard to case; globs know * and ? only.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from gateway.audit.entry import Value

#: The kinds of entry that end a statement's story.
END_KINDS = ("finished", "refused", "decided")

#: Without since, until or last: the last 24 hours.
DEFAULT_LAST = 24 * 3600.0
#: How far ahead other replicas' clocks may run: the default `until` is this much after now.
CLOCK_ALLOWANCE = 60.0
MAX_LIMIT = 1000
SORTS = ("time", "rows", "duration")
FORMATS = ("table", "csv", "json")


@dataclass(frozen=True, slots=True)
class Filter:
    """`key` of the grammar (user, table, verb, decision ...), any of `values` (globs in user and table), or none of them."""

    key: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose records alone are asked for: an account at an issuer, and its user name. Compared as they are, never as globs."""

    issuer: str
    subject: str
    user: str

    def has(self, body: Mapping[str, Value]) -> bool:
        """Whether an entry is about this account's own doing: two issuers may give the same subject. An older entry has no
        issuer; its user name then has to be theirs as well."""
        if self.subject and body.get("issuer"):
            return (body.get("issuer"), body.get("subject")) == (self.issuer, self.subject)
        if self.subject and body.get("subject") != self.subject:
            return False
        return str(body.get("user", "")).lower() == self.user.lower()


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query; times are Unix seconds, `until` exclusive. `sort`: time, rows, duration. `format`: table, csv, json.
    `owner` is no part of its text: it is who may see no more than their own."""

    filters: tuple[Filter, ...]
    since: float
    until: float
    limit: int = 8
    sort: str = "time"
    format: str = "table"
    share: bool = False
    exposure: bool = False  # "did X expose ...?": exposure.py answers it
    owner: Owner | None = None


class QueryError(ValueError):
    """The text is no query: `message` says why, `position` (characters from 0) where; str() draws a caret below it."""

    def __init__(self, text: str, position: int, message: str) -> None:
        super().__init__(f"{message}\n  {text}\n  {' ' * position}^")
        self.position = position
        self.message = message


#: key -> the keys that it stands for: one of them has to match.
ANY_OF: dict[str, tuple[str, ...]] = {"who": ("user", "app", "claimed")}

#: A field -> another one whose items count like its own: what a statement changes by foreign keys and triggers.
ALSO = {"tables": "passed_on"}

#: key -> (field of the entry, what each value becomes). A value is a glob; it matches if one of the forms does.
#: A list field matches if one of its items does. `masked` is compared by its items' detector.
PATTERNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "user": ("user", ("{}", "{}@*")),
    "claimed": ("claimed", ("{}", "{}@*")),
    "approver": ("decided_by", ("{}", "{}@*")),
    "db": ("target", ("{}",)),
    "table": ("tables", ("{}", "*.{}")),
    "column": ("columns", ("{}", "*.{}")),
    "verb": ("tag", ("{}", "{} *")),
    "rule": ("rule", ("{}",)),
    "session": ("session", ("{}*",)),
    "app": ("agent", ("{}", "{} *")),
    "ip": ("client", ("{}", "{}:*")),
    "id": ("request", ("{}*",)),
    "fingerprint": ("fingerprints", ("{}*",)),
    "risk": ("risk", ("{}",)),
    "secret": ("masked", ("{}",)),
    "shown": ("clear", ("{}", "*.{}")),
    "unscanned": ("unscanned", ("{}",)),
    "break_glass": ("break_glass", ("{}",)),
}

#: decision -> (kind, outcome or None for any or "" for none, whether the statement was held or None for either).
DECISIONS: dict[str, tuple[tuple[str, str | None, bool | None], ...]] = {
    "allowed": (("finished", None, False),),
    "held": (("finished", None, True), ("decided", None, True)),
    "approved": (("finished", None, True),),
    "denied": (("decided", "denied", None), ("refused", "denied", None)),
    "expired": (("decided", "expired", None),),
    "withdrawn": (("decided", "withdrawn", None),),
    "superseded": (("decided", "superseded", None),),
    "undeliverable": (("decided", "undeliverable", None),),
    "executed": (("finished", "executed", None),),
    "failed": (("finished", "failed", None),),
    "unknown": (("finished", "unknown", None),),
    "blocked": (("refused", "", None),),
}

#: What `login:` can be, and the kind of the entry that tells of it.
LOGINS = {"accepted": "session_started", "refused": "refused"}

#: What `risk:` can be; all else has none.
RISKS = ("high",)
TIME_KEYS = ("since", "until", "last")
OPTION_KEYS = ("limit", "sort", "format")
FILTER_KEYS = (*PATTERNS, *ANY_OF, "decision", "login", "rows", "text")
KEYS = (*FILTER_KEYS, *TIME_KEYS, *OPTION_KEYS)

_TOKEN = re.compile(r'(?:"(?:[^"]|"")*"|[^\s"])+')
_OPTION = re.compile(r"--[A-Za-z_]+")
_KEYED = re.compile(r"(?P<minus>-?)(?P<key>[A-Za-z_]+):(?P<rest>.*)", re.DOTALL)
_VALUE = re.compile(r'"(?P<quoted>(?:[^"]|"")*)"|(?P<bare>[^,"]+)')
_SPAN = re.compile(r"(?P<number>\d{1,6})(?P<unit>[smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_ROWS = re.compile(
    r"(?:(?P<sign>>=|<=|>|<)(?P<bound>\d{1,18})|(?P<low>\d{1,18})\.\.(?P<high>\d{1,18})|(?P<exact>\d{1,18}))"
)
_WHO_RAN = re.compile(r"\s*who\s+ran\b\s*(?P<sql>.*)", re.IGNORECASE | re.DOTALL)
_DID_EXPOSE = re.compile(
    r'\s*did\s+(?P<who>"[^"]+"|\S+)\s+expose\s+(?:an?\s+)?(?P<what>"[^"]+"|[^\s:]+)(?=\s|\?|$)\??(?P<rest>.*)',
    re.IGNORECASE | re.DOTALL,
)
_ANY_SECRET = ("secret", "secrets", "any", "anything", "*")
_ANY_LOGIN = ("any", "*")


@dataclass(frozen=True, slots=True)
class _Token:
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a text asked for, before times are resolved; each (key -> position, value) at most once."""

    filters: tuple[Filter, ...]
    single: Mapping[str, tuple[int, str]]
    share: bool
    exposure: bool = False


def parse(text: str, now: float, zone: tzinfo = UTC) -> Query:
    """Read a query. `now` is Unix seconds; `zone` is the asker's, for dates without one. Raises QueryError."""
    asked = _question(text) or _read(text, 0)
    filters, single = asked.filters, asked.single
    since, until = _period(text, single, now, zone)
    return Query(
        filters=filters,
        since=since,
        until=until,
        limit=_limit(text, single),
        sort=_one_of(text, single, "sort", SORTS),
        format=_one_of(text, single, "format", FORMATS),
        share=asked.share,
        exposure=asked.exposure,
    )


def matches(query: Query, body: Mapping[str, Value]) -> bool:
    """True if this entry answers the query: an end entry, or a login, in its time, that every filter lets through."""
    return (
        (is_login(body) if asks_logins(query) else is_end(body))
        and _in_time(query, body)
        and admits(query, body)
        and (query.owner is None or query.owner.has(body))
    )


def admits(query: Query, body: Mapping[str, Value]) -> bool:
    """True if every filter lets this entry through, of whatever kind and time it is."""
    return all(_lets_through(each, body) for each in query.filters)


def is_end(body: Mapping[str, Value]) -> bool:
    """True if the entry ends a statement's story: of decided entries, all but the approved."""
    kind = body.get("kind")
    return kind in END_KINDS and not (kind == "decided" and body.get("outcome") == "approved")


def asks_logins(query: Query) -> bool:
    """Is it about logins, and not about statements?"""
    return any(each.key == "login" and not each.negated for each in query.filters)


def is_login(body: Mapping[str, Value]) -> bool:
    """True if the entry tells of a login: a session began, or none did, so that nothing in it is of one."""
    if body.get("kind") == LOGINS["accepted"]:
        return True
    return body.get("kind") == LOGINS["refused"] and not any(map(body.get, ("session", "request", "sql", "tag")))


def login_kinds(each: Filter) -> list[str]:
    """The kinds of entry that a `login:` filter lets through, if they tell of a login."""
    return [kind for login, kind in LOGINS.items() if not {"*", login}.isdisjoint(each.values)]


def ordered(query: Query, bodies: Iterable[Mapping[str, Value]]) -> list[Mapping[str, Value]]:
    """Answers in the query's order: newest first, or most rows or longest first (unknown ones last, then newest first)."""
    field = {"rows": "rows", "duration": "duration_ms"}.get(query.sort)

    def place(body: Mapping[str, Value]) -> tuple[float, str, str, int]:
        amount = body.get(field) if field else 0
        number = float(amount) if isinstance(amount, int | float) else -1.0
        seq = body.get("seq")
        return number, str(body.get("at")), str(body.get("replica")), seq if isinstance(seq, int) else 0

    return sorted(bodies, key=place, reverse=True)


def describe(query: Query) -> str:
    """The query in its canonical words, to show what was understood; `parse` reads it back to the same query."""
    words = [_filter_text(each) for each in query.filters]
    words += [f"since:{_iso(query.since)}", f"until:{_iso(query.until)}"]
    default = Query((), 0, 0)
    words += [f"{key}:{getattr(query, key)}" for key in OPTION_KEYS if getattr(query, key) != getattr(default, key)]
    return " ".join(words + (["share"] if query.share else []))


def patterns(each: Filter) -> tuple[str, ...]:
    """The globs (lower case) of a filter on a key of PATTERNS; an entry's field must match one of them."""
    return tuple(form.format(value.lower()) for value in each.values for form in PATTERNS[each.key][1])


def like(glob: str) -> str:
    r"""A glob as a pattern for SQL's LIKE with its default escape: * and ? become % and _, their own % _ \ are escaped."""
    return re.sub(r"[%_\\]", r"\\\g<0>", glob).replace("*", "%").replace("?", "_")


def row_range(value: str) -> tuple[int, int]:
    """A value of `rows:` as an inclusive range; no upper end is 10^18. Raises ValueError."""
    found = _ROWS.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no number of rows: write >100, <=5, 10..500 or 7")
    most = 10**18
    if found["sign"]:
        bound = int(found["bound"])
        return {">": (bound + 1, most), ">=": (bound, most), "<": (0, bound - 1), "<=": (0, bound)}[found["sign"]]
    if found["exact"]:
        return int(found["exact"]), int(found["exact"])
    return int(found["low"]), int(found["high"])


def timestamp(at: str) -> float:
    """The Unix seconds of an entry's `at`."""
    return datetime.fromisoformat(at).timestamp()


# Reading a text


def _question(text: str) -> _Asked | None:
    """The two question forms as filters, or None if the text is neither."""
    if found := _WHO_RAN.fullmatch(text):
        return _who_ran(text, found.start("sql"))
    if found := _DID_EXPOSE.fullmatch(text):
        what = found["what"].strip('"?').lower()
        asked = _read(text, found.start("rest"))
        secret = Filter("secret", ("*",) if what in _ANY_SECRET else (what,))
        who = Filter("who", (_unquoted(found["who"]),))
        return _Asked((who, secret, *asked.filters), asked.single, asked.share, exposure=True)
    return None


def _who_ran(text: str, start: int) -> _Asked:
    """SQL reaches up to the first of the filters at the text's end; written in quotes or not."""
    tokens = _tokens(text, start)
    first = len(tokens)
    while first and _is_keyed(tokens[first - 1].text):
        first -= 1
    sql = " ".join(token.text for token in tokens[:first]).rstrip("?")
    sql = _unquoted(sql) if first == 1 else sql
    if not sql.strip():
        raise QueryError(text, len(text.rstrip()), 'say what was run: who ran "UPDATE customers" last:30d')
    asked = _read(text, tokens[first].at if first < len(tokens) else len(text))
    return _Asked((Filter("text", (sql.strip(),)), *asked.filters), asked.single, asked.share)


def _is_keyed(word: str) -> bool:
    found = _KEYED.fullmatch(word)
    return found is not None and found["key"].lower() in KEYS


def _tokens(text: str, start: int) -> list[_Token]:
    if text.count('"', start) % 2:
        raise QueryError(text, text.rindex('"'), "this quote is never closed")
    return [_Token(found.start(), found[0]) for found in _TOKEN.finditer(text, start)]


def _read(text: str, start: int) -> _Asked:
    filters: list[Filter] = []
    single: dict[str, tuple[int, str]] = {}
    share = False
    for token in _tokens(text, start):
        found = _KEYED.fullmatch(token.text)
        if token.text == "share":
            share = True
        elif _OPTION.fullmatch(token.text):
            raise QueryError(text, token.at, f"{token.text} is no option here: write {token.text[2:]}:VALUE")
        elif found is None:
            filters.append(_free_text(text, token))
        elif (key := _known(text, token, found)) in FILTER_KEYS:
            filters.append(_filter(text, token, found, key))
        else:
            _keep_single(text, token, found, key, single)
    return _Asked(tuple(filters), single, share)


def _free_text(text: str, token: _Token) -> Filter:
    negated = token.text.startswith("-") and len(token.text) > 1
    word = token.text[1:] if negated else token.text
    if not word.strip('" '):
        raise QueryError(text, token.at, "an empty text matches everything; leave it out")
    return Filter("text", (_unquoted(word),), negated)


def _unquoted(word: str) -> str:
    """A word without the quotes around it; a quote inside is written twice, as in SQL."""
    return word[1:-1].replace('""', '"') if len(word) > 1 and word[0] == word[-1] == '"' else word


def _known(text: str, token: _Token, found: re.Match[str]) -> str:
    """The key in lower case. Raises QueryError with the nearest key for one that is unknown."""
    key = found["key"].lower()
    at = token.at + found.start("key")
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]}:" if near else f"keys are {', '.join(KEYS)}"
        raise QueryError(text, at, f'unknown key {key}: {advice} (quote "{token.text}" to search for it as text)')
    return key


def _filter(text: str, token: _Token, found: re.Match[str], key: str) -> Filter:
    values = tuple(_values(text, token, found, key))
    for at, value in values:
        if key == "decision" and value.lower() not in DECISIONS:
            near = difflib.get_close_matches(value.lower(), DECISIONS, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]}" if near else f"it is one of {', '.join(DECISIONS)}"
            raise QueryError(text, at, f"unknown decision {value}: {advice}")
        if key == "login" and value.lower() not in (*LOGINS, *_ANY_LOGIN):
            raise QueryError(text, at, f"unknown login {value}: it is one of {', '.join(LOGINS)}, any")
        if key == "risk" and value.lower() not in RISKS:
            raise QueryError(text, at, f"unknown risk {value}: write risk:high, or -risk:high for all else")
        if key == "rows":
            try:
                row_range(value)
            except ValueError as error:
                raise QueryError(text, at, str(error)) from None
    return Filter(key, tuple(_as_asked(key, value) for _, value in values), found["minus"] == "-")


def _as_asked(key: str, value: str) -> str:
    if key == "secret" and value.lower() in _ANY_SECRET:
        return "*"
    if key == "login" and value.lower() in _ANY_LOGIN:
        return "*"
    return value.lower() if key in ("decision", "login") else value


def _values(text: str, token: _Token, found: re.Match[str], key: str) -> Iterable[tuple[int, str]]:
    """The comma-separated values with their positions; none of them empty."""
    at, rest = token.at + found.start("rest"), found["rest"]
    position = 0
    while True:
        value = _VALUE.match(rest, position)
        content = (value["quoted"] or "").replace('""', '"') or value["bare"] if value else None
        if value is None or not content:
            raise QueryError(text, at + position, f"{key}: needs a value, like {key}:{_EXAMPLES.get(key, 'x')}")
        yield at + position, content
        position = value.end()
        if position == len(rest):
            return
        if rest[position] != ",":
            raise QueryError(text, at + position, "a comma is missing between two values")
        position += 1


def _keep_single(text: str, token: _Token, found: re.Match[str], key: str, single: dict[str, tuple[int, str]]) -> None:
    if found["minus"]:
        raise QueryError(text, token.at, f"{key}: can't be negated")
    if key in single:
        raise QueryError(text, token.at, f"{key}: stands here a second time")
    if key in TIME_KEYS and ("last" in single or (key == "last" and not single.keys().isdisjoint(TIME_KEYS))):
        raise QueryError(text, token.at, "last: can't be combined with since: or until:")
    values = tuple(_values(text, token, found, key))
    if len(values) > 1:
        raise QueryError(text, values[1][0], f"{key}: takes one value")
    single[key] = values[0]


_EXAMPLES = {
    "last": "24h", "since": "yesterday", "until": "2026-01-31", "limit": "20", "sort": "rows", "format": "csv",
    "rows": ">100", "decision": "denied", "verb": "delete", "table": "customers", "user": "ann", "login": "refused",
}  # fmt: skip


# Times and options


def _period(text: str, single: Mapping[str, tuple[int, str]], now: float, zone: tzinfo) -> tuple[float, float]:
    until = _time(text, single["until"], now, zone, end=True) if "until" in single else now + CLOCK_ALLOWANCE
    if "last" in single:
        at, value = single["last"]
        return max(0.0, now - _span(text, at, value)), until
    if "since" not in single:
        return min(now, until) - DEFAULT_LAST, until
    since = _time(text, single["since"], now, zone, end=False)
    if since >= until:
        raise QueryError(text, single["since"][0], "nothing can be in that time: it starts after it ends")
    return since, until


def _span(text: str, at: int, value: str) -> float:
    found = _SPAN.fullmatch(value.lower())
    if found is None:
        raise QueryError(text, at, f"{value} is no span of time: write 10m, 24h, 7d or 2w")
    return float(int(found["number"]) * _SECONDS[found["unit"]])


def _time(text: str, given: tuple[int, str], now: float, zone: tzinfo, *, end: bool) -> float:
    """A point in time. A day (date, today, yesterday) is its beginning for since:, its end for until:."""
    at, value = given
    if _SPAN.fullmatch(value.lower()):
        return max(0.0, now - _span(text, at, value))
    today = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    named = {"today": today, "yesterday": today - timedelta(days=1)}.get(value.lower())
    try:
        moment = named or datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        whole_day = named is not None or re.fullmatch(r"[\d-]+|[\d-]+W[\d-]+", value) is not None
        return max(0.0, (moment + timedelta(days=1) if whole_day and end else moment).timestamp())
    except (ValueError, OverflowError):
        message = f"{value} is no time: write 10m, 24h, 7d, today, yesterday, 2026-01-31 or 2026-01-31T14:00+01:00"
        raise QueryError(text, at, message) from None


def _limit(text: str, single: Mapping[str, tuple[int, str]]) -> int:
    at, value = single.get("limit", (0, str(Query.__dataclass_fields__["limit"].default)))
    if not re.fullmatch(r"\d{1,4}", value) or not 1 <= int(value) <= MAX_LIMIT:
        raise QueryError(text, at, f"limit: is a number from 1 to {MAX_LIMIT}")
    return int(value)


def _one_of(text: str, single: Mapping[str, tuple[int, str]], key: str, choices: tuple[str, ...]) -> str:
    at, value = single.get(key, (0, choices[0]))
    if value.lower() not in choices:
        raise QueryError(text, at, f"{key}: is one of {', '.join(choices)}")
    return value.lower()


# Matching an entry


def _in_time(query: Query, body: Mapping[str, Value]) -> bool:
    return query.since <= timestamp(str(body.get("at"))) < query.until


def _lets_through(each: Filter, body: Mapping[str, Value]) -> bool:
    if each.key in ANY_OF:
        hit = any(_lets_through(Filter(key, each.values), body) for key in ANY_OF[each.key])
    elif each.key == "decision":
        hit = any(_decided(value, body) for value in each.values)
    elif each.key == "login":
        hit = is_login(body) and body.get("kind") in login_kinds(each)
    elif each.key == "rows":
        rows = body.get("rows")
        hit = isinstance(rows, int) and any(low <= rows <= high for low, high in map(row_range, each.values))
    elif each.key == "text":
        sql = flat(str(body.get("sql", "")))
        hit = any(flat(value) in sql for value in each.values)
    else:
        globs = patterns(each)
        hit = any(_glob(glob).fullmatch(text.lower()) for text in _texts(each.key, body) for glob in globs)
    return hit != each.negated


def flat(sql: str) -> str:
    """SQL as `text:` compares it: lower case, each run of white space one blank."""
    return " ".join(sql.lower().split())


def _decided(decision: str, body: Mapping[str, Value]) -> bool:
    held = "request" in body
    return any(
        body.get("kind") == kind and outcome in (None, body.get("outcome") or "") and wanted in (None, held)
        for kind, outcome, wanted in DECISIONS[decision]
    )


def _texts(key: str, body: Mapping[str, Value]) -> list[str]:
    name = PATTERNS[key][0]
    value, more = body.get(name), body.get(ALSO.get(name, ""))
    if isinstance(value, list) and isinstance(more, list):
        value = [*value, *more]
    if isinstance(value, list):
        return [str(item.get("detector")) if isinstance(item, dict) else str(item) for item in value]
    return [] if value is None else [str(value)]


@lru_cache(maxsize=256)
def _glob(glob: str) -> re.Pattern[str]:
    return re.compile(re.escape(glob).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


# Showing a query


def _filter_text(each: Filter) -> str:
    return f"{'-' if each.negated else ''}{each.key}:{','.join(map(_quoted, each.values))}"


def _quoted(value: str) -> str:
    escaped = value.replace('"', '""')
    return f'"{escaped}"' if re.search(r'[\s,"]', value) else value


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
