"""Writes penguins.csv and penguins-by-sex.csv from the palmerpenguins package; see README.md here.

Needs the package of pyproject.toml's ``data`` group: ``pip install palmerpenguins``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import math
from pathlib import Path

# Column in the source, ours, and digits after the point as the source publishes them.
COLUMNS = (
    ("bill_length_mm", "CulmenLength", 1),
    ("bill_depth_mm", "CulmenDepth", 1),
    ("flipper_length_mm", "FlipperLength", 0),
    ("body_mass_g", "BodyMass", 0),
)
SPECIES = ("Adelie", "Gentoo", "Chinstrap")


def format_value(value: float, digits: int) -> str:
    """The number as text, or an empty field for a missing one.

    Raises:
      ValueError: the value has more digits than we would write.
    """
    if math.isnan(value):
        return ""
    text = f"{value:.{digits}f}"
    if float(text) != value:
        raise ValueError(f"{value!r} does not fit {digits} digits after the point")
    return text


def penguins_csv(*, by_sex: bool) -> str:
    """All rows in the package's order, with LF line ends.

    Args:
      by_sex: whether rows begin with island and sex, and end with the species' name rather than its
        index in SPECIES.
    """
    from palmerpenguins import load_penguins

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    before = ["Island", "Sex"] if by_sex else []
    writer.writerow([*before, *(ours for _, ours, _ in COLUMNS), "Species"])
    for _, row in load_penguins().iterrows():
        fields = [format_value(float(row[source]), digits) for source, _, digits in COLUMNS]
        sex = row["sex"] if isinstance(row["sex"], str) else ""
        texts = [row["island"], sex] if by_sex else []
        name = row["species"]
        writer.writerow([*texts, *fields, name if by_sex else SPECIES.index(name)])
    return out.getvalue()


def main(argv: list[str] | None = None) -> int:
    """Writes the files and prints their row counts and SHA-256."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="the folder")
    folder: Path = parser.parse_args(argv).output
    for name, by_sex in (("penguins.csv", False), ("penguins-by-sex.csv", True)):
        data = penguins_csv(by_sex=by_sex).encode()
        (folder / name).write_bytes(data)
        rows = data.count(b"\n") - 1
        print(f"{name}: {rows} rows, SHA-256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
