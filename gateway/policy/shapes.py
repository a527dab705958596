"""policies.yaml as frozen values: shapes and defaults, nothing else. Import them from gateway.policy.model.

How the file is read is in model.py; what a rule means for a statement is in decide.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from gateway.approvals.cooldown import CoolDown
from gateway.approvals.escalation import Escalation
from gateway.identity.claims import ClaimNames


class RuleEffect(Enum):
    """What a matching rule does; the order is from mild to strict."""

    ALLOW = "allow"
    HOLD = "hold"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is: exactly one of `env` (a variable's name), `file` (a path) or `entra` (client id for msal)."""

    env: str | None = None
    file: str | None = None
    entra: str | None = None


@dataclass(frozen=True, slots=True)
class Issuer:
    issuer: str
    audience: str
    jwks_uri: str | None = None
    claims: ClaimNames = field(default_factory=ClaimNames)


@dataclass(frozen=True, slots=True)
class Target:
    """A PostgreSQL we connect to. `sslmode` as libpq's: disable, require, verify-ca, verify-full."""

    name: str
    environment: str
    host: str
    port: int
    database: str
    user: str
    password: Secret
    sslmode: str = "verify-full"
    sslrootcert: str | None = None
    reader_user: str | None = None
    reader_password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Reviewers:
    """Who may decide. `channels` are "slack:C..." or "teams:19:...", `mentions` user groups, "slack:S...": routing only.
    Membership there is no authority."""

    name: str
    groups: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    approvals: int = 1
    channels: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    escalation: Escalation | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    tz: str
    days: frozenset[int]  # 0 = Monday
    start: int  # minutes since midnight
    end: int


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a rule asks of a statement and its session; None = it does not ask.

    All that is asked must hold, but two pairs are one question each: groups or users (who), classes or tags (what).
    Globs know * and ?; `tables` are schema.table, `columns` schema.table.column.
    """

    groups: frozenset[str] | None = None
    users: tuple[str, ...] | None = None
    targets: frozenset[str] | None = None  # names; {environment: X} is resolved to names at load time
    classes: frozenset[str] | None = None  # read, write, ...
    tags: frozenset[str] | None = None  # DELETE, "DROP TABLE"
    where: bool | None = None  # False: WHERE absent, True: present
    tables: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    functions: tuple[str, ...] | None = None
    rows: tuple[str, int] | None = None  # (">", 1000)
    applications: tuple[str, ...] | None = None
    client_networks: tuple[str, ...] | None = None
    hours: Hours | None = None


@dataclass(frozen=True, slots=True)
class GrantTerms:
    """What a reviewer may grant with an approval, at most; one of minutes and uses is set. `vary`: bound values may differ."""

    max_minutes: int | None = None
    max_uses: int | None = None
    max_rows: int | None = None
    vary: bool = False


@dataclass(frozen=True, slots=True)
class HoldTerms:
    """How a hold waits; durations in seconds. `max_rows_over_preview` None: 0 after an exact count, no guard otherwise."""

    reviewers: Reviewers
    timeout: float = 600.0
    hold_in_transaction: float = 120.0
    max_rows_over_preview: int | None = None
    approve_via: str = "chat"
    require_full_view: bool = False
    keep_for: float | None = None
    confirm: str = "click"
    grants: GrantTerms | None = None
    break_glass: Reviewers | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    effect: RuleEffect
    when: Conditions
    unless: Conditions | None = None
    message: str = ""
    hold: HoldTerms | None = None  # set exactly when effect is HOLD
    line: int = 0


@dataclass(frozen=True, slots=True)
class ColumnMask:
    """`column` is target.schema.table.column, each part a glob; `mask`: redact last4 hash null partial."""

    column: str
    mask: str


@dataclass(frozen=True, slots=True)
class Masking:
    columns: tuple[ColumnMask, ...] = ()
    detect: tuple[str, ...] = ()
    patterns: Mapping[str, str] = field(default_factory=dict)
    predicates: str = "allow"
    copies: str = "allow"
    unresolved: str = "redact"
    clear_for_groups: frozenset[str] = frozenset()
    clear_for_users: tuple[str, ...] = ()

    @property
    def stops(self) -> bool:
        """May masking make a verdict stricter?"""
        return self.predicates != "allow" or self.copies != "allow" or self.unresolved == "hold"


@dataclass(frozen=True, slots=True)
class Limits:
    max_held_bytes: int = 16 * 1024 * 1024
    open_requests_per_session: int = 3
    open_requests_per_user: int = 10
    catalog_refresh: float = 30.0
    link_max_age: float = 12 * 3600.0
    cool_down: CoolDown = field(default_factory=CoolDown)


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One row of `tests:`. `at` (Unix seconds), `application`, `client` and `rows` are what a rule may ask besides."""

    user: str
    groups: frozenset[str]
    target: str
    sql: str
    expect: str
    rule: str | None = None
    line: int = 0
    at: float | None = None
    application: str = ""
    client: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policies.yaml. `version` is a hash of its text: caches and audit entries name it."""

    version: str
    issuers: tuple[Issuer, ...]
    targets: Mapping[str, Target]
    reviewers: Mapping[str, Reviewers]
    rules: tuple[Rule, ...]
    masking: Masking = Masking()
    limits: Limits = Limits()
    tests: tuple[PolicyTest, ...] = ()
