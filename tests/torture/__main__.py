"""The whole torture: `python -m tests.torture`, or `make torture`.

Prints a table; ends with 1 if a row was lost or doubled or anything else broke the contract.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.torture import bombs, faults, fuzz, kills, nights, power, readers, reviews, rights, units
from tests.torture.cases import HEADER, Case


def main() -> int:
    """Runs all cases; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=28, help="kill -9 in all")
    parser.add_argument("--fuzz", type=int, default=12_000, help="mutated files in all")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the larger file")
    parser.add_argument("--bombs", type=float, default=1, help="scale of the memory bombs")
    parser.add_argument("--elements", type=int, default=3, help="lost at each edge between steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the table as JSON as well")
    options = parser.parse_args()
    kill, seed, rows = options.kills, options.seed, options.rows

    cases: list[Callable[[Path], Case]] = [
        lambda folder: kills.kill_and_repeat(folder, kill - 2 * (kill // 4), rows, seed),
        lambda folder: kills.kill_and_next_night(folder, kill // 4, rows, seed),
        lambda folder: kills.kill_and_replace(folder, kill // 4, rows, seed),
        lambda folder: reviews.killed_reviews(folder, 15 * kill, seed),
        lambda folder: reviews.reviews_beside_nights(folder, 2 * kill, seed),
        lambda folder: power.power_cuts(folder, 1, rows // 10, 4),
        lambda folder: readers.read_while_jobs_replace(folder, 3, rows // 5),
        lambda folder: readers.read_while_exchanged(folder, 500),
        lambda folder: units.lost_and_doubled(folder, options.elements),
        lambda folder: faults.together(folder, rows // 10),
        lambda folder: faults.signals(folder, max(2, kill // 3), rows, seed),
        lambda folder: faults.full_disk(folder, 200_000),
        lambda folder: faults.file_size_limit(folder, 200_000),
        faults.unreadable_inputs,
        rights.permissions,
        lambda folder: nights.mutated_nights(folder, 2, min(200, options.fuzz // 10), seed),
        lambda folder: bombs.memory_bombs(folder, options.bombs),
        lambda _: fuzz.fuzz("csv", options.fuzz // 3, seed),
        lambda _: fuzz.fuzz("gzip", options.fuzz // 6, seed),
        lambda _: fuzz.fuzz("parquet", options.fuzz // 2, seed),
    ]
    start = time.monotonic()
    print(HEADER, flush=True)
    ended: list[Case] = []
    for run in cases:
        with tempfile.TemporaryDirectory() as folder:
            case = run(Path(folder))
        print(case.line(), flush=True)
        for fault in case.faults[:20]:
            print(f"  FAULT {fault}", file=sys.stderr, flush=True)
        ended.append(case)
    print(f"\n{time.monotonic() - start:.0f} s", flush=True)
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(case) for case in ended], indent=2))
    return int(any(case.failed for case in ended))


if __name__ == "__main__":
    sys.exit(main())
