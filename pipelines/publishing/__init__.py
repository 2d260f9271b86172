"""Publication of a run: verified, decided, then made visible as a whole.

Takes the records of staged shards and the steps' counts; produces a published or held run and its
manifest. This package never imports `reading`, `scoring` or the command.
"""

from __future__ import annotations

from pipelines.publishing.choose import of
from pipelines.publishing.commit import Commit, Decision, PlacedShard
from pipelines.publishing.decide import DEFAULT_BASELINE_NIGHTS, Publication
from pipelines.publishing.failed import recorded
from pipelines.publishing.publisher import publish, read_outcome

__all__ = [
    "DEFAULT_BASELINE_NIGHTS",
    "Commit",
    "Decision",
    "PlacedShard",
    "Publication",
    "of",
    "publish",
    "read_outcome",
    "recorded",
]
