"""A model's bad day as the vendors' interfaces are told it; each receiver refuses what its documents don't allow."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.outbound import Request, Sender
from driftsonde.adapters.talk import Talk
from driftsonde.controller.channels.notice import MAX_EVIDENCE_LINES, done, facts, title
from driftsonde.controller.config import ControllerConfig
from driftsonde.controller.config_parts import Channel, Endpoint
from driftsonde.controller.delivery import Deliveries
from driftsonde.controller.outbox import delivery_of, digest_of, notice_of
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.inputs import Acknowledgement, Begun, Found, Input, Outcome, Resolution, Tick
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import Effect, State, with_traffic
from driftsonde.core.signals import Evidence, Signal, SignalKind
from driftsonde.core.spec import MINUTE_MS, Mode
from fake_api import Answer, Call, FakeApi
from vendor_shapes import check_alertmanager, check_opsgenie, check_pagerduty, check_slack

KEY = "0123456789abcdef0123456789abcdef"
LINK = "https://driftsonde.example.com/#/incidents/{incident}"
ACCURACY = Evidence(3_600_000, 7_200_000, "", "accuracy", 0.8123, 0.87, 0.7991, 0.8249, 2_400)
CHECKS: dict[Channel, Callable[[Call], None]] = {
    Channel.PAGERDUTY: partial(check_pagerduty, routing_key=KEY),
    Channel.OPSGENIE: partial(check_opsgenie, key=KEY),
    Channel.SLACK: check_slack,
    Channel.ALERTMANAGER: check_alertmanager,
}
OK = {Channel.PAGERDUTY: 202, Channel.OPSGENIE: 202, Channel.SLACK: 200, Channel.ALERTMANAGER: 200}


def route(channel: Channel) -> Route:
    return Route("oncall", incidents_only=channel is not Channel.SLACK)


def config_for(channel: Channel, url: str) -> ControllerConfig:
    endpoint = Endpoint("oncall", url, (), channel, "" if channel is Channel.SLACK else KEY)
    return ControllerConfig((endpoint,), (route(channel),), link=LINK)


def bad_day(channel: Channel) -> tuple[State, list[Effect]]:
    """An alert, a second one, an acknowledgement, a rollback that is done, a retraining that fails, the end."""
    policy = setting(routes=(route(channel),))
    state = with_traffic(State(), with_canary())
    opening = replace(signal(SignalKind.ALERT), evidence=(ACCURACY, *signal(SignalKind.ALERT).evidence))
    state, decisions = after(state, [opening, signal(SignalKind.ALERT, hour=1)], policy)
    acknowledgement = Acknowledgement(decisions[0].incident, "Ann <ann> & co")
    later: list[Input] = [acknowledgement, canary_rollback(), signal(SignalKind.RETRAIN, hour=2)]
    state, more = after(state, later, policy)
    decisions += more
    actions = [effect for effect in state.pending() if effect.action]
    ends: list[Input] = [
        Outcome(effect, "" if effect.action == "traffic" else "status 500", 1) for effect in actions
    ]
    state, more = after(state, [*ends, signal(SignalKind.RESOLVE, hour=4)], policy)
    return state, [effect for effect in state.pending() if effect.recipient]


@dataclass(slots=True)
class Told:
    """An endpoint at a receiver that knows the vendor's shapes, and what came of each delivery."""

    channel: Channel
    wrong: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    _came: threading.Condition = field(default_factory=threading.Condition)

    def answer(self, call: Call) -> Answer:
        try:
            CHECKS[self.channel](call)
        except (AssertionError, KeyError, ValueError) as error:
            self.wrong.append(f"{type(error).__name__}: {error}")
            return Answer(400, {"message": str(error)[:200]})
        return self.answers.pop(0) if self.answers else Answer(OK[self.channel])

    def note(self, news: Outcome | Begun | Found) -> None:
        assert isinstance(news, Outcome)
        with self._came:
            self.outcomes.append(news)
            self._came.notify_all()

    def wait(self, count: int) -> list[Outcome]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.outcomes) >= count, 10), self.outcomes
            return self.outcomes


@contextmanager
def deliveries(told: Told) -> Iterator[Deliveries]:
    engine = Deliveries(
        sender=lambda: Sender(frozenset({"127.0.0.1"})),
        endpoints=("oncall",),
        delays_ms=(1, 1),
        randomness=lambda: 0.5,
        metrics=create_metrics(CollectorRegistry(), "test", "0"),
    )
    engine.start(told.note)
    yield engine
    engine.stop()


@contextmanager
def receiver(told: Told) -> Iterator[FakeApi]:
    api = FakeApi(told.answer)
    yield api
    api.close()


