"""policies.yaml as frozen values. Reading the file checks every name and says file:line.

What lives here: `load`, one function a section of the file, top-down; the shapes it fills are in shapes.py and can be
imported from here. How YAML text becomes sections with lines is in document.py; what a rule means is in decide.py.
"""

import hashlib
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import re2

from gateway.approvals.cooldown import CoolDown
from gateway.identity.claims import ClaimNames
from gateway.policy import document
from gateway.policy.document import Section, Text, nearest, one_of
from gateway.policy.reviewers import folded, read_reviewers
from gateway.policy.shapes import (
    ColumnMask,
    Conditions,
    GrantTerms,
    HoldTerms,
    Hours,
    Issuer,
    Limits,
    Masking,
    Policy,
    PolicyTest,
    Reviewers,
    Rule,
    RuleEffect,
    Secret,
    Target,
)
from gateway.policy.tags import TAGS
from gateway.sql.statement import StatementClass
from gateway.sql.tree import parts as parts_of

__all__ = [
    "ColumnMask",
    "Conditions",
    "GrantTerms",
    "HoldTerms",
    "Hours",
    "Issuer",
    "Limits",
    "Masking",
    "Policy",
    "PolicyTest",
    "Reviewers",
    "Rule",
    "RuleEffect",
    "Secret",
    "Target",
    "is_loopback",
    "load",
]

_N = TypeVar("_N", int, float)

#: What masking may name; the masks and detectors themselves are in gateway.masking.
MASKS: Final = ("redact", "last4", "hash", "null", "partial")
DETECTORS: Final = ("card", "api_key", "jwt", "private_key", "email", "ssn", "iban", "phone")
SSLMODES: Final = ("disable", "require", "verify-ca", "verify-full")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_TOP_KEYS = ("version", "issuers", "targets", "reviewers", "rules", "masking", "limits", "tests")
_TARGET_KEYS = ("environment", "host", "port", "database", "sslmode", "sslrootcert", "user", "password", "reader")
_CONDITION_KEYS = (
    *("groups", "users", "targets", "statements", "where", "tables", "columns", "functions"),
    *("rows", "applications", "client_networks", "hours"),
)
_HOLD_KEYS = (
    *("reviewers", "timeout", "hold_in_transaction", "max_rows_over_preview", "approve_via", "require_full_view"),
    *("keep_for", "confirm", "grants", "break_glass"),
)
_RULE_KEYS = ("name", "effect", "message", "unless", *_CONDITION_KEYS, *_HOLD_KEYS)
_CLASSES = frozenset(each.value for each in StatementClass) - {"housekeeping"}


def load(text: str, name: str = "policies.yaml") -> Policy:
    """Read a policies file. Raises PolicyError with every problem found, each as `name:line: message`."""
    top = document.open_document(text, name, "policies", _TOP_KEYS)
    top.require("version", "targets")
    top.parsed("version", one_of(["1"]), "1")
    targets = {key: _target(key, section) for key, section in top.named_sections("targets", "target", _TARGET_KEYS)}
    reviewers = read_reviewers(top)
    rules = _rules(top, targets, reviewers)
    policy = Policy(
        version=hashlib.sha256(text.encode()).hexdigest()[:16],
        issuers=tuple(_issuer(section) for section in top.sections("issuers", "issuer", _ISSUER_KEYS)),
        targets=targets,
        reviewers=reviewers,
        rules=rules,
        masking=_masking(top, targets),
        limits=_limits(top),
        tests=_tests(top, targets, rules),
    )
    top.problems.check()
    return policy


_ISSUER_KEYS = ("issuer", "audience", "jwks_uri", "claims")


def _issuer(section: Section) -> Issuer:
    section.require("issuer", "audience")
    claims = section.section("claims", f"{section.title}: claims", ("subject", "user", "groups"))
    names = ClaimNames()
    if claims:
        names = ClaimNames(
            subject=claims.text("subject", names.subject),
            user=claims.text("user") or None,
            groups=claims.text("groups", names.groups),
        )
    return Issuer(
        issuer=section.parsed("issuer", _https, ""),
        audience=section.text("audience"),
        jwks_uri=section.parsed("jwks_uri", _https, None) if "jwks_uri" in section else None,
        claims=names,
    )


def _https(word: str) -> str:
    """Accept https, and http on loopback (which `serve` takes with HOOP_INSECURE_LOOPBACK=1 only)."""
    try:
        parts = urlsplit(word)
        host = parts.hostname or ""
    except ValueError:
        raise ValueError("this is no URL") from None
    if host and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        return word
    raise ValueError("an https:// URL is wanted (http:// on loopback only)")


