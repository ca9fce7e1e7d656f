"""The console's pages about rollouts: all of them, and one model's with its evidence and its buttons."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from driftsonde.adapters.clickhouse import StoreRejected, StoreUnavailable
from driftsonde.console.comparison import Shown, read_arms, read_pairs, sequence_of, shown
from driftsonde.console.rollouts import (
    RolloutView,
    current_rollout,
    evidence_since_ms,
    rollout_lines,
    rollout_view,
)
from driftsonde.controller.backend import Backend
from driftsonde.controller.console_pages import MAX_REASON, Button, Form, Pages, form_of
from driftsonde.core.control.access import Person, Role
from driftsonde.core.control.inputs import (
    Refused,
    RolloutChange,
    RolloutStart,
    RolloutWish,
    SplitChange,
    Unknown,
    Wish,
)
from driftsonde.core.control.proving import proofs
from driftsonde.core.control.scorecard import Account, spending_of
from driftsonde.core.control.traffic import without_version
from driftsonde.core.spec import HOUR_MS, ModelSpec, Task

_LABELS = {
    RolloutWish.PAUSE: ("Pause", "It stays where it is"),
    RolloutWish.RESUME: ("Resume", "The stage begins anew"),
    RolloutWish.ADVANCE: ("Next stage", "Without waiting for evidence"),
    RolloutWish.PROMOTE: ("Promote now", "All requests go to it"),
    RolloutWish.ROLLBACK: ("Roll back now", "All requests go back to the former champion"),
}


def _change(wish: RolloutWish) -> Button:
    def make(model: str, form: Form, actor: str) -> Wish:
        return RolloutChange(model, wish, actor, form.get("reason", ""))

    css = "danger" if wish is RolloutWish.ROLLBACK else ""
    label, hint = _LABELS[wish]
    return Button(wish.value, label, Role.APPROVER, make, hint, css)


_MONTH_MS = 30 * 24 * HOUR_MS
CHANGES = {wish.value: _change(wish) for wish in RolloutWish}


def rollout_pages_router(pages: Pages) -> APIRouter:
    router, backend = pages.router(), pages.backend
    Who = Annotated[Person, Depends(pages.who)]

    def start(model: str, form: Form, actor: str) -> Wish:
        version = form.get("version", "")
        if version not in backend.catalogue().versions_of(model):
            raise Unknown(f"no version {version!r} of model {model!r} is registered")
        return RolloutStart(model, version, actor, form.get("reason", ""))

    def end(model: str, form: Form, actor: str) -> Wish:
        state = backend.state().model(model)
        known = current_rollout(state)
        if known is None or known.hand is None or not known.rollout.active or state.traffic is None:
            raise Refused("no canary that was set by hand is under way")
        split = without_version(state.traffic.split, known.rollout.version)
        return SplitChange(model, split, actor, form.get("reason", ""))

    take_back = Button(
        "end", "Take it back now", Role.APPROVER, end, "Its requests go to the champion", "danger"
    )
    buttons = {**CHANGES, "start": Button("start", "Start", Role.APPROVER, start), "end": take_back}

    def page(
        model: str, person: Person, status: int = 200, notice: str = "", ask: str = "", reason: str = ""
    ) -> HTMLResponse:
        view = _view(backend, model)
        if view is None:
            return pages.trouble(person, 404, "No such model", f"No model {model!r} is registered.")
        may = person.role.permits(Role.APPROVER)
        against = _against(view, ask) if may else ()
        return pages.show(
            "rollout.html",
            person,
            status,
            view=view,
            notice=notice,
            actions=[*(CHANGES[it.value] for it in view.wishes), *([take_back] if view.may_end else [])]
            if may
            else [],
            asked=CHANGES[ask] if against else None,
            against=against,
            reason=reason,
            may_start=may and bool(view.choices),
        )

    @router.get("/rollouts")
    def all_rollouts(person: Who) -> HTMLResponse:
        state = backend.state()
        lines = rollout_lines(state, datetime.now(UTC))
        busy = {line.model for line in lines if line.active}
        others = [
            name
            for name in backend.catalogue().models()
            if name not in busy and state.model(name).traffic is not None
        ]
        return pages.show("rollouts.html", person, lines=lines, others=others)

    @router.get("/rollouts/{model}")
    def one(model: str, person: Who, ask: str = "", reason: str = "") -> HTMLResponse:
        return page(model, person, ask=ask, reason=reason)

    @router.post("/rollouts/{model}")
    def change(model: str, person: Who, form: Annotated[Form, Depends(form_of)]) -> Response:
        here, action, reason = (
            f"/rollouts/{quote(model, safe='')}",
            form.get("action", ""),
            form.get("reason", ""),
        )
        sure = "confirmed" in form and reason.strip()
        view = None if sure or action not in CHANGES else _view(backend, model)
        if view is not None and _against(view, action) and person.role.permits(Role.APPROVER):
            return RedirectResponse(
                f"{here}?{urlencode({'ask': action, 'reason': reason[:MAX_REASON]})}", 303
            )
        return pages.press(
            buttons,
            model,
            form,
            person,
            lambda status, notice: page(model, person, status, notice),
            here,
        )

    return router


def _against(view: RolloutView, action: str) -> tuple[str, ...]:
    return next((told for wish, told in view.objections.items() if wish == action), ())


def _view(backend: Backend, model: str) -> RolloutView | None:
    spec, state = backend.catalogue().spec(model), backend.state().model(model)
    if spec is None:
        return None
    known, now = current_rollout(state), datetime.now(UTC)
    evidence, no_evidence = (
        _evidence(backend, spec, known.rollout.version, evidence_since_ms(state)) if known else (None, "")
    )
    production = spec.policy.promotion.production
    live = proofs(state, known.rollout.version, production, backend.live(model)) if known else ()
    account = Account(spec.policy.actions.retrain_budget, spec.value_unit)
    spent = spending_of(state.records.values(), account, int(now.timestamp() * 1000) - _MONTH_MS)
    versions = backend.catalogue().versions_of(model)
    stopped = backend.state().stopped(model)
    return rollout_view(
        state, spec.policy.rollout, versions, evidence, no_evidence, live, spent, stopped, now
    )


def _evidence(backend: Backend, spec: ModelSpec, version: str, since_ms: int) -> tuple[Shown | None, str]:
    """The sequence; or why there is none."""
    if spec.task is Task.REGRESSION:
        return (
            None,
            "Versions of a regression are compared while they shadow: by the error on the same rows, told in the incident "
            "or the decision. Stages end by that, by their time and by their incidents.",
        )
    try:
        windows = read_arms(backend.store, spec.name, version, since_ms)
        pairs = read_pairs(backend.store, spec.name, version, spec.policy.canary, since_ms)
    except (StoreUnavailable, StoreRejected):
        return None, "The store can't be read now, so the evidence is not shown. The buttons work."
    if not windows:
        whose = " of this rollout" if since_ms else ""
        return None, f"No window{whose} has labelled rows of both versions yet."
    rule = spec.policy.canary
    if pairs is None:
        return shown(sequence_of(windows, rule), rule), ""
    # With pairs, the interval of all rows has the other half of alpha; it goes on where the shadow has become a canary.
    every = sequence_of(windows, replace(rule, alpha=rule.alpha / 2))
    newest = pairs if pairs.starts_ms[-1] >= every.starts_ms[-1] else every
    return shown(newest, rule), ""
