"""What is registered enters the log: a compacted topic forgets what was there before, the log does not."""

from dataclasses import replace

from driftsonde.core.control.decisions import CONTROLLER, Decision, Detail, Kind
from driftsonde.core.control.inputs import Registered, Setting
from driftsonde.core.control.making import by_person, numbered_id
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.state import State


def on_registered(state: State, news: Registered, setting: Setting, now_ms: int) -> list[Decision]:
    """What is known already is no decision, so whoever leads may tell all that is registered."""
    model = state.model(news.model)
    known = model.versions.get(news.version)
    differs = () if known is None else news.registration.differs_in(known.registration)
    if known is not None and not differs:
        return []
    said = describe(news.registration)
    detail = Detail(
        reason=said if known is None else f"{', '.join(differs)} changed: {said}",
        registration=news.registration,
    )
    decision = by_person(numbered_id(Kind.REGISTER, model), Kind.REGISTER, model, CONTROLLER, now_ms, detail)
    policy = setting.governance(news.model).fingerprint
    return [replace(decision, version=news.version, policy=policy)]


def describe(registration: Registration) -> str:
    """In a sentence."""
    if registration.spec:
        return "the model's spec is registered"
    lineage, provisional = registration.lineage, "provisional " if _is_provisional(registration) else ""
    baseline = f"{provisional}baseline {registration.baseline} of {registration.rows} rows"
    parts = [baseline if lineage is not None else "no baseline yet"]
    parts += [f"trained on {name} ({print_})" for name, print_ in registration.data[:3]]
    parts += [f"code {registration.code_revision}"] if registration.code_revision else []
    parts += [registration.origin.source] if registration.origin is not None else []
    return f"registered: {', '.join(parts)}"


def _is_provisional(registration: Registration) -> bool:
    return registration.lineage is not None and registration.lineage.provisional
