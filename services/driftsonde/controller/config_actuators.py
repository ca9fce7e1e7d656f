"""Which serving systems follow the splits."""

from dataclasses import dataclass
from enum import StrEnum

from driftsonde.adapters.argo_rollouts import ArgoRollouts
from driftsonde.adapters.istio import Istio
from driftsonde.adapters.kserve import KServe
from driftsonde.adapters.kubernetes import API_URL, TOKEN_FILE, Kubernetes
from driftsonde.adapters.mlflow import MlflowAliases, MlflowServer
from driftsonde.controller.config_endpoints import Name
from driftsonde.controller.config_parts import (
    Endpoint,
    InvalidConfig,
    SignedTarget,
    Surroundings,
    Texts,
    choice,
)

System = KServe | ArgoRollouts | Istio | MlflowAliases


class ActuatorType(StrEnum):
    WEBHOOK = "webhook"
    MLFLOW = "mlflow"
    KSERVE = "kserve"
    ARGO_ROLLOUTS = "argo-rollouts"
    ISTIO = "istio"


@dataclass(frozen=True, slots=True)
class Actuator:
    """`by` is a signed webhook, or a system whose interface we speak."""

    name: str
    by: Endpoint | System


_CLUSTER = {"namespace", "object", "token_file"}
_OWN_FIELDS = {
    ActuatorType.WEBHOOK: {"secret", "secret_env"},
    ActuatorType.MLFLOW: {"object", "key", "key_env"},
    ActuatorType.KSERVE: {*_CLUSTER, "version_label"},
    ActuatorType.ARGO_ROLLOUTS: {*_CLUSTER, "version_label"},
    ActuatorType.ISTIO: {*_CLUSTER, "host", "subset", "route"},
}


class ActuatorSection(SignedTarget):
    """`object` is the name of what is changed: a registered model, an InferenceService, a Rollout, a VirtualService."""

    name: Name
    type: str
    models: Texts
    object: str = "{model}"
    namespace: str = "default"
    version_label: str = "driftsonde/version"
    host: str = ""
    subset: str = "v{version}"
    route: str = ""
    key: str = ""
    key_env: str = ""
    token_file: str = TOKEN_FILE

    @property
    def path(self) -> str:
        return f"actuators.{self.name}"

    def read(self, around: Surroundings) -> Actuator:
        kind = ActuatorType(choice(f"{self.path}.type", self.type, ActuatorType))
        foreign = self.model_fields_set - {"name", "type", "models", "url", "url_env"} - _OWN_FIELDS[kind]
        if foreign:
            raise InvalidConfig(f"{self.path}.{min(foreign)}: {kind} has no such field")
        return Actuator(self.name, self._by(kind, around))

    def _by(self, kind: ActuatorType, around: Surroundings) -> Endpoint | System:
        match kind:
            case ActuatorType.WEBHOOK:
                return self.endpoint(self.path, self.name, around)
            case ActuatorType.MLFLOW:
                key = around.one_of(self.path, "key", self.key, self.key_env, needed=False)
                server = MlflowServer(self._url(around, ""), f"Bearer {key}" if key else "")
                return MlflowAliases(server, self.object)
            case ActuatorType.KSERVE:
                return KServe(self._cluster(around), self.namespace, self.object, self.version_label)
            case ActuatorType.ARGO_ROLLOUTS:
                return ArgoRollouts(self._cluster(around), self.namespace, self.object, self.version_label)
            case ActuatorType.ISTIO:
                if not self.host:
                    raise InvalidConfig(f"{self.path}: expected host, that of the route's destinations")
                cluster = self._cluster(around)
                return Istio(cluster, self.namespace, self.object, self.host, self.subset, self.route)

    def _cluster(self, around: Surroundings) -> Kubernetes:
        return Kubernetes(self._url(around, API_URL), self.token_file)

    def _url(self, around: Surroundings, default: str) -> str:
        url = around.one_of(self.path, "url", self.url, self.url_env, needed=not default) or default
        return around.url(f"{self.path}.url", url).rstrip("/")
