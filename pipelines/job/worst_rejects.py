"""Examples of a run's rejects for its summary: the files that were rejected whole come first."""

from __future__ import annotations

from typing import Any

from penguin_model import validate
from pipelines.formatting import cut
from pipelines.report import examples
from pipelines.runs.layout import REJECTS, Layout
from pipelines.runs.manifest import Manifest

MOST_FILES = 5
# These cost all rows of a file.
_WHOLE_FILE = (validate.MISSING_COLUMN, validate.UNREADABLE_FILE)
_COLUMNS = ("source_file", "source_row", "reason", "column", "message")


def find_worst(manifest: Manifest, paths: Layout) -> list[dict[str, Any]]:
    """Reads a few examples of a run's rejects, whatever the number of rejects.

    Args:
      manifest: that of the published or held run.
      paths: where the run is.

    Returns:
      JSON values ``reason``, ``file``, ``row`` (None for a whole file), ``column`` and ``message``:
      at most MOST_FILES for each reason that costs whole files, then one for each other reason; the
      reasons with most rejects first.

    Raises:
      OSError: or another of `storage.ERRORS`, or Arrow's own error: they can't be read.
    """
    counts = manifest.rejects_by_reason
    order = sorted(counts, key=lambda name: (name not in _WHOLE_FILE, -counts[name], name))
    wanted = {name: min(counts[name], _most(name)) for name in order}
    if not any(wanted.values()):
        return []
    shards = examples.shards(paths, manifest, REJECTS)
    found = examples.first_rejects(shards, wanted, columns=_COLUMNS)
    return [
        {
            "reason": row["reason"],
            "file": row["source_file"],
            "row": row["source_row"],
            "column": row["column"],
            "message": cut(row["message"]),
        }
        for name in order
        for row in found[name]
    ]


def _most(reason: str) -> int:
    return MOST_FILES if reason in _WHOLE_FILE else 1
