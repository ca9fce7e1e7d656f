"""What producers, serving layers and notebooks import.

`Monitor` logs predictions and labels; `Router` says which version answers; `Results` reads what was found, and `register`
registers a version from a data frame: both are loaded when they are asked for, since a serving process does without.
"""

import importlib
from typing import TYPE_CHECKING, Any

from driftsonde.client.monitor import Monitor
from driftsonde.client.outbox import Stats, WhenFull
from driftsonde.client.router import Router

if TYPE_CHECKING:
    from driftsonde.client.registering import register
    from driftsonde.client.results import Results

__all__ = ["Monitor", "Results", "Router", "Stats", "WhenFull", "register"]

_LOADED_LATER = {"Results": "driftsonde.client.results", "register": "driftsonde.client.registering"}


def __getattr__(name: str) -> Any:
    if name in _LOADED_LATER:
        return getattr(importlib.import_module(_LOADED_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
