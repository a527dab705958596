"""What is read from /proc is of the right process and unit."""

import os
import time

from bench.machine import cpu, facts, forget_peak, load, memory, one_cpu


def test_our_own_memory_and_cpu() -> None:
    found = memory(os.getpid())
    assert 1_000 < found["RssAnon"] <= found["VmRSS"] < 100_000_000
    used = cpu(os.getpid())
    until = time.process_time() + 0.02
    while time.process_time() < until:
        pass
    assert cpu(os.getpid()) > used


def test_the_peak_is_kept_until_it_is_forgotten() -> None:
    big = bytearray(b"x" * (256 << 20))
    peak = memory(os.getpid())["VmHWM"]
    del big
    assert memory(os.getpid())["VmHWM"] == peak
    forget_peak(os.getpid())
    assert memory(os.getpid())["VmHWM"] < peak - (128 << 10)


def test_one_cpu_is_given_back() -> None:
    before = os.sched_getaffinity(0)
    with one_cpu():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_facts_name_the_machine() -> None:
    assert {"cpus", "cpu", "kernel", "python"} < set(facts())
    assert load() >= 0
