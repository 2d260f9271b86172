"""Recovery of interrupted publications: finished, undone or swept away.

A folder is identified by its content, the attempt's name in its shards' footers, so you can copy an
output root to another disk at any time and continue there.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.errors import DamagedError, OutputError
from pipelines.publishing import commit, disk
from pipelines.runs import layout
from pipelines.runs import manifest as manifests
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import CLOSED, Manifest, Status
from pipelines.storage import local_locks

LOCK = ".lock"
# Predictions come last, so that what readers use most changes right before the manifest.
ORDER = layout.DATASETS[::-1]


class Attempt:
    """The files of one attempt below a local output root, and what follows from its journal.

    Args:
      paths: the attempt's paths.

    Attributes:
      journal: marks the point of no return; contains the manifest.
    """

    def __init__(self, paths: Layout) -> None:
        self.paths = paths
        self.journal = os.path.join(paths.staging, "journal.json")

    def ready(self, *names: str) -> str:
        """The folder where the data sets wait, under their published names."""
        return os.path.join(self.paths.staging, "ready", *names)

    def replaced(self, *names: str) -> str:
        """The folder for what is replaced."""
        return os.path.join(self.paths.staging, "replaced", *names)

    def temporary_manifest(self) -> str:
        """The manifest next to its final place, complete and synced before it is renamed."""
        folder, name = os.path.split(self.paths.manifest)
        return os.path.join(folder, f".{name}.{self.paths.attempt}")

    def parent(self, dataset: str) -> str:
        """The parent folder of a data set's runs."""
        return os.path.dirname(self.paths.published(dataset))

    def probe_in(self, parent: str) -> str:
        """The name used to test whether a folder can be renamed into this one."""
        return os.path.join(parent, f".{self.paths.attempt}")

    def settle(self) -> None:
        """Finishes what has a journal, or undoes it: a publication, a run to hold or to close.

        Raises:
          OutputError: it was undone, or could be neither finished nor undone.
        """
        if not os.path.lexists(self.journal):
            return
        status = self._journal_status()
        if self.is_closed() or status in CLOSED:
            self._settle_closing()
        elif status is Status.HELD:
            self._settle_holding()
        else:
            self._settle_publication()
        with writing(self.journal):
            self._remove_journal()

    def _settle_publication(self) -> None:
        paths = self.paths
        try:
            if not self.has_ended():
                self._roll_forward(self._read_journal())
        except (OSError, ValueError) as error:
            reason = _reason(error, paths.output)
            if self.has_ended():
                raise OutputError(
                    f"{reason}; run {paths.run_id} is published, but may not survive a power cut"
                ) from error
            try:
                self._roll_back()
            except OSError as other:
                raise OutputError(
                    f"{reason}; run {paths.run_id} is half published and could not be undone "
                    f"({_reason(other, paths.output)}): free the way, then the next run finishes it"
                ) from error
            raise OutputError(f"{reason}; nothing is published") from error
        # Whatever else there is of this name is older, or the same run before it was accepted.
        self._remove_older(paths.held, "held")
        self._remove_older(paths.closed, "closed")

    def _settle_holding(self) -> None:
        paths = self.paths
        try:
            if self._owner_of(paths.held_manifest) != paths.attempt:
                self._place(paths.held, "held")
        except (OSError, ValueError) as error:
            reason = _reason(error, paths.output)
            if self._owner_of(paths.held_manifest) == paths.attempt:
                raise OutputError(
                    f"{reason}; run {paths.run_id} is held, but may not survive a power cut"
                ) from error
            self._remove_journal()
            raise OutputError(f"{reason}; nothing is published") from error
        self._remove_older(paths.closed, "closed")

    def _settle_closing(self) -> None:
        """Puts the closed record into its place, then removes the run that it is about."""
        paths = self.paths
        try:
            if not self.is_closed():
                self._place(paths.closed, "closed")
            self._take_away()
        except (OSError, ValueError) as error:
            reason = _reason(error, paths.output)
            if self.is_closed():
                raise OutputError(
                    f"{reason}; run {paths.run_id} is closed, but some of it may still be there: "
                    "free the way, then the next run removes it"
                ) from error
            self._remove_journal()
            raise OutputError(f"{reason}; nothing is changed") from error

    def _place(self, target: str, name: str) -> None:
        """Puts the prepared folder, which has a manifest of its own, into its place."""
        if self._owner_of(self.ready("manifest.json")) != self.paths.attempt:
            raise ValueError(f"{self.ready()}: what was staged has gone")
        disk.make_folder(os.path.dirname(target))
        disk.replace_folder(self.ready(), target, self.replaced(name))
        disk.sync_folder(os.path.dirname(target))

    def _take_away(self) -> None:
        """Removes the run whose closed record is in its place: from then on, that record counts.

        Readers who follow manifests lose the run first and at once, then those who list folders.
        """
        paths = self.paths
        if self._owner_of(paths.held_manifest) == paths.attempt:
            self._remove(paths.held, "held")
        closed = commit.read_manifest(paths.closed_manifest)
        if closed is None or closed.status is Status.REJECTED:
            return
        if self.has_ended():
            disk.remove_file(paths.manifest)
            disk.sync_folder(os.path.dirname(paths.manifest))
        if os.path.lexists(paths.manifest):
            return
        for dataset in layout.DATASETS:
            self._remove(paths.published(dataset), dataset)

    def _remove_older(self, folder: str, name: str) -> None:
        """Removes what a new run of this name makes obsolete; nothing depends on its absence."""
        with contextlib.suppress(OSError):
            self._remove(folder, name)

    def _remove(self, folder: str, name: str) -> None:
        """Removes a folder in one step, for good; removes its parent too if that is then empty.

        Raises:
          OSError: something of it is left.
        """
        if not os.path.lexists(folder):
            return
        parent = os.path.dirname(folder)
        disk.remove_tree(folder, self.replaced(name))
        disk.sync_folder(parent)
        if os.path.lexists(folder):
            raise OSError(errno.EACCES, "it can't be removed", folder)
        disk.remove_empty(parent)

    def _roll_forward(self, manifest: Manifest) -> None:
        """Takes every step from the journal to the manifest that hasn't been taken yet."""
        paths = self.paths
        touched: set[str] = set()
        for dataset in ORDER:
            published, ready = paths.published(dataset), self.ready(dataset)
            names = manifest.shard_names(dataset)
            if not names:
                # The run that this one replaces had such rows.
                if not os.path.isdir(published):
                    continue
                disk.rename(published, self.replaced(dataset))
            elif not self._holds(published, names):
                if not self._holds(ready, names):
                    raise ValueError(f"{ready}: staged shards have gone")
                disk.make_folder(self.parent(dataset))
                disk.replace_folder(ready, published, self.replaced(dataset))
            touched.add(self.parent(dataset))
        for folder in (*sorted(touched), self.ready(), self.replaced()):
            disk.sync_folder(folder)
        temporary = self.temporary_manifest()
        if not os.path.exists(temporary):
            disk.make_folder(os.path.dirname(temporary))
            disk.create(temporary, manifests.manifest_bytes(manifest))
            disk.sync_file(temporary)
        disk.rename(temporary, paths.manifest)
        disk.sync_folder(os.path.dirname(paths.manifest))

    def _roll_back(self) -> None:
        """Undoes a publication that has no manifest yet, and restores what was replaced."""
        for dataset in reversed(ORDER):
            published = self.paths.published(dataset)
            ready, replaced = self.ready(dataset), self.replaced(dataset)
            if self._is_mine(published):
                # Not into `ready`, which may be gone if the leftovers are damaged.
                withdrawn = os.path.join(self.paths.staging, f"withdrawn-{dataset}")
                if disk.list_names(ready):
                    disk.replace_folder(ready, published, withdrawn)
                else:
                    disk.rename(published, withdrawn)
            if disk.list_names(replaced) and not disk.list_names(published):
                disk.rename(replaced, published)
            if os.path.isdir(self.parent(dataset)):
                disk.sync_folder(self.parent(dataset))
        self._remove_journal()

    def _remove_journal(self) -> None:
        if disk.is_folder(self.journal):
            disk.delete(self.journal)
        disk.remove_file(self.journal)
        disk.sync_folder(self.paths.staging)

    def _read_journal(self) -> Manifest:
        """Reads the manifest to publish.

        Raises:
          ValueError: the journal is damaged or another attempt's.
        """
        try:
            manifest = manifests.parse_manifest(self.journal, storage.read_bytes(self.journal))
            for dataset in layout.DATASETS:
                manifest.shard_names(dataset)
        except (KeyError, DamagedError) as error:
            raise ValueError(f"{self.journal} is damaged") from error
        if (manifest.run_id, manifest.attempt) != (self.paths.run_id, self.paths.attempt):
            raise ValueError(f"{self.journal} is another run's")
        return manifest

    def _journal_status(self) -> Status | None:
        """What the run is to become; None if the journal is damaged."""
        try:
            return self._read_journal().status
        except (OSError, ValueError):
            return None

    def has_ended(self) -> bool:
        """Whether this attempt's own manifest is published."""
        return self._owner_of(self.paths.manifest) == self.paths.attempt

    def is_closed(self) -> bool:
        """Whether this attempt's run is closed: its record wins over a held or published one."""
        return self._owner_of(self.paths.closed_manifest) == self.paths.attempt

    def _owner_of(self, path: str) -> str | None:
        """The attempt that a manifest names; None if there is no manifest, or a damaged one."""
        found = commit.read_manifest(path)
        return None if found is None else found.attempt

    def _holds(self, folder: str, names: Sequence[str]) -> bool:
        """Whether a folder contains exactly the named shards, all of them this attempt's."""
        return set(disk.list_names(folder)) == set(names) and all(
            self._wrote(os.path.join(folder, name)) for name in names
        )

    def _is_mine(self, folder: str) -> bool:
        """Whether a folder contains a shard of this attempt."""
        return any(self._wrote(os.path.join(folder, name)) for name in disk.list_names(folder))

    def _wrote(self, shard: str) -> bool:
        try:
            with storage.open_input(shard) as source:
                about = pq.ParquetFile(source).metadata.metadata or {}
        except (OSError, pa.ArrowException):
            return False
        known = (about.get(b"run_id", b""), about.get(b"attempt", b""))
        return known == (self.paths.run_id.encode(), self.paths.attempt.encode())

    def end(self) -> None:
        """Settles an attempt and removes everything it leaves except a published or held run."""
        try:
            self.settle()
        finally:
            # What could be neither finished nor undone is kept for the next run.
            if not os.path.lexists(self.journal):
                self.sweep()

    def sweep(self) -> None:
        """Removes everything an attempt left, except what is published or held."""
        paths = self.paths
        with contextlib.suppress(OSError):
            disk.remove_file(self.temporary_manifest())
        kept = (paths.all_held, paths.all_closed)
        parents = [*map(self.parent, layout.DATASETS)]
        for place in (paths.output, *parents, *kept):
            disk.remove_empty(self.probe_in(place))
        for dataset in layout.DATASETS:
            disk.remove_empty(paths.published(dataset))
        # Made for a run that wasn't published, or emptied by a review.
        ended = self.has_ended()
        for place in (*kept, *(() if ended else (*parents, os.path.dirname(paths.manifest)))):
            disk.remove_empty(place)
        aside = os.path.join(paths.all_staging, f".{paths.run_id}.{paths.attempt}")
        disk.remove_tree(paths.staging, aside)
        disk.remove_empty(paths.run_staging)


