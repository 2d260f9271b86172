"""Histograms of a run's data, counted chunk by chunk and added up like all other counts of a run.

A histogram travels as a single tuple of counts under its feature's name, so a chunk costs a handful
of small elements, however many rows it has. No feature has the name of a column of the predictions
(`card.ModelCard`), so all histograms share one flat set of names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from penguin_model.card import Category, Histogram, Input, ModelCard, Reference
from penguin_model.winners import Winners
from pipelines.counts.figures import Counts, Figures

GROUP = "histogram"
# The group of the counts of predicted classes.
CLASSES = "classes"
PROBABILITY = "probability"
NOVELTY = "novelty"
_FEW_CLASSES = 16


def count_values(values: npt.NDArray[np.floating[Any]], edges: Sequence[float]) -> Counts:
    """Counts values into the bins of a `card.Histogram`, as `evaluation.histogram` does.

    One vectorised comparison per edge takes less than a tenth of the time of a binary search per
    value, with the ten to twenty edges of a card (`benchmarks/histograms.py`).

    Args:
      values: float64 or float32 ``[n]``, without NaN.
      edges: ascending.

    Returns:
      ``len(edges) + 1`` counts; ``counts[i]`` counts the values in ``[edges[i-1], edges[i])``.
    """
    # The number of values at or above each edge. The bins are the differences.
    above = [len(values)]
    above += [int(np.count_nonzero(values >= edge)) for edge in _as_type(edges, values.dtype)]
    return tuple(more - less for more, less in zip(above, [*above[1:], 0], strict=True))


def count_codes(codes: npt.NDArray[np.float64], feature: Category) -> Counts:
    """Counts codes into the bins of `Category.edges`, in the same time for any vocabulary."""
    counts = np.bincount(codes.astype(np.intp), minlength=len(feature.categories))
    return tuple(counts.tolist())


def count_classes(winners: Winners, classes: Sequence[str]) -> dict[str, int]:
    """Counts how often each class was predicted.

    One comparison per class takes a tenth of the time of `np.bincount` if there are few classes.

    Args:
      winners: indices ``[n]`` of classes, see `find_winners`.
      classes: the classes' names.
    """
    if len(classes) > _FEW_CLASSES:
        counts = np.bincount(winners, minlength=len(classes)).tolist()
    else:
        counts = [int(np.count_nonzero(winners == index)) for index in range(len(classes))]
    return dict(zip(classes, counts, strict=True))


def count_features(
    columns: Sequence[npt.NDArray[np.float64]], features: Sequence[Input], reference: Reference
) -> dict[str, Counts]:
    """Counts the values in a chunk's feature columns.

    Args:
      columns: one array ``[n]`` per feature, raw units or codes, in the features' order.
      features: the card's features.
      reference: gives the edges of numbers.

    Returns:
      The counts by feature.
    """
    return {
        feature.name: count_codes(column, feature)
        if isinstance(feature, Category)
        else count_values(column, reference.features[feature.name].edges)
        for column, feature in zip(columns, features, strict=True)
    }


def of_run(figures: Figures, card: ModelCard) -> Reference | None:
    """Builds a run's histograms from its counts, with zeros where nothing was counted.

    Args:
      figures: the run's sums, by group and name.
      card: the model card.

    Returns:
      Histograms with the edges of the card's reference; None if the card has no reference.
    """
    if card.reference is None:
        return None
    classes = {name: figures.get((CLASSES, name), 0) for name in card.classes}
    novelty = card.reference.novelty
    return Reference(
        features={
            name: _look_up(figures, name, card.reference.features[name])
            for name in card.feature_names
        },
        classes={name: n for name, n in classes.items() if isinstance(n, int)},
        probability=_look_up(figures, PROBABILITY, card.reference.probability),
        novelty=_look_up(figures, NOVELTY, novelty) if novelty else None,
    )


def by_name(measured: Reference) -> dict[str, Histogram]:
    """All histograms by name: the features', PROBABILITY and, if there is one, NOVELTY."""
    others = {PROBABILITY: measured.probability, NOVELTY: measured.novelty}
    return {**measured.features, **{name: each for name, each in others.items() if each}}


def same_bins(one: Reference, other: Reference) -> bool:
    """Whether two runs have the same bins in all histograms that an early release had, too."""
    return one.probability.edges == other.probability.edges and {
        name: each.edges for name, each in one.features.items()
    } == {name: each.edges for name, each in other.features.items()}


def from_json(fields: Mapping[str, Any]) -> Reference:
    """Rebuilds histograms from a manifest's JSON values, made by ``dataclasses.asdict``."""
    novelty = fields.get("novelty")
    return Reference(
        features={name: _histogram(each) for name, each in fields["features"].items()},
        classes=dict(fields["classes"]),
        probability=_histogram(fields["probability"]),
        novelty=_histogram(novelty) if novelty else None,
    )


def _as_type(edges: Sequence[float], dtype: np.dtype[Any]) -> list[np.floating[Any]]:
    """Converts edges to another type, rounding up so that no value changes its side."""
    rounded = np.array(edges, dtype)
    short = rounded.astype(np.float64) < np.array(edges, np.float64)
    return list(np.where(short, np.nextafter(rounded, dtype.type(np.inf)), rounded))


def _look_up(figures: Figures, name: str, like: Histogram) -> Histogram:
    counts = figures.get((GROUP, name))
    if not isinstance(counts, tuple):
        counts = (0,) * len(like.counts)
    return Histogram(edges=like.edges, counts=counts)


def _histogram(fields: Mapping[str, Any]) -> Histogram:
    return Histogram(edges=tuple(fields["edges"]), counts=tuple(fields["counts"]))
