"""Windows as they were judged, from ClickHouse: the numbers that rules look at, for trying another policy on them."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from driftsonde.adapters.clickhouse import Store
from driftsonde.core.chunks import Kind
from driftsonde.core.events import Variant
from driftsonde.core.plan import Plan
from driftsonde.core.rebarring import KEPT, OUTCOMES_KEPT, StoredWindow, used_bins
from driftsonde.core.verdict import Metric
from driftsonde.core.window import WindowKey

_MONTHS = """
SELECT DISTINCT toYYYYMM(window_start) AS month FROM metrics_as_judged WHERE model = {model:String} ORDER BY month
"""
_METRICS = """
SELECT version, variant, segment, toUnixTimestamp64Milli(window_start), column, metric, n, value, lower, upper
FROM metrics_as_judged FINAL
WHERE model = {model:String} AND toYYYYMM(window_start) = {month:UInt32} AND metric IN {kept:Array(String)}
      AND (segment = '' OR metric IN ('accuracy', 'rmse'))
ORDER BY window_start, version, variant, segment, column, metric
"""
# Late rows are in these counts; a bin without a row on either side is hardly ever filled by them.
_COUNTS = """
SELECT version, variant, toUnixTimestamp64Milli(window_start), column, counts
FROM windows FINAL
WHERE model = {model:String} AND toYYYYMM(window_start) = {month:UInt32} AND segment = ''
ORDER BY window_start, version, variant, column
"""
_SIGNALS = "SELECT DISTINCT id FROM signals WHERE model = {model:String}"

_Identity = tuple[str, str, int]


def read_windows(store: Store, model: str, plans: Mapping[str, Plan]) -> list[StoredWindow]:
    """Every judged window of the versions with a plan, a month at a time. Raises what `Store` raises."""
    windows: list[StoredWindow] = []
    for (month,) in store.query_rows(_MONTHS, {"model": model}):
        params = {"model": model, "month": month}
        used = _used(store, params, plans)
        found: dict[tuple[WindowKey, Kind], list[Metric]] = defaultdict(list)
        for version, variant, segment, start_ms, column, name, n, value, lower, upper in store.query_rows(
            _METRICS, {**params, "kept": list(KEPT)}
        ):
            key = WindowKey(start_ms, model, version, Variant(variant), segment)
            kind = Kind.OUTCOMES if name in OUTCOMES_KEPT else Kind.INPUTS
            found[key, kind].append(Metric(column, name, n, value, lower, upper))
        windows.extend(
            StoredWindow(
                key, kind, tuple(metrics), used.get((key.version, key.variant, key.window_start_ms), {})
            )
            for (key, kind), metrics in found.items()
            if key.version in plans
        )
    return windows


def read_signal_ids(store: Store, model: str) -> frozenset[str]:
    """The ids of all signals about a model. Raises what `Store` raises."""
    return frozenset(identity for (identity,) in store.query_rows(_SIGNALS, {"model": model}))


def stored_versions(store: Store, model: str) -> list[str]:
    """The versions that anything was judged of. Raises what `Store` raises."""
    sql = "SELECT DISTINCT version FROM metrics_as_judged WHERE model = {model:String} ORDER BY version"
    return [version for (version,) in store.query_rows(sql, {"model": model})]


def _used(
    store: Store, params: Mapping[str, object], plans: Mapping[str, Plan]
) -> Mapping[_Identity, Mapping[str, int]]:
    references = {
        (version, reference.name): reference
        for version, plan in plans.items()
        for reference in plan.inputs.references
    }
    used: dict[_Identity, dict[str, int]] = defaultdict(dict)
    for version, variant, start_ms, column, counts in store.query_rows(_COUNTS, params):
        reference = references.get((version, column))
        # Counts of another baseline's bins say nothing about this one's.
        if reference is not None and len(counts) == len(reference.counts):
            used[version, variant, start_ms][column] = used_bins(reference, np.array(counts, dtype=np.int64))
    return used
