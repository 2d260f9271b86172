"""Objects in a store: read, listed, copied, and written under a condition.

Object stores have conditions instead of locks: *create* writes an object only if there is none of
its name, *replace* only if it is still the version that was read. Beam's filesystems have neither.
`of` picks a class that guarantees both if the store does; for other stores the class checks first
and then writes, and another writer may come between.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
from apache_beam.io.aws.clients.s3.messages import S3ClientError
from apache_beam.io.filesystem import CompressionTypes, FileSystem
from apache_beam.io.filesystems import FileSystems

from pipelines.errors import InputError, UsageError
from pipelines.storage import patterns, s3, walk
from pipelines.storage.errors import ERRORS, reason_of
from pipelines.storage.store import EVERYTHING, Exclusions, FoundFile, Matches, Store, Version
from pipelines.storage.walk import Entry

# Each takes a connection and, while it opens a file, some memory; stores take thousands.
_CALLS_AT_ONCE = 16
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Object(NamedTuple):
    """One object in a listing.

    Attributes:
      path: its full path.
      size: in bytes.
      modified: seconds since the epoch by the store's clock; 0 if the store doesn't say.
    """

    path: str
    size: int
    modified: float


class ReadObject(NamedTuple):
    """An object as it was read.

    Attributes:
      content: its bytes.
      etag: identifies this version to `Objects.replace`.
    """

    content: bytes
    etag: str


class Objects(Store):
    """The objects of any of Beam's filesystems, without conditions."""

    has_locks = False
    has_slow_calls = True
    failures_pass = True

    def absolute(self, path: str) -> str:
        """Returns the path unchanged, because it is always absolute."""
        return path

    def local_path(self, path: str) -> None:
        """Returns None: programs on this machine can't open an object."""

    @contextlib.contextmanager
    def local_copy(self, path: str) -> Iterator[str]:
        """Downloads an object into a temporary folder."""
        with tempfile.TemporaryDirectory() as folder:
            local = os.path.join(folder, os.path.basename(path))
            content = self.read_bytes(path)
            with open(local, "xb") as file:
                file.write(content)
            yield local

    def match(self, pattern: str, exclusions: Exclusions = EVERYTHING) -> Matches:
        scheme, _, name = pattern.partition("://")
        bucket, *parts = name.rstrip("/").split("/")
        root = f"{scheme}://{bucket}"
        path = "/".join([root, *parts])
        try:
            if patterns.is_glob(path):
                listed = self._list_prefix(path[: patterns.first_wildcard(path)])
            elif parts and self.exists(path):
                listed = [_found_file(path, self.read_version(path))]
            else:
                listed = self._list_prefix(f"{path}/")
        except ERRORS as error:
            raise InputError(f"cannot list {pattern}: {reason_of(error)}") from error
        # No store has empty folders, so a path that ends in a slash is taken for one.
        empty = [root, *([path] if name.endswith("/") else [])]
        return walk.find(_Tree(root, listed, empty), root, parts, exclusions)

    def list_files(self, folder: str) -> list[str]:
        return [found.path for found in self.list(folder)]

    def exists(self, path: str) -> bool:
        return bool(FileSystems.exists(path))

    def read_version(self, path: str) -> Version:
        metadata = FileSystems.get_filesystem(path).metadata(path)
        return Version.of(metadata.size_in_bytes, metadata.last_updated_in_seconds or 0)

    def open_input(self, path: str) -> pa.NativeFile:
        opened = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
        # Beam's buffer fetches 16 MiB at each position that is read.
        return pa.PythonFile(opened.detach() if isinstance(opened, io.BufferedReader) else opened)

    def open_output(self, path: str) -> Any:
        return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)

    def make_folder(self, folder: str) -> None:
        """Does nothing: an object needs no folder."""

    def for_each(self, work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        with ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="storage") as pool:
            try:
                return [*pool.map(work, items)]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def list(self, folder: str) -> list[Object]:
        """Lists all objects below a folder, by path; an absent folder has none."""
        (result,) = FileSystems.match([FileSystems.join(folder, "**")])
        return sorted(
            Object(found.path, found.size_in_bytes, found.last_updated_in_seconds or 0)
            for found in result.metadata_list
        )

    def _list_prefix(self, prefix: str) -> Sequence[FoundFile]:
        """Lists all objects whose path begins like this; the prefix has no wildcards."""
        (result,) = FileSystems.match([f"{prefix}**"])
        return [
            _found_file(
                found.path, Version.of(found.size_in_bytes, found.last_updated_in_seconds or 0)
            )
            for found in result.metadata_list
            if found.size_in_bytes or not found.path.endswith("/")  # made to show a folder
        ]

    def read(self, path: str) -> ReadObject | None:
        """Reads an object; None if it doesn't exist."""
        if not self.exists(path):
            return None
        content = self.read_bytes(path)
        return ReadObject(content, hashlib.sha256(content).hexdigest())

    def put(self, path: str, content: bytes) -> None:
        """Writes an object over any older one."""
        with self.open_output(path) as file:
            file.write(content)

    def create(self, path: str, content: bytes) -> bool:
        """Writes an object unless one of this name exists.

        Returns:
          Whether the object now has this content: a retry after a lost answer finds its own object.
        """
        found = self.read(path)
        if found is not None:
            return found.content == content
        return self._create(path, content)

    def replace(self, path: str, content: bytes, etag: str) -> bool:
        """Writes an object if it is still the version that was read.

        Returns:
          As `create`.
        """
        found = self.read(path)
        if found is None or found.etag != etag:
            return found is not None and found.content == content
        return self._replace(path, content, etag)

    def lacks_conditions(self, path: str) -> str | None:
        """Says why another writer could come between check and write; None if it couldn't.

        Args:
          path: an existing object to test with; its content is written again.
        """
        return "is written without conditions"

    def copy(self, source: str, target: str) -> None:
        """Copies an object over any older target."""
        FileSystems.copy([source], [target])

    def delete(self, paths: Iterable[str]) -> None:
        """Deletes objects, which may be absent."""
        there = [path for path in paths if self.exists(path)]
        if there:
            FileSystems.delete(there)

    def remove(self, path: str, etag: str) -> None:
        """Deletes an object if it is still the version that was read."""
        found = self.read(path)
        if found is not None and found.etag == etag:
            self._remove(path, etag)

    def _create(self, path: str, content: bytes) -> bool:
        self.put(path, content)
        return True

    def _replace(self, path: str, content: bytes, etag: str) -> bool:
        self.put(path, content)
        return True

    def _remove(self, path: str, etag: str) -> None:
        self.delete([path])


