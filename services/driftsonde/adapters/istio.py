"""Istio: the weights of a VirtualService's route, and the mirror for a shadow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftsonde.adapters.kubernetes import (
    EXISTS,
    INVALID,
    JSON_PATCH,
    NOT_FOUND,
    Kubernetes,
    Unfit,
    path_of,
)
from driftsonde.adapters.serving_split import percentages
from driftsonde.adapters.talk import Talk, ask
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.events import Variant

GROUP, VERSION, PLURAL = "networking.istio.io", "v1", "virtualservices"
# Somebody else may change the object between our look at it and our patch: then it is looked at again.
MAX_LOOKS = 5
_CHANGED = frozenset({EXISTS, INVALID})


def route_patch(
    service: Mapping[str, Any], traffic: Traffic, host: str, subset: str, route: str
) -> list[dict[str, Any]]:
    """The JSON patch that sets a route's destinations; it holds only for the object as it was looked at.

    host: of the destinations; subset: the name of a version's, in which {version} is filled in; route: the name of the
    HTTP route, "" for the only one. Raises `Unfit`.
    """
    routes = (service.get("spec") or {}).get("http") or []
    index = _index(routes, route)
    percent = percentages(traffic.split)
    serving = [share for share in traffic.split if share.variant is not Variant.SHADOW]
    shadows = [share for share in traffic.split if share.variant is Variant.SHADOW]

    def destination(version: str) -> dict[str, str]:
        return {"host": host, "subset": subset.replace("{version}", version)}

    wanted = [
        {"destination": destination(share.version), "weight": percent[share.version]} for share in serving
    ]
    place = f"/spec/http/{index}"
    patch: list[dict[str, Any]] = [
        {
            "op": "test",
            "path": "/metadata/resourceVersion",
            "value": (service.get("metadata") or {}).get("resourceVersion"),
        },
        {"op": "add", "path": f"{place}/route", "value": wanted},
    ]
    if shadows:  # Istio mirrors to one destination
        patch.append({"op": "add", "path": f"{place}/mirror", "value": destination(shadows[0].version)})
        patch.append({"op": "add", "path": f"{place}/mirrorPercentage", "value": {"value": 100.0}})
    else:
        patch += [
            {"op": "remove", "path": f"{place}/{name}"}
            for name in ("mirror", "mirrorPercentage")
            if name in routes[index]
        ]
    return patch


def _index(routes: list[Mapping[str, Any]], name: str) -> int:
    found = [number for number, route in enumerate(routes) if not name or route.get("name") == name]
    if len(found) != 1:
        wanted = f"named {name!r}" if name else "without a name said"
        raise Unfit(f"the VirtualService has {len(found)} HTTP routes {wanted}; expected one")
    return found[0]


@dataclass(frozen=True, slots=True)
class Istio:
    """`service` and `host`: names, in which {model} is filled in; the others as for `route_patch`."""

    api: Kubernetes
    namespace: str
    service: str
    host: str
    subset: str
    route: str = ""

    def apply(self, traffic: Traffic) -> Talk:
        name = self.service.replace("{model}", traffic.model)
        host = self.host.replace("{model}", traffic.model)
        place = path_of(GROUP, VERSION, self.namespace, PLURAL, name)
        for _ in range(MAX_LOOKS):
            reply = yield from ask(self.api.look(place))
            if reply.status == NOT_FOUND:
                return f"there is no VirtualService {self.namespace}/{name}"
            try:
                patch = route_patch(reply.object(), traffic, host, self.subset, self.route)
            except Unfit as error:
                return str(error)
            reply = yield from ask(self.api.patch(place, patch, JSON_PATCH))
            if reply.status < 400:
                return ""
            if reply.status not in _CHANGED:
                break
        return f"Kubernetes refuses the patch, {reply.excerpt()}"
