"""Documents (TOML, JSON) to specs, policies and baselines, and back.

In a document a duration is text ("90s", "15m", "1h", "7d") or a number of milliseconds, and its key has no `_ms`.
A document is deterministic: the same value gives the same bytes.
"""

import dataclasses
import hashlib
import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_type_hints

import numpy as np
import pydantic
from pydantic import TypeAdapter

from driftsonde.adapters.durations import format_duration, parse_duration_ms
from driftsonde.adapters.spec_limits import spec_problems
from driftsonde.core.baseline import (
    Baseline,
    Calibration,
    CategoricalReference,
    ErrorSums,
    Joint,
    LabelCounts,
    Lineage,
    NumericReference,
    Performance,
    Reference,
)
from driftsonde.core.events import Floats, Ints, Role
from driftsonde.core.joint import joint_bins
from driftsonde.core.spec import ActionPolicy, ModelSpec, Policy, QualityRule

_Spec = TypeVar("_Spec", ModelSpec, Policy)


class InvalidSpec(ValueError):
    """A document that can't be used: one line a problem, each with the field's path and what is allowed."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


# --- Specs and policies --------------------------------------------------------------------------------------------

# Fields that came after the first published form of a spec (schemas/examples/ModelRecord.json); a new one belongs here. They
# are not stored while they have their default, which never changes: so what an earlier release registered keeps its document
# and its fingerprint, and an earlier service reads what a later client registers, until somebody asks for what is new.
_ADDED: frozenset[tuple[type, str]] = frozenset(
    {(QualityRule, "volume"), (QualityRule, "freshness_ms"), (ActionPolicy, "learning_ms")}
)


def parse_spec(document: Mapping[str, object]) -> ModelSpec:
    """A spec from a parsed document. Raises `InvalidSpec`."""
    return _parse(ModelSpec, document)


def parse_policy(document: Mapping[str, object]) -> Policy:
    """A policy from a parsed document. Raises `InvalidSpec`."""
    return _parse(Policy, document)


def spec_from_json(text: str | bytes) -> ModelSpec:
    return parse_spec(_load_json(text))


def spec_from_toml(text: str) -> ModelSpec:
    return parse_spec(_load_toml(text))


def policy_from_toml(text: str) -> Policy:
    return parse_policy(_load_toml(text))


def spec_document(value: ModelSpec | Policy) -> dict[str, Any]:
    """The document of a spec or a policy with every key; `parse_spec` and `parse_policy` give the value back."""
    return _to_document(value, frozenset())


def _to_document(value: Any, optional: Set[tuple[type, str]]) -> dict[str, Any]:
    """Without the `optional` fields that have their default."""
    document: dict[str, Any] = {}
    for entry in dataclasses.fields(value):
        content = getattr(value, entry.name)
        if (type(value), entry.name) in optional and content == _default(entry):
            continue
        if dataclasses.is_dataclass(content):
            document[entry.name] = _to_document(content, optional)
        elif entry.name.endswith("_ms"):
            document[entry.name.removesuffix("_ms")] = format_duration(content)
        else:
            document[entry.name] = list(content) if isinstance(content, tuple) else content
    return document


def _default(entry: dataclasses.Field[Any]) -> Any:
    return entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()


def spec_to_json(value: ModelSpec | Policy) -> str:
    """What is stored of it, and what its fingerprint is of."""
    return _dump_json(_to_document(value, _ADDED))


def _parse(kind: type[_Spec], document: Mapping[str, object]) -> _Spec:
    problems: list[str] = []
    fields = _to_fields(kind, document, "", problems)
    value = None
    try:
        # Through JSON, because only there strict means: lists for tuples and texts for enumerations, nothing else.
        value = TypeAdapter(kind).validate_json(json.dumps(fields, default=str), strict=True)
        problems.extend(spec_problems(value))
    except pydantic.ValidationError as invalid:
        problems.extend(_pydantic_problems(invalid))
    if value is None or problems:
        raise InvalidSpec(tuple(problems))
    return value


def _to_fields(
    kind: type, document: Mapping[str, object], path: str, problems: list[str]
) -> dict[str, object]:
    """The document with the dataclass's own names and numbers; unknown keys and bad durations go to `problems`."""
    types = get_type_hints(kind)
    by_key = {name.removesuffix("_ms"): name for name in types}
    fields: dict[str, object] = {}
    for key, content in document.items():
        where = f"{path}{key}"
        name = by_key.get(key)
        if name is None:
            problems.append(f"{where}: unknown; expected one of {', '.join(sorted(by_key))}")
        elif dataclasses.is_dataclass(types[name]) and isinstance(content, Mapping):
            fields[name] = _to_fields(types[name], content, f"{where}.", problems)
        elif name.endswith("_ms") and isinstance(content, str):
            try:
                fields[name] = parse_duration_ms(content)
            except ValueError as error:
                problems.append(f"{where}: {error}")
        else:
            fields[name] = content
    return fields


