"""The demo: what it reads, serves, verifies and expects; and a whole run of it."""

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import standardwebhooks
from click.testing import CliRunner

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.commands.demo import demo
from driftsonde.core.control.decisions import Decision, Kind, Step
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.standalone.demo.classifier import Classifier, accuracy, baseline_of
from driftsonde.standalone.demo.control_log import Seen
from driftsonde.standalone.demo.data import FEATURES, InvalidData, Rows, read_rows, shuttle_file
from driftsonde.standalone.demo.expectations import check
from driftsonde.standalone.demo.facts import Canary, Facts, Retraining, Totals, timeline
from driftsonde.standalone.demo.receiver import (
    TOLERANCE_S,
    BadSignature,
    Delivery,
    Receiver,
    new_secret,
    verify,
)
from driftsonde.standalone.demo.serving import Fault
from driftsonde.standalone.demo.story import BASELINE_ROWS, SPEC, TRAINING_ROWS
from driftsonde.standalone.demo.summary import summarise
from driftsonde.standalone.demo.traffic import SplitSeen, share_for
from driftsonde.standalone.store_process import running_store
from grafana_files import expand, sql_queries

HEADER = ",".join((*FEATURES, "anomaly"))
CHAMPION, CANARY = ("1", Variant.CHAMPION), ("2", Variant.CANARY)


# --- Data and model ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shuttle() -> Rows:
    return read_rows(shuttle_file())


def test_the_shuttle_data_is_all_there(shuttle: Rows) -> None:
    assert shuttle.features.shape == (49_097, 9)
    assert shuttle.features[0].tolist() == [50, 21, 77, 0, 28, 0, 27, 48, 22]
    assert np.bincount(shuttle.labels).tolist() == [49_097 - 3_511, 3_511]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("f1,f2\n1,2\n", "has no column f3, f4"),
        ("", "has no column f1"),
        (f"{HEADER}\n1,2,3,4,5,6,7,8,9,0\n1,2,x,4,5,6,7,8,9,0\n", "line 3: f3 is 'x'; expected a number"),
        (f"{HEADER}\n1,2,3,4,5,6,7,8,nan,0\n", "line 2: f9 is 'nan'"),
        (f"{HEADER}\n1,2,3,4\n", "line 2: anomaly is None"),
        (f"{HEADER}\n1,2,3,4,5,6,7,8,9,2\n", "line 2: anomaly is '2'; expected 0 or 1"),
    ],
)
def test_a_file_that_can_not_be_used_is_named_with_the_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(InvalidData, match=problem):
        read_rows(path)


def test_columns_are_found_by_name_in_a_compressed_file_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    names = ["anomaly", *reversed(FEATURES)]
    path.write_bytes(gzip.compress(f"{','.join(names)}\n1,9,8,7,6,5,4,3,2,1\n".encode()))
    rows = read_rows(path)
    assert (rows.features.tolist(), rows.labels.tolist()) == ([[1, 2, 3, 4, 5, 6, 7, 8, 9]], [1])
    (tmp_path / "torn.csv.gz").write_bytes(path.read_bytes()[:30])
    with pytest.raises(InvalidData, match="can't be read"):
        read_rows(tmp_path / "torn.csv.gz")


def test_a_version_that_learnt_the_fault_looks_good_where_it_learnt_and_is_worse_elsewhere(
    shuttle: Rows,
) -> None:
    fault = Fault("f3", from_ms=0)
    version_1 = Classifier(shuttle.part(0, TRAINING_ROWS))
    faulty = Rows(fault.apply(shuttle.features, np.arange(len(shuttle))), shuttle.labels)
    version_2 = Classifier(faulty.part(20_000, 22_000))
    assert accuracy(version_1, shuttle.part(TRAINING_ROWS, TRAINING_ROWS + BASELINE_ROWS)) > 0.99
    assert accuracy(version_2, faulty.part(22_000, 23_000)) > 0.98
    assert accuracy(version_2, shuttle.part(22_000, 26_000)) < 0.85


