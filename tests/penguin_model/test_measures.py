"""One log-loss: training and the nightly job give the same rows the same loss, to the last nat."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model import measures
from penguin_model.training import evaluation
from pipelines.monitoring import labels

SHARES = st.one_of(
    st.sampled_from([0.0, 1e-45, 1e-30, 9e-8, 1e-7, 0.5, 1.0]), st.floats(0, 1, width=32)
)


def nightly(probabilities: np.ndarray, truth: np.ndarray) -> tuple[float, dict[str, object]]:
    winners = probabilities.argmax(axis=1).astype(np.int32)
    sums = labels.count_hits(
        truth.astype(np.int32), winners, probabilities.max(axis=1), probabilities
    )
    figures = {("labels", name): each for name, each in sums.items()}
    found = labels.summarize(figures, ("a", "b"), len(truth))
    assert found is not None
    return found["log_loss"], found["calibration"]


@given(st.lists(st.tuples(SHARES, st.integers(0, 1)), min_size=1, max_size=30))
def test_training_and_the_night_agree(rows: list[tuple[float, int]]) -> None:
    shares = np.array([share for share, _ in rows], np.float32)
    probabilities = np.stack([shares, 1 - shares], axis=1)
    truth = np.array([label for _, label in rows])
    loss, calibration = nightly(probabilities, truth)
    assert loss == pytest.approx(evaluation.log_loss(probabilities, truth), abs=1e-6)
    assert calibration == evaluation.reliability(probabilities, truth)


def test_a_surely_wrong_row_costs_what_keras_says() -> None:
    import keras

    probabilities, truth = np.array([[1, 0]], np.float32), np.array([1])
    by_keras = keras.losses.CategoricalCrossentropy()(np.array([[0, 1]]), probabilities)
    found = evaluation.log_loss(probabilities, truth)
    assert found == pytest.approx(float(by_keras), rel=1e-5)
    assert found == pytest.approx(-math.log(1e-7), rel=1e-5)
    assert nightly(probabilities, truth)[0] == pytest.approx(found, abs=1e-6)


def test_in_place() -> None:
    chosen = np.array([0.0, 0.5, 1.0], np.float32)
    assert measures.log_likelihoods(chosen, out=chosen) is chosen
    assert chosen[2] == 0
