"""A replay from file to files: read and sort, take the baseline, send, wait, write."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.settings import ArchiverSettings, JudgeSettings, Settings, SketcherSettings
from driftsonde.adapters.topics import MODELS
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record, version_record
from driftsonde.core.baseline import Baseline
from driftsonde.core.baseline_builder import build_baseline
from driftsonde.core.events import LATEST_MS
from driftsonde.core.spec import ModelSpec, Policy
from driftsonde.replay.columns import LoggedColumns
from driftsonde.replay.files import LogFile, Rejected, UnreadableFile, first_rows, open_log
from driftsonde.replay.mapping import (
    SAMPLE_ROWS,
    Choices,
    ColumnMap,
    WrongChoice,
    choose_classes,
    map_columns,
)
from driftsonde.replay.pacing import QUIET, LogShape, Pace
from driftsonde.replay.results import write_results
from driftsonde.replay.rows import LABEL, LABEL_TIME, MAX_CLASSES, ROW, TIME, RowReader
from driftsonde.replay.sending import LogSender
from driftsonde.replay.spool import Spool
from driftsonde.replay.steps import StepSize, in_steps
from driftsonde.replay.waiting import Expected, Judged, wait_for_decisions, wait_until_judged
from driftsonde.standalone.cluster import Cluster

REJECTED_SHOWN = 20
LEAST_BASELINE_ROWS = 500
MOST_BASELINE_ROWS = 200_000
MAX_VERSIONS = 100
# Rows are sent in order, so none is late. More than nothing, for rows and labels of the same time.
LATENESS_MS = 1_000

_STALL_S = 90.0
_ARCHIVE_S = 120.0
_REAL_STEP_ROWS = 4_096

# (what is being done, how far, of how much; 0 where that isn't known)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be replayed, and how. `baseline_rows`: 0 for a tenth of the rows; `real`: None for the embedded
    cluster, else how to reach a real one."""

    file: Path
    out: Path
    model: str
    choices: Choices
    window_ms: int
    label_wait_ms: int
    policy: Policy = field(default_factory=Policy)
    baseline_rows: int = 0
    baseline: Baseline | None = None
    real: Settings | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay came to. `rejected` holds the first few of `rows_rejected`."""

    rows: int
    rows_rejected: int
    rejected: tuple[Rejected, ...]
    events: int
    windows: int
    metrics: int
    signals: int
    decisions: int
    baseline_rows: int
    inferred: dict[str, object]
    seconds: float

    @property
    def rows_per_s(self) -> float:
        return round(self.rows / self.seconds, 1) if self.seconds else 0.0


@dataclass(slots=True)
class Log:
    """A file that has been read: its rows and labels on disk, in order of time, and what was found."""

    file: LogFile
    columns: ColumnMap
    rows: Spool
    labels: Spool | None
    classes: tuple[str, ...]
    versions: tuple[str, ...]
    inferred: dict[str, object]
    rejected: list[Rejected]
    rows_rejected: int
    row_bytes: int
    outcomes: int
    last_ms: int


def replay(order: Order, progress: Progress) -> Outcome:
    """Raises `UnreadableFile`, `WrongChoice`, `InvalidEvent` for what the caller can mend; `Stalled`, `NotJudged`,
    `SendingFailed`, `ChildFailed`, KafkaException, StoreUnavailable, StoreRejected, OSError for the rest."""
    started_s = time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftsonde-")))
        log = read_log(order, directory, progress)
        spec = spec_of(order, log)
        baseline = order.baseline or take_baseline(order, spec, log)
        baseline = replace(baseline, model=spec.name, version=log.versions[0])
        order.out.mkdir(parents=True, exist_ok=True)
        with _target(order, directory, progress) as (settings, cluster):
            register_model(settings, spec, baseline, log.versions)
            events = send(log, spec, baseline, settings, cluster, progress)
            counts = _collect(log, spec, baseline, order, settings, cluster, progress)
    return Outcome(
        rows=log.rows.rows + log.rows_rejected,
        rows_rejected=log.rows_rejected,
        rejected=tuple(log.rejected),
        events=events,
        baseline_rows=baseline.rows,
        inferred=log.inferred,
        seconds=round(time.monotonic() - started_s, 2),
        **counts,
    )


def read_log(order: Order, directory: Path, progress: Progress) -> Log:
    """Read the whole file once, and put its rows in order on disk. Raises `UnreadableFile`, `WrongChoice`, OSError."""
    file = open_log(order.file)
    sample = first_rows(file, SAMPLE_ROWS)
    columns = map_columns(order.choices, file.names, sample)
    reader = RowReader(file, columns)
    rows = Spool(directory, "rows", TIME, ROW)
    labels = Spool(directory, "labels", LABEL_TIME, ROW) if columns.label_timestamp else None
    logged = LoggedColumns(columns)
    rejected: list[Rejected] = []
    rows_rejected = outcomes = table_bytes = 0
    last_ms = 0
    for piece in file.pieces():
        read = reader.read(piece)
        rejected.extend(read.rejected[: REJECTED_SHOWN - len(rejected)])
        rows_rejected += len(read.rejected)
        rows.add(read.table)
        table_bytes += read.table.nbytes
        if read.table.num_rows:
            last_ms = max(last_ms, pc.max(read.table[TIME]).as_py())
        if LABEL in read.table.column_names:
            outcomes += pc.sum(logged.has_outcome(read.table)).as_py() or 0
        if labels is not None:
            labels.add(_labelled(read.table).select(["id", LABEL, LABEL_TIME, ROW]))
        progress("reading", rows.rows, 0)
    rows.finish()
    if labels is not None:
        labels.finish()
    if not rows.rows:
        raise UnreadableFile(_nothing_to_read(order.file, rejected, rows_rejected))
    inferred = dict(columns.inferred)
    if len(reader.classes) > MAX_CLASSES:
        raise WrongChoice(f"more than {MAX_CLASSES} classes; for numbers say --task regression")
    if len(reader.versions) > MAX_VERSIONS:
        raise WrongChoice(
            f"--version: {columns.version!r} has more than {MAX_VERSIONS} values; is it the version?"
        )
    if reader.labels_before_prediction:
        inferred["labels dated before their prediction, counted as known with it"] = (
            reader.labels_before_prediction
        )
    return Log(
        file=file,
        columns=columns,
        rows=rows,
        labels=labels,
        classes=choose_classes(columns.task, reader.classes, inferred),
        versions=tuple(sorted(reader.versions)) or (columns.version_name,),
        inferred=inferred,
        rejected=rejected,
        rows_rejected=rows_rejected,
        row_bytes=max(1, table_bytes // rows.rows),
        outcomes=outcomes,
        last_ms=last_ms,
    )


def spec_of(order: Order, log: Log) -> ModelSpec:
    return ModelSpec(
        name=order.model,
        task=log.columns.task,
        window_ms=order.window_ms,
        lateness_ms=LATENESS_MS,
        label_wait_ms=order.label_wait_ms,
        classes=log.classes,
        segments=log.columns.segments,
        policy=order.policy,
    )


def take_baseline(order: Order, spec: ModelSpec, log: Log) -> Baseline:
    """The first rows in order of time, of all versions. Raises `InvalidEvent`."""
    tenth = min(max(LEAST_BASELINE_ROWS, log.rows.rows // 10), MOST_BASELINE_ROWS)
    wanted = min(order.baseline_rows or tenth, log.rows.rows)
    if not order.baseline_rows:
        log.inferred["baseline"] = f"the first {wanted} rows in order of time"
    taken: list[pa.Table] = []
    missing = wanted
    for table in log.rows.read():
        taken.append(table.slice(0, missing))
        missing -= taken[-1].num_rows
        if missing == 0:
            break
    rows = LoggedColumns(log.columns).reference_rows(pa.concat_tables(taken))
    return build_baseline(
        spec, log.versions[0], rows, source=f"the first {wanted} rows of {order.file.name} in order of time"
    )


def register_model(
    settings: Settings, spec: ModelSpec, baseline: Baseline, versions: tuple[str, ...]
) -> None:
    """Register the model and all versions, all with this baseline. Raises `WrongChoice` where the name is taken."""
    codec = Codec((MODEL_RECORD,), _registry(settings))
    reader = CompactedReader(settings.kafka, MODELS)
    try:
        reader.refresh()
    finally:
        reader.close()
    if spec.name.encode() in reader.state:
        raise WrongChoice(f"--model: {spec.name!r} is registered there already; choose another name")
    records = [
        spec_record(spec),
        *(version_record(spec.name, name, replace(baseline, version=name)) for name in versions),
    ]
    register(Producer(producer_config(settings.kafka) | QUIET), codec, reader.state, records)


def send(
    log: Log,
    spec: ModelSpec,
    baseline: Baseline,
    settings: Settings,
    cluster: Cluster | None,
    progress: Progress,
) -> int:
    """Send everything, and heartbeats that close all windows; returns how many predictions and labels."""
    shape = LogShape(
        window_ms=spec.window_ms,
        columns=len(baseline.columns),
        row_bytes=log.row_bytes,
        slices=1 + sum(len(values) + 1 for _, values in baseline.segments),
    )
    pace = Pace(cluster, shape) if cluster is not None else None
    size = shape.step_size if pace is not None else StepSize(_REAL_STEP_ROWS, _REAL_STEP_ROWS, spec.window_ms)
    label_time = LABEL_TIME if log.labels is not None else TIME
    sent = 0
    with LogSender(
        settings.kafka.bootstrap_servers,
        settings.registry.url,
        spec.name,
        spec.task,
        LoggedColumns(log.columns),
        label_time,
    ) as sender:
        last_ms = log.last_ms
        for step in in_steps(log.rows.read(), _labels_of(log), label_time, size):
            sender.send(step)
            last_ms = max(last_ms, step.until_ms)
            sent += step.predictions.num_rows if step.predictions is not None else 0
            progress("sending", sent, log.rows.rows)
            if pace is not None:
                pace.wait(step)
        sender.heartbeat(_closing_ms(spec, last_ms, cluster is not None))
        if pace is not None:
            pace.wait_until_read()
        return sender.events


def _closing_ms(spec: ModelSpec, last_ms: int, embedded: bool) -> int:
    """An event time at which every window is due. A real cluster takes none from the future: what is not due then
    stays open there, and becomes due with the events to come."""
    closing_ms = min(last_ms + 2 * spec.window_ms + spec.lateness_ms + spec.label_wait_ms, LATEST_MS)
    return closing_ms if embedded else min(closing_ms, time.time_ns() // 1_000_000)


def _collect(
    log: Log,
    spec: ModelSpec,
    baseline: Baseline,
    order: Order,
    settings: Settings,
    cluster: Cluster | None,
    progress: Progress,
) -> dict[str, int]:
    """Wait for the results, and write them."""
    store = Store(settings.clickhouse)
    admin = AdminClient(settings.kafka.librdkafka() | QUIET)
    expected = Expected(
        spec.name,
        log.last_ms - log.last_ms % spec.window_ms + spec.window_ms,
        log.rows.rows,
        log.outcomes,
    )

    def report(judged: Judged) -> None:
        progress("judging", judged.rows, expected.rows)

    def check() -> None:
        if cluster is not None:
            cluster.check()

    try:
        wait_until_judged(store, expected, stall_s=_STALL_S, check=check, report=report)
        progress("storing", 0, 0)
        wait_for_decisions(store, admin, _ARCHIVE_S)
        return write_results(store, baseline, order.out)
    finally:
        store.close()


@contextmanager
def _target(order: Order, directory: Path, progress: Progress) -> Iterator[tuple[Settings, Cluster | None]]:
    if order.real is not None:
        yield order.real, None
        return
    progress("starting", 0, 0)
    settings = Settings(
        sketcher=SketcherSettings(
            # Small chunks: an open one is sent again as a whole, which the broker must be able to hold.
            chunk_messages=8,
            flush_interval_ms=200,
            # The log says itself how far event time has come, in every partition: the wall clock has no say.
            idle_timeout_s=1e9,
            future_tolerance_ms=LATEST_MS,
        ),
        judge=JudgeSettings(settle_interval_ms=250),
        archiver=ArchiverSettings(batch_interval_ms=250),
    )
    with Cluster(directory / "cluster", settings=settings) as cluster:
        yield cluster.settings, cluster


def _labels_of(log: Log) -> Iterator[pa.Table]:
    if log.labels is not None:
        yield from log.labels.read()
    elif log.columns.label is not None:
        for table in log.rows.read():
            yield _labelled(table)


def _labelled(table: pa.Table) -> pa.Table:
    labels = table[LABEL]
    return table.filter(pc.invert(pc.is_null(labels, nan_is_null=True)))


def _nothing_to_read(path: Path, rejected: list[Rejected], count: int) -> str:
    if not count:
        return f"{path}: has no rows"
    first = rejected[0]
    return f"{path}: none of its {count} rows can be read; line {first.line}: {first.reason}"


def _registry(settings: Settings) -> ConfluentRegistry | None:
    return ConfluentRegistry(settings.registry.url) if settings.registry.url else None
