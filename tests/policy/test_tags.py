"""The table of command tags."""

import pytest

from gateway.policy.tags import TAGS, covers
from gateway.sql.commands import FIXED
from gateway.sql.statement import StatementClass


def test_every_tag_vouches_for_known_classes() -> None:
    known = {each.value for each in StatementClass} - {"housekeeping"}
    assert frozenset().union(*TAGS.values()) == frozenset(known)


@pytest.mark.parametrize(("tag", "kind"), sorted({(tag, kind.value) for tag, kind in FIXED.values()}))
def test_what_the_reader_says_can_be_named_by_a_rule(tag: str, kind: str) -> None:
    if kind != "housekeeping":
        assert kind in TAGS[tag]


def test_a_family_covers_its_members_only() -> None:
    assert covers("DROP", "DROP TABLE")
    assert covers("DROP TABLE", "DROP TABLE")
    assert not covers("DROP TABLE", "DROP")
    assert not covers("DROP", "DROPS")
