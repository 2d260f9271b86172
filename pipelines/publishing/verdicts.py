"""Execution of an attempt's verdict: by anyone, any number of times, with the same result."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from pipelines import storage
from pipelines.errors import ConflictError, DamagedError, RunExistsError
from pipelines.publishing.attempts import (
    ABANDONED,
    CLOSE,
    DECISION,
    HOLD,
    IN_NAMES,
    LEASE,
    PUBLISH,
    VERDICT,
    Attempt,
    Verdict,
    as_json,
    list_all,
    list_attempts,
    place,
    read_owner,
    read_verdict,
    swept,
)
from pipelines.publishing.commit import Decision, exists_already
from pipelines.runs import layout
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, Status, manifest_bytes, manifest_owner
from pipelines.storage.objects import Objects


class _Lost(Exception):
    """Raised when an attempt can't be published any more, whatever its verdict.

    Attributes:
      error: the error that its job ends with.
    """

    def __init__(self, error: ConflictError | RunExistsError) -> None:
        super().__init__(str(error))
        self.error = error


class _Copy(NamedTuple):
    """A shard to be copied: its source, its target and its size in bytes."""

    source: str
    target: str
    bytes: int


def carry_out(
    paths: Layout, verdict: Verdict, decision: Decision, store: Objects
) -> ConflictError | RunExistsError | None:
    """Carries out a verdict; if the attempt lost, deletes the copies and returns the reason."""
    visible, folder = {
        PUBLISH: (paths.manifest, ""),
        HOLD: (paths.held_manifest, paths.held),
        CLOSE: (paths.closed_manifest, paths.closed),
    }[verdict.status]
    copies = [
        _Copy(shard.path, storage.join(_target(paths, dataset, folder), shard.name), shard.bytes)
        for dataset, shards in decision.shards.items()
        for shard in shards
    ]
    try:
        owner = read_owner(visible, store)
        if verdict.status == PUBLISH and owner not in (None, paths.attempt) and not verdict.replace:
            # Checked before readers that list folders see any copy.
            raise _Lost(exists_already(paths))  # noqa: TRY301 - lost here or while copying: one end
        if owner != paths.attempt:
            if read_owner(paths.closed_manifest, store) == paths.attempt:
                # Published once, and closed since: a step that woke up late publishes nothing.
                raise _Lost(swept(paths))  # noqa: TRY301 - the same
            _copy(paths, copies, store)
            _write_manifest(paths, visible, verdict, manifest_bytes(decision.manifest), store)
    except _Lost as lost:
        # Someone else may have finished this attempt meanwhile, and removed what it needs.
        owner = read_owner(visible, store)
        if owner == "":
            raise DamagedError(f"{visible} is damaged; move it away, or restore it") from lost
        if owner != paths.attempt:
            store.delete(copy.target for copy in copies)
            return lost.error
    _clear(paths, verdict, decision.manifest, {visible, *(each.target for each in copies)}, store)
    return None


def _clear(
    paths: Layout, verdict: Verdict, manifest: Manifest, mine: Collection[str], store: Objects
) -> None:
    """Deletes what a verdict that is carried out makes obsolete."""
    if verdict.status == CLOSE:
        _delete_kept(paths.closed, mine, store)
        _take_away(paths, manifest, store)
        return
    # Readers see the new run: everything else of its name can go, above all the old run.
    if verdict.status == PUBLISH:
        sweep_run(paths, mine, store)
    _delete_kept(paths.held, mine, store)
    # Closed meanwhile, its record is newer than this run.
    if store.list(paths.closed) and read_owner(paths.closed_manifest, store) != paths.attempt:
        _delete_kept(paths.closed, mine, store)


def _take_away(paths: Layout, closed: Manifest, store: Objects) -> None:
    """Deletes the run that a closed record is about, the manifest first."""
    if closed.status is Status.REJECTED:
        if read_owner(paths.held_manifest, store) == paths.attempt:
            store.delete([paths.held_manifest])
        held = store.list(paths.held)
        store.delete(each.path for each in held if place(each.path)[1] == paths.attempt[:IN_NAMES])
        return
    found = store.read(paths.manifest)
    if found is not None and manifest_owner(found.content) == paths.attempt:
        store.remove(paths.manifest, found.etag)
    store.delete(
        storage.join(paths.published(dataset), name)
        for dataset in layout.DATASETS
        for name in closed.shard_names(dataset)
    )


def _delete_kept(folder: str, mine: Collection[str], store: Objects) -> None:
    """Deletes a held or closed run except for some objects, the manifest first."""
    others = [each.path for each in store.list(folder) if each.path not in mine]
    manifests = [path for path in others if path.count("/") == folder.count("/") + 1]
    store.delete(manifests)
    store.delete(path for path in others if path not in manifests)


def _target(paths: Layout, dataset: str, folder: str) -> str:
    return storage.join(folder, dataset) if folder else paths.published(dataset)


def _copy(paths: Layout, copies: Sequence[_Copy], store: Objects) -> None:
    """Makes the missing copies, and checks that all of them exist."""
    folders, sources = (
        {path.rpartition("/")[0] for path in found}
        for found in ([each.target for each in copies], [each.source for each in copies])
    )

    def missing() -> list[_Copy]:
        there = {each.path: each.size for each in list_all(paths, folders, store)}
        return [copy for copy in copies if there.get(copy.target) != copy.bytes]

    left = missing()
    if left:
        there = {each.path for each in list_all(paths, sources, store)}
        if not all(copy.source in there for copy in left):
            raise _Lost(swept(paths))
        storage.for_each(paths.output, lambda copy: store.copy(copy.source, copy.target), left)
        if missing():
            raise _Lost(swept(paths))


def _write_manifest(
    paths: Layout, visible: str, verdict: Verdict, content: bytes, store: Objects
) -> None:
    if verdict.status != PUBLISH:
        store.put(visible, content)
    elif not verdict.replace:
        if not store.create(paths.manifest, content):
            raise _Lost(exists_already(paths))
    elif not (
        store.replace(paths.manifest, content, verdict.seen)
        if verdict.seen
        else store.create(paths.manifest, content)
    ):
        raise _Lost(
            ConflictError(
                f"run {paths.run_id} was published or replaced by another attempt while this one "
                "worked; that one stands, start this one again to replace it"
            )
        )


def settle(found: Attempt, store: Objects) -> None:
    """Ends a dead attempt according to its verdict; without a verdict, it is abandoned.

    Deletes only what the listing shows: if the attempt is alive after all, anything it has written
    since then stays.
    """
    paths = found.paths
    lease, decision, last = (
        storage.join(paths.staging, name) for name in (LEASE, DECISION, VERDICT)
    )
    store.create(last, as_json(Verdict(ABANDONED)._asdict()))
    verdict = read_verdict(paths, store)
    decided = store.read(decision)
    # Without a decision, the attempt's cleanup was interrupted.
    if verdict is not None and verdict.status != ABANDONED and decided is not None:
        carry_out(paths, verdict, Decision.from_json(decided.content), store)
    # The verdict is deleted last, so that until then the attempt can't be published.
    store.delete(each.path for each in found.found if each.path not in (lease, last))
    store.delete([lease])
    store.delete([last])


def sweep_run(paths: Layout, mine: Collection[str], store: Objects) -> None:
    """Deletes all shards in a published run's folders except its own and those of live attempts.

    The order matters: a shard that is listed before staging is, and whose attempt has no staging,
    was published or left behind before the manifest was read, which happens last.
    """
    listed = [each.path for each in list_all(paths, map(paths.published, layout.DATASETS), store)]
    others = [path for path in listed if path not in mine]
    if not others:
        return
    alive = {
        each.paths.attempt[:IN_NAMES]
        for each in list_attempts(paths.output, store, paths.run_id).values()
    }
    if read_owner(paths.manifest, store) == paths.attempt:
        store.delete(path for path in others if place(path)[1] not in alive)
