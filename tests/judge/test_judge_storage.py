"""The judge's state in the store: what is read is what was written, on the real engine and as bytes."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.adapters.wire_sketches import SKETCH_TYPES
from driftsonde.core.chunks import Source
from driftsonde.core.contest import Comparison
from driftsonde.core.episodes import Episode
from driftsonde.core.events import LATEST_MS, Variant
from driftsonde.core.judging import EpisodeKey, ModelState
from driftsonde.core.pairs import Pairs
from driftsonde.core.reigns import Arm, Reign, Succession
from driftsonde.core.signals import Rule
from driftsonde.core.volume import VolumeHistory
from driftsonde.core.window import Window, WindowKey
from driftsonde.judge.storage import JudgeStorage, decode_state, encode_state
from driftsonde.standalone.store_process import running_store
from strategies import identifiers

CODEC = Codec(SKETCH_TYPES)

times = st.integers(-1, LATEST_MS)
counts = st.integers(0, 2**53)
arms = st.builds(Arm, counts, counts)
states = st.builds(
    ModelState,
    times,
    times,
    st.dictionaries(
        st.builds(
            EpisodeKey,
            st.sampled_from(Rule),
            identifiers(),
            st.sampled_from(Variant),
            st.just("") | identifiers(),
        ),
        st.builds(Episode, counts, counts, times, st.booleans(), st.booleans()),
        max_size=4,
    ),
    st.dictionaries(
        identifiers(),
        st.builds(
            Comparison,
            times,
            st.builds(Arm, counts, counts),
            st.builds(Arm, counts, counts),
            st.booleans(),
            pairs=st.none()
            | st.builds(
                Pairs, counts, counts, counts, st.tuples(*[st.floats(0, 1e9)] * 5), st.floats(0, 1e9)
            ),
        ),
        max_size=3,
    ),
    succession=st.builds(
        Succession,
        *(
            st.none()
            | st.builds(
                Reign,
                identifiers(),
                times,
                counts,
                arms,
                st.lists(arms, max_size=3).map(tuple),
                st.booleans(),
                st.booleans(),
            )
            for _ in range(2)
        ),
    ),
    volume=st.builds(VolumeHistory, times, st.lists(counts, max_size=4).map(tuple)),
)


@given(states)
def test_a_state_comes_back(state: ModelState) -> None:
    assert decode_state(encode_state(state)) == state


@given(states)
def test_a_state_is_the_same_bytes_whatever_order_it_grew_in(state: ModelState) -> None:
    turned = ModelState(
        state.inputs_until_ms,
        state.outcomes_until_ms,
        dict(list(state.episodes.items())[::-1]),
        dict(list(state.comparisons.items())[::-1]),
        volume=state.volume,
        succession=state.succession,
    )
    assert encode_state(turned) == encode_state(state)


def test_a_state_of_another_release_is_refused() -> None:
    payload = json.dumps({"version": 99}).encode()
    with pytest.raises(ValueError, match="model state of version 99; this release reads 1"):
        decode_state(payload)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgeStorage]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        store = Store(ClickHouseSettings(process.host, process.port))
        apply_migrations(store, schemas_directory() / "clickhouse")
        yield JudgeStorage(store, CODEC)
        store.close()


def window_of(start_ms: int, chunk: int, model: str = "m", segment: str = "c=\x00'é") -> Window:
    key = WindowKey(start_ms, model, "1", Variant.CANARY, segment)
    return Window(key, {}, {Source("predictions", 0): chunk})


@pytest.mark.io
def test_the_newest_of_everything_is_read(storage: JudgeStorage) -> None:
    newer = ModelState(
        120_000, 60_000, {EpisodeKey(Rule.DRIFT, "1", Variant.CHAMPION, ""): Episode(1, 0, 5, True)}
    )
    storage.write_states({"m": newer, "other": ModelState(1, 1)})
    storage.write_states({"m": ModelState(60_000, 60_000)})
    storage.write_windows(
        [window_of(0, 9), window_of(60_000, 4), window_of(60_000, 2), window_of(120_000, 1)]
    )
    storage.write_windows([window_of(60_000, 3), window_of(60_000, 8, model="other")])
    state, windows = storage.read_model("m", 60_000)
    assert state == newer
    # Those that begin at or after (the older cursor - one window): the one that ends at the cursor is judged already.
    found = {window.key.window_start_ms: window.folded[Source("predictions", 0)] for window in windows}
    assert found == {0: 9, 60_000: 4, 120_000: 1}
    assert {window.key.model for window in windows} == {"m"}
    later = ModelState(300_000, 240_000)
    storage.write_states({"m": later})
    state, windows = storage.read_model("m", 60_000)
    assert (state, windows) == (later, [])
    one = storage.read_window(window_of(60_000, 0).key)
    assert one is not None
    assert one.folded == {Source("predictions", 0): 4}
    assert storage.read_window(window_of(999, 0).key) is None


@pytest.mark.io
def test_a_model_that_is_not_known_begins_at_the_beginning(storage: JudgeStorage) -> None:
    assert storage.read_model("unheard", 60_000) == (ModelState(), [])
