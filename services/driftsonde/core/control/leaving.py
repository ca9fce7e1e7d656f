"""When a version serves no more: its incidents are over, and what is still said about it opens none."""

from driftsonde.core.control.decisions import CONTROLLER, Change, Decision, Detail, Kind, Step
from driftsonde.core.control.incidents import Incident, Status
from driftsonde.core.control.inputs import Setting
from driftsonde.core.control.making import next_step, told
from driftsonde.core.control.state import ModelState
from driftsonde.core.control.traffic import share_of
from driftsonde.core.signals import derive_id


def why_gone(model: ModelState, version: str) -> str:
    """Why what is said about a version is past; "" if it may serve.

    Labels come late, so windows of a version are judged after it has left. Only the two versions of the latest rollout
    are known to have served by the split: of any other one that is not in it, somebody may not have told us.
    """
    rollout = model.rollout
    if rollout is None or rollout.active or version not in (rollout.version, rollout.champion):
        return ""
    return "" if share_of(model.traffic, version) else f"version {version} does not serve any more"


def farewells(model: ModelState, source: Decision, now_ms: int, setting: Setting) -> list[Decision]:
    """After `source` has set a split: the incidents of versions that have no part in it are resolved, and what waits for
    approval because of them lapses."""
    decisions: list[Decision] = []
    for incident in model.incidents.values():
        if incident.status is Status.RESOLVED or share_of(model.traffic, incident.version) is not None:
            continue
        decisions.append(_farewell(incident, source, now_ms, setting))
        decisions += [
            next_step(proposal, Step.EXPIRED, CONTROLLER, "the incident is resolved", now_ms, setting)
            for proposal in model.proposals()
            if proposal.incident == incident.id
        ]
    return decisions


def _farewell(incident: Incident, source: Decision, now_ms: int, setting: Setting) -> Decision:
    decision = Decision(
        id=derive_id("farewell", incident.id, incident.opened_ms, source.id),
        step=Step.DECIDED,
        kind=Kind.RESOLVE,
        model=incident.model,
        version=incident.version,
        incident=incident.id,
        signal="",
        mode=None,
        actor=CONTROLLER,
        policy=source.policy,
        timestamp_ms=now_ms,
        detail=Detail(
            reason=f"version {incident.version} does not serve any more, by {source.kind} {source.id}",
            change=Change.RESOLVED,
            severity=setting.severities[incident.rule],
            parent=source.id,
        ),
    )
    return told(decision, setting)
