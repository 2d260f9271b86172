"""How far two histograms of the same bins lie apart, and how far chance alone puts them.

Two numbers say how far: the population stability index (PSI; N. Siddiqi, Credit Risk Scorecards,
2006) and the Jensen-Shannon distance. The PSI of two samples of one population is never 0: its mean
is about ``(bins - 1) * (1 / rows + 1 / reference_rows)`` (B. Yurdakul and J. Naranjo, Statistical
properties of the population stability index, 2020). Ten bins of 30 birds make 0.3 of nothing, and
against 239 training birds even a million rows make 0.04. So each PSI has a threshold of its own,
from a permutation test (P. Good, Permutation Tests, 1994), which holds for samples of any two
sizes: both are pooled and dealt out anew, and the threshold is what deals seldom exceed.

Something has drifted if its PSI is beyond chance *and* of a size that matters. In one night of a
hundred at most (FALSE_ALARMS, shared out evenly to all that is compared: Bonferroni's bound) does
chance say so of anything.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from pipelines.counts.figures import Counts

Bins = npt.NDArray[np.int64]

FALSE_ALARMS = 0.01
# What is called drift where no --max_drift says: Siddiqi's "small change" begins here.
NOTABLE = 0.1

# The threshold is this one of the largest simulated values: more smooth it, and take longer.
RANK = 3
# NumPy draws from less than 1e9 rows in all; this many on each side have no noise to speak of.
_MOST_ROWS = 400_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift:
    """How one thing lies against a reference.

    Attributes:
      psi: population stability index, in nats.
      js: Jensen-Shannon distance, 0 to 1.
      threshold: the PSI that samples of these sizes exceed by chance in few nights only.
      rows, reference_rows: the sizes of both samples.
      drifted: whether `psi` exceeds both the threshold and the size that matters.
    """

    psi: float
    js: float
    threshold: float
    rows: int
    reference_rows: int
    drifted: bool

    @property
    def score(self) -> float:
        """The PSI if it is beyond chance, else 0."""
        return self.psi if self.psi > self.threshold else 0.0


def compare(counts: Counts, reference: Counts, *, things: int = 1, limit: float = NOTABLE) -> Shift:
    """Compares the counts of one thing with those of a reference, bin by bin.

    Args:
      counts: one a bin, not all 0.
      reference: the same.
      things: how many comparisons share the night's FALSE_ALARMS.
      limit: the PSI that matters.
    """
    ours, theirs = np.array(counts, np.int64), np.array(reference, np.int64)
    rounds = rounds_for(things)
    simulated = np.partition(chance(ours, theirs, rounds), rounds - RANK)
    # Rounded at once, so that the manifest's numbers bear out the verdict.
    found = round(float(psi(ours, theirs)), 6)
    threshold = round(float(simulated[rounds - RANK]), 6)
    return Shift(
        psi=found,
        js=round(js_distance(ours, theirs), 6),
        threshold=threshold,
        rows=int(ours.sum()),
        reference_rows=int(theirs.sum()),
        drifted=found > max(threshold, limit),
    )


def rounds_for(things: int) -> int:
    """How often the samples are dealt out anew for one of several comparisons.

    As many times as make the chance of exceeding the threshold, ``RANK / (rounds + 1)`` by the
    symmetry of all deals and the one that was observed, this comparison's share of FALSE_ALARMS.
    """
    return math.ceil(RANK * things / FALSE_ALARMS) - 1


def psi(counts: Bins, reference: Bins) -> npt.NDArray[np.float64]:
    """Population stability index, the sum over all bins of ``(p - q) ln(p / q)``.

    A bin that is empty on one side would make it infinite. So each side gets half a row a bin more
    (H. Jeffreys, An invariant form for the prior probability in estimation problems, 1946), shared
    out to the bins as both sides together are: samples of equal shares then have an index of 0
    whatever their sizes, and bins that both lack do not count.

    Args:
      counts: int64 ``[..., bins]``, no sum 0.
      reference: the same.

    Returns:
      ``[...]``, 0 or more, in nats; the same either way round.
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
    """Jensen-Shannon distance: the square root of the divergence in bits, hence 0 to 1.

    J. Lin, Divergence measures based on the Shannon entropy, 1991; that the root is a metric:
    D. Endres and J. Schindelin, A new metric for probability distributions, 2003.
    """
    p, q = counts / counts.sum(), reference / reference.sum()
    middle = (p + q) / 2
    bits = sum(
        float((side[side > 0] * np.log2(side[side > 0] / middle[side > 0])).sum()) / 2
        for side in (p, q)
    )
    return math.sqrt(min(max(bits, 0.0), 1.0))


def chance(counts: Bins, reference: Bins, rounds: int) -> npt.NDArray[np.float64]:
    """The indices that chance alone makes: both samples pooled, and dealt out anew.

    Args:
      counts: int64 ``[bins]``, not all 0.
      reference: the same.
      rounds: how often; fewer rounds give the beginning of more.

    Returns:
      ``[rounds]``, the same for the same counts.
    """
    ours, theirs = _capped(counts), _capped(reference)
    pooled = ours + theirs
    # Seeded by the counts: any one seed's luck would else be the luck of every night.
    dealt = np.random.default_rng(pooled.tolist()).multivariate_hypergeometric(
        pooled, int(min(ours.sum(), theirs.sum())), size=rounds, method="marginals"
    )
    return psi(dealt, pooled - dealt)


def _capped(counts: Bins) -> Bins:
    rows = int(counts.sum())
    return counts if rows <= _MOST_ROWS else np.asarray(counts * (_MOST_ROWS / rows), np.int64)
