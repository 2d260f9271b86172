"""The nights of a baseline: their sum, and how much they vary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.monitoring import nights
from pipelines.monitoring.divergence import FALSE_ALARMS, Bins, find_limit, psi, simulate_chance

LEVEL = FALSE_ALARMS / 12
SHARES = np.array([0.44, 0.36, 0.2])
NIGHTS = st.integers(1, 6).flatmap(
    lambda bins: st.lists(
        st.lists(st.integers(0, 10**9), min_size=bins, max_size=bins)
        .filter(any)
        .map(lambda counts: np.array(counts, np.int64)),
        min_size=1,
        max_size=9,
    )
)


def draw(count: int, rows: int, concentration: float | None, seed: int = 0) -> list[Bins]:
    random = np.random.default_rng(seed)
    shares = [SHARES] * count
    if concentration:
        shares = list(random.dirichlet(concentration * SHARES, count))
    return [random.multinomial(rows, each) for each in shares]


@given(NIGHTS)
def test_no_night_drowns_the_others(several: list[Bins]) -> None:
    pooled = nights.pool(several)
    sizes = sorted(int(night.sum()) for night in several)
    median = sizes[(len(sizes) - 1) // 2]
    slack = len(pooled) / 2  # from rounding
    assert pooled.sum() == pytest.approx(sum(min(size, median) for size in sizes), abs=slack)
    if len(several) > 1:
        assert median <= pooled.sum() / (len(several) // 2 + 1) + slack


@given(NIGHTS.map(lambda several: several[:1] * len(several)))
def test_nights_of_equal_size_are_added_up(several: list[Bins]) -> None:
    assert nights.pool(several).tolist() == np.sum(several, axis=0).tolist()


def test_a_giant_night_does_not_hide_the_others() -> None:
    usual, giant = np.array([100, 0]), np.array([0, 10**8])
    assert nights.pool([usual, usual, giant]).tolist() == [200, 100]


def test_few_nights_do_not_show_how_they_vary() -> None:
    assert nights.allow([], LEVEL) is None
    assert nights.allow(draw(nights.ENOUGH - 1, 1000, 40), LEVEL) is None
    assert nights.allow(draw(nights.ENOUGH, 1000, 40), LEVEL) is not None


def test_the_same_nights_vary_by_nothing() -> None:
    assert nights.allow([np.array([30, 40, 50])] * 7, LEVEL) == 0
    assert nights.allow([np.array([30])] * 7, LEVEL) == 0


def test_nights_that_vary_by_chance_alone_allow_for_little() -> None:
    found = [nights.allow(draw(7, 1000, None, seed), LEVEL) for seed in range(50)]
    assert np.median([each or 0 for each in found]) < 0.01


@pytest.mark.parametrize("rows", [300, 100_000])
@pytest.mark.parametrize("concentration", [40, 200])
def test_one_more_night_like_the_others_is_seldom_beyond(rows: int, concentration: int) -> None:
    beyond, most = 0, []
    for seed in range(300):
        *before, last = draw(8, rows, concentration, seed)
        allowed = nights.allow(before, LEVEL)
        assert allowed is not None
        most.append(allowed)
        sides = last, nights.pool(before)
        chance = find_limit(simulate_chance(*sides, 300), 0.01)
        beyond += float(psi(*sides)) > chance + allowed
    assert beyond <= 6
    # Not because everything is allowed.
    assert np.median(most) < 80 / concentration


def test_order_does_not_matter() -> None:
    before = draw(7, 1000, 40)
    first, second = (nights.allow(each, LEVEL) for each in (before, before[::-1]))
    assert first == pytest.approx(second)
