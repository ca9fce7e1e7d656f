"""What a split becomes in serving systems: each patch against the published schema, and applied twice it is applied once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_api import ClusterApi
from driftsonde.adapters.argo_rollouts import ArgoRollouts, Patch, rollout_patches
from driftsonde.adapters.istio import Istio, route_patch
from driftsonde.adapters.kserve import KServe, canary_patch
from driftsonde.adapters.kubernetes import Kubernetes, Unfit
from driftsonde.adapters.serving_split import percentages
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from fake_api import FakeApi
from object_schemas import problems_of, schema
from talks import hold

LABEL = "driftsonde/version"
ONLY_1 = (Share("1", Variant.CHAMPION, 1.0),)
CANARY_2 = (Share("1", Variant.CHAMPION, 0.95), Share("2", Variant.CANARY, 0.05))
SHADOW_2 = (Share("1", Variant.CHAMPION, 1.0), Share("2", Variant.SHADOW, 0.0))
ONLY_2 = (Share("2", Variant.CHAMPION, 1.0),)
SPLITS = {"canary": CANARY_2, "shadow": SHADOW_2, "promoted": ONLY_2, "back": ONLY_1}


def traffic(split: tuple[Share, ...], revision: int = 1) -> Traffic:
    return Traffic("fraud", split, revision, "d1")


def service(latest: str = "2") -> dict[str, Any]:
    return {"metadata": {"name": "fraud", "labels": {LABEL: latest}}, "spec": {"predictor": {}}}


def rollout(newest: str = "2", **status: object) -> dict[str, Any]:
    return {
        "metadata": {"name": "fraud"},
        "spec": {
            "strategy": {"canary": {"steps": [{"setWeight": 20}]}},
            "template": {"metadata": {"labels": {LABEL: newest}}},
        },
        "status": {"stableRS": "a", "currentPodHash": "b", **status},
    }


def virtual_service() -> dict[str, Any]:
    old = {"destination": {"host": "fraud.ml.svc", "subset": "v1"}, "weight": 100}
    return {
        "metadata": {"name": "fraud", "resourceVersion": "7"},
        "spec": {"http": [{"name": "health", "route": [old]}, {"name": "model", "route": [old]}]},
    }


@given(st.lists(st.floats(0.0, 0.3), max_size=3))
def test_percentages_are_whole_and_sum_to_a_hundred(weights: list[float]) -> None:
    shares = [Share(f"c{number}", Variant.CANARY, weight) for number, weight in enumerate(weights)]
    split = (Share("champion", Variant.CHAMPION, 1.0 - sum(weights)), *shares)
    percent = percentages(split)
    assert sum(percent.values()) == 100
    for share in shares:
        assert (percent[share.version] > 0) is (share.weight > 0)
        assert abs(percent[share.version] - share.weight * 100) <= 1


@pytest.mark.parametrize(("name", "percent"), [("canary", 5), ("shadow", 0), ("promoted", None), ("back", 0)])
def test_kserve(name: str, percent: int | None) -> None:
    patch = canary_patch(service(), traffic(SPLITS[name]), LABEL)
    assert problems_of(schema("inferenceservice"), patch, patch=True) == []
    assert patch == {"spec": {"predictor": {"canaryTrafficPercent": percent}}}


def test_an_inference_service_that_does_not_say_its_version_is_left_alone() -> None:
    with pytest.raises(Unfit, match="has no label driftsonde/version"):
        canary_patch({"metadata": {}, "spec": {}}, traffic(CANARY_2), LABEL)


@pytest.mark.parametrize(
    ("name", "status", "patches"),
    [
        (
            "canary",
            {},
            [("", {"spec": {"strategy": {"canary": {"steps": [{"setWeight": 5}, {"pause": {}}]}}}})],
        ),
        (
            "shadow",
            {"abort": True},
            [
                (
                    "",
                    {
                        "spec": {
                            "strategy": {
                                "canary": {
                                    "steps": [
                                        {"setCanaryScale": {"replicas": 1}},
                                        {"setWeight": 0},
                                        {"pause": {}},
                                    ]
                                }
                            }
                        }
                    },
                ),
                ("status", {"status": {"abort": False}}),
            ],
        ),
        ("promoted", {}, [("status", {"status": {"promoteFull": True}})]),
        ("promoted", {"stableRS": "b"}, []),
        ("back", {}, [("status", {"status": {"abort": True}})]),
        ("back", {"abort": True}, []),
    ],
)
def test_argo_rollouts(name: str, status: dict[str, Any], patches: list[tuple[str, Any]]) -> None:
    found = rollout_patches(rollout(**status), traffic(SPLITS[name]), LABEL)
    assert found == [Patch(sub, body) for sub, body in patches]
    for patch in found:
        assert problems_of(schema("rollout"), patch.body, patch=True) == []


def test_a_rollout_that_is_settled_on_what_may_not_serve_is_said() -> None:
    with pytest.raises(Unfit, match="settled on version 2, which the split does not have"):
        rollout_patches(rollout(stableRS="b"), traffic(ONLY_1), LABEL)


def test_the_check_of_a_patch_can_fail() -> None:
    wrong = {"spec": {"strategy": {"canary": {"steps": [{"setWeight": "5"}, {"halt": {}}]}}}}
    assert problems_of(schema("rollout"), wrong, patch=True) == [
        "spec.strategy.canary.steps.0.setWeight: expected integer",
        "spec.strategy.canary.steps.1.halt: unknown field",
    ]


def test_istio() -> None:
    patch = route_patch(virtual_service(), traffic(CANARY_2), "fraud.ml.svc", "v{version}", "model")
    assert patch == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {
            "op": "add",
            "path": "/spec/http/1/route",
            "value": [
                {"destination": {"host": "fraud.ml.svc", "subset": "v1"}, "weight": 95},
                {"destination": {"host": "fraud.ml.svc", "subset": "v2"}, "weight": 5},
            ],
        },
    ]


def test_a_route_that_is_not_named_or_not_there_is_said() -> None:
    with pytest.raises(Unfit, match="2 HTTP routes without a name said"):
        route_patch(virtual_service(), traffic(CANARY_2), "h", "v{version}", "")
    with pytest.raises(Unfit, match="0 HTTP routes named 'other'"):
        route_patch(virtual_service(), traffic(CANARY_2), "h", "v{version}", "other")


@pytest.fixture
def token(tmp_path: Path) -> str:
    file = tmp_path / "token"
    file.write_text("t")
    return str(file)


@pytest.fixture
def servers() -> Iterator[list[FakeApi]]:
    started: list[FakeApi] = []
    yield started
    for api in started:
        api.close()


def cluster(api: ClusterApi, started: list[FakeApi], token: str) -> Kubernetes:
    started.append(FakeApi(api.answer))
    return Kubernetes(started[-1].url, token)


@pytest.mark.io
def test_an_inference_service_follows_the_split(servers: list[FakeApi], token: str) -> None:
    path = "/apis/serving.kserve.io/v1beta1/namespaces/ml/inferenceservices/fraud"
    api = ClusterApi("inferenceservice", {path: service()})
    actuator = KServe(cluster(api, servers, token), "ml", "{model}", LABEL)
    percents = []
    for split in (CANARY_2, CANARY_2, SHADOW_2, ONLY_2, ONLY_1):
        assert hold(actuator.apply(traffic(split))) == ""
        percents.append(api.objects[path]["spec"]["predictor"].get("canaryTrafficPercent"))
    assert percents == [5, 5, 0, None, 0]
    other = KServe(actuator.api, "ml", "other", LABEL)
    assert hold(other.apply(traffic(CANARY_2))) == "there is no InferenceService ml/other"


@pytest.mark.io
def test_a_rollout_follows_the_split(servers: list[FakeApi], token: str) -> None:
    path = "/apis/argoproj.io/v1alpha1/namespaces/ml/rollouts/fraud"
    api = ClusterApi("rollout", {path: rollout()})
    actuator = ArgoRollouts(cluster(api, servers, token), "ml", "{model}", LABEL)
    for split in (CANARY_2, CANARY_2, ONLY_1, ONLY_1, CANARY_2):
        assert hold(actuator.apply(traffic(split))) == ""
    assert [(place.rpartition("/")[2], set(body)) for place, body in api.patches] == [
        ("fraud", {"spec"}),
        ("status", {"status"}),
        ("status", {"status"}),
    ]
    assert api.objects[path]["status"]["abort"] is False


@pytest.mark.io
def test_a_virtual_service_follows_the_split_and_gives_way_to_others(
    servers: list[FakeApi], token: str
) -> None:
    path = "/apis/networking.istio.io/v1/namespaces/ml/virtualservices/fraud"
    api = ClusterApi("virtualservice", {path: virtual_service()}, change_before_patch=1)
    actuator = Istio(cluster(api, servers, token), "ml", "{model}", "{model}.ml.svc", "v{version}", "model")
    assert hold(actuator.apply(traffic(SHADOW_2))) == ""
    assert len(api.patches) == 2  # the first was for an object that somebody changed meanwhile
    route = api.objects[path]["spec"]["http"][1]
    assert [entry["weight"] for entry in route["route"]] == [100]
    assert route["mirror"] == {"host": "fraud.ml.svc", "subset": "v2"}
    assert hold(actuator.apply(traffic(CANARY_2))) == ""
    route = api.objects[path]["spec"]["http"][1]
    assert [entry["weight"] for entry in route["route"]] == [95, 5]
    assert "mirror" not in route
    api.change_before_patch = 99
    assert hold(actuator.apply(traffic(ONLY_1))).startswith("Kubernetes refuses the patch, status 422")