def is_loopback(host: str) -> bool:
    """True for localhost and the addresses of this machine's loopback."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _target(name: str, section: Section) -> Target:
    section.require("environment", "host", "database", "user", "password")
    reader = section.section("reader", f"{section.title}: reader", ("user", "password"))
    if reader:
        reader.require("user", "password")
    return Target(
        name=name,
        environment=section.text("environment"),
        host=section.text("host"),
        port=section.parsed("port", document.whole(1, 65535), 5432),
        database=section.text("database"),
        user=section.text("user"),
        password=_secret(section) or Secret(),
        sslmode=section.choice("sslmode", SSLMODES, "verify-full"),
        sslrootcert=section.maybe_text("sslrootcert"),
        reader_user=reader.maybe_text("user") if reader else None,
        reader_password=_secret(reader) if reader else None,
    )


def _secret(section: Section) -> Secret | None:
    if "password" not in section:
        return None
    if not section.is_mapping("password"):
        # the value is not repeated: it is probably the password itself
        section.wrong("password", "a password may not stand in this file; write {env: NAME} or {file: PATH}")
        return None
    where = section.section("password", f"{section.title}: password", ("env", "file", "entra"))
    if where is None or len(where.names()) != 1:
        section.wrong("password", "password needs exactly one of env, file, entra")
        return None
    entra = where.section("entra", f"{where.title}: entra", ("client_id",))
    if entra:
        entra.require("client_id")
        return Secret(entra=entra.text("client_id"))
    return Secret(env=where.maybe_text("env"), file=where.maybe_text("file"))


def _rules(top: Section, targets: Mapping[str, Target], reviewers: Mapping[str, Reviewers]) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    lines: dict[str, int] = {}
    for section in top.sections("rules", "rule", _RULE_KEYS):
        section.require("name", "effect")
        name = section.text("name")
        section.title = f'rule "{name}"' if name else section.title
        if name in lines:
            section.wrong(
                "name", f"another rule has this name (line {lines[name]}); verdicts and audit entries name rules"
            )
        if name:
            lines.setdefault(name, section.line)
        rules.append(_rule(section, targets, reviewers))
    return tuple(rules)


def _rule(section: Section, targets: Mapping[str, Target], reviewers: Mapping[str, Reviewers]) -> Rule:
    effect = RuleEffect(section.choice("effect", [each.value for each in RuleEffect], "deny"))
    unless = section.section("unless", f"{section.title}: unless", _CONDITION_KEYS)
    if unless is not None and not unless.names():
        section.wrong("unless", "unless is empty")
    when = _conditions(section, targets)
    return Rule(
        name=section.text("name"),
        effect=effect,
        when=when,
        unless=_conditions(unless, targets) if unless else None,
        message=section.text("message"),
        hold=_hold(section, effect, when, reviewers),
        line=section.line,
    )


def _conditions(section: Section, targets: Mapping[str, Target]) -> Conditions:
    classes, tags = _statements(section)
    where = section.choice("where", ("absent", "present"), "")
    if where and (classes or tags) and not _has_where(classes, tags):
        section.wrong("where", "where asks about UPDATE and DELETE, and statements names neither nor write")
    return Conditions(
        groups=_frozen(section.words("groups")),
        users=section.words("users"),
        targets=_targets_named(section, targets),
        classes=classes,
        tags=tags,
        where={"": None, "absent": False, "present": True}[where],
        tables=_globs(section, "tables", 2, "public."),
        columns=_globs(section, "columns", 3, ""),
        functions=_globs(section, "functions", 2, "*."),
        rows=section.parsed("rows", _row_bound, None) if "rows" in section else None,
        applications=section.words("applications"),
        client_networks=_parsed_list(section, "client_networks", _network),
        hours=_hours(section),
    )


def _frozen(words: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(words)


def _has_where(classes: frozenset[str] | None, tags: frozenset[str] | None) -> bool:
    return (
        "write" in (classes or ()) or "opaque" in (classes or ()) or bool({"UPDATE", "DELETE"} & (tags or frozenset()))
    )


def _statements(section: Section) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    named = section.texts("statements")
    if named is None:
        return None, None
    words = {section.parse_at(text, "statements", _statement_word, "") for text in named} - {""}
    classes, tags = words & _CLASSES, words - _CLASSES
    return frozenset(classes) or None, frozenset(tags) or None


def _statement_word(word: str) -> str:
    """Classes are lower case, tags upper case: a table of the world's statements and not a guess."""
    tag = " ".join(word.split()).upper()
    if word in _CLASSES or (tag in TAGS and word == word.upper()):
        return word if word in _CLASSES else tag
    if word == "housekeeping":
        raise ValueError("housekeeping needs no rule and can have none")
    if tag in TAGS:
        raise ValueError(f'command tags are in capitals; did you mean "{tag}"?')
    near = (
        nearest(word, _CLASSES)
        if word == word.lower() and nearest(word, _CLASSES).startswith(";")
        else nearest(tag, TAGS)
    )
    raise ValueError(f"neither a statement class nor a command tag{near}")


