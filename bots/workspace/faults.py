"""Fault switches: what a Web API method does wrong the next few times it is called. Pure values; methods.py acts on them."""

from __future__ import annotations

from dataclasses import dataclass

EVERY_METHOD = "*"


@dataclass(slots=True)
class Fault:
    """One switch.

    `error`: answer ok=false with this code. `status`: answer this HTTP status (429 with Retry-After, 5xx with HTML).
    `hang`: do not answer until the workspace stops. `late`: do the work first and fail then (the answer is lost).
    """

    error: str = ""
    status: int = 200
    retry_after: int = 1
    hang: bool = False
    late: bool = False
    times: int = 1


class Faults:
    """The switches of one workspace, by method; `*` is every method."""

    def __init__(self) -> None:
        self._switches: dict[str, list[Fault]] = {}

    def add(self, method: str, fault: Fault) -> None:
        """Queue a fault behind those already set for the method."""
        self._switches.setdefault(method, []).append(fault)

    def take(self, method: str) -> Fault | None:
        """Return the fault for this call, and count it; None when the call goes well."""
        for name in (method, EVERY_METHOD):
            queue = self._switches.get(name, [])
            if queue:
                fault = queue[0]
                fault.times -= 1
                if fault.times <= 0:
                    queue.pop(0)
                return fault
        return None

    def clear(self) -> None:
        """Switch every fault off."""
        self._switches.clear()
