"""Publication on an object store, which has neither locks nor atomic renames.

There the manifest alone is the publication, and of two attempts at one run the last to write it
wins.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from penguin_model.errors import OutputError
from pipelines import layout, storage
from pipelines.layout import Layout
from pipelines.publishing import commit
from pipelines.publishing.commit import Decision

_DECISION = "decision.json"
_JOURNAL = "journal.json"
_READY = "ready"


class ManifestCommit:
    """Publication of one attempt below a remote output root.

    Args:
      paths: the attempt's.
    """

    def __init__(self, paths: Layout) -> None:
        self._paths = paths

    @contextlib.contextmanager
    def attempt(self, *, hands_over: bool = False) -> Iterator[None]:
        """See `Commit`. Nobody knows who is alive: only leftovers of this run id go."""
        storage.delete_tree(self._paths.run_staging)
        try:
            yield
        except BaseException:
            self.finish()
            raise
        if not hands_over:
            self.finish()

    def finish(self) -> None:
        """See `Commit`."""
        if storage.exists(self._journal) and self.read_outcome() is None:
            self._roll_forward()
        storage.delete_tree(self._paths.staging)

    def refuse_published(self) -> None:
        """See `Commit`."""
        commit.refuse_published(self._paths)

    def read_outcome(self) -> dict[str, Any] | None:
        """See `Commit`."""
        return commit.read_outcome(self._paths)

    def published_names(self, count: int) -> list[str]:
        """See `Commit`."""
        return layout.numbered_names(count)

    def decide(self, make: Callable[[], Decision]) -> Decision:
        """See `Commit`."""
        path = storage.join(self._paths.staging, _DECISION)
        if not storage.exists(path):
            storage.write_bytes(path, make().to_json().encode())
        return Decision.from_json(storage.read_bytes(path))

    def make_visible(
        self, decision: Decision, *, replace: bool, check: Callable[[Sequence[str]], None]
    ) -> None:
        """See `Commit`."""
        self._make_ready(decision)
        if not storage.exists(self._journal):
            if not replace:
                self.refuse_published()
            check(storage.list_files(self._ready(layout.FILES)))
            self._check_ready(decision)
            storage.write_json(self._journal, decision.manifest)
        self._roll_forward()

    def hold(self, decision: Decision) -> None:
        """See `Commit`."""
        paths = self._paths
        self._make_ready(decision)
        storage.delete_tree(paths.held)
        for dataset in layout.DATASETS:
            ready = self._ready(dataset)
            if storage.list_files(ready):
                names = decision.names(dataset)
                storage.put_objects(ready, storage.join(paths.held, dataset), names)
        storage.write_json(paths.held_manifest, decision.manifest)

    @property
    def _journal(self) -> str:
        return storage.join(self._paths.staging, _JOURNAL)

    def _ready(self, dataset: str) -> str:
        return storage.join(self._paths.staging, _READY, dataset)

    def _make_ready(self, decision: Decision) -> None:
        """Moves the shards to their published names; an interrupted try has moved some already."""
        for dataset, shards in decision.shards.items():
            ready = self._ready(dataset)
            moves = [(shard.path, storage.join(ready, shard.name)) for shard in shards]
            storage.for_each(ready, lambda each: _move(*each), moves)

    def _check_ready(self, decision: Decision) -> None:
        for dataset in layout.DATASETS:
            ready = self._ready(dataset)
            names = {storage.join(ready, name) for name in decision.names(dataset)}
            if set(storage.list_files(ready)) != names:
                raise OutputError(
                    f"run {self._paths.run_id}: staged shards have gone, another run of this name "
                    "or an interrupt removed them; nothing is published"
                )

    def _roll_forward(self) -> None:
        paths = self._paths
        manifest: Mapping[str, Any] = json.loads(storage.read_bytes(self._journal))
        for dataset in layout.DATASETS:
            names = layout.shard_names(manifest, dataset)
            if names:
                storage.put_objects(self._ready(dataset), paths.published(dataset), names)
            else:
                # The run that this one replaces had such rows.
                storage.delete_tree(paths.published(dataset))
        storage.write_json(paths.manifest, manifest)
        storage.delete_tree(paths.held)


def _move(source: str, target: str) -> None:
    if storage.exists(source):
        storage.move_object(source, target)