def _pydantic_problems(error: pydantic.ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        path = ".".join(str(part).removesuffix("_ms") for part in problem["loc"])
        message = problem["msg"]
        if problem["type"] == "missing":
            yield f"{path}: is missing"
        else:
            yield f"{path}: {message[:1].lower()}{message[1:]}, not {problem['input']!r}"


# --- Baselines -----------------------------------------------------------------------------------------------------

# JSON has neither NaN nor infinities.
_Number = float | Literal["inf", "-inf"] | None


@dataclass(frozen=True, slots=True)
class _NumericDocument:
    kind: Literal["numeric"]
    name: str
    role: Role
    edges: tuple[_Number, ...]
    counts: tuple[int, ...]
    total: _Number
    total_squares: _Number
    minimum: _Number
    maximum: _Number


@dataclass(frozen=True, slots=True)
class _CategoricalDocument:
    kind: Literal["categorical"]
    name: str
    role: Role
    categories: tuple[str, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _PerformanceDocument:
    metric: str
    value: _Number
    n: int


@dataclass(frozen=True, slots=True)
class _LabelCountsDocument:
    kind: Literal["labels"]
    column: str
    counts: tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True, slots=True)
class _ErrorSumsDocument:
    kind: Literal["errors"]
    column: str
    rows: tuple[int, ...]
    absolute: tuple[float, ...]
    squared: tuple[float, ...]
    fourth: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _JointDocument:
    columns: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    moments: tuple[int, ...]
    residual_deviation: float


@dataclass(frozen=True, slots=True)
class _BaselineDocument:
    model: str
    version: str
    rows: int
    columns: tuple[_NumericDocument | _CategoricalDocument, ...]
    segments: tuple[tuple[str, tuple[str, ...]], ...]
    performance: _PerformanceDocument | None
    lineage: Lineage
    calibration: _LabelCountsDocument | _ErrorSumsDocument | None = None
    joint: _JointDocument | None = None


def baseline_document(baseline: Baseline) -> dict[str, Any]:
    """The document of a baseline: what `baseline_to_json` writes. A baseline without a calibration has the document that it had
    before there were any, and so the same fingerprint."""
    document: dict[str, Any] = {
        "model": baseline.model,
        "version": baseline.version,
        "rows": baseline.rows,
        "columns": [_reference_document(reference) for reference in baseline.columns],
        "segments": [[column, list(values)] for column, values in baseline.segments],
        "performance": _performance_document(baseline.performance),
        "lineage": dataclasses.asdict(baseline.lineage),
    }
    if baseline.calibration is not None:
        document["calibration"] = _calibration_document(baseline.calibration)
    if (joint := baseline.joint) is not None:
        document["joint"] = {
            "columns": list(joint.columns),
            "centre": joint.centre.tolist(),
            "spread": joint.spread.tolist(),
            "moments": joint.moments.tolist(),
            "residual_deviation": joint.residual_deviation,
        }
    return document


def baseline_to_json(baseline: Baseline) -> str:
    return _dump_json(baseline_document(baseline))


def baseline_from_json(text: str | bytes) -> Baseline:
    """Raises `InvalidSpec`."""
    return parse_baseline(_load_json(text))


def parse_baseline(document: Mapping[str, object]) -> Baseline:
    """A baseline from a parsed document. Raises `InvalidSpec`."""
    unknown = document.keys() - get_type_hints(_BaselineDocument).keys()
    if unknown:
        raise InvalidSpec(tuple(f"{key}: unknown" for key in sorted(unknown)))
    try:
        parsed = TypeAdapter(_BaselineDocument).validate_json(json.dumps(document, default=str), strict=True)
    except pydantic.ValidationError as error:
        raise InvalidSpec(tuple(_pydantic_problems(error))) from None
    columns = tuple(_reference(column) for column in parsed.columns)
    calibration = _calibration(parsed.calibration)
    problems = tuple(problem for column in columns for problem in _reference_problems(column))
    problems += tuple(_calibration_problems(calibration, columns))
    problems += tuple(_joint_problems(parsed.joint))
    if problems:
        raise InvalidSpec(problems)
    return Baseline(
        model=parsed.model,
        version=parsed.version,
        rows=parsed.rows,
        columns=columns,
        segments=parsed.segments,
        performance=_performance(parsed.performance),
        lineage=parsed.lineage,
        calibration=calibration,
        joint=_joint(parsed.joint),
    )


def _reference_document(reference: Reference) -> dict[str, Any]:
    match reference:
        case NumericReference():
            return {
                "kind": "numeric",
                "name": reference.name,
                "role": reference.role,
                "edges": [_to_number(edge) for edge in reference.edges.tolist()],
                "counts": reference.counts.tolist(),
                "total": _to_number(reference.total),
                "total_squares": _to_number(reference.total_squares),
                "minimum": _to_number(reference.minimum),
                "maximum": _to_number(reference.maximum),
            }
        case CategoricalReference():
            return {
                "kind": "categorical",
                "name": reference.name,
                "role": reference.role,
                "categories": list(reference.categories),
                "counts": reference.counts.tolist(),
            }


def _reference(column: _NumericDocument | _CategoricalDocument) -> Reference:
    counts = np.array(column.counts, dtype=np.int64)
    if isinstance(column, _CategoricalDocument):
        return CategoricalReference(column.name, column.role, column.categories, counts)
    edges: Floats = np.array([_from_number(edge) for edge in column.edges], dtype=np.float64)
    return NumericReference(
        name=column.name,
        role=column.role,
        edges=edges,
        counts=counts,
        total=_from_number(column.total),
        total_squares=_from_number(column.total_squares),
        minimum=_from_number(column.minimum),
        maximum=_from_number(column.maximum),
    )


def _performance_document(performance: Performance | None) -> dict[str, Any] | None:
    if performance is None:
        return None
    return {"metric": performance.metric, "value": _to_number(performance.value), "n": performance.n}


def _performance(document: _PerformanceDocument | None) -> Performance | None:
    if document is None:
        return None
    return Performance(document.metric, _from_number(document.value), document.n)


def _calibration_document(calibration: Calibration) -> dict[str, Any]:
    """Counts bin by bin, each bin's matrix row by row; float sums as numbers, which they always are."""
    match calibration:
        case LabelCounts():
            return {"kind": "labels", "column": calibration.column, "counts": calibration.counts.tolist()}
        case ErrorSums():
            return {
                "kind": "errors",
                "column": calibration.column,
                "rows": calibration.rows.tolist(),
                "absolute": calibration.absolute.tolist(),
                "squared": calibration.squared.tolist(),
                "fourth": calibration.fourth.tolist(),
            }


def _calibration(document: _LabelCountsDocument | _ErrorSumsDocument | None) -> Calibration | None:
    if document is None:
        return None
    if isinstance(document, _LabelCountsDocument):
        sizes = {len(row) for matrix in document.counts for row in matrix} | {len(m) for m in document.counts}
        if len(sizes) != 1:
            raise InvalidSpec(("calibration.counts: every bin needs a square matrix of one size",))
        return LabelCounts(document.column, np.array(document.counts, dtype=np.int64))
    sums = (document.absolute, document.squared, document.fourth)
    if {len(part) for part in sums} != {len(document.rows)}:
        raise InvalidSpec(("calibration: rows, absolute, squared and fourth need one entry for each bin",))
    return ErrorSums(
        document.column,
        np.array(document.rows, dtype=np.int64),
        *(np.array(part, dtype=np.float64) for part in sums),
    )


def _joint(document: _JointDocument | None) -> Joint | None:
    if document is None:
        return None
    return Joint(
        document.columns,
        np.array(document.centre, dtype=np.float64),
        np.array(document.spread, dtype=np.float64),
        np.array(document.moments, dtype=np.int64),
        document.residual_deviation,
    )


def _joint_problems(document: _JointDocument | None) -> Iterator[str]:
    if document is None:
        return
    count = len(document.columns)
    sizes = (len(document.centre), len(document.spread), len(document.moments))
    if not count or sizes != (count, count, joint_bins(count)):
        yield f"joint: centre, spread and moments have the sizes {sizes}, which are not of {count} columns"
    elif document.moments[0] < 1 or document.residual_deviation < 0 or min(document.spread) < 0:
        yield "joint: has no rows, or a negative deviation"


def _calibration_problems(calibration: Calibration | None, columns: tuple[Reference, ...]) -> Iterator[str]:
    if calibration is None:
        return
    reference = next((column for column in columns if column.name == calibration.column), None)
    if not isinstance(reference, NumericReference):
        yield f"calibration.column: {calibration.column!r} is no numeric column of the baseline"
        return
    match calibration:
        case LabelCounts():
            parts: list[Floats | Ints] = [calibration.counts]
        case ErrorSums():
            parts = [calibration.rows, calibration.absolute, calibration.squared, calibration.fourth]
    if len(parts[0]) != len(reference.edges):
        yield f"calibration: expected {len(reference.edges)} bins, got {len(parts[0])}"
    if any((part < 0).any() or not np.isfinite(part).all() for part in parts):
        yield "calibration: a count or sum is negative or not finite"
    elif not parts[0].any():
        yield "calibration: has no rows"


def _reference_problems(reference: Reference) -> Iterator[str]:
    where = f"columns[{reference.name}]"
    if isinstance(reference, NumericReference):
        expected = len(reference.edges) + 2
        if len(reference.edges) < 2 or not np.all(np.diff(reference.edges) > 0):
            yield f"{where}.edges: expected at least 2, ascending"
    else:
        expected = len(reference.categories) + 2
        if len(set(reference.categories)) < len(reference.categories):
            yield f"{where}.categories: one is listed twice"
    if len(reference.counts) != expected:
        yield f"{where}.counts: has {len(reference.counts)} entries, expected {expected}"
    if np.any(reference.counts < 0):
        yield f"{where}.counts: one is negative"


def _to_number(value: float) -> _Number:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return float(value)


def _from_number(value: _Number) -> float:
    return math.nan if value is None else float(value)


# --- Both ----------------------------------------------------------------------------------------------------------


def fingerprint(value: ModelSpec | Policy | Baseline) -> str:
    """16 hexadecimal characters that name the content of a value."""
    text = baseline_to_json(value) if isinstance(value, Baseline) else spec_to_json(value)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _dump_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _load_json(text: str | bytes) -> Mapping[str, object]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidSpec((f"not JSON: {error}",)) from None
    if not isinstance(document, dict):
        raise InvalidSpec(("expected an object at the top",))
    return document


def _load_toml(text: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSpec((f"not TOML: {error}",)) from None
