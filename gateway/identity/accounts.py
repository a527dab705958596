"""An account in a chat, as that chat vouches for it. Pure values.

What lives here: what tells two accounts apart, and how one is called. What must not: who its owner is at the issuer (the
store's links, gateway.approvals.people).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """`front` is "slack" or "teams"; `place` its workspace ("enterprise/team") or tenant; `user` the chat's own stable id
    there, never an address. `name` is for people to read, and tells nobody apart."""

    front: str
    place: str
    user: str
    name: str

    @property
    def key(self) -> str:
        """The account in one text, for entries of the audit log and digests."""
        return f"{self.front}:{self.place}:{self.user}"


def as_values(account: Account) -> dict[str, str]:
    """The account as JSON values."""
    return asdict(account)


def from_values(values: Mapping[str, object]) -> Account:
    """The inverse of `as_values`. Raises KeyError."""
    return Account(*(str(values[name]) for name in ("front", "place", "user", "name")))
