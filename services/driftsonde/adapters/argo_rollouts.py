"""Argo Rollouts: a Rollout's steps are set to what is wanted now and no further; promotion and abortion are its status's.

The controller of Argo goes through `steps` by itself, so they hold one weight and a pause without an end: who decides on
the next stage is outside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftsonde.adapters.kubernetes import NOT_FOUND, Kubernetes, Unfit, path_of
from driftsonde.adapters.serving_split import champion, percentages, share_in
from driftsonde.adapters.talk import Talk, ask
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.events import Variant

GROUP, VERSION, PLURAL = "argoproj.io", "v1alpha1", "rollouts"
STATUS = "status"


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch of the object, or of its status where `sub` says so."""

    sub: str
    body: dict[str, Any]


def rollout_patches(rollout: Mapping[str, Any], traffic: Traffic, label: str) -> list[Patch]:
    """What brings the Rollout to the split, in its order; nothing where it is there. Raises `Unfit`.

    `label` of the pod template says which version is the newest in the Rollout.
    """
    spec, status = rollout.get("spec") or {}, rollout.get("status") or {}
    labels = (((spec.get("template") or {}).get("metadata") or {}).get("labels")) or {}
    newest = labels.get(label)
    if not newest:
        raise Unfit(f"the Rollout's pod template has no label {label} that says which version it is")
    settled = bool(status.get("stableRS")) and status.get("stableRS") == status.get("currentPodHash")
    if champion(traffic.split) == newest:
        return [] if settled else [Patch(STATUS, {"status": {"promoteFull": True}})]
    share = share_in(traffic, newest)
    if share is None and settled:
        raise Unfit(f"the Rollout is settled on version {newest}, which the split does not have")
    if share is None:
        return [] if status.get("abort") else [Patch(STATUS, {"status": {"abort": True}})]
    steps = _steps(percentages(traffic.split)[newest], share.variant)
    known = ((spec.get("strategy") or {}).get("canary") or {}).get("steps")
    wanted = Patch("", {"spec": {"strategy": {"canary": {"steps": steps}}}})
    again = [Patch(STATUS, {"status": {"abort": False}})] if status.get("abort") else []
    return [*([] if known == steps else [wanted]), *again]


def _steps(percent: int, variant: Variant) -> list[dict[str, Any]]:
    """A shadow has a pod to be mirrored to, and no request of its own."""
    scale = [{"setCanaryScale": {"replicas": 1}}] if variant is Variant.SHADOW else []
    return [*scale, {"setWeight": percent}, {"pause": {}}]


@dataclass(frozen=True, slots=True)
class ArgoRollouts:
    """`rollout`: its name, in which {model} is filled in."""

    api: Kubernetes
    namespace: str
    rollout: str
    label: str

    def apply(self, traffic: Traffic) -> Talk:
        name = self.rollout.replace("{model}", traffic.model)
        reply = yield from ask(self.api.look(path_of(GROUP, VERSION, self.namespace, PLURAL, name)))
        if reply.status == NOT_FOUND:
            return f"there is no Rollout {self.namespace}/{name}"
        try:
            patches = rollout_patches(reply.object(), traffic, self.label)
        except Unfit as error:
            return str(error)
        for patch in patches:
            place = path_of(GROUP, VERSION, self.namespace, PLURAL, name, patch.sub)
            reply = yield from ask(self.api.patch(place, patch.body))
            if reply.status >= 400:
                return f"Kubernetes refuses the patch, {reply.excerpt()}"
        return ""
