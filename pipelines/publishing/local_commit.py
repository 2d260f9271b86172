"""Publication on a local filesystem: locks, the journal, and recovery of interrupted runs.

Two kernel locks, which are released when their process ends, show which attempts are alive: each
attempt holds the lock on its own staging folder while its submitter lives, and whoever changes what
readers see holds the lock on the output root.

A *journal* in the staging folder marks the point of no return. Everything that could be refused is
tried before it: each folder is made, the manifest is written next to its place, and all of it is
synced. Only renames come after it: of the data sets' folders, then of the manifest. If one of them
still fails, they are undone. If the process dies, the next run finishes the publication, or undoes
it if it can't.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from pipelines import storage
from pipelines.errors import OutputError
from pipelines.publishing import commit, disk, recovery
from pipelines.publishing.commit import Decision, PlacedShard
from pipelines.publishing.recovery import Attempt
from pipelines.runs import layout
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, manifest_bytes
from pipelines.storage import local_locks

_DECISION = "decision.json"


class LocalCommit:
    """Publication of one attempt below a local output root.

    Args:
      paths: the attempt's paths.
    """

    def __init__(self, paths: Layout) -> None:
        self._paths = paths
        self._own = Attempt(paths)
        self._decision = os.path.join(paths.staging, _DECISION)

    @contextlib.contextmanager
    def attempt(self, *, waits_for_end: bool = True) -> Iterator[None]:
        """See `Commit`."""
        paths = self._paths
        with storage.writing(paths.output):
            disk.make_folder(paths.output)
        with contextlib.ExitStack() as alive:
            with self._locked(), recovery.writing(paths.output):
                recovery.recover(paths.output)
                if os.path.lexists(paths.staging):
                    raise commit.at_work(paths)
                try:
                    self._check_places()
                    for folder in (*paths.staging_folders, self._own.ready(), self._own.replaced()):
                        os.mkdir(folder)
                    lock = os.path.join(paths.staging, recovery.LOCK)
                    alive.enter_context(local_locks.keep(lock, paths.output))
                except BaseException:
                    self._own.sweep()
                    raise
            with commit.finishing(self, waits_for_end=waits_for_end):
                yield

    def finish(self) -> None:
        """See `Commit`."""
        with self._locked():
            self._own.end()

    def refuse_published(self) -> None:
        """See `Commit`; also refuses shards of this name that have no manifest.

        Raises:
          OutputError: there are such shards.
        """
        paths = self._paths
        if os.path.isdir(paths.manifest):
            raise OutputError(f"{paths.manifest} is a folder; move it away, then run again")
        commit.refuse_published(paths)
        for dataset in layout.DATASETS:
            if disk.list_names(paths.published(dataset)):
                raise OutputError(
                    f"{paths.published(dataset)} has files, but no run {paths.run_id} is "
                    "published; move them away, or give --replace"
                )

    def read_outcome(self) -> Manifest | None:
        """See `Commit`."""
        return commit.read_outcome(self._paths)

    def published_names(self, count: int) -> list[str]:
        """See `Commit`."""
        return layout.numbered_names(count)

    def decide(self, make: Callable[[], Decision]) -> Decision:
        """See `Commit`; the shards are synced before the decision is recorded."""
        if not os.path.exists(self._decision):
            made = make()
            with self._staged():
                for shards in made.shards.values():
                    for shard in shards:
                        disk.sync_file(shard.path)
            with self._locked(), self._staged():
                # A concurrent step has already decided.
                if not os.path.exists(self._decision):
                    disk.write(self._decision, made.to_json().encode())
        return Decision.from_json(storage.read_bytes(self._decision))

    def make_visible(
        self, decision: Decision, *, replace: bool, check: Callable[[Sequence[str]], None] | None
    ) -> None:
        """See `Commit`."""
        with self._locked():
            recovery.settle_all(self._paths)
            if self._own.has_ended():
                return
            if not replace:
                self.refuse_published()
            with self._staged():
                self._place(decision)
                if check is not None:
                    files = self._own.ready(layout.FILES)
                    check([os.path.join(files, name) for name in decision.names(layout.FILES)])
                self._prepare(decision.manifest)
                disk.write(self._own.journal, manifest_bytes(decision.manifest))
            self._own.settle()

    def hold(self, decision: Decision) -> None:
        """See `Commit`: the whole folder is prepared, then renamed into place."""
        with self._locked():
            recovery.settle_all(self._paths)
            if self.read_outcome() is not None:
                return
            with self._staged():
                self._keep(decision, self._paths.held)
            self._own.settle()

    def adopt(self, dataset: str, folder: str, names: Sequence[str]) -> tuple[PlacedShard, ...]:
        """See `Commit`: as further names of the same files."""
        with recovery.writing(self._paths.staging):
            for name in names:
                disk.link(os.path.join(folder, name), self._adopted(dataset, name))
            paths = [self._adopted(dataset, name) for name in names]
            return tuple(
                PlacedShard(path, name, 0, os.path.getsize(path))
                for path, name in zip(paths, names, strict=True)
            )

    def close(self, decision: Decision, check: Callable[[], None]) -> None:
        """See `Commit`: the record is put into place like a held run, then the run is removed."""
        paths = self._paths
        with self._locked():
            recovery.settle_all(paths)
            if self._own.is_closed():
                return
            check()
            with self._staged():
                for folder in (*map(paths.published, layout.DATASETS), paths.held):
                    if os.path.isdir(folder):
                        self._probe(os.path.dirname(folder))
                        _refuse_unwritable(folder)
                if self._own.has_ended():
                    self._try_runs()
                self._keep(decision, paths.closed)
            self._own.settle()

    def rewrite(self, manifest: Manifest, check: Callable[[], None]) -> None:
        """See `Commit`."""
        path = self._paths.held_manifest if manifest.is_held else self._paths.manifest
        temporary = self._own.temporary_manifest()
        if manifest.is_held:
            temporary = os.path.join(self._paths.staging, "manifest.json")
        with self._locked():
            recovery.settle_all(self._paths)
            check()
            with self._staged():
                disk.create(temporary, manifest_bytes(manifest))
                disk.sync_file(temporary)
                disk.rename(temporary, path)
                disk.sync_folder(os.path.dirname(path))

    def refuse_others(self) -> None:
        """See `Commit`: the lock makes attempts take turns."""

    def _locked(self) -> AbstractContextManager[None]:
        """Holds the lock on the output root; its file exists only while any run has staging."""
        output = self._paths.output
        return local_locks.hold(os.path.join(self._paths.all_staging, recovery.LOCK), output)

    @contextlib.contextmanager
    def _staged(self) -> Iterator[None]:
        """Turns a refusal into a one-line error, and missing files into the reason for that."""
        try:
            with recovery.writing(self._paths.staging):
                yield
        except OutputError:
            if os.path.isdir(self._paths.staging):
                raise
            raise _gone(self._paths) from None

    def _place(self, decision: Decision) -> None:
        """Moves the shards into the folders to be published; repeats only what isn't done yet."""
        for dataset, shards in decision.shards.items():
            ready = self._own.ready(dataset)
            with contextlib.suppress(FileExistsError):
                os.mkdir(ready)
            for shard in shards:
                if os.path.exists(shard.path):
                    disk.rename(shard.path, os.path.join(ready, shard.name))
            if set(disk.list_names(ready)) != set(decision.names(dataset)):
                raise _gone(self._paths)

    def _adopted(self, dataset: str, name: str) -> str:
        return os.path.join(self._paths.staged(dataset), name)

    def _keep(self, decision: Decision, target: str) -> None:
        """Prepares a folder with its own manifest for a place beside the published runs."""
        self._place(decision)
        for dataset in layout.DATASETS:
            disk.remove_empty(self._own.ready(dataset))
        content = manifest_bytes(decision.manifest)
        disk.write(self._own.ready("manifest.json"), content)
        parent = os.path.dirname(target)
        disk.make_folder(parent)
        self._probe(parent)
        self._sync_staging()
        _refuse_odd(target)
        disk.write(self._own.journal, content)

    def _check_places(self) -> None:
        """Refuses places that can't be published to, as far as they exist before a run."""
        paths = self._paths
        os.makedirs(paths.staging, exist_ok=True)
        self._probe(paths.output)
        for place in (*map(self._own.parent, layout.DATASETS), paths.all_held):
            if os.path.lexists(place):
                self._probe(place)
        if os.path.lexists(os.path.dirname(paths.manifest)):
            self._try_runs()

    def _try_runs(self) -> None:
        """Tries whether the folder of manifests can be written."""
        _refuse_unless_folder(os.path.dirname(self._paths.manifest))
        disk.create(self._own.temporary_manifest(), b"")
        disk.remove_file(self._own.temporary_manifest())

    def _prepare(self, manifest: Manifest) -> None:
        """Does everything that could be refused or needs space, before the journal is written."""
        paths = self._paths
        for dataset in recovery.ORDER:
            published, parent = paths.published(dataset), self._own.parent(dataset)
            has_rows = bool(manifest.shard_names(dataset))
            if not has_rows and not os.path.lexists(published):
                continue
            disk.make_folder(parent)
            self._probe(parent)
            _refuse_odd(published)
            if os.path.isdir(published):
                _refuse_unwritable(published)
            elif has_rows:
                os.mkdir(published)
        runs = os.path.dirname(paths.manifest)
        disk.make_folder(runs)
        if os.path.isdir(paths.manifest):
            raise OutputError(f"{paths.manifest} is a folder; move it away, then run again")
        disk.create(self._own.temporary_manifest(), manifest_bytes(manifest))
        disk.sync_file(self._own.temporary_manifest())
        disk.sync_folder(runs)
        self._sync_staging()

    def _probe(self, parent: str) -> None:
        """Tries whether a folder in staging can be renamed into another folder and back.

        Raises:
          OutputError: it can't, for instance because the two are on different filesystems.
        """
        _refuse_unless_folder(parent)
        mine = os.path.join(self._paths.staging, "probe")
        theirs = self._own.probe_in(parent)
        os.makedirs(mine, exist_ok=True)
        try:
            disk.rename(mine, theirs)
            disk.rename(theirs, mine)
        except OSError as error:
            if error.errno != errno.EXDEV:
                reason = storage.reason_of(error)
                raise OutputError(f"cannot write {parent}: {reason}") from error
            raise OutputError(
                f"{parent} is on another filesystem than {self._paths.all_staging}; a run is "
                "published by renaming, so the whole output root has to be on one"
            ) from error

    def _sync_staging(self) -> None:
        """Makes the staging itself survive a power cut, from the shards' folders upwards."""
        paths = self._paths
        ready = self._own.ready()
        folders = [os.path.join(ready, name) for name in disk.list_names(ready)]
        folders = [folder for folder in folders if os.path.isdir(folder)]
        above = (paths.staging, paths.run_staging, paths.all_staging, paths.output)
        for folder in (*folders, ready, self._own.replaced(), *above):
            disk.sync_folder(folder)


def _gone(paths: Layout) -> OutputError:
    return OutputError(
        f"run {paths.run_id}: staged shards have gone, another run of this name or an interrupt "
        "removed them; nothing is published"
    )


def _refuse_unless_folder(place: str) -> None:
    if not os.path.isdir(place):
        raise OutputError(f"{place} is not a folder; move it away, then run again")


def _refuse_unwritable(folder: str) -> None:
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot replace {folder}: no permission to write it")


def _refuse_odd(folder: str) -> None:
    """Refuses a path for a run's folder that is something other than a folder."""
    if os.path.lexists(folder) and not disk.is_folder(folder):
        raise OutputError(f"{folder} is not a folder; move it away, then run again")
