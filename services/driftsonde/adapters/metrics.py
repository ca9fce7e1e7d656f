"""Every Prometheus metric of the services, in one place: type, labels, meaning, and what to do about it."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


@dataclass(frozen=True, slots=True)
class Metric:
    """`name` is the exposed one; `action` is what a person does when it looks wrong."""

    name: str
    labels: tuple[str, ...]
    meaning: str
    action: str
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Metrics:
    """The instruments, made by `create_metrics`; a field's type is the metric's type."""

    build_info: Gauge
    events_consumed: Counter
    events_skipped: Counter
    records_lost: Counter
    late_rows: Counter
    resent_messages: Counter
    dead_letters: Counter
    consumer_lag: Gauge
    watermark_timestamp: Gauge
    buffer_fill_ratio: Gauge
    sink_flush_seconds: Histogram
    sink_rows: Counter
    sink_retries: Counter
    labels_matched: Counter
    labels_unmatched: Counter
    labels_dropped: Counter
    label_delay_seconds: Histogram
    label_coverage_ratio: Gauge
    windows_judged: Counter
    verdict_breaches: Counter
    signals: Counter
    decisions: Counter
    webhook_deliveries: Counter


_FLUSH_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_DELAY_S = (1.0, 10.0, 60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0, 2_592_000.0)

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "build_info": Metric(
            "driftsonde_build_info",
            ("service", "version"),
            "always 1",
            "compare the versions after a deployment",
        ),
        "events_consumed": Metric(
            "driftsonde_events_consumed_total",
            ("topic",),
            "messages read and handled",
            "zero while producers send: look at the readiness and the consumer lag",
        ),
        "events_skipped": Metric(
            "driftsonde_events_skipped_total",
            ("topic", "reason"),
            "messages that this service leaves to another one to dead-letter",
            "compare with driftsonde_dead_letters_total of the service that owns them",
        ),
        "records_lost": Metric(
            "driftsonde_records_lost_total",
            ("topic",),
            "offsets that the broker dropped before they were read",
            "any: the retention is too short for the lag (embedded broker: its memory bound was passed)",
        ),
        "late_rows": Metric(
            "driftsonde_late_rows_total",
            ("topic",),
            "rows behind their partition's watermark; they restate the window they belong to",
            "rising: raise the model's lateness or look for a slow producer",
        ),
        "resent_messages": Metric(
            "driftsonde_resent_messages_total",
            ("topic",),
            "messages with the same bytes as one of the 1,024 before them in their partition: counted once",
            "rising: a producer sends again what has arrived; let the Kafka client retry instead",
        ),
        "dead_letters": Metric(
            "driftsonde_dead_letters_total",
            ("reason",),
            "messages sent to the dead letters",
            "read the dead_letters table; mend the producer; send them again",
        ),
        "consumer_lag": Metric(
            "driftsonde_consumer_lag_records",
            ("topic", "partition"),
            "messages in the partition that are not yet handled",
            "growing: add workers, or look at the sink",
        ),
        "watermark_timestamp": Metric(
            "driftsonde_watermark_timestamp_seconds",
            ("topic", "partition"),
            "event time that the partition has reached, as Unix time",
            "standing still while events come: a producer's clock is wrong",
        ),
        "buffer_fill_ratio": Metric(
            "driftsonde_buffer_fill_ratio",
            ("buffer",),
            "how full a bounded buffer is: used / bound",
            "near 1: what happens at the bound has begun; see the buffer's setting",
        ),
        "sink_flush_seconds": Metric(
            "driftsonde_sink_flush_duration_seconds",
            ("table",),
            "how long a batch took to be stored",
            "rising: look at ClickHouse's parts and merges",
            _FLUSH_S,
        ),
        "sink_rows": Metric(
            "driftsonde_sink_rows_total",
            ("table",),
            "rows stored",
            "zero while events come: look at the retries",
        ),
        "sink_retries": Metric(
            "driftsonde_sink_retries_total",
            ("table",),
            "failed attempts to store a batch",
            "rising: ClickHouse is away or refuses; nothing is acknowledged meanwhile",
        ),
        "labels_matched": Metric(
            "driftsonde_labels_matched_total",
            ("source",),
            "labels joined with their prediction; source: memory, store, or later (the prediction came after the label)",
            "a growing share of store: raise the join index",
        ),
        "labels_unmatched": Metric(
            "driftsonde_labels_unmatched_total",
            (),
            "labels whose prediction was not found when they came; they are kept for it",
            "rising: ids of labels and predictions disagree, or labels are sent before predictions",
        ),
        "labels_dropped": Metric(
            "driftsonde_labels_dropped_total",
            ("reason",),
            "labels given up without a prediction; reason: expired after the model's label_wait, or evicted at the bound",
            "expired: ids of labels and predictions disagree; evicted: raise DRIFTSONDE_SKETCHER_UNMATCHED_LABELS",
        ),
        "label_delay_seconds": Metric(
            "driftsonde_label_delay_seconds",
            (),
            "time from a prediction to its label",
            "beyond a model's label_wait: performance is judged on too few labels",
            _DELAY_S,
        ),
        "label_coverage_ratio": Metric(
            "driftsonde_label_coverage_ratio",
            ("model",),
            "share of predictions that have a label, in the last judged window",
            "falling: the label pipeline is broken; accuracy speaks for fewer rows",
        ),
        "windows_judged": Metric(
            "driftsonde_windows_judged_total",
            ("model",),
            "windows judged",
            "zero for longer than a window: watermarks stand still, or there is no baseline",
        ),
        "verdict_breaches": Metric(
            "driftsonde_verdict_breaches_total",
            ("model", "rule"),
            "statistics of judged windows that passed their threshold",
            "see the metrics table for which",
        ),
        "signals": Metric(
            "driftsonde_signals_total", ("kind",), "signals published", "see the signals table"
        ),
        "decisions": Metric(
            "driftsonde_decisions_total",
            ("kind", "step"),
            "steps of decisions taken",
            "proposals that pile up wait for a person",
        ),
        "webhook_deliveries": Metric(
            "driftsonde_webhook_deliveries_total",
            ("endpoint", "result"),
            "attempts to deliver a webhook",
            "failures: look at the endpoint; deliveries are retried",
        ),
    }
)


def create_metrics(registry: CollectorRegistry, service: str, version: str) -> Metrics:
    """All instruments, registered; once per registry."""
    instruments = {
        entry.name: _instrument(entry.type, METRICS[entry.name], registry)
        for entry in dataclasses.fields(Metrics)
    }
    metrics = Metrics(**instruments)
    metrics.build_info.labels(service=service, version=version).set(1)
    return metrics


def metrics_table() -> str:
    """The metrics as a Markdown table, for the documents."""
    lines = ["| metric | type | labels | meaning | what to do |", "|---|---|---|---|---|"]
    for entry in dataclasses.fields(Metrics):
        metric = METRICS[entry.name]
        kind = getattr(entry.type, "__name__", str(entry.type)).lower()
        labels = ", ".join(metric.labels)
        lines.append(f"| `{metric.name}` | {kind} | {labels} | {metric.meaning} | {metric.action} |")
    return "\n".join(lines) + "\n"


def _instrument(kind: Any, metric: Metric, registry: CollectorRegistry) -> Any:
    make: Callable[..., Any] = kind
    extra = {"buckets": metric.buckets} if metric.buckets else {}
    return make(metric.name, metric.meaning, metric.labels, registry=registry, **extra)