def tell(told: Told, state: State, effects: list[Effect]) -> list[Call]:
    with receiver(told) as api, deliveries(told) as engine:
        config = config_for(told.channel, api.url)
        for effect in effects:
            delivery = delivery_of(config, state, effect, NOW_MS)
            assert delivery is not None
            engine.offer("oncall", delivery)
        told.wait(len(effects))
        return api.calls


@pytest.mark.io
@pytest.mark.parametrize("channel", CHECKS)
def test_a_bad_day_is_told_in_the_shape_that_the_vendor_documents(channel: Channel) -> None:
    state, effects = bad_day(channel)
    told = Told(channel)
    calls = tell(told, state, effects)
    assert told.wrong == []
    assert [outcome.problem for outcome in told.outcomes] == [""] * len(effects)
    assert calls


@pytest.mark.io
def test_pagerduty_opens_acknowledges_and_resolves_under_one_key() -> None:
    state, effects = bad_day(Channel.PAGERDUTY)
    calls = tell(Told(Channel.PAGERDUTY), state, effects)
    by_key: dict[str, list[str]] = {}
    for call in calls:
        by_key.setdefault(call.body["dedup_key"], []).append(call.body["event_action"])
    drift = effects[0].decision.incident
    assert sorted(by_key.pop(drift)) == sorted(["trigger", "trigger", "acknowledge", "trigger", "resolve"])
    # The retraining that failed, which is an alert of its own, and the canary's incident: it is over once it is taken back.
    assert sorted(by_key.values()) == [["trigger"], ["trigger", "resolve"]]
    opened = next(call.body for call in calls if call.body["dedup_key"] == drift)
    assert opened["payload"]["severity"] == "warning"
    assert opened["links"][0]["href"] == f"https://driftsonde.example.com/#/incidents/{drift}"


@pytest.mark.io
def test_opsgenie_closes_what_it_opened() -> None:
    state, effects = bad_day(Channel.OPSGENIE)
    calls = tell(Told(Channel.OPSGENIE), state, effects)
    drift = effects[0].decision.incident
    opened = [call.body for call in calls if call.path == "/v2/alerts" and call.body["alias"] == drift]
    assert {(body["priority"], body["entity"]) for body in opened} == {("P3", "fraud/1")}
    ends = sorted(call.path.partition("?")[0] for call in calls if drift in call.path)
    assert ends == [f"/v2/alerts/{drift}/acknowledge", f"/v2/alerts/{drift}/close"]


@pytest.mark.io
def test_alertmanagers_alert_has_the_same_labels_from_its_opening_to_its_end() -> None:
    state, effects = bad_day(Channel.ALERTMANAGER)
    calls = tell(Told(Channel.ALERTMANAGER), state, effects)
    drift = effects[0].decision.incident
    alerts = [alert for call in calls for alert in call.body if alert["labels"]["incident"] == drift]
    assert len(alerts) == 4  # an acknowledgement is nothing to it
    assert len({tuple(sorted(alert["labels"].items())) for alert in alerts}) == 1
    assert len({alert["startsAt"] for alert in alerts}) == 1
    assert sorted(alerts, key=lambda alert: alert["endsAt"])[0]["annotations"]["summary"].startswith(
        "[WARNING] fraud 1: resolved"
    )


@pytest.mark.io
@pytest.mark.parametrize("channel", CHECKS)
def test_a_receiver_that_has_too_much_to_do_is_asked_again_and_one_that_refuses_is_not(
    channel: Channel,
) -> None:
    state, effects = bad_day(channel)
    told = Told(channel, answers=[Answer(429, headers={"retry-after": "0"}), Answer(OK[channel])])
    assert len(tell(told, state, effects[:1])) == 2
    assert (told.outcomes[0].problem, told.outcomes[0].attempts) == ("", 2)
    told = Told(channel, answers=[Answer(400, {"message": "invalid event"})])
    assert len(tell(told, state, effects[:1])) == 1
    assert "refuses" in told.outcomes[0].problem
    assert "invalid event" in told.outcomes[0].problem


@pytest.mark.io
def test_a_digest_for_slack_is_one_message() -> None:
    policy = setting(routes=(Route("oncall", digest_ms=60_000),))
    state, _ = after(State(), [signal(SignalKind.ALERT, f"e{number}") for number in range(70)], policy)
    told = Told(Channel.SLACK)
    with receiver(told) as api, deliveries(told) as engine:
        digest = digest_of(config_for(Channel.SLACK, api.url), state, "oncall", state.pending())
        assert digest is not None
        engine.offer("oncall", digest)
        told.wait(70)
        (call,) = api.calls
    assert told.wrong == []
    assert call.body["text"] == "70 notices of Driftsonde"
    assert call.body["blocks"][-1]["text"]["text"] == "and 22 more"