class S3Objects(Objects):
    """The objects of S3, or of another store with its protocol."""

    def exists(self, path: str) -> bool:
        try:
            s3.find(path)
        except S3ClientError as error:
            if error.code == 404:
                return False
            raise
        return True

    def read_version(self, path: str) -> Version:
        return Version.of(*s3.find(path))

    def open_input(self, path: str) -> pa.NativeFile:
        return pa.PythonFile(s3.open_input(path))

    def open_output(self, path: str) -> Any:
        return s3.open_output(path)

    def list(self, folder: str) -> list[Object]:
        return [Object(*found) for found in s3.list_objects(folder)]

    def read(self, path: str) -> ReadObject | None:
        found = s3.read(path)
        return None if found is None else ReadObject(*found)

    def put(self, path: str, content: bytes) -> None:
        s3.put(path, content)

    def lacks_conditions(self, path: str) -> str | None:
        found = self.read(path)
        ignored = found is None or s3.put(path, found.content, absent=True)
        return "ignores conditional writes" if ignored else None

    def copy(self, source: str, target: str) -> None:
        s3.copy(source, target)

    def delete(self, paths: Iterable[str]) -> None:
        s3.delete(paths)

    def _create(self, path: str, content: bytes) -> bool:
        return s3.put(path, content, absent=True) or self._holds(path, content)

    def _replace(self, path: str, content: bytes, etag: str) -> bool:
        return s3.put(path, content, etag=etag) or self._holds(path, content)

    def _remove(self, path: str, etag: str) -> None:
        s3.remove(path, etag)

    def _holds(self, path: str, content: bytes) -> bool:
        """Whether the object is ours after all: the answer to a first try may have been lost."""
        found = self.read(path)
        return found is not None and found.content == content


def of(path: str) -> Objects:
    """Picks the class for a path's store.

    Raises:
      UsageError: Beam has no filesystem for it here.
    """
    scheme = path.partition("://")[0]
    if not any(kind.scheme() == scheme for kind in FileSystem.get_all_subclasses()):
        raise UsageError(
            f"{path}: there is no filesystem for {scheme}:// here; gs:// needs "
            "`pip install 'penguin-scoring[gcp]'`"
        )
    return S3Objects() if path.startswith("s3://") else Objects()


def _found_file(path: str, version: Version) -> FoundFile:
    return FoundFile(path, version, path, path)


class _Tree(walk.Tree):
    """Objects as files in folders.

    Args:
      root: scheme and bucket.
      objects: all that a pattern can match.
      folders: exist even if nothing is in them.
    """

    def __init__(self, root: str, objects: Iterable[FoundFile], folders: Iterable[str]) -> None:
        self._files: dict[str, FoundFile] = {}
        self._folders: dict[str, dict[str, None]] = {folder: {} for folder in folders}
        for found in objects:
            self._files[found.path] = found
            path = found.path
            while path != root:
                path, _, name = path.rpartition("/")
                names = self._folders.setdefault(path, {})
                if name in names:
                    break
                names[name] = None

    def exists(self, path: str) -> bool:
        return path in self._files or path in self._folders

    def look(self, path: str) -> Entry | None:
        if path in self._files:
            return Entry(path, path, file=self._files[path])
        return Entry(path, path, is_folder=True) if path in self._folders else None

    def list(self, folder: Entry) -> Mapping[str, None]:
        return dict(sorted(self._folders[folder.path].items()))

    def look_in(self, folder: Entry, name: str, handle: None) -> Iterator[Entry]:
        path = walk.join(folder.path, name)
        if path in self._files:
            yield Entry(path, path, file=self._files[path])
        if path in self._folders:
            yield Entry(path, path, is_folder=True)
