"""`hoop serve` before and around the gateway: what it refuses, what ends it, with which exit code. The whole: tests/e2e."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.__main__ import make
from gateway.cli.serve import run
from gateway.errors import StoreUnavailable
from tests.playbook import POLICY

KEYS = {"HOOP_STORE": "postgresql://nobody@127.0.0.1:1/x", "HOOP_AUDIT_KEY": "a" * 32, "HOOP_SECRET": "s" * 32}


def serve(*words: str, **environment: str) -> tuple[int, str]:
    done = CliRunner().invoke(make(("serve",)), ["serve", *words], env=environment)
    return done.exit_code, done.stderr


def test_every_problem_of_the_environment_is_named_at_once() -> None:
    code, said = serve(**dict.fromkeys(KEYS, ""))
    assert code == 2
    assert all(name in said for name in KEYS)


def test_the_option_counts_over_the_variable(tmp_path: Path) -> None:
    chosen, other = tmp_path / "chosen.yaml", tmp_path / "other.yaml"
    chosen.write_text("version: 2\n")
    loopback = {"HOOP_LISTEN": "127.0.0.1:0", "HOOP_INSECURE_LOOPBACK": "1", "HOOP_POLICIES": str(other)}
    code, said = serve("--policies", str(chosen), **KEYS, **loopback)
    assert code == 2
    assert f"{chosen}:1" in said
    code, said = serve(**KEYS, **loopback)
    assert code == 2
    assert str(other) in said


def test_a_policy_that_needs_what_is_not_set_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(POLICY.replace("opaque], reviewers: dba}", "opaque], reviewers: dba, approve_via: web}"))
    loopback = {"HOOP_LISTEN": "127.0.0.1:0", "HOOP_INSECURE_LOOPBACK": "1", "HOOP_POLICIES": str(file)}
    code, said = serve(**KEYS, **loopback)
    assert code == 2
    assert said.startswith('rule "writes wait": approve_via: web needs HOOP_WEB_CLIENT_ID, HOOP_WEB_CLIENT_SECRET')


def test_a_variable_that_nothing_reads_is_in_the_log(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(POLICY.replace("env: X", "env: HOOP_SHOP_PASSWORD"))
    environ = {**os.environ, **KEYS, "HOOP_LISTEN": "127.0.0.1:0", "HOOP_INSECURE_LOOPBACK": "1"}
    environ |= {"HOOP_POLICIES": str(file), "HOOP_SPOL": "/x", "HOOP_SHOP_PASSWORD": "s"}
    command = [sys.executable, "-m", "gateway", "serve"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    logged = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    [told] = [each for each in logged if each["event"] == "settings.unknown"]
    assert told["level"] == "warning"
    assert told["hint"] == "HOOP_SPOL: no such setting; did you mean HOOP_SPOOL?"


class Running:
    """A gateway that starts as it is told, with no parts: only how `run` treats it is looked at."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.broken = asyncio.Event()
        self.problem = problem
        self.started = asyncio.Event()
        self.reloaded = asyncio.Event()
        self.stops = 0

    async def start(self) -> None:
        if self.problem is not None:
            raise self.problem
        self.started.set()

    async def stop(self) -> None:
        self.stops += 1

    def reload(self) -> None:
        self.reloaded.set()


async def ended(gateway: Any) -> int:
    async with asyncio.timeout(10):
        return await run(gateway)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_in_good_order(number: signal.Signals) -> None:
    gateway = Running()
    running = asyncio.create_task(ended(gateway))
    await gateway.started.wait()
    os.kill(os.getpid(), number)
    assert await running == 0
    assert gateway.stops == 1


async def test_sighup_reads_the_policy_again_and_ends_nothing() -> None:
    gateway = Running()
    running = asyncio.create_task(ended(gateway))
    await gateway.started.wait()
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(10):
        await gateway.reloaded.wait()
    assert not running.done()
    gateway.broken.set()
    assert await running == 1, "an audit log that broke is no good end"
    assert gateway.stops == 1


async def test_what_keeps_it_from_starting_is_said_with_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert await ended(Running(StoreUnavailable("the store is away", hint="look at HOOP_STORE"))) == 2
    assert capsys.readouterr().err == "hoop serve: the store is away; look at HOOP_STORE\n"
    assert await ended(Running(OSError(98, "Address already in use"))) == 2
    assert "Address already in use" in capsys.readouterr().err


_FAULTS = """
import resource, sys
from gateway.cli.serve import _keep_memory
if "keep" in sys.argv:
    _keep_memory()
for turn in range(60):
    if turn == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    values = [b"x" * (1 << 20) for _ in range(4)]
    del values
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_what_big_values_took_serves_the_next_ones() -> None:
    def faults(*arguments: str) -> int:
        done = subprocess.run([sys.executable, "-c", _FAULTS, *arguments], check=True, capture_output=True, text=True)
        return int(done.stdout)

    assert faults("keep") * 10 < faults()
