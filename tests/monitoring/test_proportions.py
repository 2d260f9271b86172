"""Intervals and tests for shares, against other programs' results."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from penguin_model.measures import wilson
from pipelines.monitoring.proportions import chance_of_fewer


def test_the_interval_is_wilsons() -> None:
    # R: prop.test(c(0, 8, 10), c(10, 10, 10), correct=FALSE)
    assert wilson(0.0, 10) == pytest.approx((0, 0.27753), abs=1e-4)
    assert wilson(0.8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-4)
    assert wilson(1.0, 10) == pytest.approx((0.72247, 1), abs=1e-4)


@st.composite
def shares(draw: st.DrawFn) -> tuple[int, int]:
    rows = draw(st.integers(1, 300))
    return draw(st.integers(0, rows)), rows


@given(ours=shares(), theirs=shares())
def test_the_test_is_fishers(ours: tuple[int, int], theirs: tuple[int, int]) -> None:
    found = chance_of_fewer(*ours, *theirs)
    if ours[0] * theirs[1] >= theirs[0] * ours[1]:
        assert found == 1
    else:
        rows = ours[1] + theirs[1]
        expected = hypergeom.sf(theirs[0] - 1, rows, ours[0] + theirs[0], theirs[1])
        assert found == pytest.approx(expected, rel=1e-7, abs=1e-12)


@given(ours=shares(), theirs=shares())
def test_fewer_hits_are_never_more_likely(ours: tuple[int, int], theirs: tuple[int, int]) -> None:
    hits, rows = ours
    if hits:
        fewer = chance_of_fewer(hits - 1, rows, *theirs)
        assert fewer <= chance_of_fewer(hits, rows, *theirs) * (1 + 1e-9)


def test_billions_of_rows_are_compared_at_once() -> None:
    billion = 10**9
    assert chance_of_fewer(billion - 10**6, billion, billion - 990_000, billion) < 1e-6
    assert chance_of_fewer(billion - 10**6, billion, billion - 999_900, billion) > 0.1
