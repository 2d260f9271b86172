"""Single files by path, in whichever store holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import pyarrow as pa
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.storage import objects
from pipelines.storage.errors import writing
from pipelines.storage.local import LocalStore
from pipelines.storage.store import EVERYTHING, Exclusions, Matches, Store, Version

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_LOCAL = LocalStore()


def of(path: str) -> Store:
    """Picks the store that holds a path."""
    return _LOCAL if LocalStore.holds(path) else objects.of(path)


def use_options(options: PipelineOptions) -> None:
    """Registers the filesystems' own options, such as ``--s3_endpoint_url``."""
    FileSystems.set_options(options)


def join(base: str, *parts: str) -> str:
    """Joins path parts as the base's filesystem does."""
    return str(FileSystems.join(base, *parts))


def absolute(path: str) -> str:
    """Makes a path independent of the working folder; see `Store.absolute`."""
    return of(path).absolute(path)


def real_path(path: str) -> str:
    """An absolute path without links; see `Store.real_path`."""
    return of(path).real_path(path)


def local_path(path: str) -> str | None:
    """Returns the path that programs on this machine can open a file by; None if they can't."""
    return of(path).local_path(path)


def local_copy(path: str) -> AbstractContextManager[str]:
    """Provides a file under a local path; see `Store.local_copy`."""
    return of(path).local_copy(path)


def match(pattern: str, exclusions: Exclusions = EVERYTHING) -> Matches:
    """Finds what a path or glob matches; see `Store.match`."""
    return of(pattern).match(pattern, exclusions)


def read_version(path: str) -> Version:
    """Reads a file's current version.

    Raises:
      OSError: or another of `ERRORS`: the file can't be accessed.
    """
    return of(path).read_version(path)


def open_input(path: str) -> pa.NativeFile:
    """Opens a file for random reads of its bytes, which aren't decompressed."""
    return of(path).open_input(path)


def open_output(path: str) -> Any:
    """Opens a new file for writing; a local folder must exist."""
    return of(path).open_output(path)


def read_bytes(path: str) -> bytes:
    """Reads a whole small file."""
    return of(path).read_bytes(path)


def write_bytes(path: str, content: bytes) -> None:
    """Writes a whole small file; a reader sees all of it or nothing.

    A local folder must exist: writing into a deleted staging folder must not recreate it.

    Raises:
      OutputError: the place can't be written.
    """
    with writing(path):
        put_bytes(path, content)


def put_bytes(path: str, content: bytes) -> None:
    """Like `write_bytes`, but raises the filesystem's own errors.

    Raises:
      OSError: or another of `ERRORS`: the place can't be written.
    """
    of(path).put(path, content)


def exists(path: str) -> bool:
    """Whether a file exists (in an object store: an object of exactly that name)."""
    return of(path).exists(path)


def list_files(folder: str) -> list[str]:
    """Lists the paths of all files below a folder, sorted; an absent folder has none."""
    return of(folder).list_files(folder)


def make_folder(folder: str) -> None:
    """Makes a local folder and its parents; object stores need none.

    Raises:
      OutputError: the place can't be written.
    """
    with writing(folder):
        of(folder).make_folder(folder)


def for_each(path: str, work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Does the same to many files: several at a time if the store's calls are slow.

    Args:
      path: the path of any of the files; local ones are processed one after the other.
      work: from one item to its result; called from several threads.
      items: the files, or what describes them.

    Returns:
      The results, in the items' order; after a failure, items not yet begun are skipped.
    """
    return of(path).for_each(work, items)
