"""The metrics' names are an interface: dashboards are written against them."""

from prometheus_client import generate_latest

from gateway.metrics import Metrics


def test_names() -> None:
    text = generate_latest(Metrics().registry).decode()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert names == {
        "hoop_sessions_open",
        "hoop_statements_total",
        "hoop_held_now",
        "hoop_decisions_total",
        "hoop_target_connects_failed_total",
        "hoop_spool_entries_waiting",
        "hoop_cards_waiting",
        "hoop_cards_parked",
        "hoop_chat_cards_total",
        "hoop_chat_last_success_timestamp_seconds",
    }
