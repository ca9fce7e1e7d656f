"""`driftsonde doctor` on the embedded servers: what it finds when all is well, and when something is not."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.positions import Position, write_positions
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import Settings, environment
from driftsonde.adapters.topics import PREDICTIONS
from driftsonde.cli import main
from driftsonde.console.diagnosis import SERVICES, Finding, Verdict, diagnose
from driftsonde.standalone.cluster import Cluster

pytestmark = pytest.mark.io

MIGRATIONS = schemas_directory() / "clickhouse"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with Cluster(tmp_path_factory.mktemp("cluster"), services=()) as cluster:
        yield cluster.settings


def findings(
    settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> dict[str, Finding]:
    store = Store(settings.clickhouse)
    try:
        return {finding.check: finding for finding in diagnose(settings.kafka, store, MIGRATIONS, now)}
    finally:
        store.close()


def test_fresh_servers_only_lack_services(settings: Settings) -> None:
    found = findings(settings)
    assert [name for name, finding in found.items() if finding.verdict is not Verdict.OK] == list(SERVICES)
    assert all(finding.remedy for finding in found.values() if finding.verdict is not Verdict.OK)
    assert found["partitions"].what == "predictions 4, labels 4"


def test_clocks_that_differ_are_told(settings: Settings) -> None:
    found = findings(settings, lambda: datetime.now(UTC) - timedelta(minutes=2))["store"]
    assert found.verdict is Verdict.WARNING
    assert "120.0 s ahead" in found.what


def test_a_service_ahead_of_the_log_needs_a_fresh_database(settings: Settings) -> None:
    store = Store(settings.clickhouse)
    write_positions(store, "judge", [Position(PREDICTIONS.name, 0, 5, -1)])
    found = findings(settings)["judge"]
    assert (found.verdict, found.what) == (Verdict.FAILED, "is ahead of the log: topics were made anew")
    store.command("TRUNCATE TABLE positions")
    store.close()


def test_dead_letters_are_counted_by_reason(settings: Settings) -> None:
    now = datetime.now(UTC)
    rows = [
        {
            "source_topic": "predictions",
            "source_partition": 0,
            "source_offset": offset,
            "service": "sketcher",
            "reason": "model",
            "message": "not registered",
            "payload": "",
            "timestamp": now - timedelta(minutes=age),
        }
        for offset, age in enumerate((1, 2, 90))
    ]
    store = Store(settings.clickhouse)
    store.insert_arrow("dead_letters", pa.Table.from_pylist(rows))
    assert findings(settings)["dead letters"].what == "2 for model in the last hour"
    store.command("TRUNCATE TABLE dead_letters")
    store.close()


def test_the_command_says_what_is_wrong_and_how_to_mend_it(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as stopped:
            main(["doctor", *arguments])
        return stopped.value.code, capsys.readouterr().out

    code, out = run("--json")
    assert code == 0
    assert {finding["verdict"] for finding in json.loads(out)} == {"ok", "warning"}

    monkeypatch.setenv("DRIFTSONDE_CLICKHOUSE_DATABASE", "nowhere")
    monkeypatch.setenv("DRIFTSONDE_CONTROLLER_WEBHOOKS_FILE", "nothing.toml")
    code, out = run()
    assert code == 1
    assert "✗ store" in out
    assert "✗ webhooks" in out
    assert "driftsonde migrate" in out

    monkeypatch.setenv("DRIFTSONDE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    code, out = run()
    assert code == 1
    assert "✗ broker: 127.0.0.1:1" in out
