"""File access, for every filesystem that Beam knows.

Local files take pyarrow's own readers and writers, which bypass Python's file objects; all others
go through Beam's `FileSystems`. `publishing.disk` has what publication needs of a local disk.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
from apache_beam.io.aws.clients.s3.messages import S3ClientError
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.errors import OutputError
from pipelines.storage import s3

# What a filesystem raises when it cannot do what it is asked.
ERRORS = (OSError, BeamIOError, S3ClientError)

# Each takes a connection and, while it opens a file, some memory; stores take thousands.
_CALLS_AT_ONCE = 16
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

s3.share_client()


def use_options(options: PipelineOptions) -> None:
    """Makes the filesystems' own options known, such as ``--s3_endpoint_url``."""
    FileSystems.set_options(options)


def is_local(path: str) -> bool:
    """Whether a path lies on this machine's own filesystem (``file://`` counts)."""
    return "://" not in path or path.startswith("file://")


def absolute(path: str) -> str:
    """Makes a local path absolute; Beam matches nothing for a relative one without a folder."""
    if not is_local(path):
        return path
    return os.path.abspath(path.removeprefix("file://"))


def join(base: str, *parts: str) -> str:
    """Joins path parts in the way of the base's filesystem."""
    return str(FileSystems.join(base, *parts))


class Version(NamedTuple):
    """What tells one version of a file from another.

    Attributes:
      size: bytes.
      modified: microseconds since the epoch, UTC.
      inode: of a file on a disk of this machine; 0 elsewhere, where it may change by itself.
    """

    size: int
    modified: int
    inode: int = 0

    @classmethod
    def of(cls, size: int, modified_seconds: float, inode: int = 0) -> Version:
        """Makes a version of what filesystems tell."""
        return cls(size, round(modified_seconds * 1_000_000), inode)


def read_version(path: str) -> Version:
    """Looks at a file as it is now.

    Raises:
      OSError: or another of `ERRORS`: it can't be looked at.
    """
    if is_local(path):
        found = os.stat(path)
        # Network filesystems and FUSE, whose inodes may change, have no device of their own.
        inode = found.st_ino if os.major(found.st_dev) else 0
        return Version.of(found.st_size, found.st_mtime, inode)
    metadata = FileSystems.get_filesystem(path).metadata(path)
    return Version.of(metadata.size_in_bytes, metadata.last_updated_in_seconds or 0)


def open_input(path: str) -> pa.NativeFile:
    """Opens a file for random reads, uncompressed bytes as they lie there."""
    if is_local(path):
        return pa.OSFile(path, "rb")
    opened = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    # Beam's buffer fetches 16 MiB at each place that is read.
    return pa.PythonFile(opened.detach() if isinstance(opened, io.BufferedReader) else opened)


def open_output(path: str) -> Any:
    """Opens a new file for writing; a local folder must be there."""
    if is_local(path):
        return pa.OSFile(path, "wb")
    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


def read_bytes(path: str) -> bytes:
    """Reads a whole small file."""
    with open_input(path) as file:
        return bytes(file.read())


def write_bytes(path: str, content: bytes) -> None:
    """Writes a whole small file; a reader of a local one sees all of it or nothing.

    A local folder must be there: what writes into a staging that has gone must not bring it back.

    Raises:
      OutputError: the place cannot be written.
    """
    with writing(path):
        put_bytes(path, content)


def put_bytes(path: str, content: bytes) -> None:
    """Like `write_bytes`, with the filesystem's own errors.

    Raises:
      OSError: or another of `ERRORS`: the place cannot be written.
    """
    if is_local(path):
        unfinished = f"{path}.unfinished"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)  # a link that somebody left there isn't followed
        with open(unfinished, "xb") as file:
            file.write(content)
        os.replace(unfinished, path)
    else:
        with open_output(path) as file:
            file.write(content)


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Turns a filesystem's refusal into one clear line that names the place.

    Raises:
      OutputError: the body met an error of the filesystem.
    """
    try:
        yield
    except ERRORS as error:
        raise OutputError(f"cannot write {path}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """What a filesystem's error says, in one line without the path."""
    if isinstance(error, S3ClientError):
        return str(error.message)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else repr(error)


def may_pass(error: Exception) -> bool:
    """Whether an error is the filesystem's, such as a missing permission or a disk that fails.

    What a library says of a file's content is not, though it may be an OSError as well.
    """
    return isinstance(error, ERRORS) and not (isinstance(error, OSError) and error.errno is None)


def exists(path: str) -> bool:
    """Whether a file is there (on an object store: an object of just that name)."""
    return bool(FileSystems.exists(path))


def list_files(folder: str) -> list[str]:
    """All files below a folder, sorted; an absent folder has none."""
    if is_local(folder):
        return sorted(
            os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names
        )
    (result,) = FileSystems.match([join(folder, "**")])
    return sorted(metadata.path for metadata in result.metadata_list)


def make_folder(folder: str) -> None:
    """Makes a local folder, and those above it; object stores need none.

    Raises:
      OutputError: the place cannot be written.
    """
    if is_local(folder):
        with writing(folder):
            os.makedirs(folder, exist_ok=True)


def for_each(path: str, work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Does the same to many files: several at a time where a store answers slowly, but to many.

    Args:
      path: of any of the files; local ones are taken one after the other, which is quicker.
      work: from one item to its result; called from several threads.
      items: the files, or what tells of them.

    Returns:
      The results, in the items' order; after a failure, what has not begun is left.
    """
    if is_local(path):
        return [work(item) for item in items]
    with ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="storage") as pool:
        try:
            return list(pool.map(work, items))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
