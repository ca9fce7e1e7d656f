"""Protected columns are sliced by the values of the baseline."""

from driftsonde.core.events import Role
from driftsonde.core.grouping import slicing_of
from driftsonde.core.protected import MAX_GROUPS, ProtectedColumn, protected_columns, slice_protected
from driftsonde.core.spec import ModelSpec, Task
from stream_examples import categorical, numeric, plan_of

SPEC = ModelSpec("m", Task.BINARY, segments=("country",))
COUNTRY = categorical("country", ["DE", "FR", "FR"])
SEX = categorical("sex", ["m", "f", None])


def test_a_protected_column_is_sliced_beside_the_segments() -> None:
    plan = plan_of(SPEC, "1", COUNTRY, SEX)
    assert plan.slicing.columns == ("country", "sex")
    assert plan.slicing.labels[-3:] == ("sex=f", "sex=m", "sex=(other)")
    assert plan.protected == (ProtectedColumn("sex", (("f", "sex=f"), ("m", "sex=m"))),)


def test_without_a_baseline_nothing_is_known_to_be_protected() -> None:
    slicing = slicing_of(SPEC, None)
    assert slice_protected(slicing, None) == slicing
    assert protected_columns(slicing, None) == ()


def test_a_protected_column_that_is_a_segment_is_sliced_once() -> None:
    spec = ModelSpec("m", Task.BINARY, segments=("sex",))
    plan = plan_of(spec, "1", COUNTRY, SEX)
    assert plan.slicing.columns == ("sex",)
    assert [column.name for column in plan.protected] == ["sex"]


def test_a_column_is_protected_that_the_spec_names() -> None:
    """A baseline from a table has no roles."""
    spec = ModelSpec("m", Task.BINARY, segments=("country",), protected=("country", "branch", "prediction"))
    plan = plan_of(
        spec, "1", COUNTRY, categorical("branch", ["n", "s", "n"]), categorical("prediction", ["0"] * 3)
    )
    assert [column.name for column in plan.protected] == ["country", "branch"]
    assert plan.slicing.columns == ("country", "branch")


def test_a_number_has_no_groups() -> None:
    plan = plan_of(ModelSpec("m", Task.BINARY), "1", numeric("age", [30.0, 40.0], Role.PROTECTED))
    assert plan.slicing.columns == ()
    assert plan.protected == ()


def test_groups_are_the_most_frequent_values_and_never_the_others() -> None:
    values = [f"g{n:03}" for n in range(MAX_GROUPS + 5)]
    rare = [*values, *values[5:], "(other)", "(other)", "(other)"]
    plan = plan_of(ModelSpec("m", Task.BINARY), "1", categorical("sex", rare))
    (column,) = plan.protected
    # "(other)" is the most frequent value, and has no slice of its own.
    assert [value for value, _ in column.groups] == values[5 : MAX_GROUPS + 4]
