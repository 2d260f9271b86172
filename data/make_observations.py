"""Writes observations/: sample files to score, one per island and study year.

The same birds as in penguins.csv without their species, as different loggers might drop them:
other column orders and types, CSV (plain, gzip, quoted ids, CRLF) and Parquet. The two birds
without measurements stay in, as the honest blanks that a scoring run must reject.

Needs palmerpenguins (for island and year), pyarrow and penguins.csv.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import gzip
import hashlib
import io
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
MEASURED = ("CulmenLength", "CulmenDepth", "FlipperLength", "BodyMass")
IDENTITY = ("observation_id", "island", "year")
USUAL = IDENTITY + MEASURED
MASS_FIRST = ("observation_id", "BodyMass", "FlipperLength", "CulmenDepth", "CulmenLength")
ID_LAST = (*MEASURED, "island", "year", "observation_id")

WIDE = {name: pa.float64() for name in MEASURED}
NARROW = {
    "CulmenLength": pa.float32(), "CulmenDepth": pa.float32(),
    "FlipperLength": pa.int16(), "BodyMass": pa.int32(),
}  # fmt: skip
WHOLE = {
    "CulmenLength": pa.float64(), "CulmenDepth": pa.float64(),
    "FlipperLength": pa.int64(), "BodyMass": pa.int64(),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """How one file is written; ``types`` is for Parquet, the quoting and line ends for CSV."""

    suffix: str
    columns: tuple[str, ...] = USUAL
    types: dict[str, pa.DataType] | None = None
    quote_ids: bool = False
    line_end: str = "\n"


LAYOUTS = {
    "biscoe-2007": Layout(suffix=".csv"),
    "biscoe-2008": Layout(suffix=".parquet", types=WIDE),
    "biscoe-2009": Layout(suffix=".csv.gz", columns=MASS_FIRST),
    "dream-2007": Layout(suffix=".csv", columns=ID_LAST, quote_ids=True),
    "dream-2008": Layout(suffix=".parquet", columns=ID_LAST, types=NARROW),
    "dream-2009": Layout(suffix=".csv", columns=MASS_FIRST),
    "torgersen-2007": Layout(suffix=".csv"),
    "torgersen-2008": Layout(suffix=".parquet", columns=MASS_FIRST, types=WHOLE),
    "torgersen-2009": Layout(suffix=".csv", line_end="\r\n"),
}

Rows = list[dict[str, str]]


def rows_by_file() -> dict[str, Rows]:
    """Every bird as text fields, grouped by island and year, in the table's order."""
    from palmerpenguins import load_penguins

    with open(HERE / "penguins.csv", encoding="utf-8", newline="") as file:
        measured = list(csv.DictReader(file))
    table = load_penguins()
    files: dict[str, Rows] = defaultdict(list)
    places = zip(table["island"], table["year"], measured, strict=True)
    for island, year, fields in places:
        name = f"{island.lower()}-{year}"
        identity = f"{name}-{len(files[name]) + 1:03d}"
        row = {"observation_id": identity, "island": str(island), "year": str(year)}
        files[name].append(row | {column: fields[column] for column in MEASURED})
    return files


def to_csv(rows: Rows, layout: Layout) -> bytes:
    """The rows as CSV, gzipped where the suffix says so; no time stamp in either."""
    lines = [",".join(layout.columns)]
    for row in rows:
        quoted = {"observation_id": f'"{row["observation_id"]}"'} if layout.quote_ids else {}
        lines.append(",".join((row | quoted)[column] for column in layout.columns))
    data = "".join(line + layout.line_end for line in lines).encode()
    return gzip.compress(data, mtime=0) if layout.suffix.endswith(".gz") else data


def to_parquet(rows: Rows, layout: Layout) -> bytes:
    """The rows as Parquet in the layout's types; the same pyarrow writes the same bytes."""
    types = {"observation_id": pa.string(), "island": pa.string(), "year": pa.int16()}
    types |= layout.types or WIDE
    columns = {}
    for name in layout.columns:
        texts = pa.array([row[name] or None for row in rows], pa.string())
        # Through float64, as a logger would hold it: text does not cast to every width.
        is_number = name in MEASURED
        columns[name] = (texts.cast(pa.float64()) if is_number else texts).cast(types[name])
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="snappy")
    return out.getvalue()


def main(argv: list[str] | None = None) -> int:
    """Writes the files and prints each one's rows and SHA-256."""
    parser = argparse.ArgumentParser(description="Writes data/observations/.")
    parser.add_argument("--output", type=Path, default=HERE / "observations")
    output: Path = parser.parse_args(argv).output
    output.mkdir(parents=True, exist_ok=True)
    for name, rows in sorted(rows_by_file().items()):
        layout = LAYOUTS[name]
        write = to_parquet if layout.suffix == ".parquet" else to_csv
        data = write(rows, layout)
        (output / f"{name}{layout.suffix}").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        print(f"{name + layout.suffix:22} {len(rows):4} rows {len(data):6} bytes {digest[:12]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
