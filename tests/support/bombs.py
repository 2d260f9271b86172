"""Small files that take a careless reader a lot of memory, and how much the job takes for them."""

import bz2
import dataclasses
import functools
import gzip
import json
import lzma
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.running import PROJECT, beside_progress, command

# The memory the process may take with two threads, for any input.
LIMIT = 1_500_000_000
# A job far beyond it is stopped, so that it doesn't exhaust the machine.
_FENCE = 6_000_000_000
NAMES = ("CulmenLength", "CulmenDepth", "FlipperLength", "BodyMass")
VALUES = (44.0, 17.0, 200.0, 4200.0)
TWO_THREADS = ("--direct_num_workers=2", "--direct_running_mode=in_memory")

# Started from a small process, since a child's peak is never below its parent's size.
_LAUNCHER = """
import json, os, resource, sys
fence = int(sys.argv[1])
pid = os.fork()
if not pid:
    resource.setrlimit(resource.RLIMIT_DATA, (fence, fence))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024]))
"""


@dataclasses.dataclass(frozen=True)
class Ran:
    """How a job ended: exit code, peak resident memory in bytes, standard error, output rows."""

    code: int
    peak: int
    err: str
    rows: int = 0


def run(*arguments: object, seconds: float = 300) -> Ran:
    """Runs the job as a user does, with two threads, and measures its peak memory."""
    ran = subprocess.run(
        [sys.executable, "-S", "-c", _LAUNCHER, str(_FENCE), *command(*arguments, *TWO_THREADS)],
        cwd=PROJECT, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    code, peak = json.loads(ran.stdout.splitlines()[-1])
    return Ran(code, peak, beside_progress(ran.stderr))


@dataclasses.dataclass(frozen=True)
class Bomb:
    """A folder of files.

    Attributes:
      make: writes the files, and returns how many rows the job must account for.
      flags: of the job.
      reason: of the rejects, if all that there are have one.
    """

    make: Callable[[Path], int]
    flags: tuple[str, ...] = ()
    reason: str | None = None


def columns(rows: int, **others: Any) -> pa.Table:
    """Good rows, with columns added or replaced."""
    plain = {name: pa.repeat(value, rows) for name, value in zip(NAMES, VALUES, strict=True)}
    return pa.table(plain | others)


def tiny(table: pa.Table, path: Path, **settings: Any) -> None:
    """Writes a table as compactly as possible: one row group, pages of any size."""
    rows = max(1, table.num_rows)
    defaults = {
        "row_group_size": rows, "data_page_size": 1 << 30, "dictionary_pagesize_limit": 1 << 30,
        "write_batch_size": rows, "max_rows_per_page": rows, "compression": "zstd",
        "store_schema": False, "write_statistics": False,
    }  # fmt: skip
    pq.write_table(table, path, **(defaults | settings))


def repeated(value: Any, rows: int) -> pa.DictionaryArray:
    """A column with the same value in every row."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([value]))


def copies(make: Callable[[Path], int], count: int) -> Callable[[Path], int]:
    """Many copies of the same file."""

    def write(folder: Path) -> int:
        first = folder / "0.parquet"
        rows = make(first)
        for number in range(1, count):
            shutil.copyfile(first, folder / f"{number}.parquet")
        return rows * count

    return write


def one(suffix: str, make: Callable[[Path], int]) -> Callable[[Path], int]:
    """A single file."""
    return lambda folder: make(folder / f"file{suffix}")


def table_file(make: Callable[[], pa.Table], **settings: Any) -> Callable[[Path], int]:
    """A Parquet file of a table."""

    def write(path: Path) -> int:
        table = make()
        tiny(table, path, **settings)
        return int(table.num_rows)

    return write


# How to write a CSV by its suffix.
OPEN: dict[str, Callable[[Path], Any]] = {
    ".csv": lambda path: path.open("wb"),
    ".gz": lambda path: gzip.GzipFile(path, "wb", 1),
    ".xz": functools.partial(lzma.LZMAFile, mode="wb"),
    ".bz2": lambda path: bz2.BZ2File(path, "wb", compresslevel=1),
    ".zst": lambda path: pa.output_stream(path, compression="zstd"),
    ".lz4": lambda path: pa.output_stream(path, compression="lz4"),
}


COMPRESSED = {
    ".gz": "gzipped", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz", ".lz4": "LZ4",
}  # fmt: skip


def csv_file(header: bytes, row: bytes, rows: int) -> Callable[[Path], int]:
    """A CSV with many copies of the same row."""

    def write(path: Path) -> int:
        many = max(1, min(rows, (1 << 20) // len(row)))
        with OPEN[path.suffix](path) as file:
            file.write(header + b"\n")
            for start in range(0, rows, many):
                file.write(row * min(many, rows - start))
        return rows

    return write


HEADER = ",".join(NAMES).encode()
GOOD = b"44,17,200,4200"
ID = ("--passthrough", "id")


def deep(rows: int) -> pa.Array:
    """Triply nested lists with a thousand numbers per row."""
    array = pa.array(np.zeros(rows * 1000, np.int64))
    for width in (10, 10, 10):
        array = pa.ListArray.from_arrays(np.arange(0, len(array) + 1, width, dtype=np.int32), array)
    return array


def bombs(scale: float) -> dict[str, Bomb]:
    """All bombs, with their row counts multiplied by a scale."""

    def many(rows: int) -> int:
        return max(1, int(rows * scale))

    bad = {"CulmenLength": pa.array([None, 44.0])}
    return {
        "four constant files": Bomb(copies(table_file(lambda: columns(many(8_000_000))), 4)),
        "256 constant files": Bomb(copies(table_file(lambda: columns(many(100_000))), 256)),
        "5,000 constant files": Bomb(copies(table_file(lambda: columns(many(5_000))), 5000)),
        "nulls": Bomb(
            one(".parquet", table_file(
                lambda: columns(many(600_000), CulmenLength=pa.nulls(many(600_000), pa.float64()))
            )),
            reason="missing_value",
        ),
        "long text passed through": Bomb(
            copies(
                table_file(lambda: columns(many(1500), id=repeated("x" * 1_000_000, many(1500)))), 2
            ),
            ID,
        ),
        "long text in small files": Bomb(
            copies(
                table_file(lambda: columns(many(20), id=repeated("x" * 1_000_000, many(20)))), 100
            ),
            ID,
        ),
        "long text as a feature": Bomb(
            one(".parquet", table_file(
                lambda: columns(many(1000), CulmenDepth=repeated("x" * 1_000_000, many(1000)))
            )),
            reason="not_a_number",
        ),
        "long text as a label": Bomb(
            one(".parquet", table_file(
                lambda: columns(many(3000), Species=repeated("x" * 1_000_000, many(3000)))
            )),
        ),
        "delta text": Bomb(
            one(".parquet", table_file(
                lambda: columns(many(1500), id=pa.array(["x" * 300_000] * many(1500))),
                use_dictionary=False,
                column_encoding={"id": "DELTA_BYTE_ARRAY"} | dict.fromkeys(NAMES, "PLAIN"),
            )),
            ID,
        ),
        "wide text passed through": Bomb(
            one(".parquet", table_file(
                lambda: columns(many(4000), id=pa.array(["x" * 200_000] * many(4000))),
                use_dictionary=False, data_page_size=1 << 20, write_batch_size=1,
            )),
            ID,
        ),
        "one page of plain text": Bomb(
            one(".parquet", table_file(
                lambda: columns(2000, id=pa.array(["x" * 200_000] * 2000)), use_dictionary=False
            )),
            ID, reason="unreadable_file",
        ),
        "a huge value wanted": Bomb(
            one(".parquet", table_file(lambda: columns(1, BodyMass=pa.array(["x" * 100_000_000])))),
            reason="unreadable_file",
        ),
        "a huge value passed through": Bomb(
            one(".parquet", table_file(lambda: columns(1, id=pa.array(["x" * 100_000_000])))),
            ID, reason="unreadable_file",
        ),
        "huge values nobody wants": Bomb(
            copies(
                table_file(
                    lambda: columns(2, note=pa.array(["x" * 100_000_000, "y"]), **bad)
                ),
                8,
            ),
            reason="missing_value",
        ),
        "wide columns nobody wants": Bomb(
            one(".parquet", table_file(
                lambda: columns(
                    2000, id=pa.array(["x" * 200_000] * 2000), deep=deep(2000),
                    CulmenLength=pa.array([44.0] * 1999 + [None]),
                )
            )),
            reason="missing_value",
        ),
        "lists nobody wants": Bomb(
            one(".parquet", table_file(
                lambda: columns(
                    2, note=pa.array([[0] * 30_000_000, []], pa.list_(pa.int8())), **bad
                )
            )),
            reason="missing_value",
        ),
        "lists as a feature": Bomb(
            one(".parquet", table_file(
                lambda: columns(
                    2, BodyMass=pa.array([[0] * 30_000_000, []], pa.list_(pa.int8()))
                )
            )),
            reason="unreadable_file",
        ),
        "100,000 columns": Bomb(
            one(".parquet", table_file(
                lambda: columns(
                    2, **{f"c{n}": pa.array([1, 2], pa.int8()) for n in range(100_000)}, **bad
                )
            )),
            reason="missing_value",
        ),
        "bad CSV rows": Bomb(
            one(".csv", csv_file(HEADER + b",note", GOOD[:-1] + b"x," + b"n" * 20_000 + b"\n",
                                 many(10_000))),
            reason="not_a_number",
        ),
        "many bad CSV rows": Bomb(
            one(".csv", csv_file(HEADER, b"44,17,200,x\n", many(600_000))), reason="not_a_number"
        ),
        "tiny CSV rows": Bomb(
            one(".csv", csv_file(HEADER, b"x\n", many(2_000_000))), reason="wrong_field_count"
        ),
        "CSV rows of commas": Bomb(
            one(".csv", csv_file(HEADER + b",c" * 10_000, b"NA" + b"," * 10_003 + b"\n",
                                 many(10_000))),
            reason="missing_value",
        ),
        "CSV rows that are no UTF-8": Bomb(
            one(".csv", csv_file(HEADER + b",id", GOOD + b",\xff\n", many(500_000))),
            ID, reason="bad_encoding",
        ),
        "a CSV header of commas": Bomb(
            one(".csv", lambda path: path.write_bytes(b"x" + b"," * 7_000_000 + b"\n1\n") * 0),
            reason="unreadable_file",
        ),
        "long CSV fields passed through": Bomb(
            one(".csv", csv_file(HEADER + b",id", GOOD + b"," + b"x" * 3_900_000 + b"\n",
                                 many(100))),
            ID,
        ),
        **{
            name: Bomb(
                one(f".csv{suffix}", csv_file(HEADER + b",id", GOOD + b"," + b"x" * 500_000 + b"\n",
                                              many(1000))),
                ID,
            )
            for suffix, name in COMPRESSED.items()
        },
        "rows of nothing": Bomb(
            one(".csv.gz", lambda path: 0 * csv_file(HEADER, b',," ",\r\n', many(4_000_000))(path))
        ),
    }  # fmt: skip


def rows_in(output: Path, dataset: str, run_id: str) -> int:
    """The number of rows in a run's data set, according to the footers."""
    shards = (output / dataset / f"run_id={run_id}").glob("*.parquet")
    return sum(pq.ParquetFile(shard).metadata.num_rows for shard in shards)


def check(name: str, bomb: Bomb, folder: Path) -> tuple[Ran, list[str]]:
    """Runs the job on a bomb, and returns how it ended and what was wrong with that."""
    night, output = folder / "night", folder / "out"
    night.mkdir(parents=True)
    rows = bomb.make(night)
    ran = run(
        "--input", night, "--output", output, "--run_id", "run", "--max_reject_fraction", 1,
        *bomb.flags,
    )  # fmt: skip
    ran = dataclasses.replace(ran, rows=rows)
    faults = []
    if (ran.code, ran.err) != (0, ""):
        faults.append(f"{name}: exit code {ran.code}: {ran.err[-500:]}")
        return ran, faults
    if ran.peak > LIMIT:
        faults.append(f"{name}: {ran.peak / 1e6:,.0f} MB")
    manifest = json.loads((output / "runs/run.json").read_text())
    totals, reasons = manifest["totals"], manifest["rejects_by_reason"]
    whole = rows_in(output, "predictions", "run") + rows_in(output, "rejects", "run")
    whole -= totals["files_unreadable"]
    if not totals["rows_read"] == whole == rows:
        faults.append(f"{name}: {rows} rows made, {totals}, {whole} written")
    if bomb.reason and set(reasons) != {bomb.reason}:
        faults.append(f"{name}: rejects {reasons}")
    return ran, faults


def main() -> None:
    """Prints how much memory each bomb takes."""
    import tempfile
    import time

    scale, wanted = float(sys.argv[1]), sys.argv[2:]
    for name, bomb in bombs(scale).items():
        if wanted and not any(each in name for each in wanted):
            continue
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            ran, faults = check(name, bomb, Path(folder))
            seconds = time.monotonic() - start
        print(
            f"{name:34} {ran.peak / 1e6:7,.0f} MB {seconds:5.0f} s {ran.code} {faults}", flush=True
        )


if __name__ == "__main__":
    main()
