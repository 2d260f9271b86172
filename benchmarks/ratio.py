"""Our rate against the bare loop's, and our start-up against the imports', side by side in one run.

`python -m benchmarks.ratio` (or `make bench`). Every figure is of whole processes: the seconds of a
large file less the seconds of a small one, in turns, the best of several rounds. These are ratios;
the seconds depend on the machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import generate

SMALL_ROWS = 100
TWO = ("--direct_num_workers=2", "--direct_running_mode=multi_threading")


class Cost(NamedTuple):
    """What a process took: wall seconds, CPU seconds of user and system, peak memory in MiB."""

    seconds: float
    cpu: float
    memory: float


def measure(command: Sequence[str]) -> Cost:
    """Runs a command to its end and asks the kernel what it took, its children with it."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # Importing the libraries alone is noisy; errors are told by the exit code.
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {' '.join(command)}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def best(costs: Sequence[Cost]) -> Cost:
    """The least of the times, since whatever else a machine does only adds; the most memory."""
    return Cost(
        min(cost.seconds for cost in costs),
        min(cost.cpu for cost in costs),
        max(cost.memory for cost in costs),
    )


def contenders(folder: Path) -> dict[str, Callable[[Path], list[str]]]:
    """The commands that score one file, by name."""
    python = sys.executable

    def bare(path: Path) -> list[str]:
        return [python, "-m", "benchmarks.bare_loop", str(path), str(folder / "bare.parquet")]

    def ours(*flags: str) -> Callable[[Path], list[str]]:
        return lambda path: [
            python, "-m", "pipelines.score", "--input", str(path), "--output", str(folder / "out"),
            "--run_id", "bench", "--replace", *flags,
        ]  # fmt: skip

    return {"bare loop": bare, "one worker": ours(), "two workers": ours(*TWO)}


def rates(folder: Path, suffix: str, rows: int, repeats: int) -> dict[str, dict[str, float]]:
    """Rows a second of each contender with start-up subtracted, and its memory."""
    large, small = folder / f"large{suffix}", folder / f"small{suffix}"
    generate.write(large, rows)
    generate.write(small, SMALL_ROWS)
    commands = contenders(folder)
    costs: dict[tuple[str, Path], list[Cost]] = {}
    for _ in range(repeats):
        for name, command in commands.items():
            for path in (large, small):
                costs.setdefault((name, path), []).append(measure(command(path)))
    found = {}
    for name in commands:
        much, little = best(costs[name, large]), best(costs[name, small])
        found[name] = {
            "rate": (rows - SMALL_ROWS) / (much.seconds - little.seconds),
            "cpu": much.cpu - little.cpu,
            "memory": much.memory,
        }
    return found


def start_up(folder: Path, repeats: int) -> float:
    """Scoring the samples against importing Beam and TensorFlow, in seconds per second."""
    ours = contenders(folder)["one worker"](Path("data/observations/*"))
    imports = [sys.executable, "-c", "import apache_beam, tensorflow"]
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    pairs = [(measure(ours), measure(imports)) for _ in range(repeats)]
    job, alone = (best(costs).seconds for costs in zip(*pairs, strict=True))
    return job / alone


def machine() -> str:
    """What ran this, as far as Linux tells."""
    try:
        info = Path("/proc/cpuinfo").read_text()
        model = next(line for line in info.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor()
    name = model.partition(":")[2].strip()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    arguments = parser.parse_args()
    print(f"{machine()}; {arguments.rows:,} rows, {arguments.repeats} rounds", flush=True)
    report: dict[str, object] = {"machine": machine(), "rows": arguments.rows}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{'':10} {'':12} {'M rows/s':>9} {'ratio':>6} {'CPU s':>6} {'peak MiB':>9}")
        for suffix in (".parquet", ".csv"):
            found = rates(folder, suffix, arguments.rows, arguments.repeats)
            report[suffix] = found
            for contender, figures in found.items():
                ratio = figures["rate"] / found["bare loop"]["rate"]
                print(
                    f"{suffix[1:]:10} {contender:12} {figures['rate'] / 1e6:9.2f} {ratio:6.2f} "
                    f"{figures['cpu']:6.1f} {figures['memory']:9.0f}",
                    flush=True,
                )
        report["start_up"] = start_up(folder, arguments.repeats)
        print(f"samples, whole job / import apache_beam, tensorflow: {report['start_up']:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