def requests_of(talk: Talk) -> list[Request]:
    """What a talk asks for first."""
    try:
        asked = next(talk)
    except StopIteration:
        return []
    assert isinstance(asked, Request)
    return [asked]


LONG = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6_000)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=200)


@given(summary=LONG, model=NAMES, segment=LONG, channel=st.sampled_from(sorted(CHECKS)))
def test_no_text_breaks_a_vendors_limits(summary: str, model: str, segment: str, channel: Channel) -> None:
    event = replace(signal(SignalKind.ALERT, model=model), summary=summary, segment=segment)
    many = replace(event, evidence=(ACCURACY, *event.evidence) * 500)
    state, _ = after(State(), [many], setting(routes=(route(channel),)))
    (effect,) = state.pending()
    delivery = delivery_of(config_for(channel, "https://vendor.example.com"), state, effect, NOW_MS)
    assert delivery is not None
    for asked in requests_of(delivery.talk):
        headers = {"content-type": "application/json", **asked.headers}
        path = asked.url.removeprefix("https://vendor.example.com")
        CHECKS[channel](Call(asked.method, path, headers, asked.body))


def story(event: Signal, mode: Mode = Mode.AUTO) -> tuple[str, dict[str, Any]]:
    state, (decision,) = after(with_traffic(State(), with_canary()), [event], setting(retrain=mode))
    effect = Effect("x", decision, recipient="oncall")
    notice = notice_of(config_for(Channel.SLACK, "https://x"), state, effect)
    return title(notice), facts(notice)


def test_a_message_says_what_since_when_how_sure_and_what_was_done() -> None:
    event = replace(
        signal(SignalKind.RETRAIN),
        evidence=(ACCURACY, *signal(SignalKind.RETRAIN).evidence),
        since_ms=NOW_MS - 185 * MINUTE_MS,
    )
    headline, told = story(event)
    assert headline == "[WARNING] fraud 1: retrain of fraud"
    assert told["What"] == "retrain of fraud"
    assert told["Since"].endswith("UTC, 3 h 5 min before this was decided on")
    assert told["How sure"].splitlines() == [
        "accuracy 0.8123 [0.7991, 0.8249], limit 0.87, n 2400",
        "psi of amount 0.7, limit 0.2, n 500",
    ]
    assert (told["Done"], told["Why"]) == ("retraining: under way", "the policy acts by itself")


def test_what_waits_for_a_person_says_until_when() -> None:
    _, told = story(signal(SignalKind.RETRAIN), Mode.RECOMMEND)
    assert told["Done"] == "retraining: waits for approval until 2026-09-22 14:13 UTC"


def test_much_evidence_is_counted() -> None:
    _, told = story(replace(signal(SignalKind.ALERT), evidence=(ACCURACY,) * 9))
    assert told["How sure"].splitlines()[MAX_EVIDENCE_LINES:] == ["and 4 more"]


def test_an_escalation_says_that_nobody_took_it() -> None:
    routes = (Route("lead", escalation_ms=MINUTE_MS),)
    policy = setting(routes=routes)
    state, _ = after(State(), [signal(SignalKind.ALERT)], policy)
    state, (decision,) = after(state, [Tick()], policy, NOW_MS + MINUTE_MS)
    notice = notice_of(ControllerConfig(), state, Effect("x", decision, recipient="lead"))
    assert title(notice) == "[WARNING] fraud 1: alert of fraud"
    assert facts(notice)["Why"] == "not acknowledged for 1 min"
    assert done(decision).startswith("told to the next in line")


def test_every_step_has_words() -> None:
    state, effects = bad_day(Channel.SLACK)
    told: list[Decision] = [effect.decision for effect in effects]
    assert len({done(decision) for decision in told}) >= 6
    assert state.pending()


@pytest.mark.io
@pytest.mark.parametrize("false_alarm", [False, True])
def test_what_a_person_ends_is_closed_for_those_who_were_told_of_it(false_alarm: bool) -> None:
    policy = setting(routes=(route(Channel.PAGERDUTY),))
    state, (opened,) = after(State(), [signal(SignalKind.ALERT)], policy)
    state, _ = after(state, [Resolution(opened.incident, "ann", "known", false_alarm)], policy)
    calls = tell(Told(Channel.PAGERDUTY), state, list(state.pending()))
    told = [(call.body["event_action"], call.body["dedup_key"]) for call in calls]
    assert told == [("trigger", opened.incident), ("resolve", opened.incident)]
