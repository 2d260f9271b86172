"""Publication of a run: verified, decided, then made visible as a whole.

In go the records of staged shards and what the steps counted; out comes a published or held run
and its manifest. The room never imports `reading`, `scoring` or the command.
"""

from __future__ import annotations

from pipelines.publishing.choose import of
from pipelines.publishing.commit import Commit, Decision, PlacedShard
from pipelines.publishing.decide import Publication
from pipelines.publishing.publisher import publish, read_outcome

__all__ = ["Commit", "Decision", "PlacedShard", "Publication", "of", "publish", "read_outcome"]
