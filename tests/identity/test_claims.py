"""Claims to identities: one row a claim set, what it must come to first."""

from collections.abc import Mapping

import pytest

from gateway.errors import AuthenticationFailed
from gateway.identity.claims import ClaimNames, Identity, TokenRefused, check_times, identity_of

NOW = 1_800_000_000
GOOD: dict[str, object] = {
    "sub": "person-ann",
    "email": "Ann@example.com",
    "email_verified": True,
    "preferred_username": "ann",
    "groups": ["engineering"],
    "iat": NOW,
    "exp": NOW + 3600,
}


DEFAULTS = ClaimNames()


def _identity(changes: Mapping[str, object], names: ClaimNames = DEFAULTS) -> Identity:
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return identity_of(claims, "https://issuer.example.com", names)


def test_a_whole_identity() -> None:
    assert _identity({}) == Identity(
        issuer="https://issuer.example.com",
        subject="person-ann",
        user="ann@example.com",
        email="ann@example.com",
        groups=frozenset({"engineering"}),
        expires_at=NOW + 3600,
        issued_at=NOW,
    )
    assert _identity({"iat": None}).issued_at is None


@pytest.mark.parametrize(
    ("user", "email", "changes"),
    [
        ("ann", None, {"email_verified": False}),
        ("ann", None, {"email_verified": "false"}),
        ("ann", None, {"email_verified": 0.5}),
        ("ann@example.com", "ann@example.com", {"email_verified": None}),  # Entra never sends it
        ("ann", None, {"email": None}),
        ("person-ann", None, {"email": None, "preferred_username": None}),
        ("ann@corp", None, {"email": None, "preferred_username": "ann@corp"}),  # Entra's sign-in name
        # whoever registers with Bob's address is not Bob: where the address is unproven, a name like one is, too
        ("person-ann", None, {"email_verified": False, "email": "bob@corp", "preferred_username": "bob@corp"}),
        ("person-ann", None, {"email_verified": False, "preferred_username": "bob@corp"}),
    ],
)
def test_user_and_email(user: str, email: str | None, changes: dict[str, object]) -> None:
    found = _identity(changes)
    assert (found.user, found.email) == (user, email)


def test_claims_of_other_names() -> None:
    names = ClaimNames(subject="oid", user="upn", groups="roles")
    found = _identity({"oid": "o-1", "upn": "ann@corp", "roles": ["dba"]}, names)
    assert (found.subject, found.user, found.groups) == ("o-1", "ann@corp", frozenset({"dba"}))


def test_no_groups_claim_is_no_groups() -> None:
    assert _identity({"groups": None}).groups == frozenset()


@pytest.mark.parametrize(
    ("detail", "changes"),
    [
        ("claim sub", {"sub": None}),
        ("claim sub", {"sub": ""}),
        ("claim sub", {"sub": "  "}),
        ("claim sub", {"sub": 7}),
        ("claim sub", {"sub": "a\nb"}),
        ("claim sub", {"sub": "a\x00b"}),
        ("claim sub", {"sub": "a\u202eb"}),  # right-to-left override
        ("claim sub", {"sub": "\ud800"}),
        ("claim sub", {"sub": "x" * 257}),
        ("claim email", {"email": ["ann@example.com"]}),
        ("claim preferred_username", {"email": None, "preferred_username": {}}),
        ("claim groups", {"groups": "dba"}),
        ("claim groups", {"groups": {"dba": True}}),
        ("claim groups", {"groups": ["dba", 7]}),
        ("claim groups", {"groups": ["dba", ""]}),
        ("group overage", {"groups": None, "_claim_names": {"groups": "src1"}}),
        ("group overage", {"groups": None, "hasgroups": True}),
        ("claim exp", {"exp": None}),
        ("claim exp", {"exp": True}),
        ("claim exp", {"exp": "1800003600"}),
        ("claim exp", {"exp": float("nan")}),
        ("claim exp", {"exp": float("inf")}),
        ("claim exp", {"exp": 10**400}),
    ],
)
def test_refused(detail: str, changes: dict[str, object]) -> None:
    with pytest.raises(TokenRefused) as refusal:
        _identity(changes)
    assert detail in refusal.value.detail
    assert refusal.value.message == "token refused"


def test_an_overage_says_what_to_do() -> None:
    with pytest.raises(AuthenticationFailed) as refusal:
        _identity({"groups": None, "hasgroups": True})
    assert "too many" in refusal.value.hint


@pytest.mark.parametrize("changes", [{"upn": None}, {"upn": 5}])
def test_a_configured_user_claim_must_be_there(changes: dict[str, object]) -> None:
    with pytest.raises(TokenRefused):
        _identity(changes, ClaimNames(user="upn"))


def test_a_configured_email_must_be_verified() -> None:
    assert _identity({}, ClaimNames(user="email")).user == "ann@example.com"
    with pytest.raises(TokenRefused):
        _identity({"email_verified": False}, ClaimNames(user="email"))


@pytest.mark.parametrize(
    ("detail", "changes"),
    [
        (None, {}),
        (None, {"exp": NOW - 29}),
        ("expired", {"exp": NOW - 30}),
        (None, {"nbf": NOW + 30}),
        ("nbf", {"nbf": NOW + 31}),
        ("claim nbf", {"nbf": "soon"}),
        (None, {"iat": NOW + 30}),
        ("iat", {"iat": NOW + 31}),
        ("claim iat", {"iat": None}),
        (None, {"exp": NOW + 24 * 3600}),
        ("24 hours", {"exp": NOW + 24 * 3600 + 1}),
        ("24 hours", {"iat": NOW - 30 * 24 * 3600}),
        ("claim exp", {"exp": False}),
    ],
)
def test_times(detail: str | None, changes: dict[str, object]) -> None:
    claims = {**GOOD, **changes}
    if detail is None:
        check_times(claims, NOW)
        return
    with pytest.raises(TokenRefused) as refusal:
        check_times(claims, NOW)
    assert detail in refusal.value.detail


def test_a_missing_iat_counts_from_now() -> None:
    claims = {name: value for name, value in GOOD.items() if name != "iat"}
    check_times(claims, NOW)
    with pytest.raises(TokenRefused):
        check_times({**claims, "exp": NOW + 24 * 3600 + 1}, NOW)
