"""The gate: whether a trained network is sound, or worse than a logistic regression beyond chance.

Both have answered the same held-out rows, so the comparisons are paired. By species and in all,
McNemar's exact test compares which answers are right (Q. McNemar, Note on the Sampling Error of the
Difference between Correlated Proportions, 1947; recommended for two classifiers on one split by
T. Dietterich, Approximate Statistical Tests for Comparing Supervised Classification Learning
Algorithms, 1998). It sees the winners only, so the log-losses are compared as well, by a test of
random sign changes (R. Fisher, The Design of Experiments, 1935). Nothing is chosen by these
answers: a network passes or it doesn't.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from penguin_model.training.evaluation import Labels, Probabilities, losses

# How often chance alone may refuse a network that is as good as the baseline, for each of the three
# kinds of comparison.
LEVEL = 0.05
# Nats: 5 % less probability for the true class, on the geometric average. A regression is surer of
# easy birds than many a network that makes no mistake either, and that isn't worth refusing one.
MARGIN = 0.05
_SIGN_CHANGES = 9_999


@dataclasses.dataclass(frozen=True)
class Answers:
    """A classifier's answers on rows with known classes.

    Attributes:
      probabilities: float32 ``[n, classes]``.
      labels: ``[n]``, the true classes.
    """

    probabilities: Probabilities
    labels: Labels

    @functools.cached_property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which rows are right."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.labels)

    @functools.cached_property
    def losses(self) -> npt.NDArray[np.float64]:
        """The log-loss of each row, in nats."""
        return losses(self.probabilities, self.labels)


def diverged(arrays: Iterable[npt.NDArray[np.floating]]) -> bool:
    """Whether a network's weights or answers aren't all finite numbers."""
    return not all(np.isfinite(each).all() for each in arrays)


def problems(
    network: Answers, baseline: Answers, trained: Answers, classes: Sequence[str], *, name: str
) -> list[str]:
    """Says why a network shouldn't be installed.

    Args:
      network: its answers on the held-out rows, finite.
      baseline: the baseline's answers, on the same rows.
      trained: the network's answers on the rows that it was trained on.
      classes: their names.
      name: the baseline's.

    Returns:
      The reasons with their numbers, empty for a sound network: a class of which no row is
      recognized, fewer right answers in a class or in all than the baseline has, or a larger
      log-loss; the last three only beyond chance.
    """
    found = list(_lost(network, baseline, trained, classes, name))
    p = mcnemar(network.right, baseline.right)
    if p < LEVEL:
        found.append(
            f"{network.right.sum()} of {len(network.labels)} held-out rows are right, "
            f"{name} {baseline.right.sum()} (McNemar's p {p:.2g})"
        )
    p = sign_changes(network.losses - baseline.losses - MARGIN)
    if p < LEVEL:
        found.append(
            f"log-loss {network.losses.mean():.4f}, {name} {baseline.losses.mean():.4f} "
            f"(p {p:.2g} of no more than {MARGIN:g} worse)"
        )
    return found


def mcnemar(right: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_]) -> float:
    """McNemar's exact test, one-sided.

    Returns:
      How likely it is, if both are equally good, that the first has at least so many of the rows
      wrong that exactly one of them has wrong.
    """
    worse = int(np.count_nonzero(theirs & ~right))
    discordant = worse + int(np.count_nonzero(right & ~theirs))
    ways = sum(math.comb(discordant, wrong) for wrong in range(worse, discordant + 1))
    return float(ways / 2**discordant)


def sign_changes(differences: npt.NDArray[np.float64]) -> float:
    """How likely it is that differences with random signs add up to at least what these do."""
    observed = differences.sum()
    if observed <= 0:
        return 1.0
    numbers = np.random.default_rng(0)
    as_large = 1  # the signs that they have
    for _ in range(_SIGN_CHANGES):
        signs = numbers.integers(0, 2, len(differences)) * 2 - 1
        as_large += bool(signs @ differences >= observed * (1 - 1e-12))
    return as_large / (_SIGN_CHANGES + 1)


def _lost(
    network: Answers, baseline: Answers, trained: Answers, classes: Sequence[str], name: str
) -> Iterator[str]:
    for index, each in enumerate(classes):
        rows = network.labels == index
        hits, their_hits = (int(which.right[rows].sum()) for which in (network, baseline))
        p = mcnemar(network.right[rows], baseline.right[rows])
        # Bonferroni's correction for the number of classes.
        if rows.any() and (not hits or p < LEVEL / len(classes)):
            yield (
                f"{each}: {hits} of {rows.sum()} held-out rows are recognized, {name} "
                f"{their_hits} (McNemar's p {p:.2g})"
            )
        known = trained.labels == index
        if not rows.any() and not trained.right[known].any():
            yield f"{each}: none of {known.sum()} training rows is recognized, and none is held out"
