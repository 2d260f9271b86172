"""The choice of publication method, by where the output is."""

from __future__ import annotations

from pipelines import storage
from pipelines.publishing.commit import Commit
from pipelines.publishing.local_commit import LocalCommit
from pipelines.publishing.manifest_commit import ManifestCommit
from pipelines.runs.layout import Layout


def of(paths: Layout) -> Commit:
    """Returns the commit that publishes an attempt.

    Args:
      paths: the attempt's paths.
    """
    return LocalCommit(paths) if storage.of(paths.output).has_locks else ManifestCommit(paths)
