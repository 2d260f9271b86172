"""Where a worker's time goes: CPU milliseconds of a million rows, step by step, on one thread.

`python -m benchmarks.steps`. The steps are the job's own, called in turn on the same rows. With
`--labelled` the rows tell their species as the model sees it, but for one in fifty.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from benchmarks import generate
from penguin_model import bundle, cli
from penguin_model.card import read_card
from penguin_model.features import normalize
from pipelines import storage
from pipelines.datasets import schemas
from pipelines.datasets.shard_writer import ShardWriter
from pipelines.reading.csv_files import reader
from pipelines.reading.formats import Part
from pipelines.reading.parquet_files import reader as parquet_spans
from pipelines.reading.rows import InputColumns, ParsedRows, validate_rows
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.scoring import Network, model_file
from pipelines.scoring.transforms import NormalizeFn, PredictFn

MODEL = "models/penguin-classifier.keras"
CARD = read_card(MODEL)
NETWORK = Network.of_model(MODEL)
WANTED = InputColumns.of_card(CARD, ())
ROUNDS = 5


class Clock:
    """Adds up the CPU time of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def take(self, step: str, work: Callable[..., Any], *given: Any) -> Any:
        """Runs some work to its end."""
        start = time.process_time()
        found = work(*given)
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - start
        return found


def blocks(path: Path) -> Iterator[ParsedRows]:
    """The rows of a file as the reading step gets them."""
    with storage.open_input(str(path)) as source:
        if path.suffix == ".csv":
            yield from reader.read_csv(source, WANTED, block_bytes=DEFAULT_SIZES.block_bytes)
            return
        opened = parquet_spans.open_file(source, WANTED)
        part = Part(0, opened.num_row_groups, 0)
        yield from parquet_spans.read_row_groups(
            opened, part, WANTED, batch_rows=DEFAULT_SIZES.batch_rows
        )


def batches(elements: Iterable[Any]) -> list[pa.RecordBatch]:
    """What a step emits on its main output."""
    return [each for each in elements if isinstance(each, pa.RecordBatch)]


def score(path: Path, folder: Path) -> dict[str, float]:
    """Scores a file step by step; CPU seconds of each."""
    clock = Clock()
    normalize, predict = NormalizeFn(CARD, ()), PredictFn(CARD, NETWORK, ())
    writer = ShardWriter(
        str(folder), "predictions", schemas.predictions((), CARD), {},
        max_shard_bytes=DEFAULT_SIZES.shard_bytes, row_group_rows=DEFAULT_SIZES.row_group_rows,
    )  # fmt: skip
    rows = blocks(path)
    while (block := clock.take("read", next, rows, None)) is not None:
        chunk, _ = clock.take("validate", validate_rows, block, str(path), WANTED)
        (batch,) = clock.take("normalize, count", batches, normalize.process(chunk))
        (found,) = clock.take("predict, find winners", batches, predict.process(batch))
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


def main() -> None:
    """Measures and prints; the best of some rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--labelled", action="store_true")
    arguments = parser.parse_args()
    cli.quiet_libraries(verbose=False)
    pa.set_cpu_count(1)
    model_file.load_shared(NETWORK, CARD)
    with tempfile.TemporaryDirectory() as name:
        out = Path(name, "out")
        out.mkdir()
        for suffix in (".parquet", ".csv"):
            path = Path(name, f"rows{suffix}")
            write = write_labelled if arguments.labelled else generate.write
            write(path, arguments.rows)
            rounds = [score(path, out) for _ in range(ROUNDS)]
            best = {step: min(each[step] for each in rounds) for step in rounds[0]}
            best["all"] = sum(best.values())
            for step, seconds in best.items():
                print(f"{suffix[1:]:8} {step:22} {seconds / arguments.rows * 1e9:6.1f}")


if __name__ == "__main__":
    main()
