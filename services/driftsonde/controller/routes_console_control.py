"""The console's pages about what was decided, and about what holds the automation back."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse

from driftsonde.console.governance import controls, timeline
from driftsonde.controller.console_pages import Button, Form, Pages, form_of
from driftsonde.core.control.access import Person, Role
from driftsonde.core.control.decisions import ALL_MODELS
from driftsonde.core.control.inputs import (
    AutomationChange,
    Maintenance,
    MaintenanceEnd,
    Refused,
    Unknown,
    Wish,
)
from driftsonde.core.spec import HOUR_MS

HOURS = (1, 2, 4, 8, 24, 72)


def timeline_router(pages: Pages) -> APIRouter:
    router, backend = pages.router(), pages.backend

    @router.get("/decisions")
    def decisions(
        person: Annotated[Person, Depends(pages.who)], model: str = "", kind: str = ""
    ) -> HTMLResponse:
        view = timeline(backend.state(), backend.catalogue(), datetime.now(UTC), model, kind)
        return pages.show("decisions.html", person, view=view, model=model, kind=kind)

    return router


def controls_router(pages: Pages) -> APIRouter:
    router, backend = pages.router(), pages.backend
    Who = Annotated[Person, Depends(pages.who)]

    def known(form: Form) -> str:
        """The model that a form names; raises `Unknown`."""
        model = form.get("model", "")
        if backend.catalogue().spec(model) is None:
            raise Unknown(f"no model {model!r} is registered")
        return model

    def switch(stopped: bool) -> Button:
        def make(_: str, form: Form, actor: str) -> Wish:
            model = ALL_MODELS if form.get("model", ALL_MODELS) == ALL_MODELS else known(form)
            return AutomationChange(model, stopped, actor, form.get("reason", ""))

        return Button("stop" if stopped else "run", "", Role.ADMIN, make)

    def announce(_: str, form: Form, actor: str) -> Wish:
        model, hours = known(form), form.get("hours", "")
        if hours not in map(str, HOURS):
            raise Refused(f"a maintenance of {hours!r} hours is not offered")
        until_ms = int(datetime.now(UTC).timestamp() * 1000) + int(hours) * HOUR_MS
        return Maintenance(model, 0, until_ms, actor, form.get("reason", ""))

    def end(_: str, form: Form, actor: str) -> Wish:
        return MaintenanceEnd(form.get("maintenance", ""), actor)

    buttons = {
        button.value: button
        for button in (
            switch(stopped=True),
            switch(stopped=False),
            Button("announce", "", Role.APPROVER, announce),
            Button("end", "", Role.APPROVER, end),
        )
    }

    def page(person: Person, status: int = 200, notice: str = "") -> HTMLResponse:
        return pages.show(
            "controls.html",
            person,
            status,
            view=controls(backend.state(), datetime.now(UTC)),
            models=backend.catalogue().models(),
            hours=HOURS,
            notice=notice,
            may_switch=person.role.permits(Role.ADMIN),
            may_announce=person.role.permits(Role.APPROVER),
        )

    @router.get("/controls")
    def show(person: Who) -> HTMLResponse:
        return page(person)

    @router.post("/controls")
    def change(person: Who, form: Annotated[Form, Depends(form_of)]) -> Response:
        return pages.press(
            buttons, "", form, person, lambda status, notice: page(person, status, notice), "/controls"
        )

    return router
