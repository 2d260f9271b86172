"""How well novelty and prediction sets tell what to trust, and what they cost.

`python -m benchmarks.trust` prints the tables of `docs/trust.md`; with names, only those.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from penguin_model import bundle, trust
from penguin_model.card import ModelCard, read_card
from penguin_model.features import normalize
from penguin_model.training import dataset, fitting
from penguin_model.training.trusting import add_trust
from pipelines.datasets import schemas
from pipelines.datasets.shard_writer import ShardWriter
from pipelines.monitoring import histograms
from pipelines.monitoring.trust import count, write_sets
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.scoring.transforms import PredictFn, find_winners

MODEL = "models/penguin-classifier.keras"
DATA = "data/penguins.csv"
ROWS = DEFAULT_SIZES.batch_rows
BATCHES = 8
ROUNDS = 20
SPLITS = 200
COVERAGES = (0.8, 0.9, 0.95, 0.99)
LIMIT_SECONDS = 600.0

Array = np.ndarray[Any, np.dtype[Any]]


def cards() -> tuple[ModelCard, ModelCard]:
    """The shipped card with its numbers fitted to the birds, and without any."""
    card = read_card(MODEL)
    birds = dataset.complete(dataset.read(DATA))
    _, held_out = dataset.split(birds)
    classifier, _ = bundle.load_shared(MODEL, card)
    answers = classifier.predict(fitting.matrix(held_out, card.features))
    reference = card.reference and dataclasses.replace(card.reference, novelty=None)
    bare = dataclasses.replace(card, trust=None, reference=reference)
    return add_trust(bare, birds, held_out, answers), bare


def nanoseconds(work: Callable[[], Any], rows: int) -> float:
    """The least CPU time a row of many rounds: whatever else a machine does only adds."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds) / rows * 1e9


def bird_batch(card: ModelCard, rows: int, seed: int) -> pa.RecordBatch:
    """A batch for `PredictFn` of birds drawn at random from the data, each a little changed."""
    random = np.random.default_rng(seed)
    birds = dataset.complete(dataset.read(DATA))
    raw = birds.raw[random.integers(0, len(birds), rows)]
    raw = raw + random.normal(size=raw.shape) * 0.1 * birds.raw.std(axis=0)
    matrix = normalize(list(raw.T), card.features)
    return pa.RecordBatch.from_arrays(
        [
            schemas.constant("/night/a.parquet", rows),
            pa.array(np.arange(rows)),
            pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), len(card.features)),
        ],
        schema=schemas.batches((), card.features),
    )


def predict(card: ModelCard, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What the prediction step makes of a batch."""
    (found,) = (
        each
        for each in PredictFn(card, MODEL, ()).process(batch)
        if isinstance(each, pa.RecordBatch)
    )
    return found


def print_costs() -> None:
    """Prints nanoseconds a row of each part."""
    pa.set_cpu_count(1)
    card, bare = cards()
    assert card.reference is not None
    assert card.reference.novelty is not None
    edges = card.reference.novelty.edges
    batch = bird_batch(card, ROWS, 0)
    matrix = batch.column(schemas.MATRIX).flatten().to_numpy().reshape(ROWS, -1)
    classifier, _ = bundle.load_shared(MODEL, card)
    by_class = [np.ascontiguousarray(each) for each in classifier.predict(matrix).T]
    winners, best = find_winners(by_class)
    scorer = trust.TrustScorer(card)
    novelty = scorer.measure(matrix)
    sets = scorer.find_sets(winners, best, by_class)

    def make_columns() -> list[pa.Array]:
        return [
            pa.array(novelty),
            pa.array(scorer.is_far(novelty)),
            write_sets(sets, card.classes),
        ]

    with tempfile.TemporaryDirectory() as folder:
        seconds = {
            name: nanoseconds(write_all(each, [predict(each, batch)] * BATCHES, folder), 1) / ROWS
            for name, each in (("with", card), ("without", bare))
        }
    parts = {
        "novelty": nanoseconds(lambda: scorer.measure(matrix), ROWS),
        "sets": nanoseconds(lambda: scorer.find_sets(winners, best, by_class), ROWS),
        "counts": nanoseconds(lambda: count(scorer.is_far(novelty), sets), ROWS),
        "histogram": nanoseconds(lambda: histograms.count_values(novelty, edges), ROWS),
        "columns": nanoseconds(make_columns, ROWS),
        "written": (seconds["with"] - seconds["without"]) / BATCHES,
    }
    print(f"{ROWS:,} rows, {sets.ambiguous / ROWS:.1%} of them ambiguous")
    for name, each in parts.items():
        print(f"  {name:10} {each:6.2f} ns a row")
    print(f"  {'all':10} {sum(parts.values()):6.2f} ns a row")
    print(f"all predictions written in {seconds['without'] / BATCHES:.1f} ns a row without them")


def write_all(card: ModelCard, batches: list[pa.RecordBatch], folder: str) -> Callable[[], object]:
    """Writes batches of predictions as the job does."""

    def work() -> object:
        writer = ShardWriter(
            folder, "predictions", schemas.predictions((), card), {},
            max_shard_bytes=DEFAULT_SIZES.shard_bytes,
            row_group_rows=DEFAULT_SIZES.row_group_rows,
        )  # fmt: skip
        for each in batches:
            writer.write(each)
        return writer.finish()

    return work


if __name__ == "__main__":
    print_costs()
