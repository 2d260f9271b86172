"""Two TaskManagers against one on the cluster of `deploy/flink`: `-m benchmarks.flink_scaling`.

The seconds are Flink's own for the job; those of a few rows are taken off, in turns, the best of
several rounds. Prints how the rows and the model loads were shared out, too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import generate
from deploy.flink import parts
from deploy.flink.cluster import Cluster

FILES = 32
SMALL_ROWS = 3_200


class Ran(NamedTuple):
    """One job: Flink's seconds, the bytes that each subtask read, the summary's line of batches."""

    seconds: float
    shares: list[int]
    batches: str


def run(cluster: Cluster, folder: Path, inputs: Path, parallelism: int) -> Ran:
    """Scores a folder on the cluster."""
    flags = [flag for flag in cluster.flags() if not flag.startswith("--parallelism")]
    command = [
        sys.executable, "-m", "pipelines.score", *flags, f"--parallelism={parallelism}",
        "--input", str(inputs), "--output", str(folder / "out"), "--run_id", "bench", "--replace",
    ]  # fmt: skip
    ran = subprocess.run(command, cwd=parts.PROJECT, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    jobs = cluster.ask("/jobs/overview")["jobs"]
    job = max(jobs, key=lambda found: found["start-time"])
    (batches,) = (line for line in ran.stdout.splitlines() if line.startswith("batches"))
    return Ran(job["duration"] / 1000, list(shares(cluster, job["jid"])), batches)


def shares(cluster: Cluster, job: str) -> Iterator[int]:
    """How many spans each subtask of the scoring step was given."""
    for vertex in cluster.ask(f"/jobs/{job}")["vertices"]:
        if "Read and validate" in vertex["name"]:
            found: dict[str, Any] = cluster.ask(f"/jobs/{job}/vertices/{vertex['id']}")
            for subtask in found["subtasks"]:
                yield subtask["metrics"]["read-records"]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=96_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    parts.fetch()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large, small = folder / "large", folder / "small"
        for inputs, rows in ((large, arguments.rows), (small, SMALL_ROWS)):
            inputs.mkdir()
            generate.write(inputs / "0.parquet", rows // FILES)
            for number in range(1, FILES):
                (inputs / f"{number}.parquet").hardlink_to(inputs / "0.parquet")
        cluster = Cluster(folder=folder / "cluster")
        cluster.start()
        os.environ |= cluster.environment()
        try:
            # The first job of each TaskManager loads classes and libraries into the disk's cache.
            run(cluster, folder, small, 2)
            best: dict[tuple[int, Path], Ran] = {}
            for _ in range(arguments.repeats):
                for parallelism in (1, 2):
                    for inputs in (small, large):
                        ran = run(cluster, folder, inputs, parallelism)
                        key = (parallelism, inputs)
                        best[key] = min(best.get(key, ran), ran)
        finally:
            cluster.stop()
    rates = {}
    for parallelism in (1, 2):
        much, little = best[parallelism, large], best[parallelism, small]
        rates[parallelism] = (arguments.rows - SMALL_ROWS) / (much.seconds - little.seconds)
        print(
            f"parallelism {parallelism}: {rates[parallelism] / 1e6:.2f} M rows/s, "
            f"{little.seconds:.1f} s for a few rows, {much.seconds:.1f} s for all; "
            f"spans by subtask {much.shares}; {much.batches}"
        )
    print(f"two against one: {rates[2] / rates[1]:.2f}")


if __name__ == "__main__":
    main()
