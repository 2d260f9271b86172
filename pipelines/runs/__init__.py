"""The content of the output root: paths, manifests, and the ledger of scored files.

Takes an output root; produces typed manifests and the files that earlier runs have scored. This
package never imports Beam itself, and publishes or deletes nothing.
"""

from __future__ import annotations

from pipelines.runs.gates import HeldBecause
from pipelines.runs.layout import DATASETS, FILES, PREDICTIONS, REJECTS, Layout
from pipelines.runs.ledger import find_done, find_previous, published_runs
from pipelines.runs.manifest import (
    Manifest,
    Model,
    RunInfo,
    Shards,
    Status,
    Totals,
    read_manifest,
)

__all__ = [
    "DATASETS",
    "FILES",
    "PREDICTIONS",
    "REJECTS",
    "HeldBecause",
    "Layout",
    "Manifest",
    "Model",
    "RunInfo",
    "Shards",
    "Status",
    "Totals",
    "find_done",
    "find_previous",
    "published_runs",
    "read_manifest",
]