def settle_all(paths: Layout) -> None:
    """Finishes or undoes every publication that has a journal.

    Nobody writes a journal while another one exists, so none is older than what readers see.
    """
    for found in _attempts(paths.output):
        other = Attempt(found)
        try:
            other.settle()
        except OutputError:
            if found.run_id == paths.run_id and os.path.lexists(other.journal):
                raise


def recover(output: str) -> None:
    """Finishes, undoes or removes what dead runs left, and anything else in staging."""
    for found in _attempts(output):
        lock = os.path.join(found.staging, LOCK)
        # An attempt that can be neither finished nor undone must not stop the others.
        with local_locks.try_to_hold(lock) as dead, contextlib.suppress(OutputError):
            if dead:
                Attempt(found).end()
    staging = Layout(output=output, run_id="", attempt="").all_staging
    for name in disk.list_names(staging):
        path = os.path.join(staging, name)
        if name == LOCK:
            continue
        if layout.is_run_id(name) and disk.is_folder(path):
            for below in disk.list_names(path):
                if not disk.is_folder(os.path.join(path, below)):
                    disk.delete(os.path.join(path, below))
            disk.remove_empty(path)
        else:
            disk.delete(path)


def _attempts(output: str) -> Iterator[Layout]:
    """Lists every attempt that has staging."""
    staging = Layout(output=output, run_id="", attempt="").all_staging
    for run_id in filter(layout.is_run_id, disk.list_names(staging)):
        if disk.is_folder(os.path.join(staging, run_id)):
            for name in disk.list_names(os.path.join(staging, run_id)):
                found = Layout(output=output, run_id=run_id, attempt=name)
                if disk.is_folder(found.staging):
                    yield found


@contextlib.contextmanager
def writing(place: str) -> Iterator[None]:
    """Turns a filesystem error into a one-line error.

    Args:
      place: named if the error itself names no file.

    Raises:
      OutputError: the body met a filesystem error.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(_reason(error, place)) from error


def _reason(error: Exception, place: str) -> str:
    if not isinstance(error, OSError):
        return str(error)
    place = error.filename2 or error.filename or place
    return f"cannot write {place}: {storage.reason_of(error)}"
