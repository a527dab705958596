"""Reading the policies file itself. What is in one: tests/policy."""

from pathlib import Path

import pytest

from gateway.errors import PolicyError
from gateway.policies import read_policy
from tests.playbook import POLICY


def test_its_text_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(POLICY)
    assert [*read_policy(path).targets] == ["shop"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_policy_that_can_not_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PolicyError) as refused:
        read_policy(path)
    assert refused.value.problems[0].startswith(f"{path}: can't be read")
