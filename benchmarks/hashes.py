"""What the shards' hashes cost: nanoseconds of CPU a row, of writing and of a whole run.

`python -m benchmarks.hashes` writes predictions and scores a night, in turns with and without them.
`openssl speed sha256` measures what a CPU can do.
"""

import argparse
import contextlib
import hashlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa

from benchmarks import generate
from pipelines import score
from pipelines.datasets.shard_writer import ShardWriter

PIECE = 1 << 16
_HASH = "pipelines.datasets.shard_writer.sha256"


class _NoHash:
    """Stands in for the hash."""

    def update(self, content: Any) -> None:
        """Does nothing."""

    def hexdigest(self) -> str:
        """No hash."""
        return ""


def predictions(rows: int) -> pa.RecordBatch:
    """Predictions of one file."""
    random = np.random.default_rng(0)
    names = ("probability", "probability_a", "probability_b", "probability_c")
    columns = {
        "source_file": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array(["file"])),
        "source_row": pa.array(np.arange(rows)),
        "species": pa.DictionaryArray.from_arrays(
            random.integers(0, 3, rows).astype(np.int32), pa.array(["a", "b", "c"])
        ),
        **{name: pa.array(random.random(rows, np.float32)) for name in names},
    }
    return pa.record_batch(columns)


def write(batch: pa.RecordBatch, folder: str) -> int:
    """Writes predictions; returns the bytes of the shards."""
    writer = ShardWriter(
        folder, "predictions", batch.schema, {}, max_shard_bytes=1 << 28, row_group_rows=1 << 18
    )
    for first in range(0, batch.num_rows, PIECE):
        writer.write(batch.slice(first, PIECE))
    return sum(os.path.getsize(shard.path) for shard in writer.finish())


def run(night: Path, output: str) -> None:
    """Scores a night."""
    flags = ["--input", str(night), "--output", output, "--run_id", "r", "--no-progress"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert score.main(flags) == 0


def measure(work: Callable[[str], object], times: int) -> tuple[float, float]:
    """The CPU seconds of some work, without hashes and with them: medians of turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for hashed, found in enumerate(seconds):
            chosen = hashlib.sha256 if hashed else _NoHash
            with tempfile.TemporaryDirectory() as folder, mock.patch(_HASH, chosen):
                start = time.process_time()
                work(folder)
                found.append(time.process_time() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    rows = options.rows
    batch = predictions(rows)
    with tempfile.TemporaryDirectory() as folder:
        night = Path(folder) / "night.parquet"
        generate.write(night, rows)
        run(night, os.path.join(folder, "warm"))
        size = write(batch, folder)
        print(f"{size / rows:.1f} bytes a row of predictions")
        for what, work in (
            ("writing", lambda folder: write(batch, folder)),
            ("a run", lambda folder: run(night, folder)),
        ):
            plain, hashed = (1e9 * seconds / rows for seconds in measure(work, options.times))
            share = (hashed - plain) / hashed
            print(f"{what:<8} {plain:6.1f} ns a row, hashed {hashed:6.1f} ns ({share:.1%})")


if __name__ == "__main__":
    main()
