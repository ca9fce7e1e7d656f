"""What the judge keeps in the store: results for people, and its own state for the next start."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass
from typing import Any

import pyarrow as pa

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.core.contest import Comparison
from driftsonde.core.episodes import Episode
from driftsonde.core.events import Variant
from driftsonde.core.judging import EpisodeKey, ModelState
from driftsonde.core.pairs import Pairs
from driftsonde.core.reigns import Arm, Reign, Succession
from driftsonde.core.signals import Rule
from driftsonde.core.statistics.detectors import CountedOutcomes, Snapshot
from driftsonde.core.volume import VolumeHistory
from driftsonde.core.watching import Watch
from driftsonde.core.window import Window, WindowKey
from driftsonde.judge.reports import WindowReport
from driftsonde.judge.rows import MODEL_STATES_SCHEMA, STATES_SCHEMA, metric_rows, outcome_rows, window_rows
from driftsonde.judge.watch_state import decode_watch, encode_drift, encode_watch

STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class JudgeStorage:
    """Blocking; every call raises what `Store` raises."""

    store: Store
    codec: Codec

    def write_reports(self, reports: Iterable[WindowReport], as_judged: Iterable[WindowReport]) -> int:
        """Store what people read; returns the number of rows."""
        kept = list(reports)
        tables = (
            ("windows", window_rows(kept)),
            ("outcomes", outcome_rows(kept)),
            ("metrics", metric_rows(kept)),
            ("metrics_as_judged", metric_rows(as_judged)),
        )
        for name, rows in tables:
            if rows.num_rows:
                self.store.insert_arrow(name, rows)
        return sum(rows.num_rows for _, rows in tables)

    def write_windows(self, windows: Iterable[Window]) -> None:
        rows = [
            {
                "model": window.key.model,
                "version": window.key.version,
                "variant": window.key.variant.value,
                "segment": window.key.segment,
                "window_start": window.key.window_start_ms,
                "sequence": window.sequence,
                "state": self.codec.encode(window),
            }
            for window in windows
        ]
        if rows:
            self.store.insert_arrow("window_states", pa.Table.from_pylist(rows, schema=STATES_SCHEMA))

    def write_states(self, states: Mapping[str, ModelState]) -> None:
        rows = [
            {"model": model, "sequence": state.sequence, "state": encode_state(state)}
            for model, state in states.items()
        ]
        if rows:
            self.store.insert_arrow("model_states", pa.Table.from_pylist(rows, schema=MODEL_STATES_SCHEMA))

    def read_model(self, model: str, window_ms: int) -> tuple[ModelState, list[Window]]:
        """A model's state, and its windows that are still to be judged."""
        rows = self._query(
            "SELECT hex(state) FROM model_states WHERE model = {model:String} ORDER BY sequence DESC LIMIT 1",
            {"model": model},
        )
        state = decode_state(rows[0]) if rows else ModelState()
        from_ms = max(0, state.settled_until_ms - window_ms)
        states = self._query(
            "SELECT hex(argMax(state, sequence)) FROM window_states "
            "WHERE model = {model:String} AND window_start >= fromUnixTimestamp64Milli({from_ms:Int64}) "
            "GROUP BY model, version, variant, segment, window_start",
            {"model": model, "from_ms": from_ms},
        )
        return state, [self._window(payload) for payload in states]

    def read_window(self, key: WindowKey) -> Window | None:
        """One window, None where nothing of it is stored."""
        rows = self._query(
            "SELECT hex(state) FROM window_states WHERE model = {model:String} AND version = {version:String} "
            "AND variant = {variant:String} AND segment = {segment:String} "
            "AND window_start = fromUnixTimestamp64Milli({start_ms:Int64}) ORDER BY sequence DESC LIMIT 1",
            {
                "model": key.model,
                "version": key.version,
                "variant": key.variant.value,
                "segment": key.segment,
                "start_ms": key.window_start_ms,
            },
        )
        return self._window(rows[0]) if rows else None

    def _query(self, sql: str, params: Mapping[str, object]) -> list[bytes]:
        """The one column of a query: in hexadecimal, since bytes must not be read as text."""
        return [bytes.fromhex(text) for (text,) in self.store.query_rows(sql, params)]

    def _window(self, payload: bytes) -> Window:
        window = self.codec.decode(payload)
        if not isinstance(window, Window):
            raise TypeError(f"window_states holds a {type(window).__name__}")
        return window


def encode_state(state: ModelState) -> bytes:
    """Versioned JSON."""
    document = {
        "version": STATE_VERSION,
        "inputs_until_ms": state.inputs_until_ms,
        "outcomes_until_ms": state.outcomes_until_ms,
        "episodes": [[asdict(key), asdict(episode)] for key, episode in sorted(state.episodes.items())],
        "watch": encode_watch(state.watch),
        "joint": encode_drift(state.watch.joint),
        "volume": asdict(state.volume),
        "succession": asdict(state.succession),
        "detectors": [
            [*key, snapshot.rows_seen, [astuple(part) for part in snapshot.kept]]
            for key, snapshot in sorted(state.detectors.items())
        ],
        "comparisons": {version: asdict(comparison) for version, comparison in state.comparisons.items()},
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def decode_state(payload: bytes) -> ModelState:
    """Raise ValueError for a state that this release does not know."""
    document: dict[str, Any] = json.loads(payload)
    if document["version"] != STATE_VERSION:
        raise ValueError(f"model state of version {document['version']}; this release reads {STATE_VERSION}")
    return ModelState(
        document["inputs_until_ms"],
        document["outcomes_until_ms"],
        {_episode_key(key): Episode(**episode) for key, episode in document["episodes"]},
        {version: _comparison(entry) for version, entry in document["comparisons"].items()},
        # A state of before there was evidence over windows starts to learn.
        decode_watch(document["watch"], document.get("joint", ())) if "watch" in document else Watch(),
        _volume(document["volume"]) if "volume" in document else VolumeHistory(),
        _succession(document["succession"]) if "succession" in document else Succession(),
        {
            (version, name): Snapshot(seen, tuple(CountedOutcomes(*part) for part in kept))
            for version, name, seen, kept in document.get("detectors", ())
        },
    )


def _episode_key(entry: Mapping[str, str]) -> EpisodeKey:
    return EpisodeKey(Rule(entry["rule"]), entry["version"], Variant(entry["variant"]), entry["segment"])


def _volume(entry: Mapping[str, Any]) -> VolumeHistory:
    return VolumeHistory(**{**entry, "rows": tuple(entry["rows"])})


def _comparison(entry: Mapping[str, Any]) -> Comparison:
    return Comparison(
        entry["since_ms"],
        Arm(**entry["champion"]),
        Arm(**entry["canary"]),
        entry["rolled_back"],
        Variant(entry.get("variant", Variant.CANARY)),
        entry.get("absent", 0),
        _pairs(entry["pairs"]) if entry.get("pairs") else None,
    )


def _pairs(entry: Mapping[str, Any]) -> Pairs:
    return Pairs(**{**entry, "sums": tuple(entry["sums"])})


def _succession(entry: Mapping[str, Any]) -> Succession:
    return Succession(*(_reign(entry[side]) if entry[side] else None for side in ("champion", "predecessor")))


def _reign(entry: Mapping[str, Any]) -> Reign:
    recent = tuple(Arm(**arm) for arm in entry["recent"])
    return Reign(**{**entry, "total": Arm(**entry["total"]), "recent": recent})
