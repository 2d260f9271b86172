"""How far a single prediction can be trusted: its distance from known data, and its prediction set.

The numbers are fitted once, at training, and stored in the model card (`card.Trust`). Scoring needs
NumPy only, and a few nanoseconds a row for four features and three classes.
"""

from __future__ import annotations

import fractions
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from penguin_model.card import Input, ModelCard, Trust
from penguin_model.errors import UsageError
from penguin_model.features import least_variances, normalized_ranges
from penguin_model.model_checks import TOLERANCE
from penguin_model.winners import Winners, find_winners

Floats = npt.NDArray[np.float64]
Narrow = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

DEFAULT_COVERAGE = 0.95
# Of held-out distances, for the card's novelty limit. With the small-sample correction of the
# prediction sets, it would be the largest of 342: one odd bird decides (`benchmarks/trust.py`).
NOVELTY_QUANTILE = 0.995
_FOLDS = 10
# Shrinking at least this much keeps collinear features apart in float32.
_LEAST_SHRINKAGE = 1e-3
# A feature spreads at least this much of its largest value: a hundred times float32's precision.
_LEAST_SPREAD = 1e-5
# A card with a score for each of a million rows would be too large to read.
MOST_SCORES = 10_000
# Digits that the card keeps.
_DIGITS = 9
# Beyond this, whitened values are computed in float64, as float32 would miss a distance by 0.01.
_MOST_NARROW = 1e4
# Multiplications in one matrix product that OpenBLAS still does on the calling thread.
_MOST_PRODUCTS = 1 << 18
_BLOCK_ROWS = 1 << 12
# A probability less this is none.
_TAKEN = np.float32(2)
# A table of so many keys stays in the processor's cache.
_MOST_KEYS = 1 << 16
# So few sets are listed in less time than it takes to find those that occur.
_FEW_SETS = 1 << 10
_MOST_FLOAT32 = float(np.finfo(np.float32).max)


def fit(
    matrix: Floats,
    labels: Labels,
    *,
    held_out_labels: Labels,
    probabilities: Narrow,
    features: Sequence[Input] = (),
) -> Trust:
    """Fits what the card says about trust.

    Args:
      matrix: ``[n, features]``, normalized: all complete rows, trained on or held out, each once.
      labels: ``[n]``, their classes.
      held_out_labels: ``[m]``, the classes of rows that the model wasn't trained on.
      probabilities: ``[m, classes]``, the model's answers to them.
      features: the card's; may be left out if all of them are numbers.

    Raises:
      UsageError: a class has no rows, or no rows are held out.
    """
    classes = probabilities.shape[1]
    if len(np.unique(labels)) < classes:
        raise UsageError("each class needs a complete row, to measure how far others are from it")
    if not len(held_out_labels):
        raise UsageError("no rows are held out, to measure the model's errors on")
    means, covariances = _estimate(matrix, labels, features)
    limit = np.quantile(held_out_distances(matrix, labels, features), NOVELTY_QUANTILE)
    chosen = probabilities[np.arange(len(held_out_labels)), held_out_labels].astype(np.float64)
    return Trust(
        means=_nested(means),
        covariances=_nested(covariances),
        # Where all rows of a class are equal, all distances are 0.
        novelty_limit=_short(max(float(limit), 1.0)),
        scores=tuple(thin(np.sort(1 - chosen)).tolist()),
    )


