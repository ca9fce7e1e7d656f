"""MLflow: its real server, and a local one that answers as the real one did."""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from driftsonde.adapters.mlflow import MlflowAliases, MlflowServer
from driftsonde.adapters.mlflow_registry import (
    InvalidReference,
    NotInMlflow,
    RegistryVersion,
    parse_reference,
    read_version,
    signature_columns,
)
from driftsonde.adapters.outbound import Sender
from driftsonde.adapters.talk import held
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.origin import Origin
from fake_api import FakeApi
from mlflow_api import MLMODEL, MlflowApi
from real_servers import MLFLOW, mlflow_server, programs
from talks import hold

CANARY_2 = (Share("1", Variant.CHAMPION, 0.9), Share("2", Variant.CANARY, 0.1))
ONLY_1 = (Share("1", Variant.CHAMPION, 1.0),)
ONLY_2 = (Share("2", Variant.CHAMPION, 1.0),)
COLUMNS = (("amount", "double"), ("country", "string"), ("n", "long"))
TRAIN = """
import sys
import mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature

mlflow.set_tracking_uri(sys.argv[1])

class Threshold(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["amount"] > 1

rows = pd.DataFrame({"amount": [1.0, 2.0], "country": ["de", "fr"], "n": [1, 2]})
with mlflow.start_run(run_name="train"):
    mlflow.log_params({"depth": 3})
    mlflow.log_metrics({"accuracy": 0.91})
    mlflow.set_tags({"owner": "pay"})
    mlflow.log_input(mlflow.data.from_pandas(rows, name="train-2026-11"), context="training")
    for _ in range(2):
        mlflow.pyfunc.log_model(name="model", python_model=Threshold(), registered_model_name="fraud",
                                signature=infer_signature(rows, np.array([True, False])),
                                pip_requirements=["pandas"])
"""


def read(url: str, reference: str) -> RegistryVersion:
    async def exchange() -> RegistryVersion:
        sender = Sender(frozenset({"127.0.0.1"}))
        try:
            return await held(read_version(MlflowServer(url), parse_reference(reference)), sender)
        finally:
            await sender.close()

    return asyncio.run(exchange())


def traffic(split: tuple[Share, ...]) -> Traffic:
    return Traffic("fraud", split, 1, "d1")


@dataclass(frozen=True, slots=True)
class RealMlflow:
    url: str

    def aliases(self) -> dict[str, str]:
        path = f"{self.url}/api/2.0/mlflow/registered-models/get?name=fraud"
        model = httpx.get(path, trust_env=False).json()["registered_model"]
        return {entry["alias"]: entry["version"] for entry in model.get("aliases", [])}


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMlflow]:
    """The server on SQLite, with two versions of a model that its own client trained and registered."""
    folder = tmp_path_factory.mktemp("mlflow")
    script = folder / "train.py"
    script.write_text(TRAIN)
    with mlflow_server(folder) as url:
        train: list[str | Path] = [programs(*MLFLOW) / "python", script, url]
        subprocess.run(train, check=True, capture_output=True, cwd=folder)
        yield RealMlflow(url)


@pytest.mark.io
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_version_is_read_from_the_real_registry(mlflow: RealMlflow) -> None:
    found = read(mlflow.url, "models:/fraud/2")
    origin = found.origin
    assert (found.name, found.version, origin.source) == ("fraud", "2", "mlflow models:/fraud/2")
    assert origin.columns == COLUMNS
    assert (origin.params, origin.metrics, origin.tags) == (
        (("depth", "3"),),
        (("accuracy", 0.91),),
        (("owner", "pay"),),
    )
    assert [name for name, _ in origin.data] == ["train-2026-11"]
    assert origin.run
    assert origin.artifact.startswith("mlflow-artifacts:/")


