"""Repeated cross-validation: how good the recipe is, apart from the luck of one split."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from penguin_model.training.evaluation import Labels, Probabilities, losses, reliability
from penguin_model.training.table import Rows

FOLDS = 5
_SEED = 0

# Trains on the first part and returns the probabilities for the second, float32 `[n, classes]`.
Recipe = Callable[[Rows, Rows], Probabilities]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """Predictions of all rows, each by a model that wasn't trained on it.

    Attributes:
      probabilities: float32 ``[repeats, n, classes]``.
      folds: ``[repeats, n]``, the fold that each row was held out in.
      labels: ``[n]``, the true classes.
    """

    probabilities: Probabilities
    folds: Labels
    labels: Labels

    def summarize(self) -> dict[str, Any]:
        """Mean and spread of accuracy and log-loss, and the reliability, as JSON values.

        The spread is the standard deviation between folds. It isn't the error of the mean: folds
        share most of their training rows (Y. Bengio and Y. Grandvalet, No Unbiased Estimator of the
        Variance of K-Fold Cross-Validation, 2004).
        """
        repeats, rows = self.folds.shape
        flat = self.probabilities.reshape(repeats * rows, -1)
        every_label = np.tile(self.labels, repeats)
        right = self.probabilities.argmax(axis=2) == self.labels
        return {
            "repeats": repeats,
            "folds": int(self.folds.max()) + 1,
            "rows": rows,
            "accuracy": self._spread(right),
            "log_loss": self._spread(losses(flat, every_label).reshape(repeats, rows)),
            "calibration": reliability(flat, every_label),
        }

    def _spread(self, values: npt.NDArray[Any]) -> dict[str, float]:
        by_fold = np.array(
            [
                each[folds == fold].mean()
                for each, folds in zip(values, self.folds, strict=True)
                for fold in range(folds.max() + 1)
            ]
        )
        found = {
            "mean": values.mean(), "deviation": by_fold.std(ddof=1),
            "lowest": by_fold.min(), "highest": by_fold.max(),
        }  # fmt: skip
        return {name: round(float(value), 6) for name, value in found.items()}


def run(
    rows: Rows,
    repeats: int,
    recipe: Recipe,
    *,
    classes: int,
    progress: Callable[[str], None] | None = None,
) -> OutOfFold:
    """Trains by a recipe on all but one fold and predicts that fold, for every fold and repeat.

    Args:
      rows: all complete rows; the folds of each repeat are drawn from them at random, stratified
        by class.
      repeats: at least 1.
      recipe: all of the training, including any copying of rows.
      classes: how many there are.
      progress: called with a line before each training.
    """
    from sklearn.model_selection import StratifiedKFold

    folds = min(FOLDS, int(np.bincount(rows.labels).max()))
    held_out = np.empty((repeats, len(rows)), np.int64)
    answers = np.empty((repeats, len(rows), classes), np.float32)
    for repeat in range(repeats):
        parts = StratifiedKFold(folds, shuffle=True, random_state=_SEED + repeat)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class may have fewer rows than folds
            splits = list(parts.split(rows.raw, rows.labels))
        for fold, (inside, outside) in enumerate(splits):
            if progress:
                progress(f"cross-validation: fold {repeat * folds + fold + 1} of {repeats * folds}")
            answers[repeat, outside] = recipe(rows.take(inside), rows.take(outside))
            held_out[repeat, outside] = fold
    return OutOfFold(probabilities=answers, folds=held_out, labels=rows.labels)
