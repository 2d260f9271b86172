"""Arrow IPC: files, which Feather version 2 is another name for, and streams.

In: an open file, or some of its record batches. Out: its rows, decoded in bounded memory. Never
imports the steps, planning, or another format.
"""

from pipelines.reading.arrow_files.format import ARROW

__all__ = ["ARROW"]
