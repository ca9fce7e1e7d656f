"""Where the versions that retrainings register are looked for."""

from dataclasses import dataclass

from driftsonde.adapters.mlflow import MlflowServer
from driftsonde.adapters.mlflow_registry import MlflowCandidates
from driftsonde.controller.config_parts import InvalidConfig, Section, Surroundings, duration_ms

CANDIDATE = "candidate"
MLFLOW = "mlflow"


@dataclass(frozen=True, slots=True)
class Registry:
    """within_s: how long after a retraining's end its version has to be there."""

    by: MlflowCandidates
    within_s: float


class RegistrySection(Section):
    type: str = MLFLOW
    url: str = ""
    url_env: str = ""
    object: str = "{model}"
    key: str = ""
    key_env: str = ""
    poll: str = "10s"
    timeout: str = "10m"

    def read(self, around: Surroundings) -> Registry:
        if self.type != MLFLOW:
            raise InvalidConfig(f"registry.type: {self.type!r}; expected {MLFLOW}")
        url = around.url("registry.url", around.one_of("registry", "url", self.url, self.url_env))
        key = around.one_of("registry", "key", self.key, self.key_env, needed=False)
        server = MlflowServer(url.rstrip("/"), f"Bearer {key}" if key else "")
        poll_ms = max(1, duration_ms("registry.poll", self.poll))
        within_s = duration_ms("registry.timeout", self.timeout) / 1000
        return Registry(MlflowCandidates(server, self.object, poll_ms), within_s)
