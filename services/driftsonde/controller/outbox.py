"""What goes out for a decision: from an effect to a talk with the endpoint that it is for."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from driftsonde.adapters.outbound import Request
from driftsonde.adapters.talk import Talk, only
from driftsonde.controller.channels import alertmanager, opsgenie, pagerduty, slack
from driftsonde.controller.channels.notice import Notice
from driftsonde.controller.config import ControllerConfig
from driftsonde.controller.config_parts import Channel, Endpoint
from driftsonde.controller.delivery import Delivery
from driftsonde.controller.messages import body_of, digest_body, traffic_body, training_order
from driftsonde.core.control.decisions import Action, Step
from driftsonde.core.control.state import Effect, Record, State

# After a long outage of ours a run may have ended in time, and is looked at once at least.
MIN_WITHIN_S = 60.0
CLOCKS_DIFFER_MS = 5_000


def delivery_of(config: ControllerConfig, state: State, effect: Effect, now_ms: int) -> Delivery | None:
    """What an effect asks of the outside; None where nobody is configured for it any more."""
    record = state.record(effect.decision.id)
    if record is not None and effect.action is Action.ACTUATE:
        return _actuation(config, state, effect)
    if record is not None and effect.action is Action.CANDIDATE:
        return _search(config, effect)
    if record is not None and effect.action:
        return _retraining(config, effect, record, now_ms)
    endpoint = config.endpoint(effect.recipient)
    if record is None or endpoint is None:
        return None
    lane = effect.decision.incident or effect.decision.model
    if endpoint.channel is Channel.WEBHOOK:
        talk = _signed(endpoint, effect.id, body_of(effect, record.first))
    else:
        talk = _told(endpoint, notice_of(config, state, effect), now_ms)
    return Delivery((effect,), lane, talk)


def repetition_of(config: ControllerConfig, state: State, effect: Effect, now_ms: int) -> Delivery | None:
    """What stands already, told again. It shares the lane of what is told of its incident and gives way there, so it
    never comes after the end."""
    delivery = delivery_of(config, state, effect, now_ms)
    return None if delivery is None else replace(delivery, newest_only=True)


def _retraining(config: ControllerConfig, effect: Effect, record: Record, now_ms: int) -> Delivery | None:
    """The order to whoever trains; a run that is under way is followed on from where the log left it."""
    if config.retrain is None:
        return None
    lane, by = effect.decision.incident or effect.decision.model, config.retrain.by
    if isinstance(by, Endpoint):
        return Delivery((effect,), lane, _signed(by, effect.id, body_of(effect, record.first)))
    order = training_order(effect.decision, record.first)
    spent_s = max(0.0, (now_ms - effect.decision.timestamp_ms) / 1000)
    longest_s = config.retrain.within_s
    within_s = max(min(MIN_WITHIN_S, longest_s), longest_s - spent_s)
    return Delivery((effect,), lane, by.train(order, record.run), within_s)


def _actuation(config: ControllerConfig, state: State, effect: Effect) -> Delivery | None:
    """The model's split of now, whichever decision it is: an older one would be undone at once."""
    actuator, traffic = (
        config.actuator(effect.decision.detail.target),
        state.model(effect.decision.model).traffic,
    )
    if actuator is None or traffic is None:
        return None
    if isinstance(actuator.by, Endpoint):
        talk = _signed(actuator.by, effect.id, traffic_body(traffic, effect.decision))
    else:
        talk = actuator.by.apply(traffic)
    return Delivery((effect,), traffic.model, talk, newest_only=True)


def _search(config: ControllerConfig, effect: Effect) -> Delivery | None:
    """For the version that a retraining has registered. The clocks of two machines may differ a little."""
    if config.registry is None:
        return None
    decision = effect.decision
    since_ms = decision.detail.from_ms - CLOCKS_DIFFER_MS
    talk = config.registry.by.find(decision.model, decision.detail.parent, since_ms)
    return Delivery((effect,), decision.model, talk, config.registry.within_s)


def digest_of(
    config: ControllerConfig, state: State, name: str, effects: Sequence[Effect]
) -> Delivery | None:
    """One message about all of these, oldest first."""
    endpoint = config.endpoint(name)
    if endpoint is None or not effects:
        return None
    notices = tuple(notice_of(config, state, effect) for effect in effects)
    if endpoint.channel is Channel.SLACK:
        talk = slack.tell_digest(endpoint.url, notices)
    else:
        talk = _signed(endpoint, effects[0].id, digest_body([effect.decision for effect in effects]))
    return Delivery(tuple(effects), "", talk)


def _signed(endpoint: Endpoint, message_id: str, body: bytes) -> Talk:
    return only(Request(endpoint.url, body, keys=endpoint.keys, id=message_id))


def _told(endpoint: Endpoint, notice: Notice, now_ms: int) -> Talk:
    match endpoint.channel:
        case Channel.PAGERDUTY:
            return pagerduty.tell(endpoint.url, endpoint.token, notice)
        case Channel.OPSGENIE:
            return opsgenie.tell(endpoint.url, endpoint.token, notice)
        case Channel.ALERTMANAGER:
            return alertmanager.tell(endpoint.url, endpoint.token, notice, now_ms)
        case _:
            return slack.tell(endpoint.url, notice)


def notice_of(config: ControllerConfig, state: State, effect: Effect) -> Notice:
    decision = effect.decision
    record = state.record(decision.id)
    names = {"model": decision.model, "incident": decision.incident, "decision": decision.id}
    link = config.link.format(**{name: quote(text, safe="") for name, text in names.items()})
    incident = state.incident(decision.incident)
    return Notice(
        decision=decision,
        first=decision if record is None else record.first,
        incident=incident,
        link=link,
        severity=decision.detail.severity
        if incident is None or decision.step is Step.FAILED
        else config.severities[incident.rule],
    )
