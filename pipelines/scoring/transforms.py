"""The steps from raw chunks to predictions, and the pure functions they wire together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection

from penguin_model.card import ModelCard
from penguin_model.features import normalize
from penguin_model.model_checks import PROBABILITIES, Predict, find_improper, show_answer
from penguin_model.trust import DEFAULT_COVERAGE, TrustScorer
from penguin_model.winners import Winners, find_winners
from pipelines.counts import NAMESPACE
from pipelines.counts.emit import emit_counts
from pipelines.counts.figures import COUNTED, NORMALIZED, PREDICTED, Counts, Figures, figures
from pipelines.datasets import memory, schemas
from pipelines.errors import ModelError
from pipelines.monitoring import estimate, histograms, labels, trust
from pipelines.scoring import model_file
from pipelines.scoring.model_file import Network

_MATRIX_BYTES = 64 << 20


class Normalized(NamedTuple):
    """What `NormalizeFn` emits: batches for the network, and counts of the raw values."""

    batches: PCollection[pa.RecordBatch]
    counts: PCollection[Any]


class Scored(NamedTuple):
    """What `PredictFn` emits: chunks of predictions, and counts of them."""

    predictions: PCollection[pa.RecordBatch]
    counts: PCollection[Any]


class NormalizeFn(beam.DoFn):
    """Normalizes the raw columns of a chunk into the network's float32 matrix, using the card.

    If the card has reference histograms, the raw values are also counted for comparison. A category
    with many texts makes a matrix many times as large as its chunk, and many classes make such
    answers, so that it is made in parts.
    """

    def __init__(self, card: ModelCard, passthrough: tuple[str, ...]) -> None:
        self._features = card.features
        self._reference = card.reference
        self._passthrough = passthrough
        self._kept = [*schemas.LOCATION_NAMES, *schemas.passthrough_columns(passthrough)]
        self._columns = [schemas.feature_column(feature) for feature in card.features]
        widest = max(card.width, len(card.classes))
        self._most_rows = max(1, _MATRIX_BYTES // (4 * widest))

    def process(self, chunk: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Emits batches of the same rows as the chunk, usually one, and their histograms."""
        for start in range(0, chunk.num_rows, self._most_rows):
            yield self._normalize(chunk.slice(start, self._most_rows))
        counted: Mapping[str, Counts] = {}
        if self._reference is not None:
            columns = [chunk.column(name).to_numpy() for name in self._columns]
            counted = histograms.count_features(columns, self._features, self._reference)
        yield emit_counts(
            figures(COUNTED, {NORMALIZED: chunk.num_rows}),
            figures(histograms.GROUP, counted),
        )

    def _normalize(self, chunk: pa.RecordBatch) -> pa.RecordBatch:
        label = schemas.find_labels(chunk)
        matrix = normalize(
            [chunk.column(name).to_numpy() for name in self._columns], self._features
        )
        return pa.RecordBatch.from_arrays(
            [*map(chunk.column, self._kept), *map(pa.array, matrix.T), *label],
            schema=schemas.batches(self._passthrough, self._features, labelled=bool(label)),
        )


class PredictFn(beam.DoFn):
    """Scores whole batches with a model loaded once per process and shared by its threads.

    Args:
      card: the model's card; if it has `trust`, the predictions have its columns.
      network: the network, where every worker can read it.
      passthrough: the columns to carry.
      coverage: of the prediction sets.
    """

    def __init__(
        self,
        card: ModelCard,
        network: Network,
        passthrough: tuple[str, ...],
        coverage: float = DEFAULT_COVERAGE,
    ) -> None:
        self._card = card
        self._trust = TrustScorer(card, coverage) if card.trust is not None else None
        self._network = network
        self._inputs = schemas.network_columns(card.features)
        self._kept = [*schemas.LOCATION_NAMES, *schemas.passthrough_columns(passthrough)]
        self._schema = schemas.predictions(passthrough, card)
        self._predict: Predict | None = None
        self._loads = Metrics.counter(NAMESPACE, "model_loads")
        self._batch_rows = Metrics.distribution(NAMESPACE, "batch_rows")
        self._milliseconds = Metrics.distribution(NAMESPACE, "predict_milliseconds")

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Emits a chunk of predictions for the batch, and counts of them."""
        if self._predict is None:
            memory.keep_freed()
            # Not in `setup`: if a worker fails before its first row, Flink waits three minutes.
            self._predict = model_file.load_shared(self._network, self._card)
        if loads := model_file.take_loads():
            self._loads.inc(loads)
        by_input = np.stack([batch.column(name).to_numpy() for name in self._inputs])
        matrix = by_input.T
        started = time.perf_counter()
        probabilities = self._predict(matrix)
        self._milliseconds.update(round((time.perf_counter() - started) * 1000))
        self._batch_rows.update(batch.num_rows)
        by_class = [np.ascontiguousarray(column) for column in probabilities.T]
        if (bad := find_improper(by_class)) is not None:
            file, row = (column[bad].as_py() for column in batch.columns[:2])
            raise ModelError(
                f"model {self._card.name} answered "
                f"{show_answer(self._card, probabilities[bad])} for row {row} of {file}; "
                f"{PROBABILITIES}"
            )
        winners, best = find_winners(by_class)
        classes = pa.DictionaryArray.from_arrays(
            winners.astype(np.int32), pa.array(self._card.classes), safe=False
        )
        answers = [classes, pa.array(best), *map(pa.array, by_class)]
        counts = list(self._count(batch, winners, best, probabilities))
        if self._trust is not None:
            novelty = self._trust.measure(matrix)
            is_far = self._trust.is_far(novelty)
            sets = self._trust.find_sets(winners, best, by_class)
            answers += [pa.array(novelty), pa.array(is_far)]
            answers.append(trust.write_sets(sets, self._card.classes))
            counts += [trust.count(is_far, sets), *self._count_novelty(novelty)]
        yield pa.RecordBatch.from_arrays(
            [*map(batch.column, self._kept), *answers], schema=self._schema
        )
        yield emit_counts(*counts)

    def _count(
        self,
        batch: pa.RecordBatch,
        winners: Winners,
        best: npt.NDArray[np.float32],
        probabilities: npt.NDArray[np.float32],
    ) -> Iterator[Figures]:
        yield figures(COUNTED, {PREDICTED: batch.num_rows})
        yield figures(histograms.CLASSES, histograms.count_classes(winners, self._card.classes))
        if self._card.reference is not None:
            edges = self._card.reference.probability.edges
            counted = {histograms.PROBABILITY: histograms.count_values(best, edges)}
            yield figures(histograms.GROUP, counted)
        if self._card.calibration is not None:
            found = estimate.count_probabilities(best, self._card.calibration)
            yield figures(estimate.GROUP, found)
        for codes in schemas.find_labels(batch):
            yield figures(
                labels.GROUP, labels.count_hits(codes.to_numpy(), winners, best, probabilities)
            )

    def _count_novelty(self, novelty: npt.NDArray[np.float32]) -> Iterator[Figures]:
        reference = self._card.reference
        if reference is not None and reference.novelty is not None:
            counted = histograms.count_values(novelty, reference.novelty.edges)
            yield figures(histograms.GROUP, {histograms.NOVELTY: counted})
