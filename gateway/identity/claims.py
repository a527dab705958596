"""From a token's verified claims to an Identity. Pure: the signature was checked by gateway.identity.issuers.

Identity comes from the token alone; the StartupMessage's user name only has to agree with it. Everything here fails
closed: what is missing, of the wrong type or unbelievable refuses the token. Sources: RFC 7519 section 4.1, OpenID
Connect Core 5.1, and for the group overage Microsoft's access token claims reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.errors import AuthenticationFailed

LEEWAY = 30.0  # seconds that two clocks may differ by
MAX_LIFETIME = 24 * 3600.0  # seconds; a token good for years is a password
_MAX_TEXT = 256  # characters of a name; they end up on cards and in audit entries
_HINT = "get a fresh token: hoop token"
_CLOCKS = "do the clocks of the issuer and the gateway agree?"
_LIFETIME = "shorten the lifetime of access tokens at the issuer"
_CLAIMS = "the issuer has to put it into the token, or `claims` of the issuer in policies.yaml names another"
_REFUSED = "token refused"
_LAST = 253_402_300_799  # what a datetime ends with


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claim holds what (policies.yaml: issuers[].claims). None in `user` means email, else preferred_username."""

    subject: str = "sub"
    user: str | None = None
    groups: str = "groups"


@dataclass(frozen=True, slots=True)
class Identity:
    """A person or an agent, as its issuer vouches for it.

    `subject` is the issuer's stable key and the only thing that requester and reviewer are compared by;
    `user` and `email` are for people to read and for `users:` in policies. Times are Unix seconds; `issued_at` is when
    the issuer said all this, None where its token does not tell.
    """

    issuer: str
    subject: str
    user: str
    email: str | None
    groups: frozenset[str]
    expires_at: float
    issued_at: float | None = None


class TokenRefused(AuthenticationFailed):
    """A token that proves nothing. `detail` is for log and audit.

    The client sees one text whatever the cause, but for `told`. Nothing here ever holds the token or a part of it.
    """

    def __init__(self, detail: str, *, hint: str = _HINT, message: str = _REFUSED) -> None:
        super().__init__(message, hint=hint, detail=detail)

    def told(self) -> "TokenRefused":
        """The same, once the signature was found good: whoever holds that token is who the issuer says, and may hear why."""
        return TokenRefused(self.detail, hint=self.hint, message=f"{_REFUSED}: {self.detail}")


def check_times(claims: Mapping[str, object], now: float) -> None:
    """Refuse what is expired, not yet good, or good for too long; `now` in Unix seconds. Raises TokenRefused."""
    expires = _time(claims, "exp")
    issued = _time(claims, "iat") if "iat" in claims else now
    if expires <= now - LEEWAY:
        raise TokenRefused(f"the token expired at {_utc(expires)}")
    if "nbf" in claims and (good_from := _time(claims, "nbf")) > now + LEEWAY:
        raise TokenRefused(f"the token is not good before {_utc(good_from)} (nbf)", hint=_CLOCKS)
    if issued > now + LEEWAY:
        raise TokenRefused(f"the token was issued in the future, at {_utc(issued)} (iat)", hint=_CLOCKS)
    if expires - issued > MAX_LIFETIME:
        raise TokenRefused("the token lives longer than 24 hours", hint=_LIFETIME)


def _utc(at: float) -> str:
    return datetime.fromtimestamp(min(at, _LAST), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def identity_of(claims: Mapping[str, object], issuer: str, names: ClaimNames) -> Identity:
    """Read verified claims. Raises TokenRefused; the times are checked by check_times."""
    subject = _text(claims, names.subject)
    email = _email(claims)
    return Identity(
        issuer=issuer,
        subject=subject,
        user=_user(claims, names, email) or subject,
        email=email,
        groups=_groups(claims, names.groups),
        expires_at=_time(claims, "exp"),
        issued_at=_time(claims, "iat") if "iat" in claims else None,
    )


def _user(claims: Mapping[str, object], names: ClaimNames, email: str | None) -> str | None:
    """None where the issuer names nobody (a token of a machine), or by an address alone that it has not verified: the subject
    must do then. Issuers whose people sign in by address put the unproven one into preferred_username as well."""
    if names.user == "email":
        if email is None:
            raise TokenRefused(
                "the token has no verified email, and policies.yaml takes the user from it", hint=_CLAIMS
            )
        return email
    if names.user is not None:
        return _text(claims, names.user)
    if email is not None or "preferred_username" not in claims:
        return email
    name = _text(claims, "preferred_username")
    return None if "@" in name and "email" in claims else name


def _email(claims: Mapping[str, object]) -> str | None:
    """In lower case, as mailboxes are compared; None when the issuer says that it isn't verified.

    Entra never sends email_verified, so that its absence can't mean false.
    """
    if "email" not in claims or claims.get("email_verified", True) not in (True, "true"):
        return None
    return _text(claims, "email").lower()


def _groups(claims: Mapping[str, object], name: str) -> frozenset[str]:
    if name not in claims:
        _refuse_overage(claims, name)
        return frozenset()
    groups = claims[name]
    if not isinstance(groups, list) or not all(_is_text(group) for group in groups):
        raise _wrong(claims, name, "a list of group names")
    return frozenset(groups)


def _refuse_overage(claims: Mapping[str, object], name: str) -> None:
    """Too many groups for a token: Entra leaves the claim out. Absent groups must not read as no groups."""
    elsewhere = claims.get("_claim_names")
    if claims.get("hasgroups") or (isinstance(elsewhere, Mapping) and name in elsewhere):
        raise TokenRefused(
            f"claim {name}: the issuer left the groups out because there are too many (group overage)",
            hint="your token lists no groups because you are in too many: "
            "ask for the app to send only the groups assigned to it, or app roles",
        )


def _is_text(value: object) -> bool:
    """Printable: no control characters, no lone surrogates, nothing that could redraw a terminal or a card."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and value.isprintable() and bool(value.strip())


def _text(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not _is_text(value):
        raise _wrong(claims, name, f"a printable text of 1 to {_MAX_TEXT} characters")
    return value


def _time(claims: Mapping[str, object], name: str) -> float:
    """A NumericDate. JSON's true, NaN and Infinity are none: a comparison with them would let the token pass."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
        raise _wrong(claims, name, "a time in Unix seconds")
    return float(value)


def _wrong(claims: Mapping[str, object], name: str, expected: str) -> TokenRefused:
    missing = "" if name in claims else "missing; "
    return TokenRefused(f"claim {name}: {missing}{expected} was expected", hint=_CLAIMS)
