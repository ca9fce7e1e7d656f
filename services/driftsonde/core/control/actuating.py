"""After a split was set: the serving systems that are to follow it."""

from driftsonde.core.control.decisions import CONTROLLER, Action, Decision, Detail, Kind, Step
from driftsonde.core.control.inputs import Setting
from driftsonde.core.control.routing import concerns
from driftsonde.core.signals import derive_id


def actuations(source: Decision, now_ms: int, setting: Setting) -> list[Decision]:
    """One decision for each serving system of the model, after `source` has set its split."""
    traffic = source.detail.traffic
    if traffic is None:
        return []
    owner = setting.governance(source.model).owner
    return [
        Decision(
            id=derive_id("actuate", source.id, traffic.revision, route.name),
            step=Step.DECIDED,
            kind=Kind.ACTUATE,
            model=source.model,
            version=source.version,
            incident=source.incident,
            signal=source.signal,
            mode=None,
            actor=CONTROLLER,
            policy=source.policy,
            timestamp_ms=now_ms,
            detail=Detail(
                reason=f"{route.name} follows split {traffic.revision}",
                action=Action.ACTUATE,
                severity=source.detail.severity,
                target=route.name,
            ),
        )
        for route in setting.actuators
        if concerns(route, source, owner)
    ]
