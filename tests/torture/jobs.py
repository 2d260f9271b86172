"""Starting the job in a process group of its own, and checking what a reader finds afterwards."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks import generate
from tests.support.running import (
    ONE_WORKER,
    PROJECT,
    beside_progress,
    command,
    find_processes,
)
from tests.torture.cases import Case

MODES: tuple[list[str], ...] = ([], ONE_WORKER)
SECONDS = 180


def make_night(folder: Path, rows: int) -> Path:
    """A Parquet file and a CSV of half its rows, all plausible."""
    folder.mkdir(parents=True)
    generate.write(folder / "a.parquet", rows)
    generate.write(folder / "b.csv", rows // 2)
    return folder


@contextlib.contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The job in its own process group, which is gone afterwards whatever happens."""
    job = subprocess.Popen(
        command(*arguments), cwd=PROJECT, start_new_session=True, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield job
    finally:
        kill_group(job)


def kill_group(job: subprocess.Popen[str]) -> None:
    """Ends the job and its workers at once, as a machine that loses power would."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    for pipe in (job.stdout, job.stderr):
        if pipe is not None:
            pipe.close()


def members(job: subprocess.Popen[str], command: str = "") -> list[int]:
    """The living processes of a job's group, or those among them whose command holds a text."""
    return find_processes("-g", str(job.pid), "-f", command)


def finish(*arguments: object) -> tuple[int, str]:
    """Runs the job to its end: exit code and standard error."""
    with started(*arguments) as job:
        _, err = job.communicate(timeout=SECONDS)
        return job.returncode, beside_progress(err)


def wait_for(job: subprocess.Popen[str], output: Path, pattern: str) -> bool:
    """Waits until a path below the output root exists; false if the job ended before."""
    end = time.monotonic() + SECONDS
    while job.poll() is None and time.monotonic() < end:
        if next(output.glob(pattern), None) is not None:
            return True
        time.sleep(0.001)
    return False


def rows_of_runs(output: Path) -> dict[str, dict[str, list[int]]]:
    """The source rows that a reader sees, by run and file name; -1 for one with a wrong id."""
    found: dict[str, dict[str, list[int]]] = {}
    for shard in sorted((output / "predictions").rglob("*.parquet")):
        table = pq.ParquetFile(shard).read()
        run = found.setdefault(shard.parent.name.removeprefix("run_id="), {})
        files = np.array(table.column("source_file").to_pylist())
        rows = table.column("source_row").to_numpy()
        if "observation_id" in table.column_names:
            # `make_night` counts them as the job counts rows: another one's row is no row.
            ids = table.column("observation_id").to_pylist()
            rows = np.where(rows == np.array(ids, np.int64), rows, -1)
        for file in np.unique(files):
            run.setdefault(Path(str(file)).name, []).extend(rows[files == file].tolist())
    return found


def check_rows(case: Case, found: dict[str, list[int]], expected: dict[str, int]) -> None:
    """Compares the rows of one run, or of all, with those that there must be."""
    for name, count in expected.items():
        rows = found.get(name, [])
        case.rows += count
        case.lost += count - len(set(rows) & set(range(count)))
        case.doubled += len(rows) - len(set(rows))
    case.check(set(found) <= set(expected), f"rows of unknown files: {sorted(found)}")


def check_manifest(case: Case, output: Path, run_id: str, rows: int) -> None:
    """The manifest tells all rows, each scored or rejected."""
    totals = json.loads((output / f"runs/{run_id}.json").read_text())["totals"]
    read, scored, rejected = (totals[f"rows_{name}"] for name in ("read", "scored", "rejected"))
    case.check(read == scored + rejected == rows, f"the manifest does not add up: {totals}")


def check_nothing_left(case: Case, output: Path) -> None:
    """No staging of any run."""
    left = [str(path) for path in output.glob("_staging*")]
    case.check(not left, f"left over: {left}")


def check_line(case: Case, err: str) -> None:
    """An error is one line of ours."""
    err = beside_progress(err)
    good = err.startswith("penguin-score: ") and err.count("\n") == 1 and "Traceback" not in err
    case.check(good, f"not one clear line: {err[-500:]!r}")
