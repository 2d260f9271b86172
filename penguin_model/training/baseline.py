"""The baseline: what a logistic regression makes of the same rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from penguin_model.card import Input
from penguin_model.training.evaluation import Probabilities
from penguin_model.training.fitting import matrix
from penguin_model.training.table import Rows

NAME = "logistic regression"
# Without standardized inputs it takes hundreds of steps, which still take milliseconds.
_MOST_STEPS = 10_000


def predict(training: Rows, test: Rows, features: Sequence[Input], classes: int) -> Probabilities:
    """Fits a logistic regression (scikit-learn's defaults) to one part and applies it to another.

    It gets the same inputs as the network, but each training row only once: copies would only
    weaken its regularization.

    Returns:
      float32 ``[n, classes]``; a class that isn't in the training part has probability 0.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=_MOST_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # on rows that no line can separate
        model.fit(matrix(training, features).astype(np.float64), training.labels)
    found = np.zeros((len(test), classes), np.float32)
    answers = model.predict_proba(matrix(test, features).astype(np.float64))
    found[:, model.classes_] = answers
    return found
