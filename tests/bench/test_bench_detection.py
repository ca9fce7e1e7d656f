"""The bench of detection: how pages are scored, and that its streams are what their names say."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.detection.again import with_score
from bench.detection.bounds import bound
from bench.detection.column_rules import RULES
from bench.detection.columns import (
    BINS,
    COLUMNS,
    LEARNING_ROWS,
    SHAPES,
    ColumnStream,
    bin_counts,
    column_stream,
)
from bench.detection.ours import watch_outcomes
from bench.detection.peers import installed, pages_of, peer_rules
from bench.detection.pictures import draw, trace
from bench.detection.report import to_json, to_markdown
from bench.detection.river_rules import watch
from bench.detection.scoring import score
from bench.detection.streams import (
    BASELINE_ROWS,
    ROWS,
    WANDERS,
    OutcomeStream,
    Wander,
    bernoulli,
    briefly_worse,
    wandering,
)
from driftsonde.core.statistics.distances import jensen_shannon_distance, population_stability_index


def test_a_page_is_false_outside_a_change_and_its_grace() -> None:
    pages = [[100, 5_100, 5_200, 7_500], [9_500], []]
    result = score("stream", "rule", pages, 10_000, ((5_000, 7_000),))
    assert (result.episodes, result.found, result.missed) == (3, 1, 2)
    assert result.median_delay == 100
    assert result.any_false == pytest.approx(2 / 3)
    assert result.false_per_10k == pytest.approx(2 / 3 * 10_000 / 7_000)
    assert result.pages == pytest.approx(5 / 3)


def test_where_nobody_knows_the_changes_only_pages_are_counted() -> None:
    result = score("stream", "rule", [[5, 6]], 10_000, None)
    assert np.isnan([result.any_false, result.false_per_10k, result.median_delay]).all()
    assert result.pages == 2
    document = json.loads(to_json([result], {"date": "today"}))
    assert document["scores"][0]["any_false"] is None
    assert "| rule |  |  |  |  |  |  | 2.00 | 1 |" in to_markdown([result], {"date": "today"})


def test_the_reference_stream_is_that_of_the_numbers_to_beat() -> None:
    stream = bernoulli(2, changed=True)
    rows = np.random.default_rng(1).random(ROWS)
    expected = rows < np.where(np.arange(ROWS) < 5_000, 0.2, 0.3)
    assert (stream.errors[1, BASELINE_ROWS:] == expected).all()
    assert stream.loss == pytest.approx(0.1, abs=0.02)


def test_our_rule_finds_the_change_and_pages_once() -> None:
    stream = bernoulli(4, changed=True)
    pages = watch_outcomes(stream, 100)
    assert [len(one) for one in pages] == [1] * 4
    assert all(5_000 < one[0] <= 6_000 for one in pages)


def test_a_detector_of_river_is_shown_the_baseline_or_not() -> None:
    errors = np.zeros((1, BASELINE_ROWS + 300), dtype=np.bool_)
    errors[:, BASELINE_ROWS:] = True
    stream = OutcomeStream("always wrong", errors, ((0, 300),))
    assert watch("ADWIN", stream, True, 1)[0]
    assert not watch("ADWIN", stream, False, 1)[0]


def test_a_wandering_stream_wanders_around_its_rate() -> None:
    stream = wandering(WANDERS[0], 3)
    by_window = stream.errors.reshape(3, -1, 300).mean(axis=2)
    assert stream.changes == ()
    assert stream.errors.mean() == pytest.approx(0.21, abs=0.02)
    assert by_window.std() > 2 * np.sqrt(0.16 / 300)


def test_columns_are_counted_in_the_deciles_of_their_baseline() -> None:
    stream = column_stream(SHAPES[4], 1)
    reference, windows = bin_counts(stream, 500)
    assert reference.shape == (1, COLUMNS, BINS)
    assert (reference == BASELINE_ROWS / BINS).all()
    assert windows.shape == ((LEARNING_ROWS + ROWS) // 500, 1, COLUMNS, BINS)
    assert (windows.sum(axis=-1) == 500).all()
    psi = population_stability_index(reference[0, 0], windows[-1, 0, 0])
    assert 0.15 < psi < 0.45
    assert jensen_shannon_distance(reference[0, 0], windows[-1, 0, 0], np.e) > 0.1


def test_every_column_rule_finds_a_shift_in_long_windows() -> None:
    stream = column_stream(SHAPES[4], 1)
    for rule, find in RULES.items():
        pages = find(stream, 500)[0]
        assert any(5_000 < page <= 7_000 for page in pages), rule


def test_a_picture_shows_a_run() -> None:
    text = draw(trace(bernoulli(1, True), 100), "A change", 5_000)
    assert text.startswith("<svg xmlns=")
    assert "page after row 5," in text


def test_peers_pages_merge_into_episodes_of_any_column() -> None:
    drifted = np.zeros((2, 12, 3), dtype=np.bool_)
    drifted[0, 1, 2] = drifted[0, 2, 0] = drifted[0, 9, 1] = True
    assert pages_of(drifted, 100) == [[200, 1000], []]


@pytest.mark.slow
@pytest.mark.io
def test_the_peers_own_code_finds_a_gross_shift_in_its_own_environment() -> None:
    pythons = {name: python for name, python in installed().items() if Path(python).exists()}
    if not pythons:
        pytest.skip("no peer can be installed here")
    rng = np.random.default_rng(1)
    values = rng.normal(size=(1, 2, 12_000))
    values[:, 0, 11_000:] += 5
    found = [*peer_rules(ColumnStream("shifted", values, ((1_000, 2_000),)), 500, pythons)]
    assert {one.rule.split()[0] for one in found} == {
        {"evidently": "Evidently", "nannyml": "NannyML"}[n] for n in pythons
    }
    assert all(any(page in (1_500, 2_000) for page in one.pages[0]) for one in found)


def test_our_rules_measured_again_take_their_places_and_the_others_stay() -> None:
    first = score("a", "ours", [[]], 10, ())
    other, elsewhere = score("a", "ADWIN", [[3]], 10, ()), score("b", "ADWIN", [[]], 10, ())
    again = score("a", "ours", [[1]], 10, ())
    assert with_score([first, other, elsewhere], again) == [again, other, elsewhere]
    added = score("b", "ours", [[]], 10, ())
    assert with_score([first, other, elsewhere], added) == [first, other, added, elsewhere]
    assert with_score([first], score("c", "ours", [[]], 10, ()))[-1].stream == "c"


def test_what_no_detector_can_find_is_less_where_the_healthy_stream_wanders() -> None:
    independent = bound(Wander("independent rows"), 0.05, 1_000)
    wandering_rate = bound(WANDERS[2], 0.05, 1_000)
    # Without dependence: d^2 = n s^2 / (p q), less the error of the mean of 10,000 rows before.
    assert independent.distance == pytest.approx(np.sqrt(1_000 * 0.05**2 / 0.16 * 10 / 11), rel=0.01)
    assert wandering_rate.power < 0.1 < 0.85 < independent.power


def test_a_stream_is_worse_for_a_thousand_rows() -> None:
    streams = briefly_worse(5)
    assert [stream.loss for stream in streams] == pytest.approx([0.05] * 3, abs=0.02)
    assert {stream.changes for stream in streams} == {((5_000, 6_000),)}
