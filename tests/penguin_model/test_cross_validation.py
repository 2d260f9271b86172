"""Cross-validation: every bird is predicted once a repeat, by a recipe that hasn't seen it."""

import numpy as np
import pytest

from penguin_model.training import baseline, cross_validation, dataset
from penguin_model.training.table import Rows
from tests.support.running import PROJECT

DATA = dataset.load(str(PROJECT / "data/penguins.csv"))
BIRDS, FEATURES = DATA.rows, DATA.features


def truth(inside: Rows, outside: Rows) -> np.ndarray:
    """A recipe that knows the answers, and checks what it is given."""
    assert len(inside) + len(outside) == len(BIRDS)
    seen = {tuple(row) for row in inside.raw}
    assert not any(tuple(row) in seen for row in outside.raw)
    shares = np.bincount(inside.labels) / len(inside)
    np.testing.assert_allclose(shares, np.bincount(BIRDS.labels) / len(BIRDS), atol=0.01)
    return dataset.one_hot(outside.labels, 3)


def plain(inside: Rows, outside: Rows) -> np.ndarray:
    return baseline.predict(inside, outside, FEATURES, 3)


def test_a_recipe_that_knows_is_always_right() -> None:
    told: list[str] = []
    found = cross_validation.run(BIRDS, 2, truth, classes=3, progress=told.append)
    assert told == [f"cross-validation: fold {number} of 10" for number in range(1, 11)]
    assert (found.folds[0] != found.folds[1]).any()
    shown = found.summarize()
    assert shown["accuracy"] == {"mean": 1, "deviation": 0, "lowest": 1, "highest": 1}
    assert shown["log_loss"]["mean"] == 0
    assert shown["calibration"]["bins"][-1] == {
        "from": 0.9, "to": 1.0, "rows": 684, "probability": 1.0, "accuracy": 1.0
    }  # fmt: skip


def test_the_baseline_by_scikit_learn() -> None:
    found = cross_validation.run(BIRDS, 2, plain, classes=3).summarize()
    assert found["accuracy"]["mean"] == pytest.approx(0.988, abs=0.004)
    assert found["log_loss"]["mean"] == pytest.approx(0.023, abs=0.004)


def test_few_rows_of_a_class() -> None:
    few = BIRDS.take(np.r_[0:8, 152:154, 276:277])
    found = cross_validation.run(few, 1, plain, classes=3)
    assert found.summarize()["rows"] == 11
    assert np.isfinite(found.probabilities).all()
