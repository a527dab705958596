"""From a token's verified claims to an Identity. Pure: the signature was checked by gateway.identity.issuers.

Identity comes from the token alone; the StartupMessage's user name only has to agree with it.
"""

from dataclasses import dataclass


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
    `user` and `email` are for people to read and for `users:` in policies. `expires_at` is Unix seconds.
    """

    issuer: str
    subject: str
    user: str
    email: str | None
    groups: frozenset[str]
    expires_at: float
