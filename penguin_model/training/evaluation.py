"""Metrics of a model on held-out rows, and the reference for measuring drift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from penguin_model.card import Histogram, Reference

Floats = npt.NDArray[np.float64]
Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

PROBABILITY_EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_DECILES = np.arange(0.1, 0.95, 0.1)


def confusion(labels: Labels, predicted: Labels, classes: int) -> npt.NDArray[np.int64]:
    """Counts ``[classes, classes]``: rows are the true classes, columns the predicted ones."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Mean negative log-likelihood of the true class, in nats."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    # A float32 softmax may round to 0; its smallest positive number keeps the mean finite.
    return float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())


def metrics(probabilities: Probabilities, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
    """Accuracy, log-loss, recall and confusion matrix.

    Args:
      probabilities: ``[n, classes]``.
      labels: ``[n]``, the true classes.
      names: the classes.

    Returns:
      JSON values; the recall of a class without rows is None.
    """
    counts = confusion(labels, probabilities.argmax(axis=1), len(names))
    totals = counts.sum(axis=1)
    recall = {
        name: float(counts[index, index] / totals[index]) if totals[index] else None
        for index, name in enumerate(names)
    }
    return {
        "accuracy": float(np.trace(counts) / counts.sum()),
        "log_loss": log_loss(probabilities, labels),
        "recall": recall,
        "confusion": counts.tolist(),
    }


def histogram(values: npt.ArrayLike, edges: Sequence[float]) -> Histogram:
    """Counts values between edges: the outer bins are open-ended, a bin excludes its upper edge."""
    places = np.searchsorted(edges, np.asarray(values), side="right")
    counts = np.bincount(places, minlength=len(edges) + 1)
    return Histogram(
        edges=tuple(float(edge) for edge in edges), counts=tuple(int(n) for n in counts)
    )


def histogram_by_deciles(values: Floats) -> Histogram:
    """Counts values between their own deciles; ties make fewer than ten bins."""
    # Rounded before they are made unique: interpolation leaves noise in the last digits.
    return histogram(values, np.unique(np.quantile(values, _DECILES).round(6)).tolist())


def reference(
    raw: Floats, probabilities: Probabilities, features: Sequence[str], classes: Sequence[str]
) -> Reference:
    """Builds histograms of the training data and of the model's answers to it.

    Args:
      raw: ``[n, features]`` in raw units.
      probabilities: ``[n, classes]`` for the same rows.
      features: the columns' names.
      classes: the classes' names.

    Returns:
      The histograms; feature bins lie between deciles, and ties make fewer than ten.
    """
    predicted = np.bincount(probabilities.argmax(axis=1), minlength=len(classes))
    return Reference(
        features={
            name: histogram_by_deciles(column) for name, column in zip(features, raw.T, strict=True)
        },
        classes=dict(zip(classes, predicted.tolist(), strict=True)),
        probability=histogram(probabilities.max(axis=1), PROBABILITY_EDGES),
    )
