"""The metrics' names are an interface: dashboards are written against them."""

from prometheus_client import generate_latest

from gateway.metrics import Metrics, merged


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


def counts(statements: int, waiting: int, last_ok: float) -> str:
    metrics = Metrics()
    metrics.statements.labels("shop", "allow").inc(statements)
    metrics.sessions_open.labels("shop").set(statements)
    metrics.cards_waiting.set(waiting)
    metrics.chat_last_ok.labels("slack").set(last_ok)
    return generate_latest(metrics.registry).decode()


def test_several_workers_are_one_scrape() -> None:
    """Each series is a worker's own, what they know of the whole is there once."""
    lines = merged({1: counts(3, 7, 100.0), 2: counts(4, 6, 200.0)}, 2).decode().splitlines()
    assert 'hoop_statements_total{target="shop",verdict="allow",worker="1"} 3.0' in lines
    assert 'hoop_statements_total{target="shop",verdict="allow",worker="2"} 4.0' in lines
    assert 'hoop_sessions_open{target="shop",worker="2"} 4.0' in lines
    assert [each for each in lines if each.startswith("hoop_cards_waiting")] == ["hoop_cards_waiting 7.0"]
    last = [each for each in lines if each.startswith("hoop_chat_last_success")]
    assert last == ['hoop_chat_last_success_timestamp_seconds{chat="slack"} 200.0']
    assert len([each for each in lines if each.startswith("# TYPE hoop_statements_total ")]) == 1


def test_a_worker_that_is_down_is_told() -> None:
    lines = merged({2: counts(4, 6, 200.0)}, 2).decode().splitlines()
    assert {'hoop_worker_up{worker="1"} 0.0', 'hoop_worker_up{worker="2"} 1.0'} <= set(lines)


def test_what_a_target_counts_is_looked_up_once() -> None:
    metrics = Metrics()
    metrics.of("shop").judged["hold"].inc()
    metrics.of("shop").sessions_open.inc()
    metrics.of("shop").allowed.count += 2
    assert metrics.of("shop") is metrics.of("shop") is not metrics.of("other")
    text = generate_latest(metrics.registry).decode()
    assert 'hoop_statements_total{target="shop",verdict="hold"} 1.0' in text
    assert 'hoop_sessions_open{target="shop"} 1.0' in text
    assert 'hoop_statements_total{target="shop",verdict="allow"} 2.0' in text
    metrics.of("shop").allowed.count += 1
    assert metrics.registry.get_sample_value("hoop_statements_total", {"target": "shop", "verdict": "allow"}) == 3
