"""The columns of a table as a baseline is built from them."""

import pyarrow as pa

from driftsonde.core.events import Role
from driftsonde.core.spec import Task
from driftsonde.replay.columns import LoggedColumns
from driftsonde.replay.mapping import ColumnMap
from driftsonde.replay.rows import PREDICTION, TIME


def test_attributions_are_known_by_their_names() -> None:
    columns = ColumnMap(
        Task.BINARY, "t", None, None, "1", ("x", "attribution.x"), (), "p", None, None, None, ("country",)
    )
    table = pa.table(
        {
            TIME: pa.array([1, 2]),
            PREDICTION: pa.array(["0", "1"]),
            "c0": pa.array([1.0, 2.0]),
            "c1": pa.array([0.5, -0.5]),
            "c2": pa.array(["DE", None]),
        }
    )
    rows = LoggedColumns(columns).reference_rows(table)
    assert [(column.name, column.role) for column in rows.columns] == [
        ("x", Role.FEATURE),
        ("attribution.x", Role.ATTRIBUTION),
        ("prediction", Role.PREDICTION),
        ("country", Role.SEGMENT),
    ]
