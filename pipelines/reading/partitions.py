"""The values that the folders of a file's path hold, as in ``year=2007/part-0.parquet``."""

from __future__ import annotations

from urllib.parse import unquote

# How Hive, and Spark and Arrow after it, name the folder of rows without a value.
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def partition_values(path: str) -> dict[str, str | None]:
    """Reads the folders named ``KEY=VALUE`` above a file.

    Both are URL-decoded. The folder nearest to the file wins if two have the same key.
    """
    found: dict[str, str | None] = {}
    for folder in path.split("/")[:-1]:
        key, mark, value = folder.partition("=")
        if key and mark:
            found[unquote(key)] = None if value == _NO_VALUE else unquote(value)
    return found
