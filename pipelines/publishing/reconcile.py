"""The step that checks each file's counts against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection

from pipelines.counts.by_file import FileTally, reconcile
from pipelines.counts.emit import emit_counts
from pipelines.counts.figures import figures
from pipelines.datasets import schemas


class Reconciled(NamedTuple):
    """The outputs of `ReconcileFn`: rows of `schemas.FILES`, and the totals."""

    files: PCollection[pa.RecordBatch]
    counts: PCollection[Any]


class ReconcileFn(beam.DoFn):
    """Checks each file's counts, lists the files as rows of `schemas.FILES`, adds up the totals."""

    def __init__(self, model_sha256: str) -> None:
        self._model_sha256 = model_sha256

    def process(self, bucket: tuple[int, Mapping[str, FileTally]]) -> Iterator[Any]:
        """Checks the files of a bucket; emits them as one batch, and their totals."""
        tallies = bucket[1]
        for path, tally in tallies.items():
            reconcile(path, tally)
        yield pa.RecordBatch.from_pylist(
            [
                {
                    "source_file": path,
                    "size": tally.size,
                    "modified": tally.modified,
                    "model_sha256": self._model_sha256,
                    "status": tally.status,
                    "rows_read": tally.rows_read,
                    "rows_scored": tally.rows_scored,
                    "rows_rejected": tally.rows_rejected,
                }
                for path, tally in tallies.items()
            ],
            schema=schemas.FILES,
        )
        known = tallies.values()
        totals = {
            "files": len(tallies),
            "files_unreadable": sum(tally.unreadable for tally in known),
            "rows_read": sum(tally.rows_read for tally in known),
            "rows_scored": sum(tally.rows_scored for tally in known),
            "rows_rejected": sum(tally.rows_rejected for tally in known),
        }
        yield emit_counts(figures("totals", totals))
