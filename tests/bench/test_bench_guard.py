"""When the guard says that something has become slow."""

import json

from bench.guard import STORED, Pair, fallen, guarded, measure_ratios


def test_a_third_is_allowed() -> None:
    stored = {"fold": 0.9, "decode": 3.0}
    assert fallen({"fold": 0.61, "decode": 9.0}, stored) == []
    assert fallen({"fold": 0.59, "decode": 9.0}, stored) == ["fold"]


def test_what_is_not_measured_or_not_stored_is_a_fault() -> None:
    assert fallen({"fold": 1.0}, {"fold": 1.0, "decode": 1.0}) == ["decode"]
    assert fallen({"fold": 1.0, "new": 1.0}, {"fold": 1.0}) == ["new"]
    assert fallen({"fold": float("nan")}, {"fold": 1.0}) == ["fold"]


def test_a_ratio_says_how_often_the_subject_is_done_while_the_reference_is_once() -> None:
    slow = Pair("slow", lambda: sum(range(200_000)), lambda: sum(range(20_000)))
    (ratio,) = measure_ratios([slow], rounds=3).values()
    assert ratio < 0.5


def test_everything_guarded_has_a_stored_ratio() -> None:
    assert json.loads(STORED.read_text(encoding="utf-8")).keys() == {pair.name for pair in guarded()}
