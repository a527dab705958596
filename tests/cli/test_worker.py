"""How a worker is called, and what it refuses. One that serves: tests/e2e/test_workers.py."""

import os
import socket
import subprocess
from pathlib import Path

from gateway.cli.worker import command, environment
from gateway.siblings import Worker


def called(tmp_path: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return subprocess.run(
            command(Worker(2, 3, tmp_path), theirs.fileno()),
            env=environment({"PATH": os.environ["PATH"], **environ}),
            cwd=tmp_path,
            pass_fds=(theirs.fileno(),),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def test_it_is_called_with_its_number_and_that_of_all(tmp_path: Path) -> None:
    words = command(Worker(2, 3, tmp_path), 9)
    assert words[-4:] == ("2", "3", "9", str(tmp_path))


def test_it_takes_the_supervisors_package_and_nothing_from_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    done = called(tmp_path, {})
    assert "the wrong one" not in done.stderr
    assert done.returncode == 2


def test_what_was_set_before_is_kept() -> None:
    found = environment({"A": "b", "PYTHONPATH": "/there"})
    assert found["A"] == "b"
    assert found["PYTHONPATH"].endswith(f"{os.pathsep}/there")


def test_what_is_wrong_with_the_settings_is_told(tmp_path: Path) -> None:
    """They may have changed since its supervisor looked at them."""
    done = called(tmp_path, {})
    assert done.returncode == 2
    assert done.stderr.startswith("HOOP_STORE: missing")
