import dataclasses
import re

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from driftsonde.adapters.metrics import METRICS, Metrics, create_metrics, metrics_table


def test_every_instrument_is_described_and_the_reverse() -> None:
    assert [entry.name for entry in dataclasses.fields(Metrics)] == list(METRICS)


def test_names_follow_the_conventions() -> None:
    for entry in dataclasses.fields(Metrics):
        name = METRICS[entry.name].name
        assert re.fullmatch(r"driftsonde_[a-z_]+", name)
        assert name.endswith("_total") == (entry.type is Counter)
        assert entry.type is not Histogram or name.endswith("_seconds")


def test_the_exposed_names_are_the_described_ones() -> None:
    registry = CollectorRegistry()
    metrics = create_metrics(registry, "archiver", "1.2.3")
    metrics.events_consumed.labels(topic="labels").inc(3)
    metrics.sink_flush_seconds.labels(table="labels").observe(0.2)
    text = generate_latest(registry).decode()
    assert 'driftsonde_events_consumed_total{topic="labels"} 3.0' in text
    assert 'driftsonde_build_info{service="archiver",version="1.2.3"} 1.0' in text
    for metric in METRICS.values():
        assert f"# HELP {metric.name} " in text


def test_two_registries_do_not_meet() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    create_metrics(first, "a", "1").labels_unmatched.inc()
    create_metrics(second, "b", "1")
    assert first.get_sample_value("driftsonde_labels_unmatched_total") == 1
    assert second.get_sample_value("driftsonde_labels_unmatched_total") == 0


def test_the_table_tells_what_to_do() -> None:
    table = metrics_table()
    assert all(f"`{metric.name}`" in table and metric.action in table for metric in METRICS.values())
