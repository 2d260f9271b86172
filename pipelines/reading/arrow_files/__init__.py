"""The reader for Arrow IPC files (also known as Feather version 2) and streams.

In: an open file, or some of its record batches. Out: its rows, decoded in bounded memory. Never
imports the steps, planning, or another format.
"""

from pipelines.reading.arrow_files.format import ARROW

__all__ = ["ARROW"]
