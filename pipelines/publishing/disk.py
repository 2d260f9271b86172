"""The steps of local publication: small, atomic where possible, synced on demand.

A power cut may undo a step that isn't followed by a sync, and any step after it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import time

# From Linux's fcntl.h and fs.h.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# How filesystems say that they have no hard links, or not for this file.
_NO_LINKS = (errno.EPERM, errno.EACCES, errno.EMLINK, errno.EXDEV, errno.ENOTSUP, errno.ENOSYS)
# A worker that outlives its job may still add a file to a folder that is being deleted.
_DELETE_TRIES = 20
_DELETE_PAUSE_SECONDS = 0.02


def sync_file(path: str) -> None:
    """Flushes a file's bytes to the disk."""
    _sync(path)


def sync_folder(folder: str) -> None:
    """Flushes a folder's entries to the disk, if its filesystem supports that."""
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
    """Makes a folder and its parents, and syncs each into its parent."""
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    if parent != folder:
        make_folder(parent)
    try:
        os.mkdir(folder)
    except FileExistsError as error:
        # Another run may have just made it.
        if not os.path.isdir(folder):
            reason = os.strerror(errno.ENOTDIR)
            raise NotADirectoryError(errno.ENOTDIR, reason, folder) from error
    sync_folder(parent)


def create(path: str, content: bytes) -> None:
    """Writes a file without syncing it."""
    with open(path, "wb") as file:
        file.write(content)


def write(path: str, content: bytes) -> None:
    """Writes a file that exists completely or not at all, even after a power cut."""
    unfinished = f"{path}.unfinished"
    create(unfinished, content)
    sync_file(unfinished)
    rename(unfinished, path)
    sync_folder(os.path.dirname(path))


def rename(source: str, target: str) -> None:
    """Renames a file over an old one, or a folder over an empty one."""
    os.rename(source, target)


def link(source: str, target: str) -> None:
    """Gives a file a second name, or copies it if its filesystem has no hard links."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)


def replace_folder(source: str, target: str, aside: str) -> None:
    """Replaces one folder with another, in a single step if the system supports it (Linux).

    Args:
      source: the new folder; contains the old one afterwards if the two could be exchanged.
      target: the place: a folder with files, an empty folder, or nothing.
      aside: where the old folder goes if the two can't be exchanged.
    """
    if not list_names(target):
        rename(source, target)
    elif not exchange(source, target):
        rename(target, aside)
        rename(source, target)


def exchange(first: str, second: str) -> bool:
    """Exchanges two folders in one step; False if the system or filesystem can't."""
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
    """Lists the names in a folder, sorted; empty if it isn't a folder."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_folder(path: str) -> bool:
    """Whether a path is a folder and not a symlink to one."""
    return os.path.isdir(path) and not os.path.islink(path)


def remove_file(path: str) -> None:
    """Removes a file, which may be absent."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def remove_empty(folder: str) -> None:
    """Removes a folder if it is empty."""
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def remove_tree(path: str, aside: str) -> None:
    """Moves a folder away in one step, so that nobody can write into it, then deletes it.

    Args:
      path: the folder; may be absent.
      aside: its name while it is being deleted.
    """
    try:
        rename(path, aside)
    except OSError:
        aside = path
    delete(aside)


def delete(path: str) -> None:
    """Deletes a file, or a folder and its contents; the next run gets what can't be deleted."""
    for _ in range(_DELETE_TRIES):
        if is_folder(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)
        if not os.path.lexists(path):
            return
        time.sleep(_DELETE_PAUSE_SECONDS)
