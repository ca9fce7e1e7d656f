"""The example documents, read by the real parsers."""

import re
from pathlib import Path

import pytest

from driftsonde.adapters.airflow import Airflow
from driftsonde.adapters.argo_rollouts import ArgoRollouts
from driftsonde.adapters.istio import Istio
from driftsonde.adapters.kserve import KServe
from driftsonde.adapters.kubernetes_job import KubernetesJob
from driftsonde.adapters.mlflow import MlflowAliases
from driftsonde.adapters.prefect import Prefect
from driftsonde.adapters.specs import InvalidSpec, spec_from_toml
from driftsonde.controller.config import parse_config
from driftsonde.controller.config_parts import Endpoint, InvalidConfig
from driftsonde.controller.tokens import parse_tokens
from driftsonde.core.control.access import Person, Role
from driftsonde.core.control.decisions import Severity
from driftsonde.core.signals import Rule
from driftsonde.core.spec import Mode, Task

TOP = Path(__file__).parents[2]
EXAMPLES = TOP / "deploy" / "examples"
MODEL = (EXAMPLES / "model.toml").read_text(encoding="utf-8")
CONTROLLER = (EXAMPLES / "controller.toml").read_text(encoding="utf-8")
ENVIRONMENT = dict(
    line.split("=", 1)
    for line in (TOP / ".env.example").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def test_the_model_is_a_spec() -> None:
    spec = spec_from_toml(MODEL)
    assert (spec.name, spec.task, spec.window_ms) == ("fraud", Task.BINARY, 3_600_000)
    assert spec.segments == ("country", "device")
    assert (spec.policy.actions.retrain, spec.policy.actions.rollback) == (Mode.RECOMMEND, Mode.AUTO)
    assert (spec.policy.actions.promote, spec.policy.rollout.min_stage_ms) == (Mode.RECOMMEND, 6 * 3_600_000)


def test_the_tokens_are_of_people() -> None:
    tokens = parse_tokens((EXAMPLES / "tokens.toml").read_text(encoding="utf-8"))
    assert [token.person for token in tokens] == [
        Person("ann", Role.APPROVER),
        Person("training pipeline", Role.APPROVER),
    ]


def test_a_misspelt_field_of_the_model_is_named() -> None:
    with pytest.raises(InvalidSpec, match=r"policy\.drift\.psy: unknown"):
        spec_from_toml(MODEL.replace("psi =", "psy ="))


def test_the_webhooks_are_read_with_the_secrets_of_the_environment() -> None:
    config = parse_config(CONTROLLER, ENVIRONMENT)
    assert [endpoint.name for endpoint in config.endpoints] == ["oncall", "payments-ml"]
    assert config.retrain is not None
    assert isinstance(config.retrain.by, Endpoint)
    assert config.retrain.by.keys != config.endpoints[0].keys
    assert config.delays_ms[0] == 5_000


def test_a_missing_secret_is_named() -> None:
    with pytest.raises(InvalidConfig, match="ONCALL_WEBHOOK_SECRET"):
        parse_config(CONTROLLER, {})


def test_the_container_sees_the_example_where_env_example_says() -> None:
    assert (
        f"/etc/driftsonde/{EXAMPLES.joinpath('controller.toml').name}" in (TOP / ".env.example").read_text()
    )
    assert "./deploy/examples:/etc/driftsonde:ro" in (TOP / "docker-compose.yml").read_text()


def test_the_larger_example_is_read_whole() -> None:
    variables = {
        "PAGERDUTY_ROUTING_KEY": "r" * 32,
        "OPSGENIE_API_KEY": "key",
        "SLACK_WEBHOOK_URL": "https://hooks.slack.example.com/T0",
        "SLACK_DIGEST_URL": "https://hooks.slack.example.com/T1",
    }
    config = parse_config((EXAMPLES / "oncall.toml").read_text(encoding="utf-8"), variables)
    assert [(endpoint.name, endpoint.channel.value) for endpoint in config.endpoints] == [
        ("pager", "pagerduty"),
        ("lead", "opsgenie"),
        ("chat", "slack"),
        ("digest", "slack"),
        ("alertmanager", "alertmanager"),
    ]
    pager, lead, chat, digest, alertmanager = config.routes
    assert (pager.at_least, pager.incidents_only) == (Severity.CRITICAL, True)
    assert lead.escalation_ms == 900_000
    assert chat.hours is not None
    assert (chat.hold, sorted(chat.hours.days), chat.hours.start_minute) == (True, [0, 1, 2, 3, 4], 540)
    assert digest.digest_ms == 86_400_000
    assert alertmanager.incidents_only
    assert config.severities[Rule.QUALITY] is Severity.CRITICAL
    for variable in variables:
        with pytest.raises(InvalidConfig, match=f"the environment has no {variable}"):
            parse_config((EXAMPLES / "oncall.toml").read_text(encoding="utf-8"), variables | {variable: ""})


@pytest.mark.parametrize(
    ("name", "kind"),
    [("prefect", Prefect), ("airflow", Airflow), ("kubernetes", KubernetesJob)],
)
def test_the_examples_of_retraining(name: str, kind: type) -> None:
    variables = {"PREFECT_API_KEY": "key", "AIRFLOW_PASSWORD": "password"}
    config = parse_config((EXAMPLES / f"retrain-{name}.toml").read_text(encoding="utf-8"), variables)
    assert config.retrain is not None
    assert isinstance(config.retrain.by, kind)
    assert config.retrain.within_s == 43_200


def test_the_example_of_serving_systems() -> None:
    variables = {"GATEWAY_WEBHOOK_SECRET": ENVIRONMENT["ONCALL_WEBHOOK_SECRET"]}
    config = parse_config((EXAMPLES / "serving.toml").read_text(encoding="utf-8"), variables)
    kinds = {actuator.name: type(actuator.by) for actuator in config.actuators}
    assert kinds == {
        "registry": MlflowAliases,
        "kserve": KServe,
        "argo": ArgoRollouts,
        "istio": Istio,
        "gateway": Endpoint,
    }
    assert [route.models for route in config.follows] == [frozenset()] * 4 + [frozenset({"fraud"})]


def test_compose_passes_every_variable_that_an_example_names() -> None:
    texts = [file.read_text(encoding="utf-8") for file in EXAMPLES.glob("*.toml")]
    named = {
        name for text in texts for name in re.findall(r'^[^#\n]*\b\w+_env = "(\w+)"', text, re.MULTILINE)
    }
    compose = (TOP / "docker-compose.yml").read_text(encoding="utf-8")
    assert {"PAGERDUTY_ROUTING_KEY", "PREFECT_API_KEY", "GATEWAY_WEBHOOK_SECRET"} <= named
    assert [name for name in sorted(named) if f"{name}: ${{{name}:-}}" not in compose] == []


def test_every_example_is_listed() -> None:
    text = (TOP / "deploy" / "README.md").read_text(encoding="utf-8")
    assert [file.name for file in EXAMPLES.glob("*.toml") if f"`{file.name}`" not in text] == []