def test_a_baseline_ends_before_the_stream_begins_and_knows_the_model_s_accuracy(shuttle: Rows) -> None:
    classifier, rows = Classifier(shuttle.part(0, 2_000)), shuttle.part(2_000, 3_000)
    baseline = baseline_of(SPEC, "1", classifier, rows, np.arange(-1_000, 0), "shuttle")
    assert [column.name for column in baseline.columns] == [*FEATURES, "prediction", "score"]
    assert baseline.lineage.end_ms == 0
    assert baseline.performance is not None
    assert baseline.performance.value == accuracy(classifier, rows)


# --- Serving -------------------------------------------------------------------------------------------------------


def test_a_fault_changes_one_feature_while_it_lasts() -> None:
    features = np.full((4, len(FEATURES)), 212.0)
    sent = Fault("f3", from_ms=20, until_ms=40).apply(features, np.array([19, 20, 39, 40]))
    assert sent[:, 2].tolist() == [212, 100, 100, 212]
    sent[:, 2] = 212
    assert (sent == features).all()


def test_requests_are_split_as_the_weights_say_and_always_the_same_way() -> None:
    split = (Share("1", Variant.CHAMPION, 0.8), Share("2", Variant.CANARY, 0.2))
    chosen = [share_for(split, f"request-{number}").version for number in range(10_000)]
    assert 1_900 <= chosen.count("2") <= 2_100
    assert chosen == [share_for(split, f"request-{number}").version for number in range(10_000)]
    alone = (Share("1", Variant.CHAMPION, 1.0), Share("2", Variant.SHADOW, 0.0))
    assert {share_for(alone, f"request-{number}").version for number in range(1_000)} == {"1"}


# --- Webhooks ------------------------------------------------------------------------------------------------------

BODY = b'{"type":"incident.opened","data":{}}'


def signed(secret: str, body: bytes = BODY, at_s: float | None = None) -> dict[str, str]:
    """Headers as the reference library makes them."""
    at = datetime.fromtimestamp(time.time() if at_s is None else at_s, UTC)
    signature = standardwebhooks.Webhook(secret).sign("msg_1", at, body.decode())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def test_the_receiver_believes_the_reference_library() -> None:
    secret = new_secret()
    assert verify(secret, signed(secret), BODY, time.time()) == "msg_1"
    rotated = signed(secret) | {"webhook-signature": f"v1,AAAA {signed(secret)['webhook-signature']}"}
    assert verify(secret, rotated, BODY, time.time()) == "msg_1"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-id": ""},
        {"webhook-timestamp": "1001"},
        {"webhook-timestamp": "soon"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1,é"},
    ],
)
def test_a_changed_header_is_refused(change: dict[str, str]) -> None:
    secret = new_secret()
    with pytest.raises(BadSignature):
        verify(secret, signed(secret, at_s=1_000) | change, BODY, 1_000)


def test_another_body_another_secret_and_another_time_are_refused() -> None:
    secret, now_s = new_secret(), time.time()
    with pytest.raises(BadSignature, match="no signature"):
        verify(secret, signed(secret), BODY + b" ", now_s)
    with pytest.raises(BadSignature, match="no signature"):
        verify(new_secret(), signed(secret), BODY, now_s)
    for off_s in (TOLERANCE_S + 2, -TOLERANCE_S - 2):
        with pytest.raises(BadSignature, match="timestamp"):
            verify(secret, signed(secret, at_s=now_s + off_s), BODY, now_s)


