"""What every training pipeline is told, and how a run is followed to its end."""

from collections.abc import Iterator
from dataclasses import dataclass

MAX_POLL_MS = 300_000


@dataclass(frozen=True, slots=True)
class TrainingOrder:
    """Why, which columns, which data. `id` is the same over all tries: whoever gets it twice starts one run.

    window_start, window_end: ISO 8601, the span of the data that drifted; "" where no signal says one.
    """

    id: str
    model: str
    version: str
    incident: str
    reason: str
    columns: tuple[str, ...]
    window_start: str
    window_end: str

    def parameters(self) -> dict[str, object]:
        """As a pipeline takes them: JSON values under names that are names in Python, too."""
        return {
            "decision": self.id,
            "model": self.model,
            "version": self.version,
            "incident": self.incident,
            "reason": self.reason,
            "columns": list(self.columns),
            "window_start": self.window_start,
            "window_end": self.window_end,
        }

    def named(self, template: str) -> str:
        """The name of a pipeline, of which there may be one a model: {model} is filled in."""
        return template.replace("{model}", self.model)


def poll_delays_ms(first_ms: int) -> Iterator[int]:
    """Waits between looks at a run: half as long again each time, five minutes at most.

    >>> from itertools import islice
    >>> list(islice(poll_delays_ms(100_000), 5))
    [100000, 150000, 225000, 300000, 300000]
    """
    delay_ms = first_ms
    while True:
        yield delay_ms
        delay_ms = max(first_ms, min(MAX_POLL_MS, delay_ms * 3 // 2))