@pytest.mark.io
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_real_aliases_follow_the_split(mlflow: RealMlflow) -> None:
    actuator = MlflowAliases(MlflowServer(mlflow.url), "{model}")
    seen = []
    for split in (ONLY_1, CANARY_2, CANARY_2, ONLY_2, ONLY_1):
        assert hold(actuator.apply(traffic(split))) == ""
        seen.append(mlflow.aliases())
    assert seen == [
        {"champion": "1"},
        {"champion": "1", "challenger": "2"},
        {"champion": "1", "challenger": "2"},
        {"champion": "2"},
        {"champion": "1"},
    ]
    assert read(mlflow.url, "models:/fraud@champion").version == "1"
    unknown = Traffic("fraud", (Share("9", Variant.CHAMPION, 1.0),), 1, "d1")
    assert "MLflow does not set the alias champion, status 404" in hold(actuator.apply(unknown))
    with pytest.raises(NotInMlflow, match="Registered model alias other not found"):
        read(mlflow.url, "models:/fraud@other")


@pytest.fixture
def local() -> Iterator[FakeApi]:
    server = FakeApi(MlflowApi([1_000, 2_000], {"champion": "1"}).answer)
    yield server
    server.close()


@pytest.mark.io
def test_what_is_known_of_a_version(local: FakeApi) -> None:
    assert read(local.url, "models:/fraud/2") == RegistryVersion(
        "fraud",
        "2",
        Origin(
            source="mlflow models:/fraud/2",
            run="r1",
            artifact="mlflow-artifacts:/0/models/m-1/artifacts",
            created_ms=2_000,
            code_revision="abc123",
            columns=COLUMNS,
            data=(("train-2026-11", "ad9c75e0"),),
            params=(("depth", "3"),),
            tags=(("owner", "pay"),),
            metrics=(("accuracy", 0.91),),
            owner="pay",
        ),
    )
    assert read(local.url, "models:/fraud@champion").version == "1"


@pytest.mark.io
def test_tags_say_what_mlflow_has_no_field_for() -> None:
    tags = {
        "owner": "risk",
        "business_context": "card payments",
        "intended_use": "scoring",
        "validation_status": "approved",
        "feature_view.payments": "4",
    }
    api = MlflowApi([1_000], tags={"1": [{"key": key, "value": value} for key, value in tags.items()]})
    server = FakeApi(api.answer)
    origin = read(server.url, "models:/fraud/1").origin
    server.close()
    said = (origin.owner, origin.context, origin.intended_use, origin.approval)
    assert said == ("risk", "card payments", "scoring", "approved")
    assert origin.feature_views == (("payments", "4"),)


@pytest.mark.io
def test_what_is_not_there_is_said(local: FakeApi) -> None:
    for reference in ("models:/fraud/9", "models:/credit/1", "models:/fraud@other"):
        with pytest.raises(NotInMlflow, match="not found"):
            read(local.url, reference)


@pytest.mark.io
def test_aliases_follow_the_split() -> None:
    registry = MlflowApi([1, 2])
    server = FakeApi(registry.answer)
    actuator = MlflowAliases(MlflowServer(server.url), "{model}")
    for split, aliases in (
        (CANARY_2, {"champion": "1", "challenger": "2"}),
        (ONLY_2, {"champion": "2"}),
        (ONLY_1, {"champion": "1"}),
    ):
        assert hold(actuator.apply(traffic(split))) == ""
        assert registry.aliases == aliases
    server.close()


@pytest.mark.parametrize("text", ["fraud/2", "models:/fraud", "models:/fraud/two", "runs:/x/model"])
def test_a_reference_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        parse_reference(text)


def test_the_signature_is_read_over_folded_lines_and_only_where_it_is() -> None:
    assert signature_columns(MLMODEL) == COLUMNS
    assert signature_columns(MLMODEL.replace("signature:", "other:")) == ()
    tensors = 'signature:\n  inputs: \'[{"type": "tensor", "tensor-spec": {"shape": [-1]}}]\'\n'
    assert signature_columns(tensors) == ()
