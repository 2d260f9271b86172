"""Objects of a store: whole ones, listed, copied, and written under a condition.

A condition is what an object store has in place of a lock: *create* writes an object only if there
is none of its name, *replace* only if it is still the version that was read. Beam's filesystems
have neither. `of` picks what keeps both promises where the store does; elsewhere they look
first and then write, and somebody else may come between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from pipelines import storage
from pipelines.storage import s3


class Object(NamedTuple):
    """One object of a listing.

    Attributes:
      path: its full path.
      size: bytes.
      modified: seconds since the epoch by the store's clock; 0 where the store doesn't say.
    """

    path: str
    size: int
    modified: float


class Version(NamedTuple):
    """An object as it was read.

    Attributes:
      content: its bytes.
      etag: by which `Objects.replace` knows this version again.
    """

    content: bytes
    etag: str


class Objects:
    """The objects of any of Beam's filesystems, without conditions."""

    def list(self, folder: str) -> list[Object]:
        """All objects below a folder, by path; an absent folder has none."""
        (result,) = FileSystems.match([storage.join(folder, "**")])
        return sorted(
            Object(found.path, found.size_in_bytes, found.last_updated_in_seconds or 0)
            for found in result.metadata_list
        )

    def read(self, path: str) -> Version | None:
        """Reads an object; None if there is none."""
        if not storage.exists(path):
            return None
        content = storage.read_bytes(path)
        return Version(content, hashlib.sha256(content).hexdigest())

    def put(self, path: str, content: bytes) -> None:
        """Writes an object over any older one."""
        storage.put_bytes(path, content)

    def create(self, path: str, content: bytes) -> bool:
        """Writes an object if there is none of this name.

        Returns:
          Whether the object now holds just this content. A try whose answer was lost finds its own.
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
        """Says whether another could come between a look and a write; None if not.

        Args:
          path: an existing object, to try it with; what it holds is written again.
        """
        return "is written without conditions"

    def copy(self, source: str, target: str) -> None:
        """Copies an object over any older target."""
        FileSystems.copy([source], [target])

    def delete(self, paths: Iterable[str]) -> None:
        """Deletes objects; absent ones are fine."""
        there = [path for path in paths if storage.exists(path)]
        if there:
            FileSystems.delete(there)

    def _create(self, path: str, content: bytes) -> bool:
        self.put(path, content)
        return True

    def _replace(self, path: str, content: bytes, etag: str) -> bool:
        self.put(path, content)
        return True


class S3Objects(Objects):
    """The objects of S3, or of a store that speaks its protocol."""

    def list(self, folder: str) -> list[Object]:
        return [Object(*found) for found in s3.list_objects(folder)]

    def read(self, path: str) -> Version | None:
        found = s3.read(path)
        return None if found is None else Version(*found)

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

    def _holds(self, path: str, content: bytes) -> bool:
        """Whether the object is ours after all: the answer to a first try may have been lost."""
        found = self.read(path)
        return found is not None and found.content == content


def of(path: str) -> Objects:
    """The objects of a path's store."""
    return S3Objects() if path.startswith("s3://") else Objects()
