"""What the gateway counts for /metrics. One set of objects a process, made by `app` and handed to whoever counts.

Labels hold only words from fixed lists and names from policies.yaml: never users, SQL or addresses, which have no
bound and belong to the audit.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """The counters and their registry. `statements` by verdict (allow, hold, deny), `decisions` by outcome."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        one = self.registry
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
