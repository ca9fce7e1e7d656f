"""Who carries out a retraining: a webhook, Prefect, Airflow, or a Kubernetes Job."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pydantic

from driftsonde.adapters.airflow import Airflow
from driftsonde.adapters.kubernetes import API_URL, TOKEN_FILE, Kubernetes
from driftsonde.adapters.kubernetes_job import JobFile, JobTemplate, KubernetesJob
from driftsonde.adapters.prefect import Prefect
from driftsonde.controller.config_parts import (
    Endpoint,
    InvalidConfig,
    SignedTarget,
    Surroundings,
    choice,
    duration_ms,
)

RETRAIN = "retrain"
Trainer = Prefect | Airflow | KubernetesJob | JobFile
Table = Annotated[dict[str, Any], pydantic.Field(default_factory=dict)]


class TrainerType(StrEnum):
    WEBHOOK = "webhook"
    PREFECT = "prefect"
    AIRFLOW = "airflow"
    KUBERNETES = "kubernetes"


_OWN_FIELDS = {
    TrainerType.WEBHOOK: {"secret", "secret_env"},
    TrainerType.PREFECT: {"deployment", "key", "key_env", "poll", "timeout"},
    TrainerType.AIRFLOW: {
        *("dag", "version", "user", "password", "password_env", "key", "key_env", "poll", "timeout")
    },
    TrainerType.KUBERNETES: {
        *("container", "pod", "namespace", "directory", "token_file", "poll", "timeout"),
    },
}


@dataclass(frozen=True, slots=True)
class Retraining:
    """`by` is a signed webhook, which is told and no more, or something that is followed to the run's end; within_s:
    when that has to have come, from the decision on."""

    by: Endpoint | Trainer
    within_s: float


class RetrainSection(SignedTarget):
    type: str = TrainerType.WEBHOOK.value
    deployment: str = ""
    dag: str = ""
    version: int = 2
    user: str = ""
    password: str = ""
    password_env: str = ""
    key: str = ""
    key_env: str = ""
    container: Table
    pod: Table
    namespace: str = "default"
    directory: str = ""
    token_file: str = TOKEN_FILE
    poll: str = "10s"
    timeout: str = "24h"

    def read(self, around: Surroundings) -> Retraining:
        kind = TrainerType(choice("retrain.type", self.type, TrainerType))
        foreign = self.model_fields_set - {"type", "url", "url_env"} - _OWN_FIELDS[kind]
        if foreign:
            raise InvalidConfig(f"retrain.{min(foreign)}: {kind} has no such field")
        within_s = duration_ms("retrain.timeout", self.timeout) / 1000
        return Retraining(self._by(kind, around, within_s), within_s)

    def _by(self, kind: TrainerType, around: Surroundings, within_s: float) -> Endpoint | Trainer:
        poll_ms = max(1, duration_ms("retrain.poll", self.poll))
        match kind:
            case TrainerType.WEBHOOK:
                return self.endpoint("retrain", RETRAIN, around)
            case TrainerType.PREFECT:
                key = around.one_of("retrain", "key", self.key, self.key_env, needed=False)
                authorization = f"Bearer {key}" if key else ""
                self._needs("deployment", self.deployment)
                return Prefect(self._url(around), self.deployment, authorization, poll_ms)
            case TrainerType.AIRFLOW:
                return self._airflow(around, poll_ms)
            case TrainerType.KUBERNETES:
                return self._kubernetes(around, poll_ms, within_s)

    def _airflow(self, around: Surroundings, poll_ms: int) -> Airflow:
        self._needs("dag", self.dag)
        if self.version not in (1, 2):
            raise InvalidConfig("retrain.version: expected 2 (Airflow 3) or 1 (Airflow 2)")
        token = around.one_of("retrain", "key", self.key, self.key_env, needed=False)
        password = around.one_of("retrain", "password", self.password, self.password_env, needed=False)
        if bool(token) == bool(self.user) or bool(self.user) != bool(password):
            raise InvalidConfig("retrain: expected key, or user and password")
        return Airflow(self._url(around), self.dag, self.version, token, self.user, password, poll_ms)

    def _kubernetes(self, around: Surroundings, poll_ms: int, within_s: float) -> KubernetesJob | JobFile:
        if not self.container.get("image"):
            raise InvalidConfig("retrain.container: expected a table with an image")
        template = JobTemplate(self.container, self.pod, self.namespace, int(within_s))
        if self.directory:
            if self.url or self.url_env:
                raise InvalidConfig("retrain: directory and url exclude each other")
            return JobFile(Path(self.directory), template)
        url = around.one_of("retrain", "url", self.url, self.url_env, needed=False) or API_URL
        api = Kubernetes(around.url("retrain.url", url).rstrip("/"), self.token_file)
        return KubernetesJob(api, template, poll_ms)

    def _url(self, around: Surroundings) -> str:
        url = around.one_of("retrain", "url", self.url, self.url_env)
        return around.url("retrain.url", url).rstrip("/")

    def _needs(self, name: str, value: str) -> None:
        if not value:
            raise InvalidConfig(f"retrain: expected {name}")
