"""Accounts of chats as values."""

import pytest

from gateway.identity.accounts import Account, as_values, from_values

BOB = Account("slack", "E1/T1", "U1", "Bob")


def test_the_key_holds_what_tells_accounts_apart() -> None:
    assert BOB.key == "slack:E1/T1:U1"


def test_values_and_back() -> None:
    assert from_values(as_values(BOB)) == BOB
    with pytest.raises(KeyError):
        from_values({"front": "slack"})
