"""What producers import: `Monitor` logs predictions and labels."""

from driftsonde.client.monitor import Monitor
from driftsonde.client.outbox import Stats, WhenFull

__all__ = ["Monitor", "Stats", "WhenFull"]
