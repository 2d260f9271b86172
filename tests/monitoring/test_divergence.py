"""The distance between two samples, and how much of it chance explains."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelines.counts.figures import Counts
from pipelines.monitoring import divergence
from pipelines.monitoring.divergence import Bins, compare

SIDES = st.integers(1, 12).flatmap(
    lambda size: st.tuples(*[st.lists(st.integers(0, 10**9), min_size=size, max_size=size)] * 2)
)
TEN = (24, 18, 28, 26, 21, 20, 26, 28, 23, 25)


def arrays(sides: tuple[list[int], list[int]]) -> tuple[Bins, Bins]:
    assume(all(sum(side) for side in sides))
    return np.array(sides[0], np.int64), np.array(sides[1], np.int64)


@given(SIDES)
def test_the_index_is_symmetric_and_never_negative(sides: tuple[list[int], list[int]]) -> None:
    ours, theirs = arrays(sides)
    found = float(divergence.psi(ours, theirs))
    assert found >= 0
    assert math.isfinite(found)
    assert found == pytest.approx(float(divergence.psi(theirs, ours)))


@given(SIDES, st.integers(1, 1000))
def test_equal_shares_do_not_differ(sides: tuple[list[int], list[int]], times: int) -> None:
    ours, _ = arrays(sides)
    assert float(divergence.psi(ours, ours * times)) == pytest.approx(0, abs=1e-12)
    assert divergence.js_distance(ours, ours) == pytest.approx(0, abs=1e-7)
    assert divergence.js_distance(ours, ours * times) == pytest.approx(0, abs=1e-7)


@given(SIDES)
def test_the_distance_is_symmetric_and_at_most_one(sides: tuple[list[int], list[int]]) -> None:
    ours, theirs = arrays(sides)
    found = divergence.js_distance(ours, theirs)
    assert 0 <= found <= 1
    assert found == pytest.approx(divergence.js_distance(theirs, ours))


def test_known_values() -> None:
    ours, theirs = np.array([50, 50]), np.array([90, 10])
    # Of millions of rows the half row a bin is nothing.
    many = float(divergence.psi(ours * 10**6, theirs * 10**6))
    assert many == pytest.approx(0.4 * math.log(0.9 / 0.5) + 0.4 * math.log(0.5 / 0.1), abs=1e-6)
    assert divergence.js_distance(np.array([1, 0]), np.array([0, 7])) == 1.0
    # The divergence is the entropy of the mean less the mean entropy.
    bits = entropy(0.7, 0.3) - (entropy(0.5, 0.5) + entropy(0.9, 0.1)) / 2
    assert divergence.js_distance(ours, theirs) == pytest.approx(math.sqrt(bits))


def entropy(*shares: float) -> float:
    return -sum(share * math.log2(share) for share in shares)


def test_a_bin_that_both_lack_does_not_count() -> None:
    ours, theirs = np.array([5, 0, 9]), np.array([7, 0, 3])
    wide = float(divergence.psi(ours, theirs))
    assert wide > 0
    assert divergence.psi(np.array([[5, 0, 9]]), theirs).tolist() == [wide]


@settings(max_examples=25)
@given(SIDES)
def test_chance_is_the_same_for_the_same_counts(sides: tuple[list[int], list[int]]) -> None:
    ours, theirs = arrays(sides)
    found = divergence.simulate_chance(ours, theirs, 30)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    np.testing.assert_array_equal(divergence.simulate_chance(ours, theirs, 10), found[:10])


@pytest.mark.parametrize("reference_rows", [103, 239])
@pytest.mark.parametrize("rows", [10, 30, 300])
def test_the_threshold_is_exceeded_as_seldom_as_it_says(rows: int, reference_rows: int) -> None:
    random = np.random.default_rng(rows)
    shares = np.array(TEN) / sum(TEN)
    alarms = 0
    for _ in range(600):
        this_run, reference = (
            tuple(random.multinomial(size, shares).tolist()) for size in (rows, reference_rows)
        )
        alarms += compare(this_run, reference, limit=0).drifted
    # FALSE_ALARMS makes six due; chance makes more than 14 in one test of a thousand.
    assert alarms <= 14


@pytest.mark.parametrize("comparisons", [1, 6, 12, 14])
def test_few_comparisons_have_exact_thresholds(comparisons: int) -> None:
    level = divergence.FALSE_ALARMS / comparisons
    rounds = divergence.rounds_for(level)
    assert divergence.RANK / (rounds + 1) == pytest.approx(level)
    simulated = np.random.default_rng(0).permutation(rounds).astype(float)
    assert divergence.find_limit(simulated, level) == rounds - divergence.RANK


@pytest.mark.parametrize(
    ("counts", "reference"),
    [
        (TEN, (10,) * 10),
        ((2, 5, 3, 2, 4, 1, 3, 2, 5, 3), TEN),
        ((0, 0, 1, 0, 0, 1, 0, 28), (1, 0, 2, 1, 3, 2, 5, 225)),
        ((0, 1, 0, 0, 90, 1100, 900, 97_909), (0, 0, 1, 0, 1, 1, 2, 98)),
        ((970, 0, 99_030), (1, 0, 102)),
        ((44_000, 36_000, 20_000), (45, 37, 21)),
    ],
    ids=["full", "few", "sparse", "sparse and many", "rare", "species"],
)
def test_the_tail_of_many_comparisons_is_extrapolated(counts: Counts, reference: Counts) -> None:
    """As with 100 features: 204 comparisons."""
    level = divergence.FALSE_ALARMS / 204
    sides = np.array(counts), np.array(reference)
    limit = divergence.find_limit(
        divergence.simulate_chance(*sides, divergence.rounds_for(level)), level
    )
    beyond = divergence.simulate_chance(*sides, 200_000) > limit
    # Ten are due.
    assert np.count_nonzero(beyond) <= 40


def test_a_variation_is_allowed_for_besides_chance() -> None:
    counts, reference = (500, 300, 200), (400, 350, 250)
    by_chance, usual = (compare(counts, reference, variation=each) for each in (None, 0.05))
    assert (by_chance.rule, usual.rule) == ("chance", "between_nights")
    assert usual.threshold == pytest.approx(by_chance.threshold + 0.05)
    assert (by_chance.score, usual.score) == (by_chance.psi, 0)


def test_few_birds_must_differ_more() -> None:
    few, many = (compare((0, 0, rows), (80, 80, 79)) for rows in (6, 600))
    assert many.drifted
    assert few.threshold > 10 * many.threshold
    assert (many.rows, many.reference_rows) == (600, 239)
    assert not compare((0, 0, 2), (80, 80, 79)).drifted


def test_many_rows_do_not_make_a_trifle_drift() -> None:
    found = compare((500_000, 500_000), (510_000, 490_000))
    assert found.psi > found.threshold
    assert found.score == found.psi
    assert not found.drifted
    assert compare((500_000, 500_000), (510_000, 490_000), limit=0).drifted


@pytest.mark.parametrize("rows", [10**9, 10**15])
def test_more_rows_than_numpy_draws_from(rows: int) -> None:
    calm = compare((rows, rows, rows), (80, 80, 79))
    assert not calm.drifted
    assert calm.rows == 3 * rows
    assert compare((rows, 0, 0), (80, 80, 79)).drifted
    assert compare((rows, 0, 0), (rows, rows, rows)).drifted


def test_one_bin_and_one_class() -> None:
    assert compare((30,), (239,)).score == 0
    assert not compare((30, 0), (239, 0)).drifted
    assert compare((0, 3000), (239, 0)).drifted
