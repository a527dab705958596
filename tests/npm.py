"""The npm packages of tests/node: where they are, installed when first asked for."""

import shutil
import subprocess
from pathlib import Path

NODE = Path(__file__).parent / "node"


def missing(*packages: str) -> str:
    """Why these can't be used; empty when they can. Installs tests/node/package.json if one isn't there."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        return "needs node and npm on the PATH"
    if all((NODE / "node_modules" / each).is_dir() for each in packages):
        return ""
    command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=300, check=False)
    return "npm install failed in tests/node" if done.returncode else ""
