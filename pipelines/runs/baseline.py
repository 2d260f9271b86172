"""The baseline of a run: the published runs that its data are compared with."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from penguin_model.card import Reference
from pipelines.monitoring import histograms
from pipelines.runs.manifest import Manifest, Status

# Fewer rows say little about what is usual.
LEAST_ROWS = 30


def choose(
    runs: Iterable[Manifest],
    *,
    nights: int,
    model_sha256: str,
    run_id: str,
    like: Reference,
    max_reject_fraction: float,
    max_drift: float | None,
) -> list[Manifest]:
    """Chooses the last published runs that count as usual nights.

    A run that the limits of today would hold isn't one, even if it was published under a higher
    limit. A run that was held and accepted is one if whoever accepted it said so, whatever its
    numbers.

    Args:
      runs: the manifests of all published runs.
      nights: the most runs to choose.
      model_sha256: runs of other models don't count.
      run_id: a run of this name doesn't count either, because it is being replaced.
      like: the run's own histograms; runs with other bins don't count.
      max_reject_fraction: the run's own limit.
      max_drift: likewise; None for none.

    Returns:
      The runs, oldest first.
    """

    def is_usual(run: Manifest) -> bool:
        accepted = [review for review in run.reviews if review.status is Status.PUBLISHED]
        if accepted or run.held_because is not None:
            return bool(accepted) and accepted[-1].as_baseline
        score = run.drift.get("score", 0.0) if run.drift else 0.0
        over_drift = max_drift is not None and score > max_drift
        return not over_drift and run.reject_fraction <= max_reject_fraction

    fitting = (
        run
        for run in runs
        if run.status is Status.PUBLISHED
        and run.run_id != run_id
        and run.model.sha256 == model_sha256
        and run.totals.rows_scored >= LEAST_ROWS
        and run.histograms is not None
        and histograms.same_bins(run.histograms, like)
        and is_usual(run)
    )
    return heapq.nlargest(nights, fitting, key=lambda run: (run.end, run.run_id))[::-1]
