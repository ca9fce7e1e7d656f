"""What the judge measures of a rollout, read from the real engine: the newest windows of both sides, weighted by rows."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.controller.live import WINDOWS, LiveFollower, read_numbers
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.proving import LiveNumber
from driftsonde.core.control.rollout import Rollout, RolloutStatus
from driftsonde.core.control.state import ModelState, State
from driftsonde.core.spec import ActionPolicy, PromotionRule, StageRule
from driftsonde.standalone.store_process import running_store
from ports import free_port

pytestmark = pytest.mark.io

START, HOUR = datetime(2026, 3, 1, tzinfo=UTC), timedelta(hours=1)
ROLLOUT = Rollout("r", "m", "2", "1", (0.0, 0.5), 1, RolloutStatus.RUNNING, 0, 0)
ASKED = Governance(
    ActionPolicy(), "p", promotion=PromotionRule(production=StageRule(live=("accuracy >= 0.8",)))
)


def metric(
    version: str,
    variant: str,
    hour: int,
    name: str,
    value: float,
    n: int,
    column: str = "",
    revision: int = 0,
) -> dict[str, object]:
    return {
        "model": "m",
        "version": version,
        "variant": variant,
        "segment": "",
        "column": column,
        "metric": name,
        "window_start": START + hour * HOUR,
        "window_end": START + (hour + 1) * HOUR,
        "n": n,
        "value": value,
        "lower": 0.0,
        "upper": 1.0,
        "threshold": float("nan"),
        "breached": False,
        "revision": revision,
    }


def rows() -> Iterator[dict[str, object]]:
    for hour in range(WINDOWS + 5):
        for version, variant in (("1", "champion"), ("2", "canary" if hour > 3 else "shadow")):
            yield metric(version, variant, hour, "label_coverage", 1.0, 100)
            # The first five windows are too old to count.
            yield metric(version, variant, hour, "accuracy", 0.5 if hour < 5 else 0.9, 100)
    last = WINDOWS + 4
    yield metric("2", "canary", last, "accuracy", 0.4, 300, revision=1)  # restated by late labels
    yield metric("2", "canary", last, "accuracy_gap", 0.1, 50, column="sex")
    yield metric("2", "canary", last - 1, "accuracy_gap", float("nan"), 10, column="sex")
    yield metric("2", "champion", last, "accuracy", 0.1, 9_999)  # of another life
    yield metric("1", "champion", last + 1, "accuracy", 0.1, 9_999)  # the candidate has none of then
    yield metric("1", "champion", last + 1, "label_coverage", 0.1, 9_999)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        store = Store(ClickHouseSettings(process.host, process.port, database="live"))
        apply_migrations(store, schemas_directory() / "clickhouse")
        store.insert_arrow("metrics", pa.Table.from_pylist(list(rows())))
        yield store
        store.close()


def test_the_newest_windows_of_the_candidate_and_the_champions_of_then(store: Store) -> None:
    found = read_numbers(store, ROLLOUT)
    rest = WINDOWS - 1
    assert found["1"]["accuracy"].n == 100 * WINDOWS
    assert found["1"]["accuracy"].value == pytest.approx(0.9)
    assert found["2"]["accuracy"].n == 100 * rest + 300
    assert found["2"]["accuracy"].value == pytest.approx((0.9 * 100 * rest + 0.4 * 300) / (100 * rest + 300))
    assert found["2"]["accuracy_gap:sex"] == LiveNumber(0.1, 50)


def test_only_rollouts_under_way_are_followed_and_an_outage_keeps_what_is_known(store: Store) -> None:
    rollout = [ROLLOUT]

    def state() -> State:
        return State({"m": ModelState("m", rollout=rollout[0])})

    follower = LiveFollower(store, state, lambda _: ASKED)
    follower.refresh()
    known = follower.numbers("m")
    assert known["2"]["accuracy_gap:sex"].n == 50
    away = Store(ClickHouseSettings("127.0.0.1", free_port(), database="live"))
    follower.store = away
    follower.refresh()
    assert follower.numbers("m") == known
    rollout[0] = replace(ROLLOUT, id="another")  # of the same model: what is known is not about it
    follower.refresh()
    assert follower.numbers("m") == {}
    follower.store, rollout[0] = store, replace(ROLLOUT, status=RolloutStatus.PROMOTED)
    follower.refresh()
    assert follower.numbers("m") == {}
    unasked = LiveFollower(away, state, lambda _: Governance(ActionPolicy(), "p"))
    rollout[0] = ROLLOUT
    unasked.refresh()
    assert unasked.numbers("m") == {}


def test_it_follows_by_itself_until_it_is_closed(store: Store) -> None:
    follower = LiveFollower(
        store, lambda: State({"m": ModelState("m", rollout=ROLLOUT)}), lambda _: ASKED, 0.01
    )
    follower.start()
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while not follower.numbers("m") and datetime.now(UTC) < deadline:
        time.sleep(0.01)
    follower.close()
    assert follower.numbers("m")["1"]["accuracy"].n == 100 * WINDOWS
