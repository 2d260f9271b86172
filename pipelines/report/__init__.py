"""Writes a run as a self-contained HTML page.

In goes a run below an output root: its manifest, its rejects and files, and its model card. Out
comes one HTML file. Never imports Keras, and loads Beam only to read and write files.
"""

from pipelines.report.writer import write, write_index

__all__ = ["write", "write_index"]
