"""What a soak's record makes of its samples."""

import xml.etree.ElementTree as ET

from bench.soak_report import Result, Sample, draw, growth_mb_per_hour, render


def result() -> Result:
    samples = tuple(
        Sample(60.0 * n, {"judge": 100.0 + n, "store": 300.0}, {"judge": float(n % 3)}, n, 1_000 * n)
        for n in range(31)
    )
    return Result(16.7, 30.0, 30_000, 30, 1.5, {"cores": "2"}, samples)


def test_growth_is_that_of_the_last_two_thirds() -> None:
    times_s = [60.0 * n for n in range(30)]
    filling = [min(n, 9) * 10.0 for n in range(30)]
    assert growth_mb_per_hour(times_s, filling) == 0.0
    assert growth_mb_per_hour(times_s, [n / 60 for n in times_s]) == 60.0
    assert growth_mb_per_hour([0.0], [1.0]) == 0.0


def test_the_table_says_what_grew_and_what_lagged() -> None:
    text = render(result(), "2026-11-24")
    assert "| judge | 100 | 130 | 130 | 60.0 | 2 | 0 |" in text
    assert "| store | 300 | 300 | 300 | 0.0 | – | – |" in text
    assert "30,000 rows (17 a second)" in text
    assert "held 30 windows" in text


def test_the_drawing_is_svg_with_a_line_for_each_process() -> None:
    root = ET.fromstring(draw(result()))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 4
    assert all(len((line.get("points") or "").split()) == 31 for line in lines)
