"""What it costs that a published run survives a power cut.

`python -m benchmarks.sync` publishes runs that are staged already, with and without syncing, and
prints the median seconds of several rounds. ``--folder`` names the disk to measure.
"""

import argparse
import os
import statistics
import tempfile
import time
import uuid
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.empty_run import empty_manifest
from pipelines import publishing
from pipelines.publishing import Decision, PlacedShard, disk
from pipelines.publishing.commit import describe
from pipelines.runs import layout
from pipelines.runs.layout import Layout

SCENES = {"20 shards of 64 MB": (20, 64 << 20), "3 shards of 50 KB": (3, 50 << 10)}


def stage(paths: Layout, count: int, size: int) -> Decision:
    """Stages shards of random numbers, which the system has yet to write to the disk."""
    values = np.random.default_rng(0).random(size // 8)
    table = pa.table({"x": values}).replace_schema_metadata(
        {"run_id": paths.run_id, "attempt": paths.attempt}
    )
    placed = []
    for number, name in enumerate(layout.numbered_names(count)):
        path = os.path.join(paths.staged(layout.PREDICTIONS), f"{number}.parquet")
        with pq.ParquetWriter(path, table.schema, use_dictionary=False) as writer:
            writer.add_key_value_metadata({"run_id": paths.run_id, "attempt": paths.attempt})
            writer.write_table(table)
        placed.append(PlacedShard(path, name, len(values), os.path.getsize(path)))
    shards = {layout.PREDICTIONS: placed, layout.REJECTS: (), layout.FILES: ()}
    return Decision(manifest=empty_manifest(paths, shards=describe(shards)), shards=shards)


def publish(folder: str, count: int, size: int, *, synced: bool) -> float:
    """Seconds from the decision to the published run."""
    unsynced = mock.patch.object(disk, "_sync", return_value=None)
    with tempfile.TemporaryDirectory(dir=folder) as output:
        paths = Layout(output=output, run_id="r", attempt=uuid.uuid4().hex)
        commit = publishing.of(paths)
        with commit.attempt():
            made = stage(paths, count, size)
            start = time.perf_counter()
            with nullcontext() if synced else unsynced:
                decision = commit.decide(lambda: made)
                commit.make_visible(decision, replace=False, check=_nothing)
            seconds = time.perf_counter() - start
        assert Path(paths.manifest).exists()
    # What was not synced must not burden the next round.
    os.sync()
    return seconds


def _nothing(_: object) -> None:
    pass


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="on the disk to measure (default: the temporary folder)")
    options = parser.parse_args()
    print("| published | not synced, s | synced, s |\n| --- | ---: | ---: |")
    for name, (count, size) in SCENES.items():
        rounds = [
            [publish(options.folder, count, size, synced=synced) for synced in (False, True)]
            for _ in range(options.rounds)
        ]
        plain, synced = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"| {name} | {plain:.4f} | {synced:.4f} |", flush=True)


if __name__ == "__main__":
    main()
