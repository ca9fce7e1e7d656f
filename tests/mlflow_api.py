"""The part of MLflow's REST API that is used, answering as a real server of 3.17 did."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fake_api import Answer, Call

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/0/models/m-1/artifacts/MLmodel"
MLMODEL = """artifact_path: mlflow-artifacts:/0/models/m-1/artifacts
signature:
  inputs: '[{"type": "double", "name": "amount", "required": true}, {"type": "string",
    "name": "country", "required": true}, {"type": "long", "name": "n", "required":
    true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "bool", "shape": [-1]}}]'
  params: null
"""
RUN = {
    "info": {"run_id": "r1", "status": "FINISHED"},
    "data": {
        "metrics": [
            {"key": "accuracy", "value": 0.91, "timestamp": 1, "step": 0},
            {"key": "auc", "value": "NaN", "timestamp": 1, "step": 0},
        ],
        "params": [{"key": "depth", "value": "3"}],
        "tags": [
            {"key": "mlflow.runName", "value": "train"},
            {"key": "mlflow.source.git.commit", "value": "abc123"},
            {"key": "owner", "value": "pay"},
        ],
    },
    "inputs": {"dataset_inputs": [{"dataset": {"name": "train-2026-11", "digest": "ad9c75e0"}}]},
}


@dataclass(slots=True)
class MlflowApi:
    """created_ms: when each version of the model `fraud` was registered; the versions are numbered from 1."""

    created_ms: list[int]
    aliases: dict[str, str] = field(default_factory=dict)
    tags: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def answer(self, call: Call) -> Answer:
        address = urlsplit(call.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        if address.path == ARTIFACTS:
            return Answer(200, raw=MLMODEL.encode())
        match call.method, address.path.removeprefix("/api/2.0/mlflow/"):
            case "GET", "registered-models/alias":
                if query["alias"] not in self.aliases:
                    message = f"Registered model alias {query['alias']} not found."
                    return Answer(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": message})
                return self._version(query["name"], self.aliases[query["alias"]])
            case "GET", "model-versions/get":
                return self._version(query["name"], query["version"])
            case "GET", "model-versions/get-download-uri":
                return Answer(200, {"artifact_uri": "mlflow-artifacts:/0/models/m-1/artifacts"})
            case "GET", "model-versions/search":
                return self._search(query)
            case "GET", "runs/get":
                return Answer(200, {"run": RUN})
            case "POST", "registered-models/alias":
                found = self._version(call.body["name"], call.body["version"])
                if found.status == 200:
                    self.aliases[call.body["alias"]] = call.body["version"]
                return Answer(200, {}) if found.status == 200 else found
            case "DELETE", "registered-models/alias":
                self.aliases.pop(call.body["alias"], None)
                return Answer(200, {})
        return Answer(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": call.path})

    def _search(self, query: dict[str, str]) -> Answer:
        assert query["filter"] == "name='fraud'"
        assert query["order_by"] == "creation_timestamp DESC"
        newest = sorted(range(1, len(self.created_ms) + 1), reverse=True)[: int(query["max_results"])]
        return Answer(200, {"model_versions": [self._entry(str(number)) for number in newest]})

    def _version(self, name: str, version: str) -> Answer:
        if name != "fraud" or not 1 <= int(version) <= len(self.created_ms):
            message = f"Model Version (name={name}, version={version}) not found"
            return Answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message})
        return Answer(200, {"model_version": self._entry(version)})

    def _entry(self, version: str) -> dict[str, Any]:
        return {
            "name": "fraud",
            "version": version,
            "creation_timestamp": self.created_ms[int(version) - 1],
            "current_stage": "None",
            "description": "",
            "source": "models:/m-1",
            "run_id": "r1",
            "status": "READY",
            "tags": self.tags.get(version, []),
        }
