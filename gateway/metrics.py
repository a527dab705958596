"""What the gateway counts for /metrics. One set of objects a process, made by `app` and handed to whoever counts.

Several workers of one gateway are shown as one: each series has the label `worker`, so that what a worker that starts again
counts from 0 is a counter's reset and no fall of a sum, which Prometheus would take for an increase of all that is left. What each
of them knows of the whole (cards in the store, a chat's last success) has none, and is the highest.

Labels hold only words from fixed lists and names from policies.yaml: never users, SQL or addresses, which have no
bound and belong to the audit.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

#: What each worker tells of the whole gateway.
_OF_ALL: Final = frozenset({"hoop_cards_waiting", "hoop_cards_parked", "hoop_chat_last_success_timestamp_seconds"})


class Tally:
    """A number that a counter takes over when somebody asks: each statement is counted, and counting there costs ten times as much."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


@dataclass(frozen=True, slots=True)
class OfTarget:
    """What each session of a target counts. `judged` by verdict; `allowed` is added to its "allow"."""

    sessions_open: Gauge
    judged: Mapping[str, Counter]
    allowed: Tally


class Metrics:
    """The counters and their registry. `statements` by verdict (allow, hold, deny), `decisions` by outcome."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        one = self.registry
        one.register(_First(self._settle))
        self.sessions_open = Gauge("hoop_sessions_open", "Client sessions open now.", ["target"], registry=one)
        self.statements = Counter("hoop_statements", "Statements judged.", ["target", "verdict"], registry=one)
        self.held = Gauge("hoop_held_now", "Batches held now, waiting for people.", ["target"], registry=one)
        self.decisions = Counter(
            "hoop_decisions", "Approval requests that ended, by outcome.", ["outcome"], registry=one
        )
        self.connects_failed = Counter(
            "hoop_target_connects_failed", "Connections to a target that failed.", ["target"], registry=one
        )
        self.cards_waiting = Gauge(
            "hoop_cards_waiting", "Cards that are not shown yet as they should be, of all replicas.", registry=one
        )
        self.cards_parked = Gauge(
            "hoop_cards_parked", "Cards that were given up: see outbox.parked in the log.", registry=one
        )
        self.chat_calls = Counter(
            "hoop_chat_cards", "Cards sent to a chat, by what came of it.", ["chat", "result"], registry=one
        )
        self.chat_last_ok = Gauge(
            "hoop_chat_last_success_timestamp_seconds", "When a chat last took a card.", ["chat"], registry=one
        )
        self.spool_waiting = Gauge("hoop_spool_entries_waiting", "Audit entries that wait for the store.", registry=one)
        self._of: dict[str, OfTarget] = {}

    def of(self, target: str) -> OfTarget:
        """Those of a target: looking a label up costs as much as ten counts, and each session counts the same."""
        found = self._of.get(target)
        if found is None:
            judged = {each: self.statements.labels(target, each) for each in ("allow", "deny", "hold")}
            found = self._of[target] = OfTarget(self.sessions_open.labels(target), judged, Tally())
        return found

    def _settle(self) -> None:
        for each in self._of.values():
            each.judged["allow"].inc(each.allowed.count)
            each.allowed.count = 0


def merged(counted: Mapping[int, str], workers: int) -> bytes:
    """The counts of several workers as one scrape. `counted`: worker -> its own in text; who is missing is down."""
    one = CollectorRegistry(auto_describe=False)
    one.register(_Families([*_together(counted), _up(counted, workers)]))
    return generate_latest(one)


class _First(Collector):
    """No metric, but a call before all others are collected."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def collect(self) -> Iterable[Metric]:
        self._call()
        return ()


class _Families(Collector):
    """Families that are made already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _up(counted: Mapping[int, str], workers: int) -> Metric:
    up = GaugeMetricFamily("hoop_worker_up", "Whether a worker answers its siblings.", labels=["worker"])
    for worker in range(1, workers + 1):
        up.add_metric([str(worker)], float(worker in counted))
    return up


def _together(counted: Mapping[int, str]) -> list[Metric]:
    found: dict[str, Metric] = {}
    for worker, text in sorted(counted.items()):
        for family in text_string_to_metric_families(text):
            metric = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            metric.samples += [_of_worker(each, worker) for each in family.samples]
    for name in found.keys() & _OF_ALL:
        found[name].samples = _highest(found[name].samples)
    return list(found.values())


def _of_worker(sample: Sample, worker: int) -> Sample:
    labels = sample.labels if sample.name in _OF_ALL else {**sample.labels, "worker": str(worker)}
    return sample._replace(labels=labels)


def _highest(samples: Iterable[Sample]) -> list[Sample]:
    best: dict[tuple[tuple[str, str], ...], Sample] = {}
    for each in samples:
        key = tuple(sorted(each.labels.items()))
        if key not in best or each.value > best[key].value:
            best[key] = each
    return list(best.values())
