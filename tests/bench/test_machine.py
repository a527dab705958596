"""What is read from /proc is of the right process and unit."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

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


def test_threads_that_are_there_are_kept_on_it_too() -> None:
    """A server that one of them starts would be on another CPU."""
    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(os.sched_getaffinity, 0).result()
        with one_cpu():
            assert pool.submit(os.sched_getaffinity, 0).result() == os.sched_getaffinity(0)
        assert pool.submit(os.sched_getaffinity, 0).result() == before


def test_facts_name_the_machine() -> None:
    assert {"cpus", "cpu", "kernel", "python"} < set(facts())
    assert load() >= 0
