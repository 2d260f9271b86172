"""The proof that a run is complete: what was planned, read, scored and written adds up.

Each count comes from a different step, so if a runner loses an element between steps or delivers it
twice, two counts differ. A missing count is never taken for zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.counts.figures import COUNTED, FOUND, MATCHED, NORMALIZED, PREDICTED, Figures
from pipelines.datasets import data_sets
from pipelines.errors import ReconcileError
from pipelines.monitoring import histograms
from pipelines.runs.manifest import Totals


def check(figures: Figures, totals: Totals, rows: Mapping[str, int]) -> None:
    """Checks the counts of a whole run against each other.

    Args:
      figures: everything the steps counted, by group and name.
      totals: the manifest's.
      rows: by data set, the rows according to the footers of its staged shards.

    Raises:
      ReconcileError: rows or files were lost or duplicated.
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
    for each in data_sets.TABLE:
        expected = sum(getattr(totals, field) for field in each.totals)
        yield f"rows of the data set {each.name}", rows[each.name], expected
    matched, scored = _count(figures, MATCHED), totals.rows_scored
    yield "files that were reconciled", totals.files, matched
    yield "rows that were normalized", _count(figures, NORMALIZED), scored
    yield "rows that were predicted", _count(figures, PREDICTED), scored
    yield "rows with a class", _sum(figures, histograms.CLASSES), scored
    rejects = totals.rows_rejected + totals.files_unreadable
    yield "rejects with a reason", _sum(figures, "rejects"), rejects
    read = totals.rows_read
    yield "rows scored and rejected", scored + totals.rows_rejected, read
    yield "files listed as waiting", _sum(figures, "waiting"), totals.files_waiting
    yield "files listed as unsettled", _sum(figures, "unsettled"), totals.files_unsettled
    yield "files listed as ignored", _sum(figures, "ignored"), totals.files_ignored
    yield "things listed as not files", _sum(figures, "not_files"), totals.not_files
    left_out = (
        totals.files_skipped
        + totals.files_waiting
        + totals.files_unsettled
        + totals.files_ignored
        + totals.not_files
    )
    yield "files read and left out", matched + left_out, _count(figures, FOUND)


def _count(figures: Figures, name: str) -> int:
    found = figures.get((COUNTED, name), 0)
    return found if isinstance(found, int) else 0


def _sum(figures: Figures, group: str) -> int:
    return sum(n for (kind, _), n in figures.items() if kind == group and isinstance(n, int))
