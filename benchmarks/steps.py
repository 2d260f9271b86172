"""Where a worker's time goes: CPU nanoseconds of a row, step by step, on one thread.

`python -m benchmarks.steps`. The steps are the job's own, called in turn on the same rows; indented
are the parts of the step above them, and what's left of it is its own. With `--labelled` the rows
tell their species as the model sees it, but for one in fifty. `--batch_rows` are read at a time.
"""

import argparse
import contextlib
import functools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from benchmarks import generate
from penguin_model import bundle, cli, validate
from penguin_model.card import read_card
from penguin_model.engines import DEFAULT_ENGINE, ENGINES
from penguin_model.features import normalize
from penguin_model.trust import TrustScorer
from pipelines import storage
from pipelines.datasets import memory, schemas, shard_writer
from pipelines.datasets.shard_writer import ShardWriter
from pipelines.monitoring import histograms, trust
from pipelines.reading.csv_files import reader
from pipelines.reading.formats import Part
from pipelines.reading.parquet_files import reader as parquet_spans
from pipelines.reading.rows import InputColumns, ParsedRows, validate_rows
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.scoring import Network, model_file, transforms
from pipelines.scoring.transforms import NormalizeFn, PredictFn

MODEL = "models/penguin-classifier.keras"
CARD = read_card(MODEL)
WANTED = InputColumns.of_card(CARD, ())


NETWORK = "network"
# What a step is made of: a name, and where the function is looked up that does it; None is the
# step that predicts.
PARTS: dict[str, tuple[tuple[str, Any, str], ...]] = {
    "read": (),
    "validate": (("good rows", validate, "good_rows"),),
    "normalize, count": (
        ("normalize", transforms, "normalize"),
        ("histograms", histograms, "count_features"),
    ),
    "predict": (
        (NETWORK, None, "_predict"),
        ("find improper", transforms, "find_improper"),
        ("find winners", transforms, "find_winners"),
        ("count", PredictFn, "_count"),
        ("distances", TrustScorer, "measure"),
        ("out of distribution", TrustScorer, "is_far"),
        ("prediction sets", TrustScorer, "find_sets"),
        ("name sets", trust, "write_sets"),
        ("count distances", PredictFn, "_count_novelty"),
    ),
    "write": (("bytes to the file", shard_writer._Hashed, "write"),),
}


class Clock:
    """Adds up the CPU time of each step and part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def take(self, step: str, work: Callable[..., Any], *given: Any) -> Any:
        """Runs some work to its end."""
        start = time.process_time()
        found = work(*given)
        # A generator works only when it's asked.
        found = list(found) if isinstance(found, Iterator) else found
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - start
        return found

    @contextlib.contextmanager
    def looking_inside(self, predict: PredictFn) -> Iterator[None]:
        """Times the steps' parts too, while it's open."""
        with contextlib.ExitStack() as stack:
            for parts in PARTS.values():
                for name, owner, attribute in parts:
                    place = owner or predict
                    timed = self._timed(name, getattr(place, attribute))
                    stack.enter_context(mock.patch.object(place, attribute, timed))
            yield

    def _timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        def timed(*given: Any) -> Any:
            return self.take(name, work, *given)

        return timed


def blocks(path: Path, batch_rows: int) -> Iterator[ParsedRows]:
    """The rows of a file as the reading step gets them."""
    with storage.open_input(str(path)) as source:
        if path.suffix == ".csv":
            yield from reader.read_csv(source, WANTED, block_bytes=DEFAULT_SIZES.block_bytes)
            return
        opened = parquet_spans.open_file(source, WANTED)
        part = Part(0, opened.num_row_groups, 0)
        yield from parquet_spans.read_row_groups(opened, part, WANTED, batch_rows=batch_rows)


def batches(elements: Iterable[Any]) -> list[pa.RecordBatch]:
    """What a step emits on its main output."""
    return [each for each in elements if isinstance(each, pa.RecordBatch)]


def score(path: Path, folder: Path, network: Network, batch_rows: int) -> dict[str, float]:
    """Scores a file step by step; CPU seconds of each step and part."""
    clock = Clock()
    normalize, predict = NormalizeFn(CARD, ()), PredictFn(CARD, network, ())
    predict._predict = model_file.load_shared(network, CARD)
    writer = ShardWriter(
        str(folder), "predictions", schemas.predictions((), CARD), {},
        max_shard_bytes=DEFAULT_SIZES.shard_bytes, row_group_rows=DEFAULT_SIZES.row_group_rows,
    )  # fmt: skip
    rows = blocks(path, batch_rows)
    with clock.looking_inside(predict):
        while (block := clock.take("read", next, rows, None)) is not None:
            chunk, _ = clock.take("validate", validate_rows, block, str(path), WANTED)
            (batch,) = clock.take("normalize, count", batches, normalize.process(chunk))
            (found,) = clock.take("predict", batches, predict.process(batch))
            clock.take("write", writer.write, found)
        clock.take("write", writer.finish)
    return clock.seconds


def write_labelled(path: Path, rows: int) -> None:
    """Writes rows whose labels are what the model says of them, one in fifty another class."""
    table = pa.Table.from_batches([generate.batch(0, rows)])
    columns = [table.column(feature.name).to_numpy() for feature in CARD.features]
    classifier = bundle.load_with_card(MODEL, CARD)
    found = classifier.predict(normalize(columns, CARD.features)).argmax(axis=1)
    found[::50] = (found[::50] + 1) % len(CARD.classes)
    table = table.append_column(CARD.label, pa.array(np.array(CARD.classes)[found]))
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path)


def show(seconds: Mapping[str, float], rows: int) -> None:
    """Prints nanoseconds of a row: the steps, and below each its parts."""
    each = {name: f"{found / rows * 1e9:8.1f}" for name, found in seconds.items()}
    for step, parts in PARTS.items():
        print(f"  {step:24}{each[step]}")
        for name, _, _ in parts:
            print(f"    {name:22}        {each.get(name, '')}")
    everything = sum(seconds[step] for step in PARTS)
    print(f"  {'all':24}{everything / rows * 1e9:8.1f}")
    print(f"  {'all but the network':24}{(everything - seconds['network']) / rows * 1e9:8.1f}")


def main() -> None:
    """Measures and prints; the best of some rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch_rows", type=int, default=DEFAULT_SIZES.batch_rows)
    parser.add_argument("--engine", choices=[*ENGINES], default=DEFAULT_ENGINE)
    parser.add_argument("--labelled", action="store_true")
    parser.add_argument("--format", choices=["parquet", "csv"], action="append")
    given = parser.parse_args()
    cli.quiet_libraries(verbose=False)
    pa.set_cpu_count(1)
    memory.keep_freed()
    network = Network.of_model(MODEL, given.engine)
    with tempfile.TemporaryDirectory() as name:
        for form in given.format or ["parquet", "csv"]:
            path = Path(name, f"rows.{form}")
            write = write_labelled if given.labelled else generate.write
            write(path, given.rows)
            rounds = []
            for _ in range(given.rounds):
                with tempfile.TemporaryDirectory() as out:
                    rounds.append(score(path, Path(out), network, given.batch_rows))
            print(f"{form}, {given.engine}, nanoseconds of CPU a row:")
            show({step: min(each[step] for each in rounds) for step in rounds[0]}, given.rows)


if __name__ == "__main__":
    main()
