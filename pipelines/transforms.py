"""The steps of the job as Beam sees them: they wire pure functions, and hold no logic of their own.

`ScoreObservations.expand` reads like the picture in the README.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.metrics import Metrics

from penguin_model.bundle import Classifier
from penguin_model.card import ModelCard
from penguin_model.errors import ModelError
from penguin_model.features import normalize
from pipelines import histograms, labels, layout, models, publish, schemas
from pipelines.blocks import Wanted
from pipelines.files import Matching
from pipelines.outputs import FIGURES, RANGES, REJECTS, TALLIES, figure, with_outputs
from pipelines.sinks import ReconcileFn, WriteShardsFn
from pipelines.sizes import DEFAULT_SIZES, Sizes
from pipelines.sources import (
    MatchFilesFn,
    NumberRowsFn,
    PlanSpansFn,
    ReadSpanFn,
    SurveyRangeFn,
)
from pipelines.submission import NAMESPACE
from pipelines.tallies import MergeTallies


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
    publication: publish.Publication
    sizes: Sizes = DEFAULT_SIZES
    progress: str | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pipeline: Any) -> Any:
        """Wires the steps; the result is the outcome that the last one records."""
        wanted = Wanted.of_card(self.card, self.passthrough)
        sizes, progress = self.sizes, self.progress
        matched = (
            pipeline
            | "Input patterns" >> beam.Create([self.matching])
            | "Match files" >> with_outputs(MatchFilesFn(sizes, progress), Any)
        )
        inputs = matched.main | "Share files" >> beam.Reshuffle()
        planned = inputs | "Plan spans" >> with_outputs(PlanSpansFn(wanted, sizes, progress), Any)
        numbered = (
            planned[RANGES]
            | "Share ranges" >> beam.Reshuffle()
            | "Survey large CSV"
            >> beam.ParDo(SurveyRangeFn(progress)).with_output_types(tuple[str, Any])
            | "By file" >> beam.GroupByKey()
            | "Number rows" >> with_outputs(NumberRowsFn(progress), Any)
        )
        spans = (
            (planned.main, numbered.main)
            | "All spans" >> beam.Flatten()
            | "Share spans" >> beam.Reshuffle()
        )
        read = spans | "Read and validate" >> with_outputs(
            ReadSpanFn(wanted, sizes, progress), pa.RecordBatch
        )
        normalized = read.main | "Normalize" >> with_outputs(
            NormalizeFn(self.card, self.passthrough), pa.RecordBatch
        )
        scored = normalized.main | "Predict" >> with_outputs(
            PredictFn(self.card, self.model_path, self.passthrough), pa.RecordBatch
        )
        predictions = scored.main | "Write predictions" >> self._write(layout.PREDICTIONS)
        rejected = (
            planned[REJECTS],
            numbered[REJECTS],
            read[REJECTS],
        ) | "All rejects" >> beam.Flatten()
        rejects = rejected | "Write rejects" >> self._write(layout.REJECTS)
        tallies = (
            tuple(step[TALLIES] for step in (planned, numbered, read, predictions, rejects))
            | "All counts" >> beam.Flatten()
            | "Count by file" >> beam.CombinePerKey(MergeTallies())
        )
        reconciled = tallies | "Reconcile" >> with_outputs(
            ReconcileFn(self.card.sha256), pa.RecordBatch
        )
        listed = reconciled.main | "Write files" >> self._write(layout.FILES)
        shards = (predictions.main, rejects.main, listed.main) | "All shards" >> beam.Flatten()
        counting = (matched, planned, numbered, read, normalized, scored, reconciled)
        figures = (
            tuple(step[FIGURES] for step in counting)
            | "All figures" >> beam.Flatten()
            | "Add up figures" >> beam.CombinePerKey(histograms.add_up)
        )
        return (
            pipeline
            | "Once" >> beam.Create([self.publication])
            | "Publish" >> beam.Map(publish.publish, pvalue.AsList(shards), pvalue.AsDict(figures))
        )

    def _write(self, dataset: str) -> beam.ParDo:
        schema = {
            layout.PREDICTIONS: schemas.predictions(self.passthrough, self.card),
            layout.REJECTS: schemas.REJECTS,
            layout.FILES: schemas.FILES,
        }[dataset]
        paths = self.publication.layout
        metadata = {
            "run_id": paths.run_id,
            "model_sha256": self.card.sha256,
            "attempt": paths.attempt,
        }
        return with_outputs(
            WriteShardsFn(paths.staged(dataset), dataset, schema, metadata, self.sizes), Any
        )


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
        if self._reference is not None:
            counted = histograms.count_features(columns, self._features, self._reference)
            for name, counts in counted.items():
                yield figure(histograms.GROUP, name, counts)


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
        self._scored = Metrics.counter(NAMESPACE, "rows_scored")
        self._batch_rows = Metrics.distribution(NAMESPACE, "batch_rows")
        self._milliseconds = Metrics.distribution(NAMESPACE, "predict_milliseconds")

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """One batch to one chunk of predictions, and what is counted of them."""
        if self._classifier is None:
            # Not in `setup`: Flink waits three minutes for a worker that fails before a row.
            self._classifier = models.load_shared(self._model_path, self._card)
        if loads := models.take_loads():
            self._loads.inc(loads)
        matrix = batch.column(self._first).flatten().to_numpy()
        started = time.perf_counter()
        probabilities = self._classifier.predict(matrix.reshape(batch.num_rows, -1))
        self._milliseconds.update(round((time.perf_counter() - started) * 1000))
        self._batch_rows.update(batch.num_rows)
        self._scored.inc(batch.num_rows)
        by_class = [np.ascontiguousarray(column) for column in probabilities.T]
        winners, best = find_winners(by_class)
        if not np.isfinite(best).all():
            raise ModelError("the model answered NaN or infinity for a plausible row")
        species = pa.DictionaryArray.from_arrays(winners, pa.array(self._card.classes))
        answers = [species, pa.array(best), *map(pa.array, by_class)]
        yield pa.RecordBatch.from_arrays(
            [*batch.columns[: self._first], *answers], schema=self._schema
        )
        counts = np.bincount(winners, minlength=len(self._card.classes)).tolist()
        for name, count in zip(self._card.classes, counts, strict=True):
            yield figure(histograms.SPECIES, name, count)
        if self._card.reference is not None:
            edges = self._card.reference.probability.edges
            yield figure(histograms.GROUP, histograms.PROBABILITY, histograms.count(best, edges))
        for codes in batch.columns[self._first + 1 :]:  # one column or none
            counted = labels.count(codes.to_numpy(), winners, best, probabilities)
            for name, sums in counted.items():
                yield figure(labels.GROUP, name, sums)
