"""Histograms of what a night holds: counted by the chunk, added up like all figures of a run.

A histogram travels as one figure, a tuple of counts under the feature's name, so that a chunk of
any height costs a handful of small elements. `card.RESERVED_COLUMNS` keeps a feature from being
called `species` or `probability`, hence one flat set of names holds all that is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from penguin_model.card import Feature, Histogram, ModelCard, Reference
from pipelines.counts.figures import Counts, Figures

GROUP = "histogram"
SPECIES = "species"
PROBABILITY = "probability"


def count(values: npt.NDArray[np.floating[Any]], edges: Sequence[float]) -> Counts:
    """Counts values into the bins of a `card.Histogram`, as `evaluation.histogram` does.

    One vectorised comparison an edge takes less than a tenth of the time of a binary search a
    value, at the ten to twenty edges that a card has (`benchmarks/histograms.py`).

    Args:
      values: float64 or float32 ``[n]``, without NaN.
      edges: ascending.

    Returns:
      ``len(edges) + 1`` counts; ``counts[i]`` is of the values in ``[edges[i-1], edges[i])``.
    """
    # How many values each edge leaves at or above itself: the bins are the differences.
    above = [len(values)]
    above += [int(np.count_nonzero(values >= edge)) for edge in _as_type(edges, values.dtype)]
    return tuple(more - less for more, less in zip(above, [*above[1:], 0], strict=True))


def count_features(
    columns: Sequence[npt.NDArray[np.float64]], features: Sequence[Feature], reference: Reference
) -> dict[str, Counts]:
    """Counts the feature columns of a chunk.

    Args:
      columns: one array ``[n]`` per feature, raw units, in the features' order.
      features: the card's features.
      reference: whose edges are taken; a feature that it lacks is left out.

    Returns:
      The counts by feature.
    """
    return {
        feature.name: count(column, reference.features[feature.name].edges)
        for column, feature in zip(columns, features, strict=True)
        if feature.name in reference.features
    }


def of_run(figures: Figures, card: ModelCard) -> Reference | None:
    """Reads a run's histograms back from its figures, zeros where nothing was counted.

    Args:
      figures: the run's sums, by group and name.
      card: the model card.

    Returns:
      Histograms with the edges of the card's reference; None where the card has no reference.
    """
    if card.reference is None:
        return None
    species = {name: figures.get((SPECIES, name), 0) for name in card.classes}
    return Reference(
        features={
            name: _read(figures, name, card.reference.features[name])
            for name in card.feature_names
            if name in card.reference.features
        },
        classes={name: n for name, n in species.items() if isinstance(n, int)},
        probability=_read(figures, PROBABILITY, card.reference.probability),
    )


def from_json(fields: Mapping[str, Any]) -> Reference:
    """Reads what ``dataclasses.asdict`` and a manifest made of a run's histograms."""
    return Reference(
        features={name: _histogram(each) for name, each in fields["features"].items()},
        classes=dict(fields["classes"]),
        probability=_histogram(fields["probability"]),
    )


def _as_type(edges: Sequence[float], dtype: np.dtype[Any]) -> list[np.floating[Any]]:
    """The edges as numbers of a type, each rounded up: so no value changes its side."""
    rounded = np.array(edges, dtype)
    short = rounded.astype(np.float64) < np.array(edges, np.float64)
    return list(np.where(short, np.nextafter(rounded, dtype.type(np.inf)), rounded))


def _read(figures: Figures, name: str, like: Histogram) -> Histogram:
    counts = figures.get((GROUP, name))
    if not isinstance(counts, tuple):
        counts = (0,) * len(like.counts)
    return Histogram(edges=like.edges, counts=counts)


def _histogram(fields: Mapping[str, Any]) -> Histogram:
    return Histogram(edges=tuple(fields["edges"]), counts=tuple(fields["counts"]))