def _targets_named(section: Section, targets: Mapping[str, Target]) -> frozenset[str] | None:
    if "targets" not in section:
        return None
    found: set[str] = set()
    environments = {target.environment for target in targets.values()}
    items = section.mixed("targets", f"{section.title}: targets", ("environment",))
    for item in items:
        if isinstance(item, Text):
            found.add(section.parse_at(item, "targets", one_of(targets), ""))
        else:
            item.require("environment")
            wanted = item.parsed("environment", one_of(environments), "")
            found |= {name for name, target in targets.items() if target.environment == wanted}
    if not items:
        section.wrong("targets", "targets is empty, so it can match nothing; leave it out to match any target")
    return frozenset(found)


def _globs(section: Section, key: str, parts: int, prefix: str) -> tuple[str, ...] | None:
    """Read name globs of `parts` parts; with a `prefix` a bare name stands for prefix + name."""

    def parse(word: str) -> str:
        whole = prefix + word if prefix and _GLOB.fullmatch(word) else word
        if not re.fullmatch(rf"{_GLOB.pattern}(\.{_GLOB.pattern}){{{parts - 1}}}", whole):
            raise ValueError(f"{_GLOB_FORMS[parts]} is wanted; * and ? stand for any characters and one")
        return ".".join(_spelled(part) for part in parts_of(whole))

    return _parsed_list(section, key, parse)


def _spelled(part: str) -> str:
    """Quote a part as statements spell it: only where a dot or a quote in it would be misread."""
    return '"' + part.replace('"', '""') + '"' if {".", '"'} & set(part) else part


#: One part of a name, in double quotes if it holds a dot, a space or the like; spelled as statements spell it.
_GLOB = re.compile(r"""(?:"(?:[^"\[\]]|"")+"|[^\s\[\]{}"'.;,]+)""")
_GLOB_FORMS = {2: "schema.name", 3: "schema.table.column", 4: "target.schema.table.column"}


def _parsed_list(section: Section, key: str, parse: Callable[[str], str]) -> tuple[str, ...] | None:
    named = section.texts(key)
    return None if named is None else tuple(section.parse_at(text, key, parse, text.value) for text in named)


def _network(word: str) -> str:
    try:
        return str(ipaddress.ip_network(word))
    except ValueError as error:
        raise ValueError(f"no network in CIDR form, like 10.0.0.0/8 ({error})") from None


def _row_bound(word: str) -> tuple[str, int] | None:
    parts = re.fullmatch(r"(>=|<=|>|<|=) ?(\d{1,12})", word)
    if not parts:
        raise ValueError("rows looks like '>1000', '>=10', '<5' or '=0'")
    return parts[1], int(parts[2])


def _hours(section: Section) -> Hours | None:
    hours = section.section("hours", f"{section.title}: hours", ("tz", "days", "from", "to"))
    if hours is None:
        return None
    hours.require("tz", "from", "to")
    days: frozenset[int] = frozenset(range(7))
    if "days" in hours:
        nothing: frozenset[int] = frozenset()
        days = nothing.union(*(hours.parse_at(text, "days", _day_range, nothing) for text in hours.texts("days") or ()))
    start, end = hours.parsed("from", _minutes, 0), hours.parsed("to", _minutes, 1440)
    if start == end:
        hours.wrong("to", "from and to are the same, so it can match nothing; leave hours out to match any time")
    return Hours(tz=hours.parsed("tz", _zone, "UTC"), days=days, start=start, end=end)


def _zone(word: str) -> str:
    try:
        return ZoneInfo(word).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("unknown time zone; a name like Europe/Berlin or UTC is wanted") from None


