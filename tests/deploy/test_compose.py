"""No container engine here: what can be checked of the composition is that its parts agree with each other and the code."""

import importlib.util
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from driftsonde.adapters.service import Conditions, HealthServer
from driftsonde.adapters.settings import HttpSettings, read_settings, variables
from driftsonde.cli import COMMANDS

TOP = Path(__file__).parents[2]
COMPOSE_TEXT = (TOP / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("sketcher", "judge", "archiver", "controller")
DOCKERFILE = (TOP / "deploy" / "Dockerfile").read_text(encoding="utf-8")
DATA_SOURCES = {
    source["uid"]: source
    for source in yaml.safe_load(
        (TOP / "deploy/grafana/provisioning/datasources/driftsonde.yml").read_text(encoding="utf-8")
    )["datasources"]
}


def env_example() -> dict[str, str]:
    lines = (TOP / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def interpolated(value: str) -> str:
    """As Compose does it, with the example's values."""
    values = env_example()
    return re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda match: values[match.group(1)], value)


def environment(service: str) -> dict[str, str]:
    return {name: interpolated(value) for name, value in SERVICES[service].get("environment", {}).items()}


def test_env_example_has_every_variable_and_no_other() -> None:
    assert set(re.findall(r"\$\{(\w+)", COMPOSE_TEXT)) == set(env_example())


def test_secrets_have_no_default_in_the_composition() -> None:
    assert not re.findall(r"\$\{\w*(?:PASSWORD|TOKEN)\w*(?::-[^}]+)?\}", COMPOSE_TEXT)


@pytest.mark.parametrize("service", [*OURS, "init"])
def test_settings_are_known_and_valid(service: str) -> None:
    given = {name: value for name, value in environment(service).items() if name.startswith("DRIFTSONDE_")}
    assert given.keys() <= {variable.name for variable in variables()}
    settings = read_settings(given)
    assert settings.http.port == 8080
    assert settings.clickhouse.host in SERVICES
    host, port = settings.kafka.bootstrap_servers.split(":")
    assert f"INTERNAL://{host}:{port}" in environment(host)["KAFKA_ADVERTISED_LISTENERS"].split(",")


def test_the_controller_asks_for_a_token_where_others_can_reach_it() -> None:
    settings = read_settings(environment("controller"))
    assert settings.http.bind == "0.0.0.0"
    assert settings.controller.api_token


@pytest.mark.parametrize("service", OURS)
def test_commands_are_modules_of_the_package(service: str) -> None:
    python, option, module = SERVICES[service]["command"]
    assert (python, option, module) == ("python", "-m", f"driftsonde.{service}")
    assert importlib.util.find_spec(f"{module}.__main__") is not None


def test_init_uses_commands_that_exist() -> None:
    calls = re.findall(r"driftsonde (\w+)", SERVICES["init"]["command"][-1])
    assert calls == ["topics", "migrate"]
    assert set(calls) <= set(COMMANDS)


@pytest.mark.parametrize("service", [*OURS, "init"])
def test_our_containers_have_no_rights_that_they_do_not_need(service: str) -> None:
    container = SERVICES[service]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["user"] == "65532:65532"
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == [container["user"]]


def test_nothing_runs_as_root_by_our_doing() -> None:
    assert all(not str(service.get("user", "")).startswith("0") for service in SERVICES.values())
    assert not any(service.get("privileged") for service in SERVICES.values())


def test_ports_are_published_on_the_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == len(set(published)) == 6
    for port in published:
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


def test_images_have_a_fixed_tag_and_no_registry() -> None:
    images = {service["image"] for service in SERVICES.values()}
    images |= set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    for image in images:
        name, _, tag = image.partition(":")
        assert re.fullmatch(r"[a-z-]+(/[a-z-]+)?", name), image
        assert tag, image
        assert tag != "latest"
    assert {service["image"] for name, service in SERVICES.items() if name in OURS} == {"driftsonde:local"}


def test_the_image_is_built_from_files_that_exist_by_a_python_that_is_allowed() -> None:
    build = SERVICES["judge"]["build"]
    assert (TOP / build["context"] / build["dockerfile"]).is_file()
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((_, minor),) = set(re.findall(r"^FROM python:(\d)\.(\d+)-slim", DOCKERFILE, re.MULTILINE))
    low, high = re.findall(r"3\.(\d+)", project["requires-python"])
    assert int(low) <= int(minor) < int(high)
    sent = (TOP / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for source in line.split():
            assert (TOP / source).exists(), source
            assert f"!{source}\n" in sent


def test_mounted_files_exist_and_volumes_are_declared() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source, _, rest = mount.partition(":")
            if source.startswith("./"):
                assert (TOP / source).exists(), source
                assert rest.endswith(":ro")
            else:
                assert source in COMPOSE["volumes"]


def test_dependencies_exist_and_can_be_waited_for() -> None:
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[name]
            else:
                assert (how["condition"], name) == ("service_completed_successfully", "init")


@pytest.mark.io
def test_the_healthcheck_tells_ready_from_not_ready() -> None:
    (test,) = {tuple(SERVICES[service]["healthcheck"]["test"]) for service in OURS}
    kind, program, option, code = test
    assert (kind, program, option) == ("CMD", "python", "-c")
    ready = Conditions({"starting": "reading"})
    with HealthServer(HttpSettings(port=0), CollectorRegistry(), Conditions(), ready) as server:
        call = [sys.executable, "-c", code.replace(":8080/", f":{server.port}/")]
        assert call[2] != code
        assert subprocess.run(call, stderr=subprocess.DEVNULL, check=False).returncode != 0
        ready.clear("starting")
        assert subprocess.run(call, check=False).returncode == 0


def test_kafka_knows_its_listeners() -> None:
    kafka = environment("kafka")
    protocols = dict(pair.split(":") for pair in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    listeners = dict(re.findall(r"(\w+)://[^:,]*:(\d+)", kafka["KAFKA_LISTENERS"]))
    advertised = dict(re.findall(r"(\w+)://[^:,]+:(\d+)", kafka["KAFKA_ADVERTISED_LISTENERS"]))
    assert listeners.keys() == protocols.keys()
    assert advertised.items() <= listeners.items()
    assert listeners.keys() - advertised.keys() == {kafka["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"1@kafka:{listeners['CONTROLLER']}"
    assert f"127.0.0.1:{advertised['HOST']}:{listeners['HOST']}" in SERVICES["kafka"]["ports"]


def test_clickhouse_has_the_users_that_connect() -> None:
    users = ET.parse(TOP / "deploy" / "clickhouse" / "users.xml").getroot().find("users")
    assert users is not None
    passwords = {
        user.tag: password.attrib["from_env"]
        for user in users
        if (password := user.find("password")) is not None
    }
    given = environment("clickhouse")
    writer = read_settings(environment("judge")).clickhouse
    assert given[passwords[writer.user]] == writer.password
    reader = DATA_SOURCES["clickhouse"]
    assert (
        given[passwords[reader["jsonData"]["username"]]]
        == environment("grafana")["CLICKHOUSE_READER_PASSWORD"]
    )
    assert reader["secureJsonData"]["password"] == "$CLICKHOUSE_READER_PASSWORD"
    assert reader["jsonData"]["defaultDatabase"] == writer.database
    assert [user.attrib for user in users.findall("default")] == [{"remove": "remove"}]


def test_the_reader_of_clickhouse_only_reads() -> None:
    root = ET.parse(TOP / "deploy" / "clickhouse" / "users.xml").getroot()
    assert root.findtext("users/grafana_reader/profile") == "reader"
    assert root.findtext("profiles/reader/readonly") == "2"
    grants = [query.text for query in root.findall("users/grafana_reader/grants/query")]
    assert grants == ["GRANT SELECT ON driftsonde.*"]


def test_grafana_reaches_its_data_sources() -> None:
    clickhouse = DATA_SOURCES["clickhouse"]["jsonData"]
    assert f"127.0.0.1:{clickhouse['port']}:8123" in SERVICES[clickhouse["host"]]["ports"]
    host, port = DATA_SOURCES["prometheus"]["url"].removeprefix("http://").split(":")
    assert f"127.0.0.1:{port}:{port}" in SERVICES[host]["ports"]
    assert DATA_SOURCES["clickhouse"]["type"] in environment("grafana")["GF_PLUGINS_PREINSTALL"]


def test_grafana_finds_its_dashboards() -> None:
    provider = yaml.safe_load(
        (TOP / "deploy/grafana/provisioning/dashboards/driftsonde.yml").read_text(encoding="utf-8")
    )["providers"][0]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
