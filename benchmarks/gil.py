"""How much of a worker's time holds Python's lock: `python -m benchmarks.gil`.

py-spy samples a job with one worker twice: all that its worker does, and what it does while it
holds the lock (the GIL). Only one thread of a process holds it at a time, so the inverse of that
share is how many cores one process can use.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import environments, generate

SAMPLES_A_SECOND = 250
# The frame in which Beam's worker processes elements; start-up is outside of it.
AT_WORK = "process_bundle (apache_beam/runners/worker/bundle_processor.py"


def sample(spy: str, source: Path, *, holding: bool) -> tuple[int, dict[str, int]]:
    """Counts samples of a job at work.

    Args:
      spy: py-spy's command.
      source: the input.
      holding: whether only samples count that hold the lock.

    Returns:
      Their number, and how many of them are in which of our modules.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "samples")
        command = [spy, "record", "--format", "raw", "--rate", str(SAMPLES_A_SECOND)]
        command += ["--output", str(found), *(["--gil"] if holding else []), "--"]
        command += [sys.executable, "-m", "pipelines.score", "--input", str(source)]
        command += ["--output", f"{folder}/out", "--no-progress", "--direct_num_workers=1"]
        subprocess.run(command, capture_output=True, check=True)
        total = 0
        modules: dict[str, int] = {}
        for line in found.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            if AT_WORK not in stack:
                continue
            total += int(count)
            ours = [frame for frame in stack.split(";") if "(pipelines/" in frame]
            last = ours[-1].partition("(pipelines/")[2].partition(":")[0] if ours else "Beam"
            modules[last] = modules.get(last, 0) + int(count)
    return total, modules


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=40_000_000)
    given = parser.parse_args()
    spy = str(Path(environments.python_of("profile")).with_name("py-spy"))
    print("| input | share that holds the lock | cores that a process can use | most of it in |")
    print("| --- | ---: | ---: | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("parquet", "csv"):
            source = Path(folder, f"rows.{suffix}")
            generate.write(source, given.rows)
            at_work, _ = sample(spy, source, holding=False)
            held, modules = sample(spy, source, holding=True)
            share = held / at_work
            most = sorted(modules, key=modules.__getitem__, reverse=True)[:3]
            listed = ", ".join(f"{name} {modules[name] / held:.0%}" for name in most)
            print(f"| {suffix} | {share:.1%} | {1 / share:.0f} | {listed} |", flush=True)


if __name__ == "__main__":
    main()