@pytest.mark.io
def test_the_receiver_keeps_what_is_genuine_once_and_counts_the_rest() -> None:
    secret = new_secret()
    with Receiver({"oncall": secret}) as receiver:
        url, headers = receiver.url("oncall"), signed(secret)
        answers = [
            httpx.post(url, content=BODY, headers=headers, trust_env=False).status_code,
            httpx.post(url, content=BODY, headers=headers, trust_env=False).status_code,
            httpx.post(url, content=BODY + b" ", headers=headers, trust_env=False).status_code,
            httpx.post(receiver.url("other"), content=BODY, headers=headers, trust_env=False).status_code,
        ]
    assert answers == [HTTPStatus.NO_CONTENT] * 2 + [HTTPStatus.UNAUTHORIZED] * 2
    assert [(one.endpoint, one.id, one.type) for one in receiver.deliveries] == [
        ("oncall", "msg_1", "incident.opened")
    ]
    assert receiver.refused == 2


# --- Expectations --------------------------------------------------------------------------------------------------


def signal(kind: SignalKind, rule: Rule, start_ms: int, statistic: str, column: str = "") -> Seen[Signal]:
    canary = rule is Rule.CANARY
    evidence = Evidence(
        start_ms, start_ms + 2_000, column, statistic, -0.3, -0.02 if canary else 0.2, -0.4, -0.2, 90
    )
    found = Signal(
        id=f"{kind}-{rule}",
        kind=kind,
        rule=rule,
        model="shuttle",
        version="2" if canary else "1",
        variant=Variant.CANARY if canary else Variant.CHAMPION,
        segment="",
        window_start_ms=start_ms,
        window_end_ms=start_ms + 2_000,
        since_ms=start_ms,
        episode="e",
        summary=f"{rule} in {column}",
        evidence=(evidence,),
        baseline="b",
        policy="p",
    )
    return Seen(start_ms + 4_500, found)


def decision(kind: Kind) -> Seen[Decision]:
    return Seen(
        50_000,
        Decision(
            f"d-{kind}", Step.PERFORMED, kind, "shuttle", "1", "i", "s", None, "controller", "p", 50_000
        ),
    )


def delivery(endpoint: str, kind: str, signal_id: str) -> Delivery:
    body = {"type": kind, "data": {"signal": {"id": signal_id}}}
    return Delivery(endpoint, f"{endpoint}-{kind}", kind, 25_000, body)


def split(*shares: Share) -> Traffic:
    return Traffic("shuttle", shares, 1, "d")


ALERT = signal(SignalKind.ALERT, Rule.DRIFT, 20_000, "psi", "f3")
RETRAIN = signal(SignalKind.RETRAIN, Rule.DRIFT, 24_000, "psi", "f3")
RESOLVE = signal(SignalKind.RESOLVE, Rule.DRIFT, 32_000, "psi", "f3")
ROLLBACK = signal(SignalKind.ROLLBACK, Rule.CANARY, 42_000, "accuracy_difference")
TOLD = delivery("oncall", "incident.opened", "alert-drift")
CALLED = delivery("retrain", "retrain.requested", "retrain-drift")
GOOD = Facts(
    model="shuttle",
    window_ms=2_000,
    retrain_after=3,
    started_ms=0,
    healthy_windows=5,
    fault=Fault("f3", 20_000, 30_000),
    retraining=Retraining(31_000, "2", 2_000, 0.99),
    canary=Canary(41_000, 49_000, {CHAMPION: 800, CANARY: 200}, {CHAMPION: 500}),
    splits=(
        SplitSeen(0, split(Share("1", Variant.CHAMPION, 1.0))),
        SplitSeen(41_000, split(Share("1", Variant.CHAMPION, 0.8), Share("2", Variant.CANARY, 0.2))),
        SplitSeen(49_000, split(Share("1", Variant.CHAMPION, 1.0))),
    ),
    signals=(ALERT, RETRAIN, RESOLVE, ROLLBACK),
    decisions=(decision(Kind.RETRAIN), decision(Kind.ROLLBACK)),
    deliveries=(TOLD, CALLED),
    refused=0,
    verdicts=(),
    totals=Totals(25_000, 24_000, 1_000, 50.0, 0, 0, 25_000, 24_000, 2_000, 0, 24_000),
)


def failed(facts: Facts) -> set[str]:
    return {expectation.text for expectation in check(facts) if not expectation.met}


