"""What the demo asks the store: how far the windows are judged, what is archived, and the rows to retrain from."""

from dataclasses import dataclass

import numpy as np

from driftsonde.adapters.clickhouse import Store
from driftsonde.core.events import Ints
from driftsonde.standalone.demo.data import CLASSES, FEATURES, Rows


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judged window of one variant of a version: how many statistics, and which of them passed their threshold."""

    version: str
    variant: str
    window_start_ms: int
    window_end_ms: int
    rows: int
    metrics: int
    breached: tuple[str, ...]
    accuracy: float
    labelled: int


@dataclass(frozen=True, slots=True)
class Archive:
    """The store's tables, about one model. Raises what `Store` raises."""

    store: Store
    model: str

    def judged_windows(self, version: str) -> int:
        """How many windows of the champion are judged in full, performance too."""
        return self._number(
            "SELECT countIf(metrics > 0 AND outcomes > 0) FROM (SELECT countIf(metric = 'psi') AS metrics, "
            "countIf(metric = 'accuracy') AS outcomes FROM metrics_as_judged FINAL WHERE model = {model:String} "
            "AND version = {version:String} AND variant = 'champion' AND segment = '' GROUP BY window_start)",
            version=version,
        )

    def predictions(self) -> int:
        return self._number("SELECT count() FROM predictions FINAL WHERE model = {model:String}")

    def labels(self) -> int:
        return self._number("SELECT count() FROM labels FINAL WHERE model = {model:String}")

    def signals(self) -> int:
        return self._number("SELECT uniqExact(id) FROM signals WHERE model = {model:String}")

    def decisions(self) -> int:
        """Steps of decisions."""
        return self._number("SELECT uniqExact(id, step) FROM decisions WHERE model = {model:String}")

    def metrics(self) -> int:
        return self._number("SELECT count() FROM metrics FINAL WHERE model = {model:String}")

    def dead_letters(self) -> int:
        return self._number("SELECT count() FROM dead_letters FINAL WHERE {model:String} != ''")

    def labelled_rows(self, from_ms: int, until_ms: int) -> tuple[Rows, Ints]:
        """The rows of a period that have a label, in the order of their timestamps, and those: a training set."""
        found = self.store.query_rows(
            "SELECT toUnixTimestamp64Milli(timestamp), numeric_names, numeric_values, label_text "
            "FROM (SELECT * FROM predictions FINAL WHERE model = {model:String}) AS served "
            "JOIN (SELECT prediction_id, label_text FROM labels FINAL WHERE model = {model:String}) AS known "
            "USING (prediction_id) WHERE timestamp >= fromUnixTimestamp64Milli({from_ms:Int64}) "
            "AND timestamp < fromUnixTimestamp64Milli({until_ms:Int64}) ORDER BY timestamp, prediction_id",
            {"model": self.model, "from_ms": from_ms, "until_ms": until_ms},
        )
        features = [
            [dict(zip(names, values, strict=True))[name] for name in FEATURES]
            for _, names, values, _ in found
        ]
        rows = Rows(
            np.array(features, dtype=np.float64).reshape(len(found), len(FEATURES)),
            np.array([CLASSES.index(label) for *_, label in found], dtype=np.int64),
        )
        return rows, np.array([timestamp for timestamp, *_ in found], dtype=np.int64)

    def verdicts(self) -> tuple[Verdict, ...]:
        """All judged windows of the whole model, in the order of time, as they were judged."""
        found = self.store.query_rows(
            "SELECT version, variant, toUnixTimestamp64Milli(window_start), toUnixTimestamp64Milli(window_end), "
            "toUInt64(anyIf(value, metric = 'rows')), count(), "
            "arraySort(groupArrayIf(concat(metric, if(column = '', '', ' of '), column), breached)), "
            "if(countIf(metric = 'accuracy') = 0, nan, anyIf(value, metric = 'accuracy')), "
            "anyIf(n, metric = 'accuracy') "
            "FROM metrics_as_judged FINAL WHERE model = {model:String} AND segment = '' "
            "GROUP BY version, variant, window_start, window_end ORDER BY window_start, version, variant",
            {"model": self.model},
        )
        return tuple(
            Verdict(version, variant, start, end, rows, metrics, tuple(breached), accuracy, labelled)
            for version, variant, start, end, rows, metrics, breached, accuracy, labelled in found
        )

    def _number(self, sql: str, **params: object) -> int:
        ((count,),) = self.store.query_rows(sql, {"model": self.model, **params})
        return int(count)
