"""A signal in a line, as the terminal shows it while it comes: the words of the pages."""

from driftsonde.console.sentences import tell
from driftsonde.core.signals import Signal, SignalKind

KIND_WORDS = {
    SignalKind.ALERT: "incident",
    SignalKind.RETRAIN: "retrain",
    SignalKind.ROLLBACK: "take back",
    SignalKind.RESOLVE: "over",
    SignalKind.PROMOTE: "go on",
}


def signal_text(signal: Signal) -> str:
    """What happened and one reason why that can be said; of an end, how it ended."""
    match signal.kind:
        case SignalKind.RESOLVE:
            return signal.summary.partition(", after an ")[0]
        case SignalKind.PROMOTE:
            return f"version {signal.version} is good enough for its next stage"
        case _:
            told = tell(signal)
            return ". ".join((told.what, *told.reasons[:1])) if told.reasons else told.what