def thin(scores: Floats, most: int = MOST_SCORES) -> Floats:
    """Picks representative scores if there are too many of them.

    Their ranks are evenly spaced and rounded up, so `least_probability` promises no less.

    Args:
      scores: ascending.
      most: how many of them to keep at most.
    """
    count = min(len(scores), most)
    return scores[-(-np.arange(1, count + 1) * (len(scores) + 1) // (count + 1)) - 1]


def held_out_distances(matrix: Floats, labels: Labels, features: Sequence[Input] = ()) -> Floats:
    """Measures each row's distance from the rows of other folds.

    A distance from rows that include itself would be too short. Cross-fitting gives one for every
    row instead of for those of a small held-out part, where a 99.5 % quantile is near the maximum.

    Args:
      matrix: ``[n, features]``, normalized, each row once.
      labels: ``[n]``, their classes.
      features: as in `fit`.

    Returns:
      ``[n]``, in standard deviations.
    """
    distances = np.empty(len(matrix))
    # Deals out the rows of each class in turn, so that no fold lacks a class that has two rows.
    order = np.argsort(labels, kind="stable")
    folds = np.empty(len(labels), np.int64)
    folds[order] = np.arange(len(labels)) % min(_FOLDS, len(labels))
    for fold in range(_FOLDS):
        mine = folds == fold
        if mine.any():
            known = _estimate(matrix[~mine], labels[~mine], features)
            distances[mine] = _distances(matrix[mine], *known)
    return distances


def _estimate(matrix: Floats, labels: Labels, features: Sequence[Input]) -> tuple[Floats, Floats]:
    """The means and covariances of the classes that have rows.

    A class's covariance is drawn towards the one that all classes share, as if it had that of
    another ``features + 1`` rows, or a thousandth of its own if that's more (Friedman,
    "Regularized discriminant analysis", 1989). The shared one is drawn towards uncorrelated
    features by the "oracle approximating shrinkage" of Chen, Wiesel, Eldar & Hero, "Shrinkage
    algorithms for MMSE covariance estimation", 2010. So it's positive definite for any rows.
    Categories vary by `least_variances` besides.
    """
    usual = np.diag(least_variances(features)) if features else 0.0
    means, scatters, counts = [], [], []
    for label in np.unique(labels):
        rows = matrix[labels == label]
        means.append(rows.mean(axis=0))
        scatters.append((rows - means[-1]).T @ (rows - means[-1]))
        counts.append(len(rows))
    width = matrix.shape[1]
    freedom = max(1, len(matrix) - len(means))
    largest = np.abs(matrix).max(axis=0)
    least = _LEAST_SPREAD * np.where(largest > 0, largest, 1.0)
    pooled = sum(scatters[1:], scatters[0]) / freedom
    spreads = np.maximum(np.sqrt(np.diag(pooled)), least)
    shared = _shrink(pooled / np.outer(spreads, spreads), freedom) * np.outer(spreads, spreads)
    covariances = []
    for scatter, count in zip(scatters, counts, strict=True):
        weight = max(width + 1, count / 1000)
        covariances.append((scatter + weight * shared) / (count - 1 + weight) + usual)
    return np.array(means), np.array(covariances)


def _shrink(correlation: Floats, rows: int) -> Floats:
    """Draws a correlation matrix towards the identity; see `_estimate`."""
    features = len(correlation)
    trace, squares = np.trace(correlation), (correlation**2).sum()
    above = (1 - 2 / features) * squares + trace**2
    below = (rows + 1 - 2 / features) * (squares - trace**2 / features)
    shrinkage = min(1.0, above / below) if below > 0 else 1.0
    shrinkage = max(shrinkage, _LEAST_SHRINKAGE)
    return np.asarray((1 - shrinkage) * correlation + shrinkage * np.eye(features))


def _distances(matrix: Floats, means: Floats, covariances: Floats) -> Floats:
    """Mahalanobis distances of rows from the nearest class, in float64."""
    nearest = np.full(len(matrix), np.inf)
    for mean, covariance in zip(means, covariances, strict=True):
        whitened = np.linalg.solve(np.linalg.cholesky(covariance), (matrix - mean).T)
        np.minimum(nearest, (whitened**2).sum(axis=0), out=nearest)
    return np.asarray(np.sqrt(nearest))


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _nested(array: Floats) -> Any:
    """An array as nested tuples of short numbers."""
    return tuple(_nested(each) for each in array) if array.ndim else _short(float(array))


class Sets(NamedTuple):
    """The prediction sets of a batch.

    Attributes:
      codes: int32 ``[n]``, each row's set as an index into `sets`.
      sets: first one for each class alone, then others that may occur, no more than about as many
        as there are rows; each has the indices of its classes, the most probable first.
      ambiguous: how many rows have a set of more than one class.
    """

    codes: Codes
    sets: Sequence[tuple[int, ...]]
    ambiguous: int


class TrustScorer:
    """Measures distances and finds prediction sets of batches, for one card.

    Args:
      card: it must have `trust`.
      coverage: the share of rows whose set should hold the true class, above 0 and below 1.
    """

    def __init__(self, card: ModelCard, coverage: float = DEFAULT_COVERAGE) -> None:
        if card.trust is None:
            raise ValueError(f"card {card.name} has no trust")
        self._classes = len(card.classes)
        self._coverage = coverage
        # Both are rounded so that comparing in float32 is the same as in float64.
        self._limit = _round_down(card.trust.novelty_limit)
        self._least = least_probability(card.trust.scores, coverage)
        # With so large a probability a row's set has one class: the others sum to too little.
        self._clear = _round_up(max(coverage, 1 + TOLERANCE - float(self._least)))
        self._set_whitening(card, card.trust)

    def _set_whitening(self, card: ModelCard, trust: Trust) -> None:
        """Stacks the classes' whitening matrices, so that one product serves them all."""
        means, covariances = np.array(trust.means), np.array(trust.covariances)
        ends = normalized_ranges(card.features)
        center = means.mean(axis=0).astype(np.float32).astype(np.float64)
        whiten = np.linalg.inv(np.linalg.cholesky(covariances))
        offsets = whiten @ (center - means)[:, :, np.newaxis]
        stacked = np.concatenate([whiten, offsets], axis=2).reshape(-1, len(center) + 1)
        # The farthest plausible row has whitened values up to this.
        reach = np.append(np.abs(ends - center[:, np.newaxis]).max(axis=1), 1.0)
        narrow = (np.abs(stacked) @ reach).max() < _MOST_NARROW
        self._kind: type[Any] = np.float32 if narrow else np.float64
        self._center = center.astype(self._kind)[:, np.newaxis]
        self._stacked = stacked.astype(self._kind)
        self._block_rows = min(_BLOCK_ROWS, max(64, _MOST_PRODUCTS // stacked.size))

    def measure(self, matrix: Narrow) -> Narrow:
        """Measures each row's novelty: its Mahalanobis distance from the nearest class.

        Args:
          matrix: float32 ``[n, features]``, normalized.

        Returns:
          float32 ``[n]``, in standard deviations.
        """
        found = np.empty(len(matrix), self._kind)
        # The square of a distance beyond float64 is infinite.
        with np.errstate(over="ignore"):
            for start in range(0, len(matrix), self._block_rows):
                rows = slice(start, start + self._block_rows)
                found[rows] = self._measure_squares(matrix[rows])
        np.sqrt(found, out=found)
        return np.minimum(found, _MOST_FLOAT32).astype(np.float32, copy=False)

    def _measure_squares(self, block: Narrow) -> npt.NDArray[Any]:
        """The squared distances of so few rows that they stay in the processor's cache."""
        features = len(self._center)
        # Rows of features, since NumPy adds along the first axis many times as fast; and a row of
        # ones, which the product multiplies by the offsets.
        columns = np.ones((features + 1, len(block)), self._kind)
        np.subtract(block.T, self._center, out=columns[:features])
        whitened = self._stacked @ columns
        np.multiply(whitened, whitened, out=whitened)
        by_class = whitened.reshape(self._classes, features, len(block)).sum(axis=1)
        return np.asarray(by_class.min(axis=0))

    def is_far(self, novelty: Narrow) -> npt.NDArray[np.bool_]:
        """Which rows are out of distribution: beyond the card's limit. bool ``[n]``."""
        return novelty > self._limit

    def find_sets(self, winners: Winners, best: Narrow, by_class: Sequence[Narrow]) -> Sets:
        """Finds each row's prediction set.

        It has the most probable class; each class that is as probable as split-conformal prediction
        asks; and the most probable classes until they sum to the coverage.

        Args:
          winners: ``[n]``, the most probable class, as `find_winners` returns it.
          best: float32 ``[n]``, its probability.
          by_class: one array ``[n]`` of probabilities per class.

        Returns:
          The sets.
        """
        codes = winners.astype(np.int32)
        # Each set is another one and a class more, since sets that only lead to larger ones can be
        # a hundred times as many as there are rows.
        known, befores, addeds = self._classes, list[Codes](), list[Codes]()
        # Of the rows that aren't complete yet: which they are, the probabilities of the classes
        # that they may still get, the class that they got last, their set and its probability.
        rows = np.flatnonzero(best < self._clear)
        left = [each.take(rows) for each in by_class]
        last, mine = winners.take(rows), codes.take(rows)
        totals = best.take(rows).astype(np.float64)
        ambiguous = 0
        # Each round adds the next class to their sets.
        for size in range(1, self._classes):
            # Below any probability, and in less time than an assignment to some of the rows.
            left = [each - (last == index) * _TAKEN for index, each in enumerate(left)]
            last, probability = find_winners(left)
            more = np.flatnonzero((probability >= self._least) | (totals < self._coverage))
            if not len(more):
                break
            if len(more) < len(rows):
                left = [each.take(more) for each in left]
                rows, last, mine = rows.take(more), last.take(more), mine.take(more)
                totals, probability = totals.take(more), probability.take(more)
            totals += probability
            ambiguous = len(rows) if size == 1 else ambiguous
            keys = mine * np.int64(self._classes) + last
            pairs, places = _distinct(keys, known * self._classes)
            mine = (places + known).astype(np.int32)
            codes[rows] = mine
            before, added = np.divmod(pairs, self._classes)
            befores.append(before.astype(np.int32))
            addeds.append(added.astype(np.int32))
            known += len(pairs)
        return self._list_sets(codes, befores, addeds, ambiguous)

    def _list_sets(
        self, codes: Codes, befores: Sequence[Codes], addeds: Sequence[Codes], ambiguous: int
    ) -> Sets:
        """Lists the sets, given each further one's set before it and its last class.

        If there are many, only those that occur.
        """
        sets = [(index,) for index in range(self._classes)]
        if not befores:
            return Sets(codes, sets, ambiguous)
        before, added = np.concatenate(befores), np.concatenate(addeds)
        found: Labels = np.arange(self._classes, self._classes + len(before))
        if len(found) > _FEW_SETS:
            others = np.flatnonzero(codes >= self._classes)
            found, places = _distinct(codes.take(others), self._classes + len(before))
            codes[others] = places + self._classes
        for code in found.tolist():
            backwards, last = [], code
            while last >= self._classes:
                place = last - self._classes
                backwards.append(int(added[place]))
                last = int(before[place])
            sets.append((last, *reversed(backwards)))
        return Sets(codes, sets, ambiguous)


def _distinct(keys: Labels | Codes, limit: int) -> tuple[Labels, Labels]:
    """The distinct keys in order, and the place of each key among them.

    Args:
      keys: from 0.
      limit: they are less than this. Up to a size, a table takes a fraction of sorting's time.
    """
    if limit > _MOST_KEYS:
        return np.unique(keys, return_inverse=True)
    seen = np.zeros(limit, np.bool_)
    seen[keys] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1).take(keys)


def least_probability(scores: Sequence[float], coverage: float) -> np.float32:
    """The probability from which a class belongs to a prediction set.

    It is that of the held-out row whose score is the ``ceil((n + 1) * coverage)``-th smallest, so
    that a set has the true class with the probability `coverage` (Vovk, Gammerman & Shafer,
    "Algorithmic learning in a random world", 2005; Sadinle, Lei & Wasserman, "Least ambiguous
    set-valued classifiers with bounded error levels", 2019). Too few rows can't promise it, and
    then no class is ruled out.
    """
    # Exactly as the number is written: 20 times 0.95 is 19 and not a little more.
    place = math.ceil((len(scores) + 1) * fractions.Fraction(str(coverage)))
    if place > len(scores):
        return np.float32(0)
    # The score was rounded by at most 2**-54, and the row itself belongs to the covered ones.
    return _round_up(max(0.0, 1 - scores[place - 1] - 2**-54))


def _round_up(value: float) -> np.float32:
    rounded = np.float32(value)
    return rounded if float(rounded) >= value else np.nextafter(rounded, np.float32(np.inf))


def _round_down(value: float) -> np.float32:
    return -_round_up(-min(value, _MOST_FLOAT32))
