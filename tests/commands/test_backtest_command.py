"""`driftsonde backtest` over windows in the embedded store."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from backtest_runs import judged_log
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.adapters.kafka import producer_config
from driftsonde.adapters.settings import Settings, environment
from driftsonde.adapters.stored_windows import read_windows
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record, version_record
from driftsonde.adapters.wire_sketches import SKETCH_TYPES
from driftsonde.archiver.rows import signal_rows
from driftsonde.cli import main
from driftsonde.core.backtest import plans_under, replay
from driftsonde.core.spec import CanaryRule
from driftsonde.judge.storage import JudgeStorage
from driftsonde.standalone.cluster import Cluster
from spec_files import spec_to_toml
from stream_examples import PLANS, SHOP

pytestmark = pytest.mark.io

# Random logs are judged by a margin that no spec may have.
REGISTERED = replace(
    SHOP, policy=replace(SHOP.policy, canary=CanaryRule(margin=0.1, alpha=0.9, min_labels=3))
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with Cluster(tmp_path_factory.mktemp("cluster"), services=()) as cluster:
        yield cluster.settings


def shell(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    out, err = capsys.readouterr()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, out + err


def test_another_policy_beside_todays(
    servers: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(servers).items():
        monkeypatch.setenv(name, value)
    assert shell(capsys, "backtest", "shop") == (2, "driftsonde: no model 'shop' is registered\n")
    plans = {version: plan for (name, version), plan in PLANS.items() if name == "shop" and version}
    records = [
        spec_record(REGISTERED),
        *(version_record("shop", version, plan.baseline) for version, plan in plans.items()),
    ]
    register(Producer(producer_config(servers.kafka)), Codec((MODEL_RECORD,)), {}, records)
    assert shell(capsys, "backtest", "shop") == (2, "driftsonde: nothing has been judged of 'shop'\n")

    store = Store(servers.clickhouse)
    reports, signals = judged_log(seed=1, messages=30)
    JudgeStorage(store, Codec(SKETCH_TYPES)).write_reports(reports, reports)
    source = SourceMessage("signals", 0, 0, b"shop", b"")
    windows = read_windows(store, "shop", plans)
    given = [signal for signal in signals if signal.model == "shop"]
    assert sorted(map(repr, replay(plans, windows))) == sorted(map(repr, given))
    ours = replay(plans_under(plans, REGISTERED.policy), windows)
    store.insert_arrow("signals", signal_rows([(source, signal) for signal in ours]))

    status, out = shell(capsys, "backtest", "shop", "--json")
    report = json.loads(out)
    assert (status, report["as_stored"], report["replayed"]) == (0, len(ours), len(ours))
    assert report["tried"][0]["tally"]["missed"] == 0

    lenient = replace(REGISTERED.policy, drift=replace(REGISTERED.policy.drift, psi=99.0))
    deaf = replace(REGISTERED, policy=lenient)
    (tmp_path / "deaf.toml").write_text(spec_to_toml(deaf))
    arguments = ("backtest", "shop", "--spec", str(tmp_path / "deaf.toml"))
    status, out = shell(capsys, *arguments, "--incident", "1970-01-01T00:00:00Z/1970-01-01T00:10:00Z")
    assert status == 0
    assert "1 incidents (given)" in out
    assert "## drift.psi, this rule alone" in out
    assert shell(capsys, *arguments)[1] == shell(capsys, *arguments)[1]
    (tmp_path / "other.toml").write_text(spec_to_toml(replace(REGISTERED, window_ms=1_000)))
    refused = shell(capsys, "backtest", "shop", "--spec", str(tmp_path / "other.toml"))
    assert (refused[0], "--spec: window is another" in refused[1]) == (2, True)
    assert shell(capsys, "backtest", "shop", "--incident", "today")[0] == 2

    status, out = shell(capsys, "automation", "propose", "shop", "--json")
    proposal = json.loads(out)
    assert (status, proposal["model"], proposal["learning_until_ms"]) == (0, "shop", 0)
    bars = {swept["bar"]: swept["within_budget"] for swept in report["sweeps"]}
    assert all(it["proposed"] in (it["today"], bars[it["key"]]) for it in proposal["limits"])
    status, out = shell(capsys, "automation", "propose", "shop")
    assert (status, out.startswith("shop: judged from 1970-")) == (0, True)
