"""The whole torture: `python -m tests.torture`, or `make torture`.

Prints a table; ends with 1 if a row was lost or doubled or anything else broke the contract.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.torture import faults, fuzz, kills
from tests.torture.cases import HEADER, Case


def main() -> int:
    """Runs all cases; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=28, help="kill -9 in all")
    parser.add_argument("--fuzz", type=int, default=12_000, help="mutated files in all")
    parser.add_argument("--rows", type=int, default=1_500_000, help="rows of the larger file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    kill, seed, rows = options.kills, options.seed, options.rows

    cases: list[Callable[[Path], Case]] = [
        lambda folder: kills.kill_and_repeat(folder, kill - 2 * (kill // 4), rows, seed),
        lambda folder: kills.kill_and_next_night(folder, kill // 4, rows, seed),
        lambda folder: kills.kill_and_replace(folder, kill // 4, rows, seed),
        lambda folder: faults.together(folder, rows // 10),
        lambda folder: faults.signals(folder, max(2, kill // 3), rows, seed),
        lambda folder: faults.full_disk(folder, 200_000),
        lambda folder: faults.file_size_limit(folder, 200_000),
        lambda folder: faults.unreadable_inputs(folder),
        lambda _: fuzz.fuzz("csv", options.fuzz // 2, seed),
        lambda _: fuzz.fuzz("parquet", options.fuzz - options.fuzz // 2, seed),
    ]
    start = time.monotonic()
    print(HEADER, flush=True)
    failed = False
    for run in cases:
        with tempfile.TemporaryDirectory() as folder:
            case = run(Path(folder))
        print(case.line(), flush=True)
        for fault in case.faults[:20]:
            print(f"  FAULT {fault}", file=sys.stderr, flush=True)
        failed |= case.failed
    print(f"\n{time.monotonic() - start:.0f} s", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
