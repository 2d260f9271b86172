"""What many small Parquet files cost to read, beside the fastest readers of the same columns.

`python -m benchmarks.small_files`: CPU seconds, user and system, of 5,000 files of 100 rows. The
readers are measured in processes of their own, in turn, the best of some rounds; the CPU seconds
are of the reading alone, after a first reading of a few files, so that imports and start-up don't
count. Our reading room also finds the files, checks every row and locates it. The whole job is the
command less what it takes for a file of three rows, and less that for the same rows in one file.
"""

from __future__ import annotations

import argparse
import gc
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import generate, report
from benchmarks.meter import Cost
from benchmarks.shapes import score

MODEL = "models/penguin-classifier.keras"
COLUMNS = tuple(generate.COLUMNS)
FEW = 10


def with_arrow(folder: Path, *, threads: bool) -> int:
    """Reads with pyarrow.dataset."""
    import pyarrow.dataset as ds

    table = ds.dataset(folder, format="parquet").to_table(list(COLUMNS), use_threads=threads)
    return int(table.num_rows)


def with_duckdb(folder: Path, *, threads: bool) -> int:
    """Reads with DuckDB."""
    import duckdb

    connection = duckdb.connect()
    if not threads:
        connection.execute("SET threads = 1")
    names = ", ".join(COLUMNS)
    query = f"SELECT {names} FROM read_parquet('{folder}/*.parquet')"
    return len(connection.sql(query).to_arrow_table())


def with_polars(folder: Path, *, threads: bool) -> int:
    """Reads with Polars, whose threads the environment sets."""
    import polars as pl

    return int(pl.scan_parquet(f"{folder}/*.parquet").select(COLUMNS).collect().height)


def with_ours(folder: Path, *, threads: bool) -> int:
    """Reads with the job's reading room, which always uses one thread of a worker."""
    from penguin_model.card import read_card
    from pipelines.reading import matching, small_files
    from pipelines.reading.rows import InputColumns, validate_rows
    from pipelines.reading.settings import DEFAULT_SIZES

    wanted = InputColumns.of_card(read_card(MODEL), ())
    packs = small_files.gather(
        matching.match([f"{folder}/*.parquet"]),
        max_file_bytes=DEFAULT_SIZES.small_file_bytes,
        max_files=DEFAULT_SIZES.pack_files,
    )
    rows = 0
    for pack in packs:
        for packed in small_files.read_together(pack, wanted):
            if packed.block is not None:
                chunk, _ = validate_rows(packed.block, "", wanted)
                rows += chunk.num_rows if chunk is not None else 0
    return rows


READERS: dict[str, Callable[..., int]] = {
    "pyarrow.dataset": with_arrow,
    "DuckDB": with_duckdb,
    "Polars": with_polars,
    "our reading room": with_ours,
}


def cpu_seconds() -> float:
    """CPU seconds of this process and its children so far, user and system."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in found)


def read_once(name: str, few: Path, many: Path, rows: int, *, threads: bool) -> None:
    """Reads and prints the CPU seconds; in a process of its own."""
    READERS[name](few, threads=threads)
    # As the job does once it has started: later collections leave out what was imported.
    gc.freeze()
    before = cpu_seconds()
    found = READERS[name](many, threads=threads)
    if found != rows:
        raise SystemExit(f"{name} read {found} of {rows} rows")
    print(cpu_seconds() - before)
    gc.unfreeze()


def time_reader(name: str, folder: Path, rows: int, *, threads: bool) -> float:
    """CPU seconds of one reading."""
    command = [sys.executable, "-m", "benchmarks.small_files", "--reader", name]
    command += ["--folder", str(folder), "--rows_in_all", str(rows)]
    command += ["--threads"] if threads else []
    environment = {} if threads else {"POLARS_MAX_THREADS": "1"}
    found = subprocess.run(
        ["env", *(f"{key}={value}" for key, value in environment.items()), *command],
        stdout=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    return float(found.stdout)


def write_files(folder: Path, files: int, rows: int) -> None:
    """Writes the files, some of them again to start up with, and one file with all their rows."""
    (folder / "many").mkdir()
    (folder / "few").mkdir()
    table = pa.Table.from_batches([generate.batch(each * rows, rows) for each in range(files)])
    for each in range(files):
        part = table.slice(each * rows, rows)
        pq.write_table(part, folder / "many" / f"{each}.parquet")
        if each < FEW:
            pq.write_table(part, folder / "few" / f"{each}.parquet")
    pq.write_table(table, folder / "one.parquet")
    pq.write_table(table.slice(0, 3), folder / "tiny.parquet")


def show(rows: Iterable[tuple[str, str, float]], files: int) -> None:
    """Prints the table: each cost, by file, and as a multiple of the fastest other reader's."""
    rows = list(rows)
    fastest = min(seconds for name, _, seconds in rows if name in READERS and "our" not in name)
    print("| | threads | CPU s | us a file | of the fastest reader |")
    print("| --- | --- | ---: | ---: | ---: |")
    for name, threads, seconds in rows:
        each = seconds / files * 1e6
        print(f"| {name} | {threads} | {seconds:.2f} | {each:.0f} | {seconds / fastest:.2f} |")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=100, help="of each file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no_job", action="store_true", help="only the readers")
    parser.add_argument("--reader", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows_in_all", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--threads", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.reader:
        few, many = given.folder / "few", given.folder / "many"
        read_once(given.reader, few, many, given.rows_in_all, threads=given.threads)
        return
    print(report.machine(), flush=True)
    rows = given.files * given.rows
    ways = [(name, threads) for name in READERS for threads in (False, True)]
    ways = [each for each in ways if each != ("our reading room", True)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, given.files, given.rows)
        rounds = [
            [time_reader(way, folder, rows, threads=threads) for way, threads in ways]
            for _ in range(given.rounds)
        ]
        best = np.min(rounds, axis=0).tolist()
        found = [
            (way, "all" if threads else "1", seconds)
            for (way, threads), seconds in zip(ways, best, strict=True)
        ]
        if not given.no_job:
            places = ("many", "one.parquet", "tiny.parquet")
            costs: list[list[Cost]] = [
                [score(folder, folder / place, "--direct_num_workers=1") for place in places]
                for _ in range(given.rounds)
            ]
            many, one, tiny = (report.best([each[n] for each in costs]).cpu for n in range(3))
            found.append(("the whole job, less its start-up", "1", many - tiny))
            found.append(("the whole job, less one file of the same rows", "1", many - one))
        show(found, given.files)


if __name__ == "__main__":
    main()
