"""What a decision changes in what is known of a model's versions."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from driftsonde.core.control.decisions import Decision, Kind
from driftsonde.core.control.registered import Review, Stage, VersionState
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.events import Variant

# Beyond these, the oldest of a model that do not serve are forgotten (the topics keep them).
MAX_VERSIONS = 1_000


def with_version(
    versions: Mapping[str, VersionState], decision: Decision, traffic: Traffic | None
) -> Mapping[str, VersionState]:
    """The versions after a decision; `traffic` is the split before it."""
    after = _changed(versions.get(decision.version), decision)
    if after is not None:
        versions = MappingProxyType(_bounded({**versions, decision.version: after}, traffic))
    return _with_champion(versions, decision, traffic)


def champion_of(traffic: Traffic | None) -> str:
    if traffic is None:
        return ""
    return next(share.version for share in traffic.split if share.variant is Variant.CHAMPION)


def _changed(known: VersionState | None, decision: Decision) -> VersionState | None:
    """None where the decision says nothing of the version."""
    detail = decision.detail
    match decision.kind:
        case Kind.REGISTER if detail.registration is not None:
            new = VersionState(
                decision.version,
                detail.registration,
                decision.id,
                detail.registration.at_ms,
                since_ms=detail.registration.at_ms,
            )
            if known is None:
                return new
            # What people said of another content says nothing of this one.
            return replace(known, registration=new.registration, decision=new.decision, reviews=())
        case Kind.STAGE if known is not None and detail.stage:
            return replace(known, stage=Stage(detail.stage), since_ms=decision.timestamp_ms, reviews=())
        case Kind.REVIEW if known is not None:
            review = Review(decision.actor, detail.role, detail.approves, detail.done, decision.timestamp_ms)
            return replace(known, reviews=(*known.reviews, review))
        case _:
            return None


def _with_champion(
    versions: Mapping[str, VersionState], decision: Decision, before: Traffic | None
) -> Mapping[str, VersionState]:
    old, new = champion_of(before), champion_of(decision.detail.traffic)
    if not new or new == old:
        return versions
    moved = {
        version: replace(versions[version], stage=stage, since_ms=decision.timestamp_ms, reviews=())
        for version, stage in ((old, Stage.RETIRED), (new, Stage.PRODUCTION))
        if version in versions
    }
    return MappingProxyType({**versions, **moved})


def _bounded(versions: dict[str, VersionState], traffic: Traffic | None) -> dict[str, VersionState]:
    if len(versions) <= MAX_VERSIONS:
        return versions
    serving = {share.version for share in traffic.split} if traffic is not None else set()
    oldest = next(name for name in versions if name and name not in serving)
    return {name: version for name, version in versions.items() if name != oldest}
