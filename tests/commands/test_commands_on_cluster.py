"""The commands against the embedded servers."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from control_examples import after, setting
from control_examples import signal as example_signal
from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.settings import Settings, environment
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, read_catalogue
from driftsonde.archiver.rows import decision_rows
from driftsonde.cli import main
from driftsonde.core.control.state import State
from driftsonde.core.signals import SignalKind
from driftsonde.standalone.cluster import Cluster
from fake_api import FakeApi
from mlflow_api import MlflowApi

pytestmark = pytest.mark.io

SPEC = 'name = "shop"\ntask = "binary"\nsegments = ["country"]\n'
DATA = "timestamp,x,country,prediction,label\n1,0.5,FR,1,1\n2,0.7,DE,0,1\nsoon,1,FR,0,0\n"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with Cluster(tmp_path_factory.mktemp("cluster"), services=()) as cluster:
        yield cluster.settings


class Shell:
    """Runs commands with the servers' settings, in a directory with a spec and rows."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stopped:
            main(list(arguments))
        out, err = self._capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, out + err


@pytest.fixture
def shell(
    servers: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    (tmp_path / "shop.toml").write_text(SPEC)
    (tmp_path / "rows.csv").write_text(DATA)
    monkeypatch.chdir(tmp_path)
    for name, value in environment(servers).items():
        monkeypatch.setenv(name, value)
    return Shell(capsys)


def test_schema_and_topics_are_made_once(shell: Shell) -> None:
    assert shell("migrate") == (0, "nothing to do: the schema is up to date\n")
    status, out = shell("topics", "create")
    assert status == 0
    assert "predictions: exists\n" in out


def test_a_model_is_registered_once_with_a_baseline_from_rows(shell: Shell) -> None:
    arguments = ("register", "shop.toml", "--version", "1", "--data", "rows.csv")
    told = "baseline: 2 rows of rows.csv, 1 could not be read\n  line 4: timestamp: 'soon' is no time"
    status, out = shell(*arguments)
    assert status == 0
    assert out.startswith(told)
    assert out.endswith("shop: registered\nshop/1: registered\n")
    assert shell(*arguments)[1].endswith("shop: nothing new\nshop/1: nothing new\n")

    Path("shop.toml").write_text(SPEC + 'window = "5m"\n')
    assert shell("register", "shop.toml") == (
        2,
        "driftsonde: 'shop' is registered with another content; --replace replaces it\n",
    )
    assert shell("register", "shop.toml", "--replace") == (0, "shop: registered\n")


def test_the_audit_log_holds_until_somebody_changes_it(shell: Shell, servers: Settings) -> None:
    _, decisions = after(
        State(), [example_signal(SignalKind.ALERT), example_signal(SignalKind.RETRAIN, hour=1)], setting()
    )
    codec, producer = Codec(CONTROL_TYPES), Producer(producer_config(servers.kafka))
    for decision in decisions:
        producer.produce(topics.DECISIONS.name, key=b"fraud", value=codec.encode(decision))
    producer.flush(10)
    assert shell("audit", "verify") == (
        0,
        f"fraud: topic: 2 links, head {decisions[1].hash[:16]}\nfraud: the archive is behind\n",
    )

    status, out = shell("explain", decisions[1].id)
    assert (status, out.splitlines()[0]) == (0, "retrain of fraud, version 1: decided")
    assert "psi of amount 0.7, limit 0.2, n 500" in out
    status, out = shell("explain", decisions[1].id, "--json")
    assert (status, json.loads(out)["decision"]) == (0, decisions[1].id)
    assert shell("explain", "none") == (
        2,
        "driftsonde: no decision 'none', no incident 'none', and none of a model 'none'\n",
    )

    store = Store(servers.clickhouse)
    source = SourceMessage("decisions", 0, 0, b"fraud", b"")
    store.insert_arrow("decisions", decision_rows([(source, decision) for decision in decisions]))
    status, out = shell("audit", "verify", "--model", "fraud")
    assert (status, out.count(f"2 links, head {decisions[1].hash[:16]}")) == (0, 2)
    assert shell("audit", "verify", "--model", "none")[0] == 1

    forged = replace(decisions[0], actor="eve")
    store.insert_arrow("decisions", decision_rows([(source, forged)]))
    status, out = shell("audit", "verify")
    assert status == 1
    assert f"fraud: BROKEN: archive: link 1 (decision {forged.id}, decided): its content" in out
    assert shell("audit", "verify", "--source", "topic")[0] == 0
    producer.produce(topics.DECISIONS.name, key=b"fraud", value=b"not ours")
    producer.flush(10)
    assert "message 3 of the topic can't be read" in shell("audit", "verify")[1]


def test_equal_stores_have_equal_digests(shell: Shell) -> None:
    status, out = shell("digest")
    assert status == 0
    assert [line.split()[1] for line in out.splitlines()] == [
        "windows",
        "metrics",
        "metrics_as_judged",
        "signals",
    ]
    assert shell("digest")[1] == out


@pytest.mark.timeout(200)
def test_standalone_says_where_things_are_and_stops_when_told(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from driftsonde.cli import main; main()", "standalone"]
    with subprocess.Popen(
        [*command, "--data", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert said[0].startswith("Kafka        127.0.0.1:")
    exported = "".join(said)
    assert "DRIFTSONDE_CLICKHOUSE_PORT=" in exported and "CONTROLLER_URL=http" in exported


def test_a_version_is_registered_from_mlflow_with_where_it_comes_from(
    servers: Settings, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FakeApi(MlflowApi([1_000, 2_000], {"champion": "2"}).answer)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", api.url)
    (Path("fraud.toml")).write_text(SPEC.replace("shop", "fraud").replace('"country"', '"country", "shop"'))
    status, out = shell("register", "fraud.toml", "--mlflow", "models:/fraud@champion")
    assert (status, out) == (
        0,
        "mlflow models:/fraud/2: run r1, 3 columns in its signature\n"
        "  not in the signature, so it has to be logged beside it: shop\n"
        "fraud: registered\nfraud/2: registered\nfraud/2/origin: registered\n",
    )
    again = shell("register", "fraud.toml", "--mlflow", "models:/fraud/2")
    assert again[1].endswith("fraud/2/origin: nothing new\n")
    codec = Codec((MODEL_RECORD,))
    reader = CompactedReader(servers.kafka, topics.MODELS)
    reader.refresh()
    catalogue = read_catalogue(reader.state, codec)
    reader.close()
    assert catalogue.errors == {}
    assert catalogue.versions_of("fraud") == ("2",)
    assert catalogue.origins["fraud", "2"].metrics == (("accuracy", 0.91),)
    (Path("card.toml")).write_text('owner = "risk"\n[data]\ntrain = "f00d"\n')
    with_card = ("register", "fraud.toml", "--mlflow", "models:/fraud/2", "--card", "card.toml")
    assert shell(*with_card)[0] == 2
    assert shell(*with_card, "--replace")[1].endswith("fraud/2/origin: registered\n")
    reader = CompactedReader(servers.kafka, topics.MODELS)
    reader.refresh()
    origin = read_catalogue(reader.state, codec).origins["fraud", "2"]
    reader.close()
    assert (origin.source, origin.owner, origin.run) == ("mlflow models:/fraud/2", "risk", "r1")
    assert origin.data == (("train", "f00d"),)
    refused = shell("register", "fraud.toml", "--mlflow", "models:/fraud/7")
    assert refused == (2, "driftsonde: MLflow: Model Version (name=fraud, version=7) not found\n")
    api.close()
    gone = shell("register", "fraud.toml", "--mlflow", "models:/fraud/2")
    assert gone[0] == 1
    assert "MLflow: ConnectError" in gone[1]
