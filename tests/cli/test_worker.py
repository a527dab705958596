"""How a worker is called, and what it refuses. One that serves: tests/e2e/test_workers.py."""

import os
import socket
import subprocess
from pathlib import Path

from gateway.cli.supervisor import command, environment


def called(tmp_path: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return subprocess.run(
            command(2, 3, theirs.fileno(), str(tmp_path)),
            env=environment({"PATH": os.environ["PATH"], **environ}),
            cwd=tmp_path,
            pass_fds=(theirs.fileno(),),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def test_it_takes_the_supervisors_package_and_nothing_from_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    done = called(tmp_path, {})
    assert "the wrong one" not in done.stderr
    assert done.returncode == 2


def test_what_is_wrong_with_the_settings_is_told(tmp_path: Path) -> None:
    """They may have changed since its supervisor looked at them."""
    done = called(tmp_path, {})
    assert done.returncode == 2
    assert done.stderr.startswith("HOOP_STORE: missing")
