"""The steps of the job as Beam sees them: they wire pure functions, and hold no logic of their own.

`ScoreObservations.expand` reads like the picture in the README.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.metrics import Metrics

from penguin_model.bundle import Classifier
from penguin_model.card import ModelCard
from penguin_model.features import normalize
from pipelines.counts import NAMESPACE, failures
from pipelines.counts.by_file import MergeTallies
from pipelines.counts.emit import (
    FIGURES,
    RANGES,
    SHARDS,
    TALLIES,
    AddUpFigures,
    figures,
    step,
    tagged_figures,
)
from pipelines.datasets import schemas
from pipelines.datasets.shard_writer import Shard
from pipelines.datasets.transforms import DataSet, WriteShardsFn
from pipelines.errors import ModelError
from pipelines.monitoring import histograms, labels
from pipelines.monitoring.histograms import Counts, Figures
from pipelines.publishing import Publication, proof, publish
from pipelines.publishing.reconcile import ReconcileFn
from pipelines.reading.matching import Matching
from pipelines.reading.rows import Wanted
from pipelines.reading.settings import DEFAULT_SIZES, Sizes
from pipelines.reading.small_files import Pack
from pipelines.reading.transforms import (
    MatchFilesFn,
    NumberRowsFn,
    PlanSpansFn,
    ReadSpanFn,
    SurveyRangeFn,
)
from pipelines.runs import Manifest, layout
from pipelines.scoring import model_file


@dataclasses.dataclass(eq=False, kw_only=True)  # Beam itself sets attributes: not frozen
class ScoreObservations(beam.PTransform):
    """Scores all rows of the matching files and publishes the run.

    Attributes:
      matching: which files.
      card: the model card.
      model_path: the model file, where every worker can read it.
      passthrough: columns carried into the predictions.
      publication: what to publish where, and when to hold back.
      sizes: of the pieces the job works in.
      progress: the folder where steps on the input tell how far they are; None for none.
    """

    matching: Matching
    card: ModelCard
    model_path: str
    passthrough: tuple[str, ...]
    publication: Publication
    sizes: Sizes = DEFAULT_SIZES
    progress: str | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pipeline: Any) -> Any:
        """Wires the steps; the result is the outcome that the last one records."""
        wanted = Wanted.of_card(self.card, self.passthrough)
        sizes, progress = self.sizes, self.progress
        predictions = self._data_set(
            layout.PREDICTIONS, schemas.predictions(self.passthrough, self.card), "rows_scored"
        )
        rejects = self._data_set(layout.REJECTS, schemas.REJECTS, "rows_rejected")
        files = self._data_set(layout.FILES, schemas.FILES, "")
        of_input = (SHARDS, TALLIES, FIGURES)

        matched = (
            pipeline
            | "Input patterns" >> beam.Create([self.matching])
            | "Match files" >> self._step(MatchFilesFn(sizes, progress), Pack, TALLIES, FIGURES)
        )
        planned = (
            matched.main
            | "Share files" >> beam.Reshuffle()
            | "Plan spans"
            >> self._step(PlanSpansFn(wanted, sizes, progress, rejects), Any, *of_input, RANGES)
        )
        surveyed = (
            planned[RANGES]
            | "Share ranges" >> beam.Reshuffle()
            | "Survey large CSV"
            >> self._step(SurveyRangeFn(progress, rejects), tuple[str, Any], *of_input)
        )
        numbered = (
            surveyed.main
            | "By file" >> beam.GroupByKey()
            | "Number rows" >> self._step(NumberRowsFn(progress, rejects), Any, *of_input)
        )
        read = (
            (planned.main, numbered.main)
            | "All spans" >> beam.Flatten()
            | "Share spans" >> beam.Reshuffle()
            | "Read and validate"
            >> self._step(ReadSpanFn(wanted, sizes, progress, rejects), pa.RecordBatch, *of_input)
        )
        normalized = read.main | "Normalize" >> self._step(
            NormalizeFn(self.card, self.passthrough), pa.RecordBatch, FIGURES
        )
        scored = normalized.main | "Predict" >> self._step(
            PredictFn(self.card, self.model_path, self.passthrough), pa.RecordBatch, FIGURES
        )
        written = scored.main | "Write predictions" >> self._step(
            WriteShardsFn(predictions), Shard, TALLIES
        )
        on_input = (planned, surveyed, numbered, read)
        tallies = (
            tuple(step[TALLIES] for step in (matched, *on_input, written))
            | "All counts" >> beam.Flatten()
            | "Count by file" >> beam.CombinePerKey(MergeTallies())
        )
        reconciled = tallies | "Reconcile" >> self._step(
            ReconcileFn(self.card.sha256), pa.RecordBatch, FIGURES
        )
        listed = reconciled.main | "Write files" >> self._step(WriteShardsFn(files), Shard, TALLIES)
        shards = (
            *(step[SHARDS] for step in on_input),
            written.main,
            listed.main,
        ) | "All shards" >> beam.Flatten()
        figures = (
            tuple(step[FIGURES] for step in (matched, *on_input, normalized, scored, reconciled))
            | "All figures" >> beam.Flatten()
            | "Add up figures" >> beam.CombineGlobally(AddUpFigures())
        )
        return (
            pipeline
            | "Once" >> beam.Create([self.publication])
            | "Publish"
            >> beam.ParDo(
                failures.Recorded(PublishFn(), self.publication.layout.failures),
                pvalue.AsList(shards),
                pvalue.AsSingleton(figures),
            )
        )

    def _step(self, dofn: beam.DoFn, main: Any, *others: str) -> Any:
        return step(dofn, main, *others, failures_folder=self.publication.layout.failures)

    def _data_set(self, name: str, schema: pa.Schema, counted_as: str) -> DataSet:
        paths = self.publication.layout
        return DataSet(
            name=name,
            folder=paths.staged(name),
            schema=schema,
            metadata={
                "run_id": paths.run_id,
                "model_sha256": self.card.sha256,
                "attempt": paths.attempt,
            },
            counted_as=counted_as,
            sizes=self.sizes,
        )


class PublishFn(beam.DoFn):
    """Publishes the run, or holds it back."""

    def process(
        self, publication: Publication, shards: Sequence[Shard], figures: Figures
    ) -> Iterator[Manifest]:
        """The records of all shards and all that was counted, to the manifest."""
        yield publish(publication, shards, figures)


class NormalizeFn(beam.DoFn):
    """Turns the raw columns of a chunk into the network's float32 matrix, by the card's scales.

    The raw values are counted on the way, where the card has histograms to compare them with.
    """

    def __init__(self, card: ModelCard, passthrough: tuple[str, ...]) -> None:
        self._features = card.features
        self._reference = card.reference
        self._passthrough = passthrough

    def process(self, chunk: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """One chunk to one batch of the same rows, and its histograms."""
        first = len(schemas.LOCATION) + len(self._passthrough)
        width = len(self._features)
        label = chunk.columns[first + width :]  # one column or none
        columns = [column.to_numpy() for column in chunk.columns[first : first + width]]
        matrix = normalize(columns, self._features)
        rows = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), width)
        yield pa.RecordBatch.from_arrays(
            [*chunk.columns[:first], rows, *label],
            schema=schemas.batches(self._passthrough, self._features, labelled=bool(label)),
        )
        counted: Mapping[str, Counts] = {}
        if self._reference is not None:
            counted = histograms.count_features(columns, self._features, self._reference)
        yield tagged_figures(
            figures(proof.COUNTED, {proof.NORMALIZED: chunk.num_rows}),
            figures(histograms.GROUP, counted),
        )


def find_winners(
    by_class: Sequence[npt.NDArray[np.float32]],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The winning class of each row and its probability; the first of equals wins.

    Whole columns are compared: NumPy's ``max`` along rows of three takes many times as long.

    Args:
      by_class: one array ``[n]`` per class.

    Returns:
      Class indices int32 ``[n]``, probabilities ``[n]``; NaN where any class has NaN.
    """
    best = by_class[0].copy()
    kind = np.int8 if len(by_class) <= np.iinfo(np.int8).max else np.int32
    winners = np.zeros(len(best), kind)
    for index, column in enumerate(by_class[1:], start=1):
        # A class that beats all before it has the largest index so far: no row is picked by a mask.
        np.maximum(winners, (column > best) * kind(index), out=winners)
        np.maximum(best, column, out=best)
    return winners.astype(np.int32), best


