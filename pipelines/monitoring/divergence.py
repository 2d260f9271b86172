"""The distance between two histograms with the same bins, and how much of it chance explains.

Two numbers measure the distance: the population stability index (PSI; N. Siddiqi, Credit Risk
Scorecards, 2006) and the Jensen-Shannon distance. The PSI of two samples of the same population is
never 0. Its mean is about ``(bins - 1) * (1 / rows + 1 / reference_rows)`` (B. Yurdakul and
J. Naranjo, Statistical properties of the population stability index, 2020). With ten bins and 30
birds, pure chance gives a PSI near 0.3; against 239 training birds, a million rows still give 0.04.
So each PSI has its own threshold, from a permutation test (P. Good, Permutation Tests, 1994), which
is valid for any two sample sizes. It pools both samples and splits them again at random; the
threshold is a PSI that such splits seldom exceed. What nights usually differ by besides is added to
it, see `nights`.

A distribution has drifted if its PSI is beyond the threshold *and* large enough to matter. By
chance alone that happens in at most one night in a hundred: FALSE_ALARMS, divided equally among all
comparisons (Bonferroni's bound).
"""

from __future__ import annotations

import dataclasses
import enum
import math

import numpy as np
import numpy.typing as npt

from pipelines.counts.figures import Counts

Bins = npt.NDArray[np.int64]

FALSE_ALARMS = 0.01
# The PSI that counts as drift: where Siddiqi's "small change" begins.
NOTABLE = 0.1

# An exact threshold is the third largest simulated value: a higher rank is smoother, but slower.
RANK = 3
# More simulated values would take too long: 14 comparisons (four features, classes, probability and
# novelty, with training and with the baseline) need 4,199 each. With fewer than an exact threshold
# needs, it is extrapolated from the largest 5 %.
_MOST_ROUNDS = 4999
_ROUNDS = 2099
_TAIL = 105
# NumPy draws from fewer than 1e9 rows in total. Sampling noise is negligible at this size.
_MOST_ROWS = 400_000_000


class Rule(enum.StrEnum):
    """What a threshold allows for."""

    CHANCE = "chance"
    BETWEEN_NIGHTS = "between_nights"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift:
    """The result of comparing one distribution with a reference.

    Attributes:
      psi: population stability index, in nats.
      js: Jensen-Shannon distance, 0 to 1.
      threshold: the PSI that is seldom exceeded without drift.
      rule: whether the threshold allows for chance alone, or also for the variation between nights.
      rows, reference_rows: the sizes of the two samples.
      drifted: whether `psi` exceeds both the threshold and the size that matters.
    """

    psi: float
    js: float
    threshold: float
    rule: Rule
    rows: int
    reference_rows: int
    drifted: bool

    @property
    def score(self) -> float:
        """The PSI if it is beyond the threshold, otherwise 0."""
        return self.psi if self.psi > self.threshold else 0.0


def compare(
    counts: Counts,
    reference: Counts,
    *,
    level: float = FALSE_ALARMS,
    variation: float | None = None,
    limit: float = NOTABLE,
) -> Shift:
    """Compares a histogram with a reference.

    Args:
      counts: one per bin, not all 0.
      reference: likewise, with the same bins.
      level: the chance of a PSI beyond the threshold without drift.
      variation: the PSI that nights seldom exceed besides chance (`nights.allow`); None if it isn't
        known, so that the threshold allows for chance alone.
      limit: the PSI that matters.
    """
    ours, theirs = np.array(counts, np.int64), np.array(reference, np.int64)
    chance = find_limit(simulate_chance(ours, theirs, rounds_for(level)), level)
    # Rounded before they are compared, so that the verdict agrees with the manifest's numbers.
    found = round(float(psi(ours, theirs)), 6)
    threshold = round(chance + (variation or 0.0), 6)
    return Shift(
        psi=found,
        js=round(js_distance(ours, theirs), 6),
        threshold=threshold,
        rule=Rule.CHANCE if variation is None else Rule.BETWEEN_NIGHTS,
        rows=int(ours.sum()),
        reference_rows=int(theirs.sum()),
        drifted=found > max(threshold, limit),
    )


def rounds_for(level: float) -> int:
    """The number of permutations for a threshold.

    All splits, the observed one included, are equally likely, so the chance that the observed one
    exceeds the r-th largest of n others is at most ``r / (n + 1)``.
    """
    exact = math.ceil(round(RANK / level, 6)) - 1
    return exact if exact <= _MOST_ROUNDS else _ROUNDS


