from driftsonde.core.control.decisions import Change, Kind
from driftsonde.core.control.routing import Route, recipients

ALL = Route("all")
PAGER = Route("pager", kinds=frozenset({Kind.ALERT}))
FRAUD = Route("fraud-team", models=frozenset({"fraud"}))
ROUTES = (ALL, PAGER, FRAUD)


def test_an_endpoint_hears_what_it_asked_for() -> None:
    assert recipients(ROUTES, "fraud", Kind.ALERT, Change.UPDATED) == ("all", "pager", "fraud-team")
    assert recipients(ROUTES, "credit", Kind.RETRAIN, Change.UPDATED) == ("all",)


def test_the_opening_of_an_incident_reaches_whoever_asked_for_alerts() -> None:
    assert recipients(ROUTES, "credit", Kind.RETRAIN, Change.OPENED) == ("all", "pager")