def _day_range(word: str) -> frozenset[int]:
    first, _, last = word.lower().partition("-")
    if first not in DAYS or (last or first) not in DAYS:
        raise ValueError(f"days look like mon-fri or sat ({', '.join(DAYS)})")
    start, length = DAYS.index(first), (DAYS.index(last or first) - DAYS.index(first)) % 7
    return frozenset((start + n) % 7 for n in range(length + 1))


def _minutes(word: str) -> int:
    parts = re.fullmatch(r"(\d{1,2}):(\d{2})", word)
    minutes = int(parts[1]) * 60 + int(parts[2]) if parts else -1
    if not parts or int(parts[2]) > 59 or not 0 <= minutes <= 1440:
        raise ValueError("a time looks like '08:00' (to '24:00')")
    return minutes


def _hold(section: Section, effect: RuleEffect, when: Conditions, known: Mapping[str, Reviewers]) -> HoldTerms | None:
    if effect is not RuleEffect.HOLD:
        for key in _HOLD_KEYS:
            if key in section:
                section.wrong(key, f'"{key}" belongs to a hold, and this rule\'s effect is {effect.value}')
        return None
    if "reviewers" not in section:
        section.wrong("reviewers", f"a hold needs reviewers{nearest('', known)}")
    name = section.parsed("reviewers", one_of(known), "")
    reviewers = known.get(name, Reviewers(name))
    _check_lone_reviewer(section, when, reviewers)
    defaults = HoldTerms(reviewers)
    return HoldTerms(
        reviewers=reviewers,
        timeout=section.parsed("timeout", document.duration, defaults.timeout),
        hold_in_transaction=section.parsed("hold_in_transaction", document.duration, defaults.hold_in_transaction),
        max_rows_over_preview=_maybe(section, "max_rows_over_preview", document.whole(0)),
        approve_via=section.choice("approve_via", ("chat", "web"), defaults.approve_via),
        require_full_view=section.parsed("require_full_view", document.flag, defaults.require_full_view),
        keep_for=_maybe(section, "keep_for", document.duration),
        confirm=section.choice("confirm", ("click", "typed"), defaults.confirm),
        grants=_grants(section),
        break_glass=_break_glass(section, known),
    )


def _maybe(section: Section, key: str, parse: Callable[[str], _N]) -> _N | None:
    nothing: _N | None = None
    return section.parsed(key, parse, nothing)


def _check_lone_reviewer(section: Section, when: Conditions, reviewers: Reviewers) -> None:
    """Nobody approves their own: a user that no other reviewer stands beside would wait for nothing."""
    if reviewers.groups or when.groups is not None or not reviewers.users:
        return
    for user in when.users or ():
        others = folded(reviewers.users) - {user.casefold()}
        if len(others) < reviewers.approvals:
            message = f"{user} can't approve their own statements, and {len(others)} other reviewers are in"
            section.wrong("reviewers", f'{message} "{reviewers.name}" ({reviewers.approvals} wanted)')


def _grants(section: Section) -> GrantTerms | None:
    grants = section.section("grants", f"{section.title}: grants", ("max_minutes", "max_uses", "max_rows", "vary"))
    if grants is None:
        return None
    minutes, uses, rows = (_maybe(grants, key, document.whole(1)) for key in ("max_minutes", "max_uses", "max_rows"))
    if not any(key in grants for key in ("max_minutes", "max_uses")):
        grants.wrong("max_minutes", "a grant ends: give max_minutes or max_uses")
    vary = "vary" in grants and bool(_parsed_list(grants, "vary", one_of(["params"])))
    return GrantTerms(minutes, uses, rows, vary)


def _break_glass(section: Section, known: Mapping[str, Reviewers]) -> Reviewers | None:
    glass = section.section("break_glass", f"{section.title}: break_glass", ("reviewers",))
    if glass is None:
        return None
    glass.require("reviewers")
    return known.get(glass.parsed("reviewers", one_of(known), ""))


def _masking(top: Section, targets: Mapping[str, Target]) -> Masking:
    keys = ("columns", "detect", "patterns", "predicates", "copies", "unresolved", "clear_for")
    section = top.section("masking", "masking", keys)
    if section is None:
        return Masking()
    columns = tuple(
        _column_mask(each, targets) for each in section.sections("columns", "masking column", ("column", "mask"))
    )
    clear = section.section("clear_for", "masking: clear_for", ("groups", "users"))
    if clear is not None and not clear.names():
        section.wrong("clear_for", "clear_for is empty")
    return Masking(
        columns=columns,
        detect=_parsed_list(section, "detect", one_of(DETECTORS)) or (),
        patterns=_patterns(section),
        predicates=section.choice("predicates", ("allow", "hold", "deny"), "allow"),
        copies=section.choice("copies", ("allow", "hold", "deny"), "allow"),
        unresolved=section.choice("unresolved", ("redact", "hold"), "redact"),
        clear_for_groups=frozenset((clear.words("groups") if clear else None) or ()),
        clear_for_users=(clear.words("users") if clear else None) or (),
    )


