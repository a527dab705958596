"""npm's packages for the tests: what tests/node/package.json names is installed when a test first asks for it."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

NODE = Path(__file__).parent / "node"


def missing(*packages: str) -> str:
    """Why these can't be used; empty when they can. Installs tests/node/package.json if one isn't there."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        return "node and npm are not installed"
    command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    with (NODE / ".installing").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)  # another process of the same run may be at it
        if all((NODE / "node_modules" / each).is_dir() for each in packages):
            return ""
        done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=300, check=False)
    return "npm install failed in tests/node" if done.returncode else ""


def installed(package: str) -> Path:
    """The folder of an installed package; where it can't be had the test is skipped with the reason."""
    why = missing(package)
    if why:
        pytest.skip(f"no {package} to test against: {why}")
    return NODE / "node_modules" / package
