import base64

import pytest

from driftsonde.adapters.airflow import Airflow
from driftsonde.adapters.kubernetes import Kubernetes
from driftsonde.adapters.kubernetes_job import JobFile, KubernetesJob
from driftsonde.adapters.mlflow import MlflowServer
from driftsonde.adapters.mlflow_registry import MlflowCandidates
from driftsonde.adapters.prefect import Prefect
from driftsonde.controller.config import ControllerConfig, parse_config
from driftsonde.controller.config_parts import Channel, Endpoint, InvalidConfig
from driftsonde.controller.config_registry import Registry
from driftsonde.controller.config_retrain import Retraining
from driftsonde.core.control.decisions import Kind, Severity
from driftsonde.core.control.retry import ONCALL_DELAYS_MS
from driftsonde.core.control.routing import SEVERITIES, Route
from driftsonde.core.signals import Rule

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
GOOD = f"""
allow_hosts = ["Trainer.internal"]
retry_delays = ["1s", "2m"]

[[endpoints]]
name = "oncall"
url = "https://hooks.example.com/x"
secret_env = ["NEW_SECRET", "OLD_SECRET"]
kinds = ["alert", "rollback"]
models = ["fraud"]

[retrain]
url = "http://trainer.internal:8080/run"
secret = "{SECRET}"
"""
ENVIRON = {
    "NEW_SECRET": SECRET,
    "OLD_SECRET": "whsec_" + base64.b64encode(b"o" * 32).decode(),
}


def test_a_whole_file() -> None:
    config = parse_config(GOOD, ENVIRON)
    (oncall,) = config.endpoints
    assert oncall.keys == (b"k" * 32, b"o" * 32)
    assert config.routes == (Route("oncall", frozenset({Kind.ALERT, Kind.ROLLBACK}), frozenset({"fraud"})),)
    assert config.retrain is not None
    assert isinstance(config.retrain.by, Endpoint)
    assert config.retrain.by.keys == (b"k" * 32,)
    assert config.allow_hosts == {"trainer.internal"}
    assert config.delays_ms == (1_000, 120_000)


def test_an_empty_file_is_no_endpoints() -> None:
    assert parse_config("", {}) == ControllerConfig()
    assert ControllerConfig().delays_ms == ONCALL_DELAYS_MS


def test_secrets_are_not_shown() -> None:
    assert "kkkk" not in repr(parse_config(GOOD, ENVIRON))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("kinds =", "kindz =", "endpoints.0.kindz: unknown field"),
        ("allow_hosts =", "allowed_hosts =", "allowed_hosts: unknown field"),
        ('name = "oncall"', 'name = "On Call"', "endpoints.0.name"),
        ('name = "oncall"', 'name = "retrain"', "endpoints.name"),
        ('name = "oncall"\n', "", "endpoints.0.name: Field required"),
        ("https://hooks.example.com/x", "http://hooks.example.com/x", "endpoints.oncall.url: plain http"),
        ("https://hooks.example.com/x", "https://hooks.example.com:1/x", "endpoints.oncall.url: port 1"),
        ('"alert"', '"alarm"', "endpoints.oncall.kinds: 'alarm'"),
        ('"OLD_SECRET"', '"NO_SECRET"', "endpoints.oncall.secret_env: the environment has no NO_SECRET"),
        (
            'secret_env = ["NEW_SECRET", "OLD_SECRET"]\n',
            "",
            "endpoints.oncall: expected secret or secret_env",
        ),
        (SECRET, "whsec_short", "retrain.secret"),
        ('"1s"', '"soon"', "retry_delays: 'soon'"),
        ("[retrain]", "[retrain", "not TOML"),
    ],
)
def test_a_mistake_is_one_error_that_names_the_field(old: str, new: str, problem: str) -> None:
    assert old in GOOD
    with pytest.raises(InvalidConfig) as caught:
        parse_config(GOOD.replace(old, new), ENVIRON)
    assert problem in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_two_endpoints_of_one_name_are_refused() -> None:
    endpoint = GOOD[GOOD.index("[[endpoints]]") : GOOD.index("[retrain]")]
    with pytest.raises(InvalidConfig, match="names must differ"):
        parse_config(endpoint * 2, ENVIRON)


