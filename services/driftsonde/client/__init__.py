"""What producers, serving layers and notebooks import.

`Monitor` logs predictions and labels; `Router` says which version answers; `Results` reads what was found, and is loaded
when it is asked for: a serving process does without its libraries.
"""

import importlib
from typing import TYPE_CHECKING, Any

from driftsonde.client.monitor import Monitor
from driftsonde.client.outbox import Stats, WhenFull
from driftsonde.client.router import Router

if TYPE_CHECKING:
    from driftsonde.client.results import Results

__all__ = ["Monitor", "Results", "Router", "Stats", "WhenFull"]


def __getattr__(name: str) -> Any:
    if name == "Results":
        return importlib.import_module("driftsonde.client.results").Results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
