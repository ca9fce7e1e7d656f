"""The fleet as it is read from the store, and as `driftsonde status` shows it."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from control_examples import after, setting, signal
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings, Settings, environment
from driftsonde.archiver.rows import decision_rows, signal_rows
from driftsonde.cli import main
from driftsonde.console.fleet import Health, VersionState, read_fleet, read_open_episodes
from driftsonde.console.standing import NOT_SERVING, serving
from driftsonde.core.control.inputs import Registered, SplitChange
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS, ActionPolicy
from driftsonde.standalone.store_process import running_store
from monitored_fleet import DRIFT_FROM, HOUR, HOURS, START, insert_fleet

pytestmark = pytest.mark.io

END = START + HOURS * HOUR
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        store = Store(ClickHouseSettings(process.host, process.port, database="status"))
        apply_migrations(store, schemas_directory() / "clickhouse")
        insert_fleet(store)
        yield store
        store.close()


@pytest.fixture(scope="module")
def fleet(store: Store) -> dict[tuple[str, str], VersionState]:
    return {(version.model, version.version): version for version in read_fleet(store)}


def test_every_version_is_there_with_its_newest_window(fleet: dict[tuple[str, str], VersionState]) -> None:
    assert set(fleet) == {("demand", "7"), ("fraud", "1"), ("fraud", "2")}
    champion, demand = fleet["fraud", "1"], fleet["demand", "7"]
    assert champion.inputs_until == champion.outcomes_until == END
    assert champion.psi[0].column == "amount"
    assert champion.drifting == 1
    assert champion.performance is not None
    assert (champion.performance.name, champion.performance.threshold) == ("accuracy", 0.85)
    assert champion.label_coverage == 0.8
    assert (demand.inputs_until, demand.outcomes_until, demand.psi) == (None, END, ())
    assert demand.performance is not None
    assert demand.performance.value == pytest.approx(4.47)


def test_what_is_open_is_of_the_version_that_it_is_about(
    fleet: dict[tuple[str, str], VersionState],
) -> None:
    (episode,) = fleet["fraud", "1"].open
    assert (episode.kind, episode.rule, episode.since) == ("retrain", "drift", START + DRIFT_FROM * HOUR)
    assert fleet["fraud", "2"].open == ()


def test_health_is_the_worst_that_is_known(fleet: dict[tuple[str, str], VersionState]) -> None:
    assert fleet["fraud", "1"].health(END + 100 * DAY, DAY) is Health.ALERT
    assert fleet["fraud", "2"].health(END + DAY, DAY) is Health.DRIFTING
    assert fleet["demand", "7"].health(END + DAY, DAY) is Health.OK
    assert fleet["fraud", "2"].health(END + DAY + HOUR, DAY) is Health.SILENT


def test_one_model_alone(store: Store) -> None:
    assert [version.model for version in read_fleet(store, "demand")] == ["demand"]


def test_what_began_while_the_model_learns_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    actions = ActionPolicy(learning_ms=20 * HOUR_MS)
    policy = replace(setting(), governance=lambda _: Governance(actions, "p1"))
    said = [
        signal(SignalKind.ALERT, "quiet", 5, model="young"),
        signal(SignalKind.RETRAIN, "quiet", 6, model="young"),
        signal(SignalKind.ALERT, "told", 19, model="young", version="2"),
        signal(SignalKind.RETRAIN, "told", 20, model="young", version="2"),
    ]
    _, decisions = after(State(), [Registered("young", "", Registration(0, spec="{}")), *said], policy)
    place = SourceMessage("", 0, 0, b"", b"")
    store.insert_arrow("signals", signal_rows([(place, one) for one in said]))
    store.insert_arrow("decisions", decision_rows([(place, one) for one in decisions]))
    until = {
        one.episode: one.learning_until for row in read_open_episodes(store, "young").values() for one in row
    }
    assert until == {"quiet": datetime(1970, 1, 1, 20, tzinfo=UTC), "told": None}

    store.command("INSERT INTO metrics SELECT * REPLACE ('young' AS model) FROM metrics WHERE version = '1'")
    for name, value in environment(Settings(clickhouse=store.settings)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main(["status", "young"])
    text = capsys.readouterr().out
    assert re.search(
        r"incident of young, version 1, for \d+ d: amount changed\. .*limit is 0\.20\. "
        r"\(learning until 1970-01-01 20:00:00Z; would have paged\)",
        text,
    )


def test_the_command(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(Settings(clickhouse=store.settings)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as stopped:
            main(["status", *arguments])
        out, err = capsys.readouterr()
        return stopped.value.code, out + err

    code, text = run()
    assert code == 3, text
    (line,) = [line for line in text.splitlines() if line.startswith("fraud") and "champion" in line]
    assert "incident" in line
    assert "1 of 3" in line
    assert "amount" in line
    assert re.search(
        r"incident of fraud, version 1, for \d+ d: amount changed\. Distance from its baseline", text
    )
    assert "driftsonde explain" in text

    code, text = run("--json", "demand", "--silent-after", "9999d")
    assert code == 0
    (row,) = json.loads(text)
    assert (row["health"], row["performance"]["name"], row["performance"]["breached"]) == (
        "ok",
        "rmse",
        False,
    )
    assert datetime.fromisoformat(row["outcomes_until"]) == END.astimezone(UTC)

    assert run("nobody")[0] == 2
    assert "--silent-after" in run("--silent-after", "soon")[1]


def test_who_answers_what_part_and_who_none_any_more(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = with_traffic(State(), Traffic("fraud", (Share("1", Variant.CHAMPION, 1.0),), 100, "d0"))
    shares: list[tuple[Share, ...]] = [(Share("1", Variant.CHAMPION, 0.8), Share("2", Variant.CANARY, 0.2))]
    shares.append((Share("1", Variant.CHAMPION, 1.0),))
    for name, value in environment(Settings(clickhouse=store.settings)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "120")
    place = SourceMessage("", 0, 0, b"", b"")
    for count, expected in ((1, "fraud 2 canary 20% silent"), (2, "fraud 2 canary not serving")):
        _, decisions = after(
            begun, [SplitChange("fraud", split, "bob") for split in shares[:count]], setting()
        )
        store.insert_arrow("decisions", decision_rows([(place, one) for one in decisions]))
        with pytest.raises(SystemExit):
            main(["status", "fraud"])
        text = capsys.readouterr().out
        assert expected in " ".join(text.split())
        assert "…" not in text


@pytest.mark.parametrize(
    ("split", "role", "expected"),
    [
        ((), Variant.CANARY, ("alert", "")),
        ((Share("1", Variant.CHAMPION, 1.0),), Variant.CANARY, (NOT_SERVING, "")),
        ((Share("1", Variant.CHAMPION, 1.0),), Variant.CHAMPION, ("alert", "100%")),
        ((Share("9", Variant.CHAMPION, 1.0),), Variant.CHAMPION, ("alert", "")),
    ],
)
def test_a_version_serves_in_one_role(
    fleet: dict[tuple[str, str], VersionState],
    split: tuple[Share, ...],
    role: Variant,
    expected: tuple[str, str],
) -> None:
    version = replace(fleet["fraud", "1"], variant=role.value)
    assert serving(version, split, END, DAY) == expected