CHANNELS = """
link = "https://c.example.com/{incident}"
[[endpoints]]
name = "pager"
type = "pagerduty"
key = "k"
severity = "critical"
hours = "Fri-Mon 22:00-06:00"
timezone = "Europe/Berlin"
outside_hours = "skip"
escalate_after = "10m"
[[endpoints]]
name = "chat"
type = "slack"
url = "https://hooks.example.com/T0/secret"
digest = "1h"
[severities]
drift = "info"
"""


def test_channels_and_routes() -> None:
    config = parse_config(CHANNELS, {})
    pager, chat = config.endpoints
    assert (pager.url, pager.token, pager.channel) == (
        "https://events.pagerduty.com",
        "k",
        Channel.PAGERDUTY,
    )
    assert (chat.channel, chat.token) == (Channel.SLACK, "")
    hours = config.routes[0].hours
    assert hours is not None
    assert (sorted(hours.days), hours.start_minute, hours.end_minute) == ([0, 4, 5, 6], 1320, 360)
    assert not config.routes[0].hold
    assert config.severities == {**SEVERITIES, Rule.DRIFT: Severity.INFO}
    assert "secret" not in repr(config)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"pagerduty"', '"pager"', "endpoints.pager.type: 'pager'; expected one of webhook, pagerduty"),
        ('key = "k"\n', "", "endpoints.pager: expected key or key_env"),
        ('key = "k"', 'key = "k"\nkey_env = "K"', "endpoints.pager: key and key_env exclude each other"),
        ('key = "k"', 'secret = "k"', "endpoints.pager: pagerduty is not signed"),
        ('"critical"', '"urgent"', "endpoints.pager.severity: 'urgent'"),
        ("Fri-Mon 22:00-06:00", "always", "endpoints.pager.hours: 'always'"),
        ("Fri-Mon 22:00-06:00", "Fri-Xyz 22:00-06:00", "endpoints.pager.hours: 'Fri-Xyz"),
        ("Fri-Mon 22:00-06:00", "Fri 22:70-06:00", "has no such time of day"),
        ("Europe/Berlin", "Europe/Atlantis", "endpoints.pager.timezone: there is no 'Europe/Atlantis'"),
        ('"skip"', '"drop"', "endpoints.pager.outside_hours: expected hold or skip"),
        ('"10m"', '"soon"', "endpoints.pager.escalate_after: 'soon'"),
        ('escalate_after = "10m"', 'digest = "10m"', "endpoints.pager.digest: pagerduty keeps alerts"),
        ('url = "https://hooks.example.com/T0/secret"\n', "", "endpoints.chat: expected url or url_env"),
        ("https://hooks.example.com/T0", "https://127.0.0.1:99/T0", "endpoints.chat.url: port 99"),
        ("{incident}", "{incidents}", "link: expected no other fields than decision, incident, model"),
        ('drift = "info"', 'drift = "none"', "severities.drift: 'none'"),
        ('drift = "info"', 'rain = "info"', "severities: 'rain'"),
    ],
)
def test_a_mistake_in_a_channel_names_the_field(old: str, new: str, problem: str) -> None:
    assert old in CHANNELS
    with pytest.raises(InvalidConfig) as caught:
        parse_config(CHANNELS.replace(old, new), {})
    assert problem in str(caught.value)
    assert "/T0" not in str(caught.value)


def retrain_config(section: str) -> Retraining:
    config = parse_config(f'allow_hosts = ["train.internal"]\n[retrain]\n{section}', {"KEY": "key"})
    assert config.retrain is not None
    return config.retrain


