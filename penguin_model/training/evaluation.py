"""Metrics of a model on held-out rows, and the reference for measuring drift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from penguin_model import measures
from penguin_model.card import Category, Histogram, Input, Reference
from penguin_model.measures import log_likelihoods

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


def losses(probabilities: Probabilities, labels: Labels) -> Floats:
    """The log-loss of each row: the negative log-likelihood of its true class, in nats."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float32)
    return -log_likelihoods(chosen).astype(np.float64)


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """The mean of `losses`."""
    return float(losses(probabilities, labels).mean())


def reliability(probabilities: Probabilities, labels: Labels) -> dict[str, Any]:
    """Accuracy by winning probability, as `measures.reliability` reports it."""
    best = probabilities.max(axis=1).astype(np.float32)
    right = probabilities.argmax(axis=1) == labels
    places = measures.bins(best)
    rows, hits = (np.bincount(each, minlength=measures.BINS) for each in (places, places[right]))
    sums = np.bincount(places, best, measures.BINS).astype(np.float64)
    return measures.reliability(rows, hits, sums)


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


def histogram_by_code(codes: Floats, feature: Category) -> Histogram:
    """Counts codes, with a bin for each text of the vocabulary."""
    return histogram(codes, feature.edges)


def reference(
    raw: Floats, held_out: Probabilities, features: Sequence[Input], classes: Sequence[str]
) -> Reference:
    """Builds histograms of the training data, and of the model's answers to rows held out.

    A model is surer of rows that it was trained on than of any it will see: its answers to those
    would make every night look like drift.

    Args:
      raw: the training data, ``[n, features]`` in raw units or codes.
      held_out: ``[m, classes]`` for rows that weren't trained on.
      features: the columns.
      classes: the classes' names.

    Returns:
      The histograms; a number's bins lie between deciles, and ties make fewer than ten.
    """
    predicted = np.bincount(held_out.argmax(axis=1), minlength=len(classes))
    return Reference(
        features={
            feature.name: histogram_by_code(column, feature)
            if isinstance(feature, Category)
            else histogram_by_deciles(column)
            for feature, column in zip(features, raw.T, strict=True)
        },
        classes=dict(zip(classes, predicted.tolist(), strict=True)),
        probability=histogram(held_out.max(axis=1), PROBABILITY_EDGES),
    )