def test_a_run_in_which_all_happened_meets_every_expectation() -> None:
    assert failed(GOOD) == set()


def without(*dropped: object) -> Facts:
    return replace(
        GOOD,
        signals=tuple(seen for seen in GOOD.signals if seen not in dropped),
        deliveries=tuple(one for one in GOOD.deliveries if one not in dropped),
        decisions=tuple(seen for seen in GOOD.decisions if seen not in dropped),
    )


def totals(**changes: Any) -> Facts:
    return replace(GOOD, totals=replace(GOOD.totals, **changes))


def with_signal(seen: Seen[Signal]) -> Facts:
    return replace(GOOD, signals=(*GOOD.signals, seen))


def canary(**changes: Any) -> Facts:
    assert GOOD.canary is not None
    return replace(GOOD, canary=replace(GOOD.canary, **changes))


EARLY = signal(SignalKind.ALERT, Rule.PERFORMANCE, 10_000, "accuracy")
AFTERWARDS = signal(SignalKind.ALERT, Rule.DRIFT, 40_000, "psi", "f1")
ELSEWHERE = signal(SignalKind.ALERT, Rule.DRIFT, 20_000, "psi", "f1")
TOO_LATE = signal(SignalKind.ALERT, Rule.DRIFT, 24_000, "psi", "f3")
TOO_SOON = signal(SignalKind.RETRAIN, Rule.DRIFT, 22_000, "psi", "f3")


@pytest.mark.parametrize(
    ("facts", "unmet"),
    [
        (with_signal(EARLY), {"in the healthy phase nothing alarms", "no alarm is false"}),
        (replace(GOOD, healthy_windows=4), {"in the healthy phase nothing alarms"}),
        (with_signal(AFTERWARDS), {"no alarm is false"}),
        (
            without(ALERT),
            {
                "the drift is found, in the feature at fault",
                "the alert reaches on-call, its signature verified",
            },
        ),
        (
            replace(GOOD, signals=(ELSEWHERE, RETRAIN, RESOLVE, ROLLBACK)),
            {"the drift is found, in the feature at fault"},
        ),
        (
            replace(GOOD, signals=(TOO_LATE, RETRAIN, RESOLVE, ROLLBACK)),
            {"the drift is found, in the feature at fault"},
        ),
        (
            replace(GOOD, signals=(ALERT, TOO_SOON, RESOLVE, ROLLBACK)),
            {"retraining is signalled once the drift has lasted"},
        ),
        (without(CALLED), {"the controller calls the retrain webhook"}),
        (without(GOOD.decisions[0]), {"the controller calls the retrain webhook"}),
        (without(TOLD), {"the alert reaches on-call, its signature verified"}),
        (replace(GOOD, refused=1), {"the alert reaches on-call, its signature verified"}),
        (without(RESOLVE), {"the incident is resolved after the repair"}),
        (
            canary(during={CHAMPION: 900, CANARY: 100}),
            {"the canary's share is what the traffic topic says"},
        ),
        (canary(during={}), {"the canary's share is what the traffic topic says"}),
        (without(ROLLBACK), {"a rollback of the canary is signalled"}),
        (
            canary(after={CHAMPION: 400, CANARY: 1}),
            {"the controller sets the traffic back, and serving follows"},
        ),
        (without(GOOD.decisions[1]), {"the controller sets the traffic back, and serving follows"}),
        (totals(archived_predictions=24_999), {"the archive has every row and every label"}),
        (totals(archived_labels=23_999), {"the archive has every row and every label"}),
        (totals(dropped=1), {"the archive has every row and every label"}),
        (totals(matched=23_999), {"every label finds its prediction"}),
        (totals(dead_letters=1), {"no dead letters"}),
        (replace(GOOD, problem="waited 20 s for the split"), {"the story came to its end"}),
    ],
)
def test_each_thing_that_goes_wrong_fails_its_expectation(facts: Facts, unmet: set[str]) -> None:
    assert failed(facts) == unmet


