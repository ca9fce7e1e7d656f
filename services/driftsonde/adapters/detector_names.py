"""River's detectors where river is installed: it is no dependency of the services."""

import importlib.util
from importlib import import_module

from driftsonde.core.detecting import Build


def installed_detectors() -> Build | None:
    """What builds a detector by its name; None without river."""
    if importlib.util.find_spec("river") is None:
        return None
    build: Build = import_module("driftsonde.adapters.river_detectors").river_detector
    return build