def find_limit(simulated: npt.NDArray[np.float64], level: float) -> float:
    """The value that one more PSI exceeds by chance with a probability of `level`.

    It is exact with enough simulated values, see `rounds_for`. With fewer it is the larger of two
    estimates: a gamma distribution with their mean and variance (that is, a scaled chi-square;
    F. Satterthwaite, An approximate distribution of estimates of variance components, 1946), which
    underrates sparse bins; and an exponential tail with the mean excess of the largest, which
    underrates coarse steps. The larger is exceeded about as seldom as it says
    (`tests/monitoring/test_divergence.py`).

    Args:
      simulated: ``[rounds]``, from `simulate_chance`.
      level: above 0.
    """
    ordered, rounds = np.sort(simulated), len(simulated)
    if rounds >= round(RANK / level, 6) - 1:
        return float(ordered[-RANK])
    start, top = ordered[-_TAIL - 1], ordered[-_TAIL:]
    reach = math.log(_TAIL / (rounds + 1) / level)
    exponential = float(start + (top.mean() - start) * reach)
    return max(fit_limit(float(simulated.mean()), float(simulated.var()), level), exponential)


def fit_limit(mean: float, variance: float, level: float) -> float:
    """The value that a gamma distribution exceeds with a probability of `level`."""
    if not variance:
        return mean
    from scipy import special  # takes a tenth of a second, and most nights don't need it

    return float(special.gammainccinv(mean**2 / variance, level)) * variance / mean


def psi(counts: Bins, reference: Bins) -> npt.NDArray[np.float64]:
    """The population stability index: the sum over all bins of ``(p - q) ln(p / q)``.

    A bin that is empty on one side would make it infinite, so each side gets an extra half row per
    bin (H. Jeffreys, An invariant form for the prior probability in estimation problems, 1946).
    The extra rows are spread over the bins like both samples together, so that samples with equal
    shares have a PSI of 0 whatever their sizes, and bins that are empty on both sides don't count.

    Args:
      counts: int64 ``[..., bins]``, no sum 0.
      reference: likewise.

    Returns:
      ``[...]``, at least 0, in nats; swapping the arguments doesn't change it.
    """
    p = counts / counts.sum(axis=-1, keepdims=True)
    q = reference / reference.sum(axis=-1, keepdims=True)
    added = p.shape[-1] / 2
    both = (p + q) / 2 * added
    p = (counts + both) / (counts.sum(axis=-1, keepdims=True) + added)
    q = (reference + both) / (reference.sum(axis=-1, keepdims=True) + added)
    present = both > 0
    logs = np.log(np.divide(p, q, where=present, out=np.ones_like(p)))
    return np.asarray(((p - q) * logs).sum(axis=-1))


def js_distance(counts: Bins, reference: Bins) -> float:
    """The Jensen-Shannon distance: the square root of the divergence in bits, 0 to 1.

    See J. Lin, Divergence measures based on the Shannon entropy, 1991, and, on why the root is a
    metric, D. Endres and J. Schindelin, A new metric for probability distributions, 2003.
    """
    p, q = counts / counts.sum(), reference / reference.sum()
    middle = (p + q) / 2
    bits = sum(
        float((side[side > 0] * np.log2(side[side > 0] / middle[side > 0])).sum()) / 2
        for side in (p, q)
    )
    return math.sqrt(min(max(bits, 0.0), 1.0))


def simulate_chance(counts: Bins, reference: Bins, rounds: int) -> npt.NDArray[np.float64]:
    """Simulates the PSI under chance alone: pools both samples and splits them again at random.

    Args:
      counts: int64 ``[bins]``, not all 0.
      reference: likewise.
      rounds: the number of splits; fewer rounds give a prefix of more.

    Returns:
      ``[rounds]``, always the same for the same counts.
    """
    ours, theirs = _capped(counts), _capped(reference)
    pooled = ours + theirs
    # Seeded by the counts: a fixed seed's bias would affect every night alike.
    dealt = np.random.default_rng(pooled.tolist()).multivariate_hypergeometric(
        pooled, int(min(ours.sum(), theirs.sum())), size=rounds, method="marginals"
    )
    return psi(dealt, pooled - dealt)


def _capped(counts: Bins) -> Bins:
    rows = int(counts.sum())
    return counts if rows <= _MOST_ROWS else np.asarray(counts * (_MOST_ROWS / rows), np.int64)
