"""KServe: an InferenceService sends `canaryTrafficPercent` of the requests to its latest revision, the rest to the one before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftsonde.adapters.kubernetes import NOT_FOUND, Kubernetes, Unfit, path_of
from driftsonde.adapters.serving_split import champion, percentages
from driftsonde.adapters.talk import Talk, ask
from driftsonde.core.control.traffic import Traffic

GROUP, VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"


def canary_patch(service: Mapping[str, Any], traffic: Traffic, label: str) -> dict[str, Any]:
    """The merge patch for a service whose `label` says which version its latest revision is. Raises `Unfit`.

    The latest as the champion has all requests: nothing is said, which promotes it. A latest that does not serve gets
    none: they go to the last one that was rolled out.
    """
    latest = ((service.get("metadata") or {}).get("labels") or {}).get(label)
    if not latest:
        raise Unfit(f"the InferenceService has no label {label} that says which version it is")
    promoted = champion(traffic.split) == latest
    percent = None if promoted else percentages(traffic.split).get(latest, 0)
    return {"spec": {"predictor": {"canaryTrafficPercent": percent}}}


@dataclass(frozen=True, slots=True)
class KServe:
    """`service`: its name, in which {model} is filled in."""

    api: Kubernetes
    namespace: str
    service: str
    label: str

    def apply(self, traffic: Traffic) -> Talk:
        name = self.service.replace("{model}", traffic.model)
        place = path_of(GROUP, VERSION, self.namespace, PLURAL, name)
        reply = yield from ask(self.api.look(place))
        if reply.status == NOT_FOUND:
            return f"there is no InferenceService {self.namespace}/{name}"
        try:
            patch = canary_patch(reply.object(), traffic, self.label)
        except Unfit as error:
            return str(error)
        reply = yield from ask(self.api.patch(place, patch))
        return f"Kubernetes refuses the patch, {reply.excerpt()}" if reply.status >= 400 else ""
