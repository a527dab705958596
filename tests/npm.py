"""npm's packages for the tests: what tests/node/package.json names is installed when a test first asks for it."""

import shutil
import subprocess
from pathlib import Path

import pytest

NODE = Path(__file__).parent / "node"


def installed(package: str) -> Path:
    """The folder of an installed package; installed now if npm can, else the test is skipped with the reason."""
    found = NODE / "node_modules" / package
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        pytest.skip(f"node and npm are not installed: no {package} to test against")
    if not found.is_dir():
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"npm install failed in tests/node: no {package} to test against")
    return found
