"""Helpers to run the job, in this process or as a user does, and to read its output."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import job, score
from pipelines.reading.settings import Sizes
from pipelines.runs.manifest import to_json

PROJECT = Path(__file__).parents[2]
_PROGRESS = re.compile(r"^penguin-score: (planning|scoring|publishing|done)\b.*\n", re.M)
PLAIN = ["--run_id", "test"]
ONE_WORKER = ["--direct_num_workers=1"]
TWO_WORKERS = ["--direct_num_workers=2"]
SMALL_PIECES = Sizes(
    small_file_bytes=0,
    span_bytes=1000,
    range_bytes=1000,
    block_bytes=1000,
    batch_rows=70,
    row_group_rows=90,
    shard_bytes=4000,
)


def run_here(output: Path, *arguments: object) -> int:
    """Runs the job in this process; the model is loaded once for all tests."""
    return score.main(["--output", str(output), *map(str, arguments)])


def run_small_pieces(output: Path, *arguments: object) -> Any:
    """Runs the job with many small spans, blocks, row groups and shards; returns its manifest."""
    return run_sized(SMALL_PIECES, output, *arguments)


def run_sized(sizes: Sizes, output: Path, *arguments: object) -> Any:
    """Runs the job in pieces of other sizes; returns its manifest as JSON values."""
    found, _ = job.execute(prepare_sized(sizes, output, *arguments))
    return json.loads(json.dumps(to_json(found)))


def prepare_sized(sizes: Sizes, output: Path, *arguments: object) -> job.Plan:
    """The job in pieces of other sizes."""
    flags = ["--output", str(output), *map(str, arguments)]
    prepared = job.prepare(job.parse_arguments("test", flags), flags)
    transform = dataclasses.replace(prepared.transform, sizes=sizes)
    return dataclasses.replace(prepared, transform=transform)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipelines.score", *map(str, arguments)]


def run_command(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs the job as a user does; returns its standard error without progress output."""
    ran = subprocess.run(
        command(*arguments), cwd=PROJECT, capture_output=True, text=True, timeout=timeout,
        stdin=subprocess.DEVNULL, env=os.environ,
    )  # fmt: skip
    ran.stderr = beside_progress(ran.stderr)
    return ran


def beside_progress(err: str) -> str:
    """Standard error without progress, which a slow machine shows even for a small job."""
    return _PROGRESS.sub("", err)


def find_processes(*asked: str) -> list[int]:
    """The ids of the processes that `pgrep` finds."""
    found = subprocess.run(["pgrep", *asked], capture_output=True, text=True)
    return [int(each) for each in found.stdout.split()]


def listing(output: Path) -> list[str]:
    """Everything below the output root, including folders, but for the records of failed runs.

    These must be whole.
    """
    for record in output.glob("_failed/*"):
        assert json.loads(record.read_text())["run_id"] == record.name.removesuffix(".json")
    paths = (path for path in output.rglob("*") if path.relative_to(output).parts[0] != "_failed")
    return sorted(str(path.relative_to(output)) + ("/" if path.is_dir() else "") for path in paths)


def published(output: Path, dataset: str, run_id: str = "test") -> pa.Table:
    """A data set of a run, in input order."""
    shards = sorted((output / dataset / f"run_id={run_id}").glob("*.parquet"))
    table = pa.concat_tables([pq.ParquetFile(shard).read() for shard in shards])
    if "source_row" in table.column_names:
        return table.sort_by([("source_file", "ascending"), ("source_row", "ascending")])
    return table.sort_by("source_file")


def manifest(output: Path, run_id: str = "test") -> Any:
    return json.loads((output / "runs" / f"{run_id}.json").read_text())


def totals(**known: int) -> dict[str, int]:
    """The totals of a manifest, with zero for missing ones."""
    names = (
        "files", "files_unreadable", "files_skipped", "files_waiting", "files_unsettled",
        "files_ignored", "not_files", "rows_read", "rows_scored", "rows_rejected",
    )  # fmt: skip
    return {**dict.fromkeys(names, 0), **known}
