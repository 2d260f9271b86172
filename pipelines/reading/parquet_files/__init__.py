"""The Parquet reader.

In: an open file, or some of its row groups. Out: its rows, decoded in bounded memory. Never
imports the steps, planning, or another format.
"""

from pipelines.reading.parquet_files.format import PARQUET

__all__ = ["PARQUET"]
