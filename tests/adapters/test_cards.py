"""What a card says, and what is no card."""

import pytest

from driftsonde.adapters.cards import parse_card
from driftsonde.adapters.specs import InvalidSpec
from driftsonde.core.origin import Origin, merged

CARD = """
owner = "risk"
context = "card payments, EU"
intended_use = "scoring; not for credit limits"
approval = "model risk committee, 2026-11-20"
code_revision = "9f1c2ab"

[data]
"s3://train/2026-10" = "sha256:f00d"

[params]
depth = 6
early_stopping = true

[metrics]
accuracy = 0.93
rows = 5000

[features]
amount = "double"

[feature_views]
payments = "4"
"""


def test_a_card_fills_an_origin() -> None:
    assert parse_card(CARD) == Origin(
        source="card",
        code_revision="9f1c2ab",
        columns=(("amount", "double"),),
        data=(("s3://train/2026-10", "sha256:f00d"),),
        params=(("depth", "6"), ("early_stopping", "true")),
        metrics=(("accuracy", 0.93), ("rows", 5000.0)),
        feature_views=(("payments", "4"),),
        owner="risk",
        context="card payments, EU",
        intended_use="scoring; not for credit limits",
        approval="model risk committee, 2026-11-20",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("owner =", "not TOML"),
        ("team = 1", "team: unknown; expected one of approval, "),
        ("owner = 1", "owner: expected a text of at most 2000 characters, not 1"),
        ('data = "x"', "data: expected a table of at most 200 entries, not 'x'"),
        ('[metrics]\nauc = "high"', "metrics.auc: expected a number, not 'high'"),
        ("[metrics]\nauc = nan", "metrics.auc: expected a number, not nan"),
        ("[params]\nlayers = [1, 2]", "params.layers: expected a text, a number or a boolean"),
    ],
)
def test_what_is_no_card_is_named(text: str, problem: str) -> None:
    with pytest.raises(InvalidSpec) as found:
        parse_card(text)
    assert problem in str(found.value)


def test_the_first_one_goes_before_the_second() -> None:
    of_mlflow = Origin("mlflow models:/fraud/3", run="r1", owner="bob", metrics=(("auc", 0.9),))
    both = merged(parse_card('owner = "ann"'), of_mlflow)
    assert (both.owner, both.run, both.metrics) == ("ann", "r1", (("auc", 0.9),))
