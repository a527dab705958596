"""What Linux says of the machine and of a process. Reads /proc; changes limits and CPUs of this process only."""

import os
import platform
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from bench.result import Figure
from gateway.compiled import MODULES


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def facts() -> dict[str, Figure]:
    """What a reader must know to compare two files."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count() or 0,
        "cpu": model,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _commit(),
        "gateway": build(),
    }


def build() -> str:
    """Whether the hot modules that will be imported are compiled."""
    spec = find_spec(MODULES[0])
    return "compiled" if spec is not None and spec.origin is not None and spec.origin.endswith(".so") else "uncompiled"


def _commit() -> str:
    """Of this checkout, with + where files differ from it; "" outside one."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def memory(pid: int) -> dict[str, int]:
    """Resident KiB of a process: `VmRSS` all of it, `RssAnon` what it has allocated itself, `VmHWM` the most it ever was."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {name: int(found[name].split()[0]) for name in ("VmRSS", "RssAnon", "VmHWM")}


def forget_peak(pid: int) -> None:
    """Let `VmHWM` begin anew at what is resident now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu(pid: int) -> float:
    """CPU seconds of all threads of a process, user and system. /proc/PID/stat counts in steps of 10 ms; this in ns."""
    stats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in stats) / 1e9


def allow_files(count: int) -> None:
    """Let this process and its children open so many files. Raises ValueError where the machine forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))


@contextmanager
def one_cpu() -> Iterator[None]:
    """Keep this process, and the children started meanwhile, on one CPU: two CPUs make short runs bimodal."""
    before = os.sched_getaffinity(0)
    _keep_on({max(before)})
    try:
        yield
    finally:
        _keep_on(before)


def _keep_on(cpus: set[int]) -> None:
    """All threads: a child has the CPUs of the one that started it, and PostgreSQL is started by one of a pool."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cpus)


def elsewhere(server: int) -> None:
    """Where this process is kept on one CPU, keep what PID `server` starts from now on, on the others.

    For the store's server: in production it is on another machine. What the gateway spends to reach it is counted all the same.
    """
    others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
    if len(os.sched_getaffinity(0)) == 1 and others:
        os.sched_setaffinity(server, others)
