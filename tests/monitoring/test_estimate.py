"""The estimated accuracy: its sums, its mean and how often its interval is right."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmarks import estimates
from penguin_model.card import Calibration
from penguin_model.measures import wilson
from pipelines.counts.figures import add_up
from pipelines.monitoring import estimate


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    inner = draw(st.lists(st.integers(1, 99), max_size=8, unique=True))
    knots = (0.0, *(each / 100 for each in sorted(inner)), 1.0)
    shares = st.floats(0, 1)
    return Calibration(
        probability=knots,
        accuracy=tuple(draw(st.lists(shares, min_size=len(knots), max_size=len(knots)))),
        rows=draw(st.integers(0, 10**6)),
    )


PROBABILITIES = hnp.arrays(np.float32, st.integers(0, 200), elements=st.floats(1 / 64, 1, width=32))


def figures_of(*chunks: Any, calibration: Calibration) -> Any:
    counted = [estimate.count_probabilities(chunk, calibration) for chunk in chunks]
    return {(estimate.GROUP, name): add_up(each[name] for each in counted) for name in counted[0]}


@given(PROBABILITIES, calibrations())
def test_the_mean_is_that_of_the_interpolated_rows(best: Any, calibration: Calibration) -> None:
    found = estimate.estimate(figures_of(best, calibration=calibration), calibration)
    if found is None:
        assert len(best) == 0
        return
    chances = np.interp(best.astype(np.float64), calibration.probability, calibration.accuracy)
    steepest = max(np.abs(np.diff(calibration.accuracy) / np.diff(calibration.probability)))
    # A row beside a knot may be counted in the next piece.
    assert found.accuracy == pytest.approx(chances.mean(), abs=1e-6 + 1e-7 * steepest)
    assert 0 <= found.low <= found.accuracy <= found.high <= 1
    assert found.rows == len(best)


@given(PROBABILITIES, calibrations(), st.data())
def test_chunks_and_their_order_make_no_difference(
    best: Any, calibration: Calibration, data: st.DataObject
) -> None:
    whole = figures_of(best, calibration=calibration)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(best)), max_size=4)))
    chunks = data.draw(st.permutations(np.split(best, cuts)))
    assert figures_of(*chunks, calibration=calibration) == whole
    shuffled = np.random.default_rng(0).permutation(best)
    assert figures_of(shuffled, calibration=calibration) == whole


@given(PROBABILITIES.filter(len), calibrations())
def test_more_rows_and_a_better_known_calibration_never_widen_it(
    best: Any, calibration: Calibration
) -> None:
    def width(chunks: int, rows: int) -> float:
        known = Calibration(
            probability=calibration.probability, accuracy=calibration.accuracy, rows=rows
        )
        found = estimate.estimate(figures_of(*[best] * chunks, calibration=known), known)
        assert found is not None
        return found.high - found.low

    rows = calibration.rows + 1
    assert width(4, rows) <= width(1, rows) + 2e-6
    assert width(1, rows * 4) <= width(1, rows) + 2e-6


def test_no_rows_no_estimate() -> None:
    calibration = Calibration(probability=(0, 1), accuracy=(0, 1), rows=10)
    assert estimate.estimate({}, calibration) is None
    empty = figures_of(np.array([], np.float32), calibration=calibration)
    assert estimate.estimate(empty, calibration) is None


def test_a_perfect_calibration_of_few_rows_is_not_believed_to_the_end() -> None:
    """103 of 103 right doesn't mean that all of a million are."""
    calibration = Calibration(probability=(0, 1), accuracy=(1, 1), rows=103)
    found = estimate.estimate(
        figures_of(np.ones(1_000_000, np.float32), calibration=calibration), calibration
    )
    assert found is not None
    assert (found.accuracy, found.high) == (1, 1)
    assert found.low == pytest.approx(1 - 3.84 / (103 + 3.84), abs=1e-3)


@pytest.mark.parametrize("night", [30, 300, 10_000])
@pytest.mark.parametrize("held_out", [103, 1000, None])
def test_the_interval_has_the_true_accuracy_at_least_about_95_times_in_100(
    night: int, held_out: int | None
) -> None:
    found = estimates.measure("as held out", night, held_out, nights=300)
    # 103 rows are few: see the table in docs/monitoring.md.
    assert (0.87 if held_out == 103 else 0.93) <= found.coverage
    assert abs(found.error) < 0.02


@given(st.integers(0, 50), st.integers(1, 50), st.floats(0.1, 4))
def test_wilson(hits: int, misses: int, sigmas: float) -> None:
    rows = hits + misses
    low, high = wilson(hits / rows, rows, sigmas=sigmas)
    assert 0 <= low <= hits / rows + 1e-12
    assert hits / rows - 1e-12 <= high <= 1
    # Its ends are the shares that are just as many standard errors away.
    for end in (low, high):
        if 0 < end < 1:
            error = (end * (1 - end) / rows) ** 0.5
            assert abs(hits / rows - end) == pytest.approx(sigmas * error, abs=1e-9)
