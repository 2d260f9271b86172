"""Making a decided run visible: locks, the journal, and what becomes of interrupted runs.

On a local filesystem two kernel locks, which die with their process, tell the living from the
dead: every attempt holds the lock of its own staging folder while its submitter lives, and
whoever changes what readers see holds the lock of the output root. A *journal* in the staging
folder marks the point of no return: an interrupted attempt that has one is rolled forward by the
next run, whatever its id; one that has none is swept away.

An object store has neither locks nor atomic renames. There the manifest alone is the publication,
and of two attempts at one run the last to write it wins.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from penguin_model.errors import OutputError, RunExistsError
from pipelines import layout, locks, storage
from pipelines.layout import Layout

_JOURNAL = "journal.json"
_READY = "ready"
_REPLACED = "replaced"


@contextlib.contextmanager
def attempt(paths: Layout, *, hands_over: bool = False) -> Iterator[None]:
    """Opens an attempt's staging, and ends it: nothing of it stays, unless it must be rolled on.

    Before, interrupted runs are finished and leftovers of dead ones removed.

    Args:
      paths: the attempt's.
      hands_over: whether the pipeline goes on after the body, and itself calls `finish` in the end.

    Raises:
      OutputError: the output cannot be written.
    """
    storage.make_folder(paths.output)
    with contextlib.ExitStack() as alive:
        with locks.hold(paths.output):
            _recover(paths)
            storage.make_folder(paths.staging)
            alive.enter_context(locks.hold(paths.staging))
        try:
            yield
        except BaseException:
            finish(paths)
            raise
        if not hands_over:
            finish(paths)


def finish(paths: Layout) -> None:
    """Ends one attempt: rolls it forward from its journal if need be, and removes its staging."""
    with locks.hold(paths.output):
        _finish(paths)


def ready_folder(paths: Layout, dataset: str) -> str:
    """Where a data set's shards wait, under their published names."""
    return storage.join(paths.staging, _READY, dataset)


def make_visible(
    paths: Layout, manifest: Mapping[str, Any], *, replace: bool, check: Callable[[], None]
) -> None:
    """Publishes a run whose shards are ready; the manifest comes last.

    Args:
      paths: where.
      manifest: the manifest to write.
      replace: whether a published run of this name may be replaced.
      check: a last check while no other run can publish.

    Raises:
      RunExistsError: a run of this name was published meanwhile.
    """
    with locks.hold(paths.output):
        journal_path = storage.join(paths.staging, _JOURNAL)
        if not storage.exists(journal_path):
            if not replace:
                refuse_published(paths)
            check()
            folders = {
                dataset: _identity_of_ready(paths, manifest, dataset)
                for dataset in layout.DATASETS
                if manifest["shards"][dataset]["files"]
            }
            storage.write_json(journal_path, {"manifest": dict(manifest), "folders": folders})
        _roll_forward(paths)


def refuse_published(paths: Layout) -> None:
    """Refuses a run id that is published already.

    Raises:
      RunExistsError: its manifest exists.
    """
    if storage.exists(paths.manifest):
        raise RunExistsError(
            f"run {paths.run_id} is published already ({paths.manifest}); "
            "choose another --run_id, or give --replace"
        )


def _identity_of_ready(paths: Layout, manifest: Mapping[str, Any], dataset: str) -> Any:
    """The identity of a ready folder, once all its shards are seen to be there."""
    folder = ready_folder(paths, dataset)
    found = storage.list_files(folder)
    if found != [storage.join(folder, name) for name in layout.shard_names(manifest, dataset)]:
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
            names = layout.shard_names(manifest, dataset)
            storage.put_folder(ready_folder(paths, dataset), published, names)
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
    """Finishes or removes what dead runs left.

    On a store without locks nobody knows who is alive: only the leftovers of this run id go, and
    an attempt at it that is alive after all fails for lack of its files.
    """
    if not locks.exist(paths.output):
        storage.delete_tree(paths.run_staging)
        return
    for run_id in storage.list_names(paths.all_staging):
        run_staging = storage.join(paths.all_staging, run_id)
        for name in storage.list_names(run_staging):
            found = Layout(output=paths.output, run_id=run_id, attempt=name)
            with locks.try_to_hold(found.staging) as dead:
                if dead:
                    _finish(found)
        storage.delete_empty(run_staging)
