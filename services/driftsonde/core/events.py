"""The events that producers emit, as frozen values: what every codec produces and every service consumes.

Times are event times in milliseconds since the epoch, UTC. A batch is columnar: every array has one entry a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

MISSING_CODE = -1


class InvalidEvent(ValueError):
    """An event that breaks its contract; `field` names the part at fault."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Role(StrEnum):
    """What a column is to the model."""

    FEATURE = "feature"
    PREDICTION = "prediction"
    SCORE = "score"
    SEGMENT = "segment"
    PROTECTED = "protected"
    ATTRIBUTION = "attribution"


class Variant(StrEnum):
    """How a version serves at that moment."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """Values are float64[rows]; NaN means missing."""

    name: str
    role: Role
    values: Floats


@dataclass(frozen=True, slots=True)
class CategoricalColumn:
    """Codes are int32[rows] into `categories`; -1 means missing."""

    name: str
    role: Role
    codes: Codes
    categories: tuple[str, ...]


Column = NumericColumn | CategoricalColumn


@dataclass(frozen=True, slots=True)
class PredictionBatch:
    """Predictions of one version of one model. `timestamps_ms` is int64[rows]."""

    model: str
    version: str
    variant: Variant
    ids: tuple[str, ...]
    timestamps_ms: Ints
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """Ground truth for predictions named by id. `timestamps_ms` is when each label became known.

    `labels` is a column named "label" of the role prediction: it is compared with the predictions.
    """

    model: str
    ids: tuple[str, ...]
    timestamps_ms: Ints
    labels: Column


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Feature values of a feature view, as computed online (for serving) or offline (for training)."""

    view: str
    version: str
    online: bool
    entity_ids: tuple[str, ...]
    timestamps_ms: Ints
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A promise in the log of one partition: event time has reached `timestamp_ms`.

    It moves the partition's watermark where no rows do: an idle partition, the end of a replay. Being part of the
    log, it leaves every result a function of the log.
    """

    timestamp_ms: int


RawEvent = PredictionBatch | LabelBatch | FeatureBatch | Heartbeat

# Bounds on what one message may hold; a message beyond them goes to the dead letters.
MAX_ROWS = 100_000
MAX_COLUMNS = 5_000
MAX_CATEGORIES = 10_000
MAX_TEXT_CHARS = 1_024
EARLIEST_MS = 0
LATEST_MS = 4_102_444_800_000  # 2100-01-01T00:00:00Z


def validate(event: RawEvent) -> None:
    """Raise `InvalidEvent` naming the field at fault, unless the event keeps its contract."""
    match event:
        case PredictionBatch():
            validate_rows(event.model, event.version, event.ids, event.timestamps_ms)
            _check_columns(event.columns, len(event.ids))
        case LabelBatch():
            _check_text("model", event.model)
            _check_rows(event.ids, event.timestamps_ms)
            _check_columns((event.labels,), len(event.ids))
        case FeatureBatch():
            _check_text("view", event.view)
            _check_text("version", event.version)
            _check_rows(event.entity_ids, event.timestamps_ms)
            _check_columns(event.columns, len(event.entity_ids))
        case Heartbeat():
            _check_times("timestamp_ms", np.array([event.timestamp_ms], dtype=np.int64))


def validate_values(event: PredictionBatch | FeatureBatch) -> None:
    """As `validate`, for an event whose columns have the lengths, names and categories of those of a valid event."""
    if isinstance(event, PredictionBatch):
        validate_rows(event.model, event.version, event.ids, event.timestamps_ms)
    else:
        _check_text("view", event.view)
        _check_text("version", event.version)
        _check_rows(event.entity_ids, event.timestamps_ms)
    _check_codes([column for column in event.columns if isinstance(column, CategoricalColumn)])


def validate_rows(model: str, version: str, ids: tuple[str, ...], timestamps_ms: Ints) -> None:
    """As `validate`, for predictions without their columns."""
    _check_text("model", model)
    _check_text("version", version)
    _check_rows(ids, timestamps_ms)


def validate_shape(names: Sequence[str]) -> None:
    """Raise `InvalidEvent` unless an event may have columns of these names."""
    if len(names) > MAX_COLUMNS:
        raise InvalidEvent("columns", f"{len(names)} columns; at most {MAX_COLUMNS} are allowed")
    distinct = set(names)
    if len(distinct) < len(names):
        raise InvalidEvent("columns", "two columns have the same name")
    longest = max(names, key=len, default="-")
    _check_text("columns.name", longest if "" not in distinct else "")


def _check_text(field: str, value: str) -> None:
    if not value:
        raise InvalidEvent(field, "is empty")
    if len(value) > MAX_TEXT_CHARS:
        raise InvalidEvent(field, f"has {len(value)} characters; at most {MAX_TEXT_CHARS} are allowed")


def _check_rows(ids: tuple[str, ...], timestamps_ms: Ints) -> None:
    if not ids:
        raise InvalidEvent("ids", "the batch has no rows; send at least one")
    if len(ids) > MAX_ROWS:
        raise InvalidEvent("ids", f"{len(ids)} rows; split the batch, at most {MAX_ROWS} are allowed")
    if len(timestamps_ms) != len(ids):
        raise InvalidEvent("timestamps_ms", f"has {len(timestamps_ms)} entries for {len(ids)} ids")
    if max(map(len, ids)) > MAX_TEXT_CHARS:
        raise InvalidEvent("ids", f"an id is longer than {MAX_TEXT_CHARS} characters")
    _check_times("timestamps_ms", timestamps_ms)


def _check_times(field: str, timestamps_ms: Ints) -> None:
    if timestamps_ms.min() < EARLIEST_MS or timestamps_ms.max() > LATEST_MS:
        raise InvalidEvent(field, "outside 1970 to 2100; expected milliseconds since the epoch, UTC")


def _check_columns(columns: tuple[Column, ...], rows: int) -> None:
    validate_shape([column.name for column in columns])
    categorical: list[CategoricalColumn] = []
    for column in columns:
        if isinstance(column, NumericColumn):
            length = len(column.values)
        else:
            length = len(column.codes)
            categorical.append(column)
        if length != rows:
            raise InvalidEvent(f"columns[{column.name}]", f"has {length} values for {rows} ids")
    for column in categorical:
        _check_categories(column)
    _check_codes(categorical)


def _check_categories(column: CategoricalColumn) -> None:
    field = f"columns[{column.name}]"
    if len(column.categories) > MAX_CATEGORIES:
        raise InvalidEvent(
            field, f"{len(column.categories)} categories; at most {MAX_CATEGORIES} are allowed"
        )
    if max(map(len, column.categories), default=0) > MAX_TEXT_CHARS:
        raise InvalidEvent(field, f"a category is longer than {MAX_TEXT_CHARS} characters")
    if len(set(column.categories)) < len(column.categories):
        raise InvalidEvent(field, "a category is listed twice")


def _check_codes(columns: Sequence[CategoricalColumn]) -> None:
    """All columns at once: the columns of one message are many and short."""
    if not columns:
        return
    codes = np.concatenate([column.codes for column in columns]).reshape(len(columns), -1)
    # As unsigned numbers -1 plus one is 0, and what is below -1 is beyond every list.
    highest = np.maximum.reduce(codes.view(np.uint32) + np.uint32(1), axis=1, initial=0)
    for column, entries in zip(columns, highest.tolist(), strict=True):
        if entries > len(column.categories):
            raise InvalidEvent(f"columns[{column.name}]", "a code is outside the list of categories")
