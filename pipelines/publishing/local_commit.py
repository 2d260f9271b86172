"""Publication on a local filesystem: locks, the journal, and what becomes of interrupted runs.

Two kernel locks, which die with their process, tell the living from the dead: every attempt holds
the lock of its own staging folder while its submitter lives, and whoever changes what readers see
holds the lock of the output root. A *journal* in the staging folder marks the point of no return:
an interrupted attempt that has one is rolled forward by the next run, whatever its id; one that
has none is swept away.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from penguin_model.errors import OutputError
from pipelines import layout, locks, storage
from pipelines.layout import Layout
from pipelines.publishing import commit
from pipelines.publishing.commit import Decision

_DECISION = "decision.json"
_JOURNAL = "journal.json"
_READY = "ready"
_REPLACED = "replaced"


class LocalCommit:
    """Publication of one attempt below a local output root.

    Args:
      paths: the attempt's.
    """

    def __init__(self, paths: Layout) -> None:
        self._paths = paths

    @contextlib.contextmanager
    def attempt(self, *, hands_over: bool = False) -> Iterator[None]:
        """See `Commit`."""
        paths = self._paths
        storage.make_folder(paths.output)
        with contextlib.ExitStack() as alive:
            with locks.hold(paths.output):
                _recover(paths)
                for folder in paths.staging_folders:
                    storage.make_folder(folder)
                alive.enter_context(locks.hold(paths.staging))
            try:
                yield
            except BaseException:
                self.finish()
                raise
            if not hands_over:
                self.finish()

    def finish(self) -> None:
        """See `Commit`."""
        with locks.hold(self._paths.output):
            _finish(self._paths)

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
        self, decision: Decision, *, replace: bool, check: Callable[[Sequence[str]], None] | None
    ) -> None:
        """See `Commit`."""
        paths = self._paths
        with locks.hold(paths.output):
            journal_path = storage.join(paths.staging, _JOURNAL)
            if not storage.exists(journal_path):
                _make_ready(paths, decision)
                if not replace:
                    self.refuse_published()
                if check is not None:
                    check(storage.list_files(_ready(paths, layout.FILES)))
                folders = {
                    dataset: _identity_of_ready(paths, decision, dataset)
                    for dataset in layout.DATASETS
                    if decision.shards[dataset]
                }
                journal = {"manifest": dict(decision.manifest), "folders": folders}
                storage.write_json(journal_path, journal)
            _roll_forward(paths)

    def hold(self, decision: Decision) -> None:
        """See `Commit`."""
        paths = self._paths
        _make_ready(paths, decision)
        storage.delete_tree(paths.held)
        for dataset in layout.DATASETS:
            ready = _ready(paths, dataset)
            if storage.list_files(ready):
                storage.put_folder(ready, storage.join(paths.held, dataset))
        storage.make_folder(paths.held)
        storage.write_json(paths.held_manifest, decision.manifest)


def _ready(paths: Layout, dataset: str) -> str:
    """Where a data set's shards wait, under their published names."""
    return storage.join(paths.staging, _READY, dataset)


def _make_ready(paths: Layout, decision: Decision) -> None:
    for dataset, shards in decision.shards.items():
        for shard in shards:
            # An interrupted try may have moved it already.
            if storage.exists(shard.path):
                storage.move_file(shard.path, storage.join(_ready(paths, dataset), shard.name))


def _identity_of_ready(paths: Layout, decision: Decision, dataset: str) -> Any:
    """The identity of a ready folder, once all its shards are seen to be there."""
    folder = _ready(paths, dataset)
    names = {storage.join(folder, name) for name in decision.names(dataset)}
    if set(storage.list_files(folder)) != names:
        raise OutputError(
            f"run {paths.run_id}: staged shards have gone, another run of this name or an "
            "interrupt removed them; nothing is published"
        )
    return storage.folder_identity(folder)


def _roll_forward(paths: Layout) -> None:
    """Takes every step from the journal to the manifest that has not been taken yet."""
    journal = json.loads(storage.read_bytes(storage.join(paths.staging, _JOURNAL)))
    manifest, folders = journal["manifest"], journal["folders"]
    for dataset in layout.DATASETS:
        published = paths.published(dataset)
        if dataset not in folders:
            # The run that this one replaces had such rows.
            storage.remove_folder(published, storage.join(paths.staging, _REPLACED, dataset))
        elif folders[dataset] is None or storage.folder_identity(published) != folders[dataset]:
            storage.put_folder(_ready(paths, dataset), published)
    storage.make_folder(os.path.dirname(paths.manifest))
    storage.write_json(paths.manifest, manifest)
    storage.delete_tree(paths.held)
    storage.delete_empty(paths.all_held)


def _finish(paths: Layout) -> None:
    journal_path = storage.join(paths.staging, _JOURNAL)
    if storage.exists(journal_path) and not _has_ended(paths):
        _roll_forward(paths)
    storage.delete_tree(paths.staging)
    storage.delete_empty(paths.run_staging)
    storage.delete_empty(paths.all_staging)


def _has_ended(paths: Layout) -> bool:
    """Whether the manifest of just this attempt is there."""
    if not storage.exists(paths.manifest):
        return False
    manifest = json.loads(storage.read_bytes(paths.manifest))
    return bool(manifest.get("attempt") == paths.attempt)


def _recover(paths: Layout) -> None:
    """Finishes or removes what dead runs left."""
    for run_id in storage.list_names(paths.all_staging):
        run_staging = storage.join(paths.all_staging, run_id)
        for name in storage.list_names(run_staging):
            found = Layout(output=paths.output, run_id=run_id, attempt=name)
            with locks.try_to_hold(found.staging) as dead:
                if dead:
                    _finish(found)
        storage.delete_empty(run_staging)