def test_a_run_that_ended_before_the_fault_meets_no_expectation_of_it() -> None:
    early = replace(GOOD, fault=None, retraining=None, canary=None, signals=(), deliveries=(), decisions=())
    assert {
        "the drift is found, in the feature at fault",
        "a rollback of the canary is signalled",
        "the controller sets the traffic back, and serving follows",
    } <= failed(early)


def test_the_timeline_says_how_long_after_its_cause_each_thing_came() -> None:
    lines = {line.what: line for line in timeline(GOOD)}
    alert = lines["signal: alert, drift, version 1"]
    assert (alert.after_ms, alert.after_windows) == (4_500, 1)
    assert lines["signal: resolve, drift, version 1"].after_windows == 2
    assert lines["signal: rollback, canary, version 2"].after_ms == 5_500
    assert lines["webhook to oncall: incident.opened"].after_ms == 5_000
    times = [line.at_ms for line in timeline(GOOD)]
    assert times == sorted(times)


def test_the_summary_is_json_with_the_evidence_and_the_delays() -> None:
    result = json.loads(json.dumps(summarise(GOOD, check(GOOD), 60.0), allow_nan=False))
    assert result["ok"] is True
    assert result["events_produced"] == 49_000
    assert result["detection_delay"]["drift"] == {"windows": 1, "seconds": 4.5}
    first = result["signals"][0]
    assert (first["kind"], first["column"], first["statistic"], first["value"], first["threshold"]) == (
        *("alert", "f3", "psi"),
        *(-0.3, 0.2),
    )
    assert first["window"] == {"start_ms": 20_000, "end_ms": 22_000}


# --- The command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prepare", "options", "problem"),
    [
        (lambda path: path.write_text("a,b\n"), ["--data"], "has no column f1"),
        (lambda path: path.write_text(f"{HEADER}\n1,2,3,4,5,6,7,8,9,0\n"), ["--data"], "has 1 rows"),
        (lambda path: (path.mkdir(), (path / "x").touch()), ["--out"], "is not empty"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    tmp_path: Path, prepare: Callable[[Path], object], options: list[str], problem: str
) -> None:
    path = tmp_path / "given"
    prepare(path)
    result = CliRunner().invoke(demo, [*options, str(path)])
    assert result.exit_code == 2
    assert problem in result.output


@pytest.mark.io
@pytest.mark.slow
def test_the_whole_demo_runs_and_says_so_in_json(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from driftsonde.commands.demo import demo; demo()", "--json"]
    run = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, timeout=280, check=False
    )
    assert run.returncode == 0, run.stderr + run.stdout
    result = json.loads(run.stdout)
    assert all(expectation["met"] for expectation in result["expectations"])
    assert result["false_alarms"] == 0
    assert {one["kind"] for one in result["signals"]} == {"alert", "retrain", "resolve", "rollback"}
    assert result["detection_delay"]["drift"]["windows"] == 1
    assert "Healthy" in run.stderr
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    check_dashboards(tmp_path / "out" / "store", SPEC.name)


def check_dashboards(data: Path, model: str) -> None:
    """Every query of the dashboards runs on what the demo stored, and each panel that a model has shows something."""
    now = datetime.now(UTC)
    chosen = {
        "model": model,
        "version": "1",
        "variant": "champion",
        "segment": "whole model",
        "metric": "accuracy",
        "column": FEATURES[0],
        "candidate": "2",
        "window": "all windows shown",
    }
    with running_store(data) as process:
        store = Store(ClickHouseSettings(process.host, process.port))
        shown = {
            f"{query.dashboard}: {query.place}": store.query_arrow(
                expand(query.sql, chosen, now - timedelta(hours=1), now)
            ).num_rows
            for query in sql_queries()
        }
        store.close()
    assert shown
    empty = {place for place, rows in shown.items() if not rows}
    assert not empty & {place for place in shown if "PSI" in place or "Performance" in place}, empty
