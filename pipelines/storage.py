"""File access, for every filesystem that Beam knows.

Local files take pyarrow's own readers and writers, which bypass Python's file objects; all others
go through Beam's `FileSystems`. Atomic renames exist on local filesystems alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa
from apache_beam.io.aws.clients.s3.messages import S3ClientError
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from penguin_model.errors import OutputError
from pipelines import s3

# What a filesystem raises when it cannot do what it is asked.
ERRORS = (OSError, BeamIOError, S3ClientError)

# Each takes a connection and, while it opens a file, some memory; stores take thousands.
_CALLS_AT_ONCE = 16
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # from Linux' fcntl.h and fs.h

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


def open_input(path: str) -> pa.NativeFile:
    """Opens a file for random reads, uncompressed bytes as they lie there."""
    if is_local(path):
        return pa.OSFile(path, "rb")
    opened = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    # Beam's buffer fetches 16 MiB at each place that is read.
    return pa.PythonFile(opened.detach() if isinstance(opened, io.BufferedReader) else opened)


def open_small(path: str) -> pa.NativeFile:
    """Opens a small file for random reads; a remote one is fetched whole, in one request."""
    return open_input(path) if is_local(path) else pa.BufferReader(read_bytes(path))


def open_output(path: str) -> Any:
    """Opens a new file for writing, its folder made where needed."""
    if is_local(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return pa.OSFile(path, "wb")
    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


def read_bytes(path: str) -> bytes:
    """Reads a whole small file."""
    with open_input(path) as file:
        return bytes(file.read())


def write_bytes(path: str, content: bytes) -> None:
    """Writes a whole small file; a reader of a local one sees all of it or nothing.

    Raises:
      OutputError: the place cannot be written.
    """
    with writing(path):
        if is_local(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        put_bytes(path, content)


def put_bytes(path: str, content: bytes) -> None:
    """Like `write_bytes`, into a folder that must be there.

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


def write_json(path: str, value: Mapping[str, Any]) -> None:
    """Writes a mapping as indented JSON, in the way of `write_bytes`."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


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


def list_names(folder: str) -> list[str]:
    """Names in a local folder, sorted; an absent folder has none."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def make_folder(folder: str) -> None:
    """Makes a local folder, and those above it; object stores need none.

    Raises:
      OutputError: the place cannot be written.
    """
    if is_local(folder):
        with writing(folder):
            os.makedirs(folder, exist_ok=True)


def delete_tree(folder: str) -> None:
    """Deletes a folder with all it holds; an absent one is fine."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    files = list_files(folder)
    if files:
        FileSystems.delete(files)


def delete_empty(folder: str) -> None:
    """Deletes a local folder if it is empty; object stores have no empty folders."""
    if is_local(folder):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def move_file(source: str, target: str) -> None:
    """Moves one file over any older target."""
    with writing(target):
        if is_local(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(source, target)
        else:
            FileSystems.rename([source], [target])


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


def put_folder(source: str, target: str, names: Collection[str]) -> None:
    """Moves a folder of files to its place, and replaces what is there; safe to repeat.

    A reader of a local folder sees the old one or the new one: the two are exchanged in one step
    where the system can (Linux), and the old one then lies at the source. On an object store the
    files move one by one, and others than the named are deleted.

    Args:
      source: the folder, gone or holding the old files afterwards.
      target: its place.
      names: the files that the folder holds.
    """
    with writing(target):
        if not is_local(target):
            _put_objects(source, target, names)
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.isdir(target):
            os.rename(source, target)
        elif not _exchange(source, target):
            aside = f"{source}.replaced"
            os.rename(target, aside)
            os.rename(source, target)


def remove_folder(folder: str, aside: str) -> None:
    """Takes a folder out of the readers' sight; a local one goes aside in one step."""
    if not is_local(folder):
        delete_tree(folder)
    elif os.path.isdir(folder):
        with writing(folder):
            os.makedirs(os.path.dirname(aside), exist_ok=True)
            os.rename(folder, aside)


def folder_identity(folder: str) -> list[int] | None:
    """What stays the same when a local folder is renamed; None for an absent or remote one."""
    if not is_local(folder) or not os.path.isdir(folder):
        return None
    found = os.stat(folder)
    return [found.st_dev, found.st_ino]


def _put_objects(source: str, target: str, names: Collection[str]) -> None:
    # What an interrupted try has moved is no longer at the source.
    for_each(
        target,
        lambda path: FileSystems.rename([path], [join(target, path.rsplit("/", 1)[-1])]),
        list_files(source),
    )
    stale = sorted(set(list_files(target)) - {join(target, name) for name in names})
    if stale:
        FileSystems.delete(stale)


def _exchange(first: str, second: str) -> bool:
    """Exchanges two folders in one step; False where the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    failed = renameat2(
        _AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE
    )
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), second)
