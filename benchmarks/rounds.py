"""Measures contenders in turns, several rounds of a large and a small file, with one format.

A rate is the rows that the large file has more than the small one, by the seconds that it takes
longer; start-up is what is left of the small one's.
"""

import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from benchmarks import environments, generate, report
from benchmarks.contenders import CONTENDERS
from benchmarks.meter import CommandError, Cost
from benchmarks.verify import WrongError, check_rows, run, verify

FORMATS = ("parquet", "csv")
# Seconds that one command may take.
LIMIT = 900.0
# The small file is large enough for all workers to have something to do.
SMALLER = 8
# Of the seconds between the two files, less than this tells no rate.
FLOOR = 0.02
# A large CSV, a small one and an output, and as much again to be safe.
BYTES_A_ROW = 100


def tell(line: str) -> None:
    """Progress, beside the table."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def workspace(rows: int) -> Iterator[Path]:
    """A folder that is gone afterwards, also after SIGTERM.

    Args:
      rows: of the largest file; refuses a disk that hasn't room for it.
    """

    def stop(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    with TemporaryDirectory() as name:
        free = shutil.disk_usage(name).free
        if free < rows * BYTES_A_ROW:
            raise SystemExit(
                f"{rows:,} rows need {rows * BYTES_A_ROW >> 20:,} MiB in {Path(name).parent}, but "
                f"{free >> 20:,} are free: give fewer --rows, or set TMPDIR to another disk"
            )
        yield Path(name)


def choose(names: Sequence[str]) -> list[str]:
    """Makes the environments that are needed; leaves out what cannot run here."""
    if "spark" in names and shutil.which("java") is None:
        tell("spark is left out because the command java is missing; install Java 17 or 21")
        names = [name for name in names if name != "spark"]
    for name in names:
        environments.python_of(CONTENDERS[name].environment)
    return list(names)


def compare(
    form: str, names: Sequence[str], rows: int, repeats: int, folder: Path
) -> tuple[dict[str, report.Figures], dict[str, str]]:
    """The figures of all contenders with one format, and what went wrong with others."""
    tell(f"{form}: comparing answers")
    faults = verify(names, f".{form}", folder, LIMIT)
    sizes = {}
    for name in names:
        large = min(rows, CONTENDERS[name].most_rows)
        sizes[name] = (large, large // SMALLER)
    paths = {size: folder / f"{size}.{form}" for pair in sizes.values() for size in pair}
    for size, path in paths.items():
        generate.write(path, size)
    costs: dict[tuple[str, int], list[Cost]] = {}
    for number in range(repeats):
        for name in names:
            for size in sizes[name]:
                if name in faults:
                    continue
                try:
                    cost = run(CONTENDERS[name], paths[size], folder, LIMIT)
                    check_rows(CONTENDERS[name], folder, size)
                except (CommandError, WrongError) as error:
                    faults[name] = str(error)
                    continue
                costs.setdefault((name, size), []).append(cost)
                tell(f"{form} {number + 1}/{repeats} {name}, {size:,} rows: {cost.seconds:.2f} s")
    found = {
        name: report.figures(pair, costs[name, pair[0]], costs[name, pair[1]], FLOOR)
        for name, pair in sizes.items()
        if name not in faults
    }
    for path in paths.values():
        path.unlink()
    report.set_ratios(found)
    return found, faults
