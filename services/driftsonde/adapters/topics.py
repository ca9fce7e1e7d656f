"""The Kafka topics, in one place: what is in each, how it is keyed, how long it is kept."""

from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """`key` names what a message is keyed by; `retention_ms` is ignored where the topic is compacted."""

    name: str
    holds: str
    key: str
    compacted: bool = False
    retention_ms: int = 7 * DAY_MS


PREDICTIONS = Topic("predictions", "PredictionBatch, PredictionEvent, Heartbeat", "prediction id")
LABELS = Topic("labels", "LabelBatch, LabelEvent, Heartbeat", "prediction id")
FEATURES = Topic("features", "FeatureBatch", "entity id")
SKETCHES = Topic("sketches", "Sketch, Progress", "model", retention_ms=3 * DAY_MS)
SIGNALS = Topic("signals", "Signal", "model", retention_ms=90 * DAY_MS)
DECISIONS = Topic("decisions", "Decision", "model", retention_ms=-1)
TRAFFIC = Topic("traffic", "Traffic", "model", compacted=True)
MODELS = Topic("models", "ModelRecord", "model or model/version", compacted=True)
DEAD_LETTERS = Topic("dead-letters", "DeadLetter", "source topic", retention_ms=30 * DAY_MS)

TOPICS = (PREDICTIONS, LABELS, FEATURES, SKETCHES, SIGNALS, DECISIONS, TRAFFIC, MODELS, DEAD_LETTERS)
