"""Fault switches by value."""

from __future__ import annotations

from bots.workspace.faults import EVERY_METHOD, Fault, Faults


def test_faults_come_in_the_order_they_were_set_and_run_out() -> None:
    faults = Faults()
    faults.add("chat.update", Fault(error="a", times=2))
    faults.add("chat.update", Fault(error="b"))
    taken = [faults.take("chat.update") for _ in range(4)]
    assert [fault.error if fault else None for fault in taken] == ["a", "a", "b", None]
    assert faults.take("chat.delete") is None


def test_a_methods_own_fault_goes_before_that_of_every_method() -> None:
    faults = Faults()
    faults.add(EVERY_METHOD, Fault(error="all"))
    faults.add("auth.test", Fault(error="own"))
    taken = [faults.take("auth.test") for _ in range(3)]
    assert [fault.error if fault else None for fault in taken] == ["own", "all", None]


def test_clear_takes_all_away() -> None:
    faults = Faults()
    faults.add(EVERY_METHOD, Fault(times=99))
    faults.clear()
    assert faults.take("auth.test") is None
