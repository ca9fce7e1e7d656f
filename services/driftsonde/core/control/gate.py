"""The read-only gate that a rollout tool asks before it goes on."""

from dataclasses import dataclass

from driftsonde.core.control.decisions import Kind
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.state import ModelState


@dataclass(frozen=True, slots=True)
class Gate:
    """`data` says whether the rollout may go on (the name is what Argo's web metric reads); `reasons` why not."""

    data: bool
    reasons: tuple[str, ...]


def gate(model: ModelState, version: str = "") -> Gate:
    """Shut while an incident is open, acknowledged or not, or a rollback waits for approval; for a model that is not
    known, open: nothing speaks against it. `version` "" asks for all versions."""
    incidents = (
        f"incident {incident.id}: {incident.summary}"
        for incident in model.incidents.values()
        if incident.status is not Status.RESOLVED and version in ("", incident.version)
    )
    rollbacks = (
        f"a rollback of version {proposal.version} waits for approval"
        for proposal in model.proposals()
        if proposal.kind is Kind.ROLLBACK and version in ("", proposal.version)
    )
    reasons = (*incidents, *rollbacks)
    return Gate(not reasons, reasons)
