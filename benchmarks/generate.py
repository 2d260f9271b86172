"""Makes observation files of any size: plausible, seeded, written in bounded memory."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

BATCH_ROWS = 1 << 19
# Mean, spread and digits of each column; the spread is small enough to stay plausible.
COLUMNS = {
    "CulmenLength": (44.0, 4.0, 1),
    "CulmenDepth": (17.0, 1.5, 1),
    "FlipperLength": (200.0, 9.0, 0),
    "BodyMass": (4200.0, 500.0, 0),
}


def batch(first: int, rows: int) -> pa.RecordBatch:
    """Some rows of the endless made-up table, from a seed of their place."""
    random = np.random.default_rng(first)
    columns: dict[str, np.ndarray[Any, Any]] = {"observation_id": np.arange(first, first + rows)}
    for name, (mean, spread, digits) in COLUMNS.items():
        values = random.normal(mean, spread, rows)
        columns[name] = np.clip(values, mean - 4 * spread, mean + 4 * spread).round(digits)
    return pa.RecordBatch.from_pydict(columns)


def write(path: Path, rows: int) -> None:
    """Writes a file of the format that its name tells."""
    schema = batch(0, 1).schema
    make = pq.ParquetWriter if path.suffix == ".parquet" else pa_csv.CSVWriter
    with make(path, schema) as writer:
        for first in range(0, rows, BATCH_ROWS):
            writer.write_batch(batch(first, min(BATCH_ROWS, rows - first)))


def main() -> None:
    """Writes one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help=".parquet or .csv")
    parser.add_argument("--rows", type=int, default=4_000_000)
    arguments = parser.parse_args()
    write(arguments.path, arguments.rows)


if __name__ == "__main__":
    main()