def _column_mask(section: Section, targets: Mapping[str, Target]) -> ColumnMask:
    section.require("column", "mask")
    column = (_globs(section, "column", 4, "") or ("",))[0]
    target, dot, _ = column.partition(".")
    if dot and column.count(".") == 3 and not set("*?") & set(target) and target not in targets:
        section.wrong("column", f'column "{column}": no target "{target}"{nearest(target, targets)}')
    return ColumnMask(column, section.choice("mask", MASKS, "redact"))


def _patterns(masking: Section) -> Mapping[str, str]:
    section = masking.section("patterns", "masking: patterns", ())
    if section is None:
        return {}
    for name in set(section.names()) & set(DETECTORS):
        section.wrong(name, f'"{name}" is the name of a detector; give the pattern another')
    return {name: section.parsed(name, _pattern, "") for name in section.names()}


def _pattern(word: str) -> str:
    options = re2.Options()
    options.log_errors = False
    try:
        found = re2.compile(word, options)
    except re2.error as error:
        text = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
        raise ValueError(f"RE2 can't read it: {text}") from None
    if found.search(""):
        raise ValueError("it matches the empty text, so it would mask everything")
    return word


_LIMIT_KEYS = (
    *("max_held_bytes", "open_requests_per_session", "open_requests_per_user", "catalog_refresh", "link_max_age"),
    *("cool_down_after", "cool_down_within", "cool_down"),
)


def _limits(top: Section) -> Limits:
    defaults = Limits()
    section = top.section("limits", "limits", _LIMIT_KEYS)
    if section is None:
        return defaults
    count = document.whole(1, 10_000)
    return Limits(
        max_held_bytes=section.parsed("max_held_bytes", document.size, defaults.max_held_bytes),
        open_requests_per_session=section.parsed(
            "open_requests_per_session", count, defaults.open_requests_per_session
        ),
        open_requests_per_user=section.parsed("open_requests_per_user", count, defaults.open_requests_per_user),
        catalog_refresh=section.parsed("catalog_refresh", document.duration, defaults.catalog_refresh),
        link_max_age=section.parsed("link_max_age", document.duration, defaults.link_max_age),
        cool_down=_cool_down(section, defaults.cool_down),
    )


def _cool_down(section: Section, defaults: CoolDown) -> CoolDown:
    return CoolDown(
        after=section.parsed("cool_down_after", document.whole(0, 100), defaults.after),
        within=section.parsed("cool_down_within", document.duration, defaults.within),
        lasts=section.parsed("cool_down", document.duration, defaults.lasts),
    )


def _tests(top: Section, targets: Mapping[str, Target], rules: tuple[Rule, ...]) -> tuple[PolicyTest, ...]:
    names = [rule.name for rule in rules]
    keys = ("user", "groups", "target", "sql", "expect", "rule", "at", "application", "client", "rows")
    return tuple(_test(each, targets, names) for each in top.sections("tests", "test", keys))


def _test(section: Section, targets: Mapping[str, Target], names: list[str]) -> PolicyTest:
    section.require("user", "target", "sql", "expect")
    return PolicyTest(
        user=section.text("user"),
        groups=frozenset(section.words("groups") or ()),
        target=section.parsed("target", one_of(targets), ""),
        sql=section.text("sql"),
        expect=section.choice("expect", [each.value for each in RuleEffect], "deny"),
        rule=section.parsed("rule", one_of(names), "") or None,
        line=section.line,
        at=_maybe(section, "at", _moment),
        application=section.text("application"),
        client=section.parsed("client", _address, ""),
        rows=_maybe(section, "rows", document.whole(0)),
    )


def _moment(word: str) -> float:
    wanted = "a time with its zone is wanted, like 2026-01-05T12:00:00+01:00"
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        raise ValueError(wanted) from None
    if moment.tzinfo is None:
        raise ValueError(wanted)
    return moment.timestamp()


def _address(word: str) -> str:
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        raise ValueError("an IP address is wanted") from None
