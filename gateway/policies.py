"""The policies file: its text, as a Policy. What a policy is and what is wrong with one is gateway.policy.model's."""

from pathlib import Path

from gateway.errors import PolicyError
from gateway.failures import in_words
from gateway.policy.model import Policy, load


def read_policy(path: Path) -> Policy:
    """Read a policies file. Raises PolicyError, also where the file can't be read."""
    try:
        return load(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError([f"{path}: can't be read ({in_words(error)})"]) from error
