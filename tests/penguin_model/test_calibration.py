"""Calibration: monotone, true with many rows, and close to what the network says with few."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model.card import Calibration
from penguin_model.training import calibration
from penguin_model.training.cross_validation import OutOfFold


def estimate(found: Calibration, best: np.ndarray) -> np.ndarray:
    return np.interp(best, found.probability, found.accuracy)


@given(
    rows=st.lists(st.tuples(st.floats(0.25, 1, width=32), st.booleans()), max_size=60),
    weight=st.floats(0.1, 1),
)
def test_monotone_for_any_rows(rows: list[tuple[float, bool]], weight: float) -> None:
    best, right = [each for each, _ in rows], [each for _, each in rows]
    found = calibration.fit_curve(best, right, rows=round(weight * len(rows)))
    assert list(found.accuracy) == sorted(found.accuracy)
    assert all(0 <= each <= 1 for each in found.accuracy)


def test_without_rows_a_probability_is_taken_at_its_word() -> None:
    found = calibration.fit_curve([], [], rows=0)
    np.testing.assert_allclose(found.accuracy, found.probability, atol=1e-6)


def test_few_rows_without_a_mistake_change_little() -> None:
    found = calibration.fit_curve(np.full(10, 0.9), np.ones(10), rows=10)
    assert 0.9 < estimate(found, np.array([0.9]))[0] < 0.98
    assert estimate(found, np.array([0.5]))[0] < 0.75


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.4, 0.0), (1.5, 0.5), (0.7, -1.0)])
def test_many_rows_show_the_truth(slope: float, shift: float) -> None:
    numbers = np.random.default_rng(0)
    best = numbers.uniform(0.4, 0.999, 40_000)
    truth = 1 / (1 + np.exp(-(slope * np.log(best / (1 - best)) + shift)))
    found = calibration.fit_curve(best, numbers.random(len(best)) < truth, rows=len(best))
    np.testing.assert_allclose(estimate(found, best), truth, atol=0.02)


def test_copies_of_a_row_count_once() -> None:
    best, right = np.array([0.6, 0.8, 0.9]), np.array([1, 1, 0])
    once = calibration.fit_curve(best, right, rows=3)
    again = calibration.fit_curve(np.tile(best, 7), np.tile(right, 7), rows=3)
    np.testing.assert_allclose(once.accuracy, again.accuracy, atol=2e-6)


def test_the_mean_of_the_estimates_is_the_accuracy() -> None:
    numbers = np.random.default_rng(1)
    probabilities = numbers.dirichlet([0.3, 0.3, 0.3], (2, 500)).astype(np.float32)
    labels = probabilities[0].argmax(axis=1)
    labels[:100] = numbers.integers(0, 3, 100)
    found = OutOfFold(probabilities=probabilities, folds=np.zeros((2, 500), int), labels=labels)
    fitted = calibration.fit(found)
    assert fitted.rows == 500
    accuracy = (probabilities.argmax(axis=2) == labels).mean()
    estimated = estimate(fitted, probabilities.max(axis=2)).mean()
    assert math.isclose(estimated, accuracy, abs_tol=0.02)
