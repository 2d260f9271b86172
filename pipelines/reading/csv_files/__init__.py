"""CSV, plain and gzipped.

In: the bytes of a file, or a range of them. Out: its rows, each with its exact place. Never
imports the steps, planning, or another format.
"""

from pipelines.reading.csv_files.format import CSV, GZIPPED_CSV

__all__ = ["CSV", "GZIPPED_CSV"]
