"""Input of other shapes: many small files, very many rows, one enormous row group.

`python -m benchmarks.shapes small`, `memory` or `group`; without a name all three. Whole processes,
the best of some rounds; what a file of three rows takes is taken off as start-up.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from benchmarks import generate, report
from benchmarks.meter import Cost, measure

LIMIT_SECONDS = 1800
SMALL_FILES, SMALL_ROWS = 5_000, 100
BASE_ROWS = 4_000_000


def score(folder: Path, inputs: Path, *flags: str) -> Cost:
    """Runs the job on a file or a folder."""
    command = [
        sys.executable, "-m", "pipelines.score", "--input", str(inputs), "--output",
        str(folder / "out"), "--run_id", "shape", "--replace", *flags,
    ]  # fmt: skip
    return measure(command, folder / "log", LIMIT_SECONDS)


def small(folder: Path, repeats: int) -> None:
    """5,000 files of 100 rows against one file with the same rows."""
    table = pa.Table.from_batches(
        [
            generate.batch(first, SMALL_ROWS)
            for first in range(0, SMALL_FILES * SMALL_ROWS, SMALL_ROWS)
        ]
    )
    writers: dict[str, Callable[[pa.Table, Path], None]] = {
        "parquet": pq.write_table, "csv": pa_csv.write_csv,
    }  # fmt: skip
    for form, write in writers.items():
        many, one, tiny = folder / form, folder / f"one.{form}", folder / f"tiny.{form}"
        many.mkdir()
        for number in range(SMALL_FILES):
            write(table.slice(number * SMALL_ROWS, SMALL_ROWS), many / f"{number}.{form}")
        write(table, one)
        write(table.slice(0, 3), tiny)
        rounds = [[score(folder, each) for each in (many, one, tiny)] for _ in range(repeats)]
        costs = [report.best([each[place] for each in rounds]) for place in range(3)]
        seconds = [cost.seconds - costs[2].seconds for cost in costs]
        cpu = [cost.cpu - costs[2].cpu for cost in costs]
        print(
            f"{form}: {SMALL_FILES:,} files of {SMALL_ROWS} rows take {seconds[0]:.2f} s "
            f"({cpu[0]:.2f} s of CPU), one file {seconds[1]:.2f} s ({cpu[1]:.2f} s): "
            f"{seconds[0] / seconds[1]:.1f} times as long, {cpu[0] / cpu[1]:.1f} times the CPU",
            flush=True,
        )


def memory(folder: Path, times: int) -> None:
    """Peak memory at 4 M rows and at many times as many, in files that are links to one."""
    first = folder / "first.parquet"
    generate.write(first, BASE_ROWS)
    many = folder / "many"
    many.mkdir()
    for number in range(times):
        (many / f"{number}.parquet").hardlink_to(first)
    little, much = score(folder, first), score(folder, many)
    rate = BASE_ROWS * (times - 1) / (much.seconds - little.seconds)
    print(
        f"{BASE_ROWS:,} rows: {little.memory:,.0f} MiB; {BASE_ROWS * times:,} rows: "
        f"{much.memory:,.0f} MiB, {much.memory / little.memory:.2f} times as much; "
        f"{rate / 1e6:.2f} M rows/s",
        flush=True,
    )


def group(folder: Path, rows: int) -> None:
    """Peak memory at one row group of very many rows that do not compress."""
    random = np.random.default_rng(0)
    ranges = {
        name: (mean - spread, mean + spread) for name, (mean, spread, _) in generate.COLUMNS.items()
    }
    table = pa.table({name: random.uniform(*ends, rows) for name, ends in ranges.items()})
    path = folder / "group.parquet"
    pq.write_table(table, path, row_group_size=rows)
    del table
    cost = score(folder, path)
    print(
        f"one row group of {rows:,} rows, {path.stat().st_size >> 20:,} MiB: "
        f"{cost.memory:,.0f} MiB, {cost.seconds:.0f} s",
        flush=True,
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="*", default=["small", "memory", "group"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--times", type=int, default=100, help="the rows of `memory`, times 4 M")
    parser.add_argument("--rows", type=int, default=50_000_000, help="of `group`")
    arguments = parser.parse_args()
    print(report.machine(), flush=True)
    for which in arguments.which:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if which == "small":
                small(folder, arguments.repeats)
            elif which == "memory":
                memory(folder, arguments.times)
            else:
                group(folder, arguments.rows)


if __name__ == "__main__":
    main()