def test_whoever_retrains() -> None:
    prefect = retrain_config(
        """
        type = "prefect"
        url = "http://train.internal:4200/api/"
        deployment = "retrain/{model}"
        key_env = "KEY"
        poll = "1m"
        timeout = "6h"
        """
    )
    assert prefect == Retraining(
        Prefect("http://train.internal:4200/api", "retrain/{model}", "Bearer key", 60_000), 21_600.0
    )
    airflow = retrain_config(
        """
        type = "airflow"
        url = "http://train.internal"
        dag = "train"
        version = 1
        user = "ann"
        password_env = "KEY"
        """
    )
    assert airflow.by == Airflow("http://train.internal", "train", 1, "", "ann", "key")
    job = retrain_config(
        """
        type = "kubernetes"
        namespace = "ml"
        container = {image = "train:1"}
        pod = {serviceAccountName = "trainer"}
        """
    ).by
    assert isinstance(job, KubernetesJob)
    assert (job.api, job.template.namespace) == (Kubernetes(), "ml")
    written = retrain_config('type = "kubernetes"\ncontainer = {image = "train:1"}\ndirectory = "jobs"').by
    assert isinstance(written, JobFile)
    assert "key" not in repr(airflow).replace("keys", "")


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ('type = "celery"', "retrain.type: 'celery'; expected one of webhook, prefect, airflow, kubernetes"),
        ('type = "prefect"\nurl = "http://train.internal"', "retrain: expected deployment"),
        ('type = "prefect"\ndeployment = "a/b"', "retrain: expected url or url_env"),
        (
            'type = "prefect"\nurl = "http://10.0.0.1/api"\ndeployment = "a/b"',
            "retrain.url: plain http is allowed only to hosts on the allow-list",
        ),
        ('type = "prefect"\ndag = "d"', "retrain.dag: prefect has no such field"),
        ('type = "airflow"\nurl = "http://train.internal"\ndag = "d"', "expected key, or user and password"),
        (
            'type = "airflow"\nurl = "http://train.internal"\ndag = "d"\nkey = "k"\nversion = 3',
            "retrain.version: expected 2 (Airflow 3) or 1 (Airflow 2)",
        ),
        ('type = "kubernetes"', "retrain.container: expected a table with an image"),
        (
            'type = "kubernetes"\ncontainer = {image = "i"}\ndirectory = "d"\nurl = "https://k"',
            "retrain: directory and url exclude each other",
        ),
        ('type = "prefect"\nurl = "http://train.internal"\ndeployment = "d"\npoll = "x"', "retrain.poll"),
    ],
)
def test_a_mistake_in_retraining_names_the_field(section: str, problem: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        retrain_config(section)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ('type = "envoy"', "actuators.a.type: 'envoy'; expected one of webhook, mlflow, kserve"),
        ('type = "mlflow"', "actuators.a: expected url or url_env"),
        ('type = "mlflow"\nurl = "http://10.1.2.3:5000"', "actuators.a.url: plain http"),
        ('type = "kserve"\nhost = "h"', "actuators.a.host: kserve has no such field"),
        ('type = "istio"', "actuators.a: expected host"),
        ('type = "webhook"\nurl = "https://g.example.com/"', "actuators.a: expected secret or secret_env"),
    ],
)
def test_a_mistake_in_an_actuator_names_the_field(section: str, problem: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse_config(f'[[actuators]]\nname = "a"\n{section}', {})
    assert problem in str(caught.value)


def test_an_actuator_and_an_endpoint_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="names must differ"):
        parse_config(GOOD + '[[actuators]]\nname = "oncall"\ntype = "kserve"', ENVIRON)


def test_the_registry_of_candidates() -> None:
    config = parse_config('[registry]\nurl = "https://mlflow.example.com/"\nkey_env = "KEY"', {"KEY": "k"})
    server = MlflowServer("https://mlflow.example.com", "Bearer k")
    assert config.registry == Registry(MlflowCandidates(server, "{model}", 10_000), 600.0)
    assert config.names() == ("candidate",)
    with pytest.raises(InvalidConfig, match="registry: expected url or url_env"):
        parse_config("[registry]", {})
    with pytest.raises(InvalidConfig, match=r"registry\.type: 'sagemaker'; expected mlflow"):
        parse_config('[registry]\ntype = "sagemaker"', {})


def test_only_what_forgets_is_told_again() -> None:
    text = '[[endpoints]]\nname = "am"\ntype = "alertmanager"\nurl = "https://am.example.com"\n'
    assert [it.repeat_ms for it in parse_config(text, {}).endpoints] == [5 * 60_000]
    assert [it.repeat_ms for it in parse_config(f'{text}repeat = "1m"', {}).endpoints] == [60_000]
    with pytest.raises(InvalidConfig, match=r"endpoints\.am\.repeat: expected 12h or less"):
        parse_config(f'{text}repeat = "13h"', {})
    slack = '[[endpoints]]\nname = "chat"\ntype = "slack"\nurl = "https://x.example.com"\nrepeat = "1m"'
    with pytest.raises(InvalidConfig, match="slack does not forget"):
        parse_config(slack, {})
