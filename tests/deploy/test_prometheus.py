"""Rules, scraping, alerting: held against the metrics that the code has, and checked by Prometheus' own tools."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftsonde.adapters.metrics import METRICS
from grafana_files import dashboards, expressions
from required import need_program

TOP = Path(__file__).parents[2]
PROMETHEUS = TOP / "deploy" / "prometheus"
ALERTMANAGER = TOP / "deploy" / "alertmanager" / "alertmanager.yml"
UNIT_TESTS = TOP / "tests" / "deploy" / "rules_test.yml"
SERIES = re.compile(r"\bdriftsonde[a-z0-9_]*(?::[a-z0-9_]+)*")
SEVERITIES = {"critical", "warning", "info"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


RULES: list[dict[str, Any]] = [
    rule
    for file in sorted((PROMETHEUS / "rules").glob("*.yml"))
    for group in load(file)["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}


def exposed() -> set[str]:
    """Every name that a service can expose; a histogram has three."""
    names = {metric.name for metric in METRICS.values()}
    histograms = {metric.name for metric in METRICS.values() if metric.buckets}
    return names - histograms | {
        f"{name}{end}" for name in histograms for end in ("_bucket", "_sum", "_count")
    }


def check(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("expr", [*(rule["expr"] for rule in RULES), *expressions()])
def test_expressions_name_metrics_that_exist(expr: str) -> None:
    assert set(SERIES.findall(expr)) <= exposed() | RECORDED


def test_the_names_are_found_in_expressions() -> None:
    assert SERIES.findall("x{a='b'} > driftsonde:a_b:rate5m / driftsonde_c_total[5m]") == [
        "driftsonde:a_b:rate5m",
        "driftsonde_c_total",
    ]


@pytest.mark.parametrize("name", ALERTS)
def test_alerts_say_what_is_wrong_and_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in SEVERITIES
    annotations = alert["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    labels = {label for metric in METRICS.values() for label in metric.labels} | {"job", "instance"}
    assert set(re.findall(r"\$labels\.(\w+)", str(annotations))) <= labels
    page, _, anchor = annotations["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (TOP / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ALERTS)
def test_alerts_have_a_unit_test_that_fires_and_one_that_does_not(name: str) -> None:
    tests = [
        bool(test.get("exp_alerts"))
        for group in load(UNIT_TESTS)["tests"]
        for test in group["alert_rule_test"]
        if test["alertname"] == name
    ]
    assert set(tests) == {True, False}


def test_every_service_is_scraped_where_it_listens() -> None:
    services = load(TOP / "docker-compose.yml")["services"]
    config = load(PROMETHEUS / "prometheus.yml")
    scraped = {
        job["job_name"]: entry for job in config["scrape_configs"] for entry in job.get("dns_sd_configs", [])
    }
    ours = {
        name for name, service in services.items() if "DRIFTSONDE_HTTP_PORT" in service.get("environment", {})
    }
    assert set(scraped) == ours - {"init"}
    for name, entry in scraped.items():
        assert entry["names"] == [name]
        assert str(entry["port"]) == services[name]["environment"]["DRIFTSONDE_HTTP_PORT"]
    (target,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert f"127.0.0.1:{port}:{port}" in services[host]["ports"]


def test_rules_speak_of_jobs_that_are_scraped() -> None:
    jobs = {job["job_name"] for job in load(PROMETHEUS / "prometheus.yml")["scrape_configs"]}
    named = re.findall(r'job=~?"([^"]+)"', " ".join([*(rule["expr"] for rule in RULES), *expressions()]))
    assert named
    assert {job for names in named for job in names.split("|")} <= jobs


def test_dashboards_use_the_provisioned_data_sources() -> None:
    sources = load(TOP / "deploy/grafana/provisioning/datasources/driftsonde.yml")["datasources"]
    provisioned = {(source["type"], source["uid"]) for source in sources}
    used = {
        (target["datasource"]["type"], target["datasource"]["uid"])
        for dashboard in dashboards().values()
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }
    assert used == provisioned


def test_alertmanager_knows_our_severities_and_alerts() -> None:
    config = load(ALERTMANAGER)
    text = str(config["route"]) + str(config["inhibit_rules"])
    assert set(re.findall(r'severity!?="(\w+)"', text)) <= SEVERITIES
    named = {name for names in re.findall(r'alertname=~"([^"]+)"', text) for name in names.split("|")}
    assert named
    assert named <= set(ALERTS)


@pytest.mark.io
def test_promtool_accepts_configuration_and_rules() -> None:
    check(need_program("promtool", "prometheus"), "check", "config", str(PROMETHEUS / "prometheus.yml"))


@pytest.mark.io
def test_promtool_runs_the_unit_tests_of_the_rules() -> None:
    check(need_program("promtool", "prometheus"), "test", "rules", str(UNIT_TESTS))


@pytest.mark.io
def test_promtool_accepts_the_expressions_of_the_dashboards(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "5m")}
        for number, expr in enumerate(expressions())
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    check(need_program("promtool", "prometheus"), "check", "rules", str(file))


@pytest.mark.io
def test_amtool_accepts_the_configuration() -> None:
    check(need_program("amtool", "prometheus-alertmanager"), "check-config", str(ALERTMANAGER))
