"""The job as a Beam pipeline, whose steps wire pure functions and hold no logic of their own.

`ScoreObservations.expand` follows the diagram in the README.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam import pvalue

from penguin_model.card import ModelCard
from pipelines.counts import failures
from pipelines.counts.by_file import MergeTallies
from pipelines.counts.emit import AddUpCounts, Step
from pipelines.counts.figures import Figures
from pipelines.datasets import chunk, data_sets
from pipelines.datasets.data_sets import DataSet
from pipelines.datasets.shard_writer import Shard
from pipelines.datasets.transforms import Listed, StagedDataSet, WriteShardsFn, Written
from pipelines.publishing import Publication, publish
from pipelines.publishing.reconcile import Reconciled, ReconcileFn
from pipelines.reading import (
    DEFAULT_SIZES,
    InputColumns,
    MatchedFiles,
    MatchFilesFn,
    Matching,
    Numbered,
    NumberRowsFn,
    Planned,
    PlanSpansFn,
    ReadSpanFn,
    RowsRead,
    Sizes,
    Surveyed,
    SurveyRangeFn,
)
from pipelines.runs.manifest import Manifest
from pipelines.scoring import Network, Normalized, NormalizeFn, PredictFn, Scored


@dataclasses.dataclass(eq=False, kw_only=True)  # not frozen: Beam sets attributes
class ScoreObservations(beam.PTransform):
    """Scores all rows of the matching files and publishes the run.

    Attributes:
      matching: which files to read.
      card: the model card.
      network: the network, where every worker can read it.
      columns: which columns to read, and those carried into the predictions.
      publication: what to publish where, and when to hold the run.
      sizes: of the pieces the job works in.
      progress: the folder where input steps report progress; None reports none.
    """

    matching: Matching
    card: ModelCard
    network: Network
    columns: InputColumns
    publication: Publication
    sizes: Sizes = DEFAULT_SIZES
    progress: str | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pipeline: Any) -> Any:
        """Wires the steps, and returns the last one's output, the run's manifest."""
        chunk.register_coder()
        columns, sizes, progress = self.columns, self.sizes, self.progress
        dialect, passthrough = columns.dialect, columns.passthrough
        predictions, rejects, files = map(self._stage, data_sets.TABLE)

        matched: MatchedFiles = (
            pipeline
            | "Input patterns" >> beam.Create([self.matching])
            | "Match files" >> self._step(MatchFilesFn(sizes, progress), MatchedFiles)
        )
        planned: Planned = (
            matched.files
            | "Share files" >> beam.Reshuffle()
            | "Plan spans" >> self._step(PlanSpansFn(columns, sizes, progress, rejects), Planned)
        )
        surveyed: Surveyed = (
            planned.ranges
            | "Share ranges" >> beam.Reshuffle()
            | "Survey large CSV" >> self._step(SurveyRangeFn(dialect, progress), Surveyed)
        )
        numbered: Numbered = (
            surveyed.surveys
            | "By file" >> beam.GroupByKey()
            | "Number rows" >> self._step(NumberRowsFn(dialect, progress, rejects), Numbered)
        )
        read: RowsRead = (
            (planned.spans, numbered.spans)
            | "All spans" >> beam.Flatten()
            | "Share spans" >> beam.Reshuffle()
            | "Read and validate"
            >> self._step(ReadSpanFn(columns, sizes, progress, rejects), RowsRead)
        )
        normalized: Normalized = read.chunks | "Normalize" >> self._step(
            NormalizeFn(self.card, passthrough), Normalized
        )
        scored: Scored = normalized.batches | "Predict" >> self._step(
            PredictFn(self.card, self.network, passthrough, self.publication.coverage), Scored
        )
        written: Written = scored.predictions | "Write predictions" >> self._step(
            WriteShardsFn(predictions), Written
        )
        tallies = (
            tuple(step.tallies for step in (matched, planned, surveyed, numbered, read, written))
            | "All counts" >> beam.Flatten()
            | "Count by file" >> beam.CombinePerKey(MergeTallies())
        )
        reconciled: Reconciled = tallies | "Reconcile" >> self._step(
            ReconcileFn(self.card.sha256), Reconciled
        )
        listed: Listed = reconciled.files | "Write files" >> self._step(
            WriteShardsFn(files), Listed
        )
        shards = (
            tuple(step.shards for step in (planned, numbered, read, written, listed))
            | "All shards" >> beam.Flatten()
        )
        counting = (matched, planned, numbered, read, normalized, scored, reconciled)
        counts = (
            tuple(step.counts for step in counting)
            | "All figures" >> beam.Flatten()
            | "Add up figures" >> beam.CombineGlobally(AddUpCounts())
        )
        return (
            pipeline
            | "Once" >> beam.Create([self.publication])
            | "Publish"
            >> beam.ParDo(
                failures.Recorded(PublishFn(), self.publication.layout.failures),
                pvalue.AsList(shards),
                pvalue.AsSingleton(counts),
            )
        )

    def _step(self, dofn: beam.DoFn, outputs: type[Any]) -> Step:
        return Step(dofn, outputs, self.publication.layout.failures)

    def _stage(self, data_set: DataSet) -> StagedDataSet:
        paths = self.publication.layout
        return StagedDataSet(
            data_set=data_set,
            folder=paths.staged(data_set.name),
            schema=data_set.schema(self.columns.passthrough, self.card),
            metadata={
                "run_id": paths.run_id,
                "model_sha256": self.card.sha256,
                "attempt": paths.attempt,
            },
            sizes=self.sizes,
        )


class PublishFn(beam.DoFn):
    """Publishes the run, or holds it."""

    def process(
        self, publication: Publication, shards: Sequence[Shard], figures: Figures
    ) -> Iterator[Manifest]:
        """Emits the manifest, given the records of all shards and all counts."""
        yield publish(publication, shards, figures)
