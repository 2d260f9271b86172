"""Which answers are probabilities."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penguin_model.model_checks import TOLERANCE, find_improper

SHAPES = st.tuples(st.integers(0, 20), st.integers(2, 6))
SCORES = hnp.arrays(np.float32, SHAPES, elements=st.floats(-30, 30, width=32))
IMPROPER = [
    math.nan, math.inf, -math.inf, -1e-6, -0.62, 1.0000002, 1.5, 1e38,
]  # fmt: skip


def softmax(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-100))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def columns(matrix: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    return list(np.ascontiguousarray(matrix.T))


@given(SCORES)
def test_a_softmax_is_proper(scores: npt.NDArray[np.float32]) -> None:
    assert find_improper(columns(softmax(scores))) is None


@given(SCORES.filter(len), st.sampled_from(IMPROPER), st.data())
def test_one_improper_answer_is_found(
    scores: npt.NDArray[np.float32], value: float, data: st.DataObject
) -> None:
    answers = softmax(scores)
    row = data.draw(st.integers(0, len(answers) - 1))
    place = data.draw(st.integers(0, answers.shape[1] - 1))
    answers[row, place] = value
    answers[row:, place] = value
    assert find_improper(columns(answers)) == row


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([[0.5, 0.5], [1, 0], [0, 1]], None),
        ([[0.5, 0.5], [0, 0]], 1),
        ([[0.5, 0.5], [0.7, 0.7]], 1),
        ([[0.5, 0.5 + 2 * TOLERANCE]], 0),
        ([[0.5, 0.5 - 2 * TOLERANCE]], 0),
        ([[0.5, 0.5 + TOLERANCE / 2]], None),
        ([[1.6, -0.6]], 0),
        ([[math.inf, -math.inf]], 0),
    ],
)
def test_the_sum_counts(rows: list[list[float]], found: int | None) -> None:
    assert find_improper(columns(np.array(rows, np.float32))) == found


def test_a_thousand_classes_round_by_less_than_the_tolerance() -> None:
    scores = np.random.default_rng(0).normal(0, 5, (200, 1000)).astype(np.float32)
    total = sum(columns(softmax(scores)))
    assert np.abs(total - 1).max() < TOLERANCE / 10
