"""What the live bar costs: the job on a terminal with and without it, in turns.

`python -m benchmarks.progress_cost`. First the parts: the CPU time of what a worker and the
submitter do twice a second. Then the whole: both runs on a pseudo-terminal; printed are the medians
of the ratios of each round, of seconds and of CPU seconds, with their quartiles.
"""

import argparse
import os
import pty
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import generate, report
from benchmarks.meter import Cost, measure
from pipelines.progress import display, reporter
from pipelines.progress.rate import RateEstimator
from pipelines.progress.reporter import ProgressReporter

LIMIT_SECONDS = 600
FILES = 8
# Runs its arguments on a terminal of its own.
ON_TERMINAL = (
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], "
    "lambda descriptor: os.read(descriptor, 65536))))"
)


def score(folder: Path, form: str, flag: str) -> Cost:
    """Runs the job on all files of a format."""
    command = [
        sys.executable, "-c", ON_TERMINAL, sys.executable, "-m", "pipelines.score", "--input",
        str(folder / f"*.{form}"), "--output", str(folder / "out"), "--run_id", "cost", "--replace",
        flag,
    ]  # fmt: skip
    return measure(command, folder / "log", LIMIT_SECONDS)


def describe(ratios: Sequence[float]) -> str:
    """The median and the quartiles."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def compare(folder: Path, form: str, rows: int, repeats: int) -> None:
    """Measures one format."""
    for number in range(FILES):
        generate.write(folder / f"{number}.{form}", rows // FILES)
    seconds, cpu = [], []
    for repeat in range(repeats):
        flags = ["--progress", "--no-progress"]
        # What runs first in a round may have it harder.
        order = flags if repeat % 2 else flags[::-1]
        costs = {flag: score(folder, form, flag) for flag in order}
        with_bar, without = (costs[flag] for flag in flags)
        seconds.append(with_bar.seconds / without.seconds)
        cpu.append(with_bar.cpu / without.cpu)
    print(
        f"{form}, {rows:,} rows: with the bar {describe(seconds)} times the seconds, "
        f"{describe(cpu)} times the CPU seconds",
        flush=True,
    )


def measure_parts(folder: Path, times: int = 1000) -> None:
    """What one write of a worker costs, and one frame of the bar with two workers."""
    tellers = [ProgressReporter(str(folder)) for _ in range(2)]
    started = time.thread_time()
    for row in range(times):
        for teller in tellers:
            teller.add(rows=row + 1)
            teller.tell()
    write = (time.thread_time() - started) / times / len(tellers)
    ours, theirs = pty.openpty()
    threading.Thread(target=_swallow, args=(ours,), daemon=True).start()
    bar, pace = display.Bar(theirs), RateEstimator()
    started = time.thread_time()
    for moment in range(times):
        bar.show(pace.see(reporter.read(str(folder))._replace(files=1, bytes=10**9), moment))
    frame = (time.thread_time() - started) / times
    print(
        f"a write takes {write * 1e6:.0f} us, a frame {frame * 1e6:.0f} us: twice a second "
        f"{write * 200:.2f} % of a worker and {frame * 200:.2f} % of a core",
        flush=True,
    )


def _swallow(descriptor: int) -> None:
    while True:
        os.read(descriptor, 65536)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=32_000_000)
    parser.add_argument("--repeats", type=int, default=12)
    arguments = parser.parse_args()
    print(report.machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        measure_parts(Path(name))
    for form in ("parquet", "csv"):
        with tempfile.TemporaryDirectory() as name:
            compare(Path(name), form, arguments.rows, arguments.repeats)


if __name__ == "__main__":
    main()