class PredictFn(beam.DoFn):
    """Scores whole batches; the model is loaded once per process and shared by its threads."""

    def __init__(self, card: ModelCard, model_path: str, passthrough: tuple[str, ...]) -> None:
        self._card = card
        self._model_path = model_path
        self._first = len(schemas.LOCATION) + len(passthrough)
        self._schema = schemas.predictions(passthrough, card)
        self._classifier: Classifier | None = None
        self._loads = Metrics.counter(NAMESPACE, "model_loads")
        self._batch_rows = Metrics.distribution(NAMESPACE, "batch_rows")
        self._milliseconds = Metrics.distribution(NAMESPACE, "predict_milliseconds")

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """One batch to one chunk of predictions, and what is counted of them."""
        if self._classifier is None:
            # Not in `setup`: Flink waits three minutes for a worker that fails before a row.
            self._classifier = model_file.load_shared(self._model_path, self._card)
        if loads := model_file.take_loads():
            self._loads.inc(loads)
        matrix = batch.column(self._first).flatten().to_numpy()
        started = time.perf_counter()
        probabilities = self._classifier.predict(matrix.reshape(batch.num_rows, -1))
        self._milliseconds.update(round((time.perf_counter() - started) * 1000))
        self._batch_rows.update(batch.num_rows)
        by_class = [np.ascontiguousarray(column) for column in probabilities.T]
        winners, best = find_winners(by_class)
        if not np.isfinite(best).all():
            raise ModelError("the model answered NaN or infinity for a plausible row")
        species = pa.DictionaryArray.from_arrays(winners, pa.array(self._card.classes))
        answers = [species, pa.array(best), *map(pa.array, by_class)]
        yield pa.RecordBatch.from_arrays(
            [*batch.columns[: self._first], *answers], schema=self._schema
        )
        yield tagged_figures(*self._count(batch, winners, best, probabilities))

    def _count(
        self,
        batch: pa.RecordBatch,
        winners: npt.NDArray[np.int32],
        best: npt.NDArray[np.float32],
        probabilities: npt.NDArray[np.float32],
    ) -> Iterator[Figures]:
        yield figures(proof.COUNTED, {proof.PREDICTED: batch.num_rows})
        counts = np.bincount(winners, minlength=len(self._card.classes)).tolist()
        yield figures(histograms.SPECIES, dict(zip(self._card.classes, counts, strict=True)))
        if self._card.reference is not None:
            edges = self._card.reference.probability.edges
            counted = {histograms.PROBABILITY: histograms.count_values(best, edges)}
            yield figures(histograms.GROUP, counted)
        for codes in batch.columns[self._first + 1 :]:  # one column or none
            yield figures(
                labels.GROUP, labels.count_hits(codes.to_numpy(), winners, best, probabilities)
            )
