"""The proof that a run is whole: what was planned, read, scored and written is one number.

Every count comes from another step, so that an element which a runner loses or delivers twice on
its way from one step to the next makes two of them differ. A count that is missing is never taken
for zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.errors import ReconcileError
from pipelines.monitoring import histograms
from pipelines.monitoring.histograms import Figures
from pipelines.runs import layout
from pipelines.runs.manifest import Totals

# Counts that are compared and not shown, by the step that counts.
COUNTED = "counted"
MATCHED, NORMALIZED, PREDICTED = "files_matched", "rows_normalized", "rows_predicted"


def check(figures: Figures, totals: Totals, rows: Mapping[str, int]) -> None:
    """Checks the counts of a whole run against each other.

    Args:
      figures: all that the steps counted, by group and name.
      totals: of the manifest.
      rows: by data set, the rows that the footers of its staged shards count.

    Raises:
      ReconcileError: rows or files were lost on their way, or came twice.
    """
    if (COUNTED, MATCHED) not in figures:
        raise ReconcileError(
            "the step that matches the input files has reported nothing; nothing is published"
        )
    for what, found, expected in _comparisons(figures, totals, rows):
        if found != expected:
            raise ReconcileError(
                f"{what}: {found} were found, but {expected} were counted before; nothing is "
                "published"
            )


def _comparisons(
    figures: Figures, totals: Totals, rows: Mapping[str, int]
) -> Iterator[tuple[str, int, int]]:
    matched, scored = _count(figures, MATCHED), totals.rows_scored
    yield "files that were reconciled", totals.files, matched
    yield "rows of the data set files", rows[layout.FILES], matched
    yield "rows that were normalized", _count(figures, NORMALIZED), scored
    yield "rows that were predicted", _count(figures, PREDICTED), scored
    yield "rows with a species", _sum(figures, histograms.SPECIES), scored
    yield "rows of the data set predictions", rows[layout.PREDICTIONS], scored
    rejects = totals.rows_rejected + totals.files_unreadable
    yield "rejects with a reason", _sum(figures, "rejects"), rejects
    yield "rows of the data set rejects", rows[layout.REJECTS], rejects
    read = totals.rows_read
    yield "rows scored and rejected", scored + totals.rows_rejected, read
    yield "files listed as unsettled", _sum(figures, "unsettled"), totals.files_unsettled


def _count(figures: Figures, name: str) -> int:
    found = figures.get((COUNTED, name), 0)
    return found if isinstance(found, int) else 0


def _sum(figures: Figures, group: str) -> int:
    return sum(n for (kind, _), n in figures.items() if kind == group and isinstance(n, int))
