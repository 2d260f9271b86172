"""How long a small night takes with each engine, beside what no night can do without: imports.

The sample night, scored by `python -m pipelines.score` as a user starts it, and a Python that only
imports Beam, ONNX Runtime and pyarrow take turns, so that a busy machine slows all alike.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from penguin_model.engines import ENGINES

_IMPORTS = "import apache_beam, onnxruntime, pyarrow"


class Took(NamedTuple):
    """Seconds of one process and its children."""

    wall: float
    cpu: float


def run(*arguments: str) -> Took:
    """Runs a Python with a compiled library, as installed ones are."""
    given = {name: os.environ[name] for name in os.environ if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=given, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def score(engine: str) -> Took:
    """Scores the samples into a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ("--input", "data/observations/*", "--output", folder, "--engine", engine)
        return run("-m", "pipelines.score", *flags)


def measure(rounds: int) -> dict[str, list[Took]]:
    """The times of each contender, after a first round that fills the caches."""
    contenders: dict[str, Callable[[], Took]] = {
        _IMPORTS: lambda: run("-c", _IMPORTS),
        **{f"a night, {name}": lambda name=name: score(name) for name in ENGINES},  # type: ignore[misc]
    }
    found: dict[str, list[Took]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, contender in contenders.items():
            took = contender()
            if number:
                found[name].append(took)
    return found


def table(found: dict[str, list[Took]]) -> list[str]:
    """Medians in seconds, and their ratio to that of the imports."""
    lines = ["| | wall s | ratio | CPU s | ratio |", "| --- | ---: | ---: | ---: | ---: |"]
    base = _median(found[_IMPORTS])
    for name, each in found.items():
        took = _median(each)
        lines.append(
            f"| {name} | {took.wall:.2f} | {took.wall / base.wall:.2f} | {took.cpu:.2f} | "
            f"{took.cpu / base.cpu:.2f} |"
        )
    return lines


def _median(found: Sequence[Took]) -> Took:
    return Took(*(statistics.median(column) for column in zip(*found, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_up", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    print("\n".join(table(measure(parser.parse_args().rounds))))


if __name__ == "__main__":
    main()
