"""The table of file formats. To add one, write its module and list its value here."""

from __future__ import annotations

from pipelines.reading.arrow_files import ARROW
from pipelines.reading.csv_files import COMPRESSED_CSV, CSV, TSV
from pipelines.reading.formats import Format
from pipelines.reading.parquet_files import PARQUET

TABLE: tuple[Format, ...] = (
    CSV,
    *COMPRESSED_CSV,
    TSV,
    PARQUET,
    ARROW,
)

FORMATS = {each.name: each for each in TABLE}
SUFFIXES = {suffix: each.name for each in TABLE for suffix in each.suffixes}


def find_format(path: str) -> str:
    """The format that a file name's suffix implies, ignoring case; empty if none."""
    name = path.lower()
    # The longest suffix wins, since one may end in another.
    found = max((each for each in SUFFIXES if name.endswith(each)), key=len, default="")
    return SUFFIXES.get(found, "")
