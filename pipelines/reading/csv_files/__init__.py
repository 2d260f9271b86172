"""The reader for plain and compressed CSV, and TSV.

In: the bytes of a file, or a range of them. Out: its rows, each with its exact row number. Never
imports the steps, planning, or another format.
"""

from pipelines.reading.csv_files.format import COMPRESSED_CSV, CSV, TSV

__all__ = ["COMPRESSED_CSV", "CSV", "TSV"]
