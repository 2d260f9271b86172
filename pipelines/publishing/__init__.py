"""How a decided run becomes visible, on each kind of filesystem.

In goes a `Decision`, out comes a published or held run. The kinds share the decision and the
`Commit` protocol, not the mechanism. Nothing here imports Beam's transforms or decides anything.
"""

from __future__ import annotations

from pipelines import storage
from pipelines.publishing.commit import Commit, Decision, PlacedShard
from pipelines.publishing.local_commit import LocalCommit
from pipelines.publishing.manifest_commit import ManifestCommit
from pipelines.runs.layout import Layout

__all__ = ["Commit", "Decision", "PlacedShard", "of"]


def of(paths: Layout) -> Commit:
    """The way in which runs are published where an attempt's output is.

    Args:
      paths: the attempt's.
    """
    return LocalCommit(paths) if storage.of(paths.output).has_locks else ManifestCommit(paths)
