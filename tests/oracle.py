"""What a batch recomputation with pandas says of produced events: no chunks, no partitions, no event time."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from driftsonde.core.chunks import WHOLE, segment_label
from driftsonde.core.events import CategoricalColumn, LabelBatch, PredictionBatch
from faults.load import WINDOW_MS, Cell, Floats

Cells = dict[tuple[str, int], Cell]


def cells_of(events: Iterable[PredictionBatch | LabelBatch], edges: Floats) -> Cells:
    """By segment and window start, for one model with the columns x, country, prediction.

    Every row counts. A prediction that was sent twice is labelled once, where it was first. Of its labels the newest by
    time counts, of equally new ones the one that was sent last.
    """
    everything = list(events)
    rows = pd.concat([_predictions(event) for event in everything if isinstance(event, PredictionBatch)])
    labels = pd.concat(
        [_NO_LABELS, *(_labels(event) for event in everything if isinstance(event, LabelBatch))],
        ignore_index=True,
    )
    newest = labels.sort_values("known_ms", kind="stable").groupby("id").last()
    first = rows.drop_duplicates("id", keep="first")
    labelled = first.join(newest, on="id", how="inner")
    result: Cells = {}
    for name in [WHOLE, *sorted(set(rows["country"]))]:
        inside, with_label = (
            (rows, labelled)
            if name == WHOLE
            else (rows[rows["country"] == name], labelled[labelled["country"] == name])
        )
        for start_ms, window in inside.groupby("window_ms"):
            outcomes = with_label[with_label["window_ms"] == start_ms]
            bins = np.bincount(np.searchsorted(edges, window["x"], side="right"), minlength=len(edges) + 1)
            segment = WHOLE if name == WHOLE else segment_label("country", name)
            result[segment, int(str(start_ms))] = Cell(
                rows=len(window),
                bins=(*bins.tolist(), 0),
                labelled=len(outcomes),
                correct=int((outcomes["predicted"] == outcomes["label"]).sum()),
            )
    return result


_NO_LABELS = pd.DataFrame({"id": pd.Series(dtype=str), "known_ms": pd.Series(dtype="int64"), "label": []})


def _predictions(batch: PredictionBatch) -> pd.DataFrame:
    columns = {column.name: column for column in batch.columns}
    x = columns["x"]
    assert not isinstance(x, CategoricalColumn)
    return pd.DataFrame(
        {
            "id": batch.ids,
            "window_ms": batch.timestamps_ms - batch.timestamps_ms % WINDOW_MS,
            "x": x.values,
            "country": _texts(columns["country"]),
            "predicted": _texts(columns["prediction"]),
        }
    )


def _labels(batch: LabelBatch) -> pd.DataFrame:
    return pd.DataFrame({"id": batch.ids, "known_ms": batch.timestamps_ms, "label": _texts(batch.labels)})


def _texts(column: object) -> list[str]:
    assert isinstance(column, CategoricalColumn)
    return [column.categories[code] for code in column.codes]
