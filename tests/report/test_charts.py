"""Charts: round ticks, proportional lengths and nothing outside the frame, for any numbers."""

import itertools
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model.pages import charts, svg
from penguin_model.pages.markup import Markup
from penguin_model.pages.svg import Series

NAME = "{http://www.w3.org/2000/svg}"
COUNTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=12)


def parsed(chart: Markup) -> ET.Element:
    """A chart as XML, all of it inside its frame."""
    found = ET.fromstring(chart)
    assert found.get("role") == "img"
    assert found[0].tag == f"{NAME}title"
    assert found[0].text
    _, _, width, height = map(float, str(found.get("viewBox")).split())
    for each in found.iter():
        for name in ("x", "x1", "x2", "cx", "y", "y1", "y2", "cy"):
            assert 0 <= float(each.get(name, 0)) <= (width if "x" in name else height)
        assert float(each.get("x", 0)) + float(each.get("width", 0)) <= width + 0.1 or each is found
        assert float(each.get("width", 0)) >= 0
        assert float(each.get("height", 0)) >= 0
    return found


def bars(chart: ET.Element, look: str, size: str) -> list[float]:
    """The lengths of the bars of one look; the first such square is the key's."""
    found = [each for each in chart.iter(f"{NAME}rect") if each.get("class") == look]
    return [float(str(each.get(size))) for each in found[1:]]


def texts(chart: ET.Element) -> list[str]:
    return [str(each.text).replace("\N{NO-BREAK SPACE}", " ") for each in chart.iter(f"{NAME}text")]


def strings(chart: ET.Element) -> Iterator[tuple[float, float, float]]:
    """Where the texts of an axis begin and end, roughly, by their row."""
    for each in chart.iter(f"{NAME}text"):
        if each.get("text-anchor") == "middle":
            half = len(str(each.text)) * svg.LETTER / 2
            x = float(str(each.get("x")))
            yield float(str(each.get("y"))), x - half, x + half


@given(st.floats(1e-8, 1e15), st.integers(2, 6))
def test_ticks_are_round_and_reach_the_highest(high: float, most: int) -> None:
    found = svg.ticks(high, most)
    assert found[0] == 0
    assert found[-1] >= high * (1 - 1e-6)
    assert 2 <= len(found) <= most + 1
    step = found[1]
    assert f"{step:e}"[0] in "125"
    assert set(f"{step:e}".split("e")[0][1:]) <= {".", "0"}
    assert found[-1] - step < high


@pytest.mark.parametrize("high", [0, -1, math.nan])
def test_ticks_of_nothing_make_an_axis_all_the_same(high: float) -> None:
    assert svg.ticks(high) == [0, 1]


@pytest.mark.parametrize(
    ("high", "value", "shown"),
    [(250, 50, "50"), (5000, 2000, "2,000"), (2e4, 5e3, "5 k"), (2e7, 5e6, "5 M"), (2e7, 0, "0")],
)  # fmt: skip
def test_one_axis_has_one_unit(high: float, value: float, shown: str) -> None:
    assert svg.compact(high)(value).replace("\N{NO-BREAK SPACE}", " ") == shown


@given(COUNTS, st.data())
def test_histograms_are_in_proportion(counts: list[int], data: st.DataObject) -> None:
    others = data.draw(st.lists(st.integers(0, 10), min_size=len(counts), max_size=len(counts)))
    series = [
        Series(label="training", look="then", counts=others),
        Series(label="this run", look="now", counts=counts),
    ]
    edges = [36.5 + 2.06 * n for n in range(len(counts) - 1)]
    chart = parsed(charts.histogram("T", "length (mm)", edges, series))
    heights = bars(chart, "now", "height")
    assert len(heights) == len(bars(chart, "then", "height")) == len(counts)
    total = sum(counts) or 1
    biggest = max(range(len(counts)), key=lambda place: counts[place])
    scale = heights[biggest] / (counts[biggest] / total) if counts[biggest] else 1
    for height, n in zip(heights, counts, strict=True):
        assert height == pytest.approx(n / total * scale, abs=0.02)
    rows = sorted(strings(chart))
    assert all(a[0] != b[0] or a[2] < b[1] for a, b in itertools.pairwise(rows))


@given(COUNTS)
def test_lying_bars_are_in_proportion_and_have_their_numbers(counts: list[int]) -> None:
    names = [f"class {n}" for n in range(len(counts))]
    chart = parsed(charts.bars("T", names, [Series(label="now", look="now", counts=counts)]))
    lengths = bars(chart, "now", "width")
    assert [each for each in texts(chart) if each.startswith("class")] == names
    for n, text in zip(counts, [each for each in texts(chart) if "%" in each], strict=True):
        assert text.endswith(f"({n:,})")
    longest = max(lengths)
    for length, n in zip(lengths, counts, strict=True):
        assert length == pytest.approx(max(n / (max(counts) or 1) * longest, 1), abs=0.02)


def test_thresholds_show_both_numbers_and_words() -> None:
    rows = [("length", 0.3, 0.15, "drifted", True), ("mass", 0.0, 0.1, "within chance", False)]
    chart = parsed(charts.thresholds("T", rows))
    assert "0.30, drifted" in texts(chart)
    assert "0.00, within chance" in texts(chart)
    marks = [each for each in chart.iter(f"{NAME}line") if each.get("class") == "mark"]
    bad = [each for each in chart.iter(f"{NAME}rect") if each.get("class") == "bad"]
    assert len(marks) == 2
    assert float(str(marks[0].get("x1"))) - 4 == pytest.approx(
        float(str(bad[0].get("width"))) / 2, abs=0.1
    )


@given(st.lists(st.none() | st.floats(0, 1e9), min_size=1, max_size=30))
def test_courses_leave_gaps_where_nothing_is_known(values: list[float | None]) -> None:
    chart = parsed(charts.course("T", values, ("2026-11-01", "2026-11-30"), "{:.0f}".format))
    known = sum(value is not None for value in values)
    lines = [each for each in chart.iter(f"{NAME}line") if each.get("class") == "course"]
    pairs = itertools.pairwise(values)
    assert len(lines) == sum(a is not None and b is not None for a, b in pairs)
    dots = len(list(chart.iter(f"{NAME}circle")))
    assert dots == known + (values[-1] is not None)
    assert (f"{values[-1]:.0f}" in texts(chart)) if values[-1] is not None else True


SHARE = st.floats(0, 1)


@given(st.lists(st.tuples(SHARE, SHARE, SHARE, SHARE).map(sorted), max_size=10))
def test_calibration_shows_each_point(found: list[list[float]]) -> None:
    points = [(probability, share, least, most) for least, probability, share, most in found]
    chart = parsed(charts.calibration("T", points))
    assert len(list(chart.iter(f"{NAME}circle"))) == len(points)
    assert "100%" in texts(chart)


def test_long_names_are_cut() -> None:
    assert svg.shorten("x" * 50, 10) == "x" * 9 + "…"
    chart = parsed(charts.thresholds("T", [("n" * 200, 1.0, 0.5, "drifted", True)]))
    assert max(map(len, texts(chart))) < 60
