"""The steps that local publication is made of: small, atomic where they can be, synced on demand.

A step that isn't followed by a sync may be lost in a power cut, and so may any later one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import time

# From Linux' fcntl.h and fs.h.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# A worker that outlives its job may still add a file to a folder that is being deleted.
_DELETE_TRIES = 20
_DELETE_PAUSE_SECONDS = 0.02


def sync_file(path: str) -> None:
    """Writes a file's bytes through to the disk."""
    _sync(path)


def sync_folder(folder: str) -> None:
    """Writes a folder's entries through to the disk, where its filesystem has such a thing."""
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(descriptor)


def make_folder(folder: str) -> None:
    """Makes a folder and those above it, each synced into its parent."""
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    if parent != folder:
        make_folder(parent)
    try:
        os.mkdir(folder)
    except FileExistsError as error:
        # Another run may have made it just now.
        if not os.path.isdir(folder):
            reason = os.strerror(errno.ENOTDIR)
            raise NotADirectoryError(errno.ENOTDIR, reason, folder) from error
    sync_folder(parent)


def create(path: str, content: bytes) -> None:
    """Writes a file, not synced."""
    with open(path, "wb") as file:
        file.write(content)


def write(path: str, content: bytes) -> None:
    """Writes a file that is there whole or not at all, also after a power cut."""
    unfinished = f"{path}.unfinished"
    create(unfinished, content)
    sync_file(unfinished)
    rename(unfinished, path)
    sync_folder(os.path.dirname(path))


def rename(source: str, target: str) -> None:
    """Renames a file over an old one, or a folder over an empty one."""
    os.rename(source, target)


def replace_folder(source: str, target: str, aside: str) -> None:
    """Puts a folder in the place of another, in one step where the system can (Linux).

    Args:
      source: the new folder; holds the old one afterwards if the two could be exchanged.
      target: its place: a folder with files, an empty one, or nothing.
      aside: where the old folder goes if the two can't be exchanged.
    """
    if not list_names(target):
        rename(source, target)
    elif not exchange(source, target):
        rename(target, aside)
        rename(source, target)


def exchange(first: str, second: str) -> bool:
    """Exchanges two folders in one step; False where the system or the filesystem can't."""
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
    raise OSError(number, os.strerror(number), first, None, second)


def list_names(folder: str) -> list[str]:
    """Names in a folder, sorted; none if it isn't a folder."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_folder(path: str) -> bool:
    """Whether a path is a folder itself, not a link to one."""
    return os.path.isdir(path) and not os.path.islink(path)


def remove_file(path: str) -> None:
    """Removes a file; an absent one is fine."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def remove_empty(folder: str) -> None:
    """Removes a folder if it is empty; whatever is not stays."""
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def remove_tree(path: str, aside: str) -> None:
    """Takes a folder away in one step, so that nobody writes into it any more, and deletes it.

    Args:
      path: the folder; an absent one is fine.
      aside: its name while it is being deleted.
    """
    try:
        rename(path, aside)
    except OSError:
        aside = path
    delete(aside)


def delete(path: str) -> None:
    """Deletes a folder with all it holds, or a file; what resists is left to the next run."""
    for _ in range(_DELETE_TRIES):
        if is_folder(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)
        if not os.path.lexists(path):
            return
        time.sleep(_DELETE_PAUSE_SECONDS)
