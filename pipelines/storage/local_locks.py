"""Kernel locks on files, which are released when their process ends, however it ends.

A lock's file can be opened only by those who may write the folder it guards, so a process that may
only read the output can't hold its lock. It is opened for writing, as NFS requires.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import sys
import time
from collections.abc import Iterator

from pipelines.errors import OutputError

# The lock is held for milliseconds, or while shards are renamed; a longer wait is reported.
_NOTE_SECONDS = 3.0
_MOST_SECONDS = 600.0
_PAUSE_SECONDS = 0.02
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def hold(path: str, guarded: str) -> Iterator[None]:
    """Waits for a lock and holds it; then removes its file, and its folder if that is empty.

    Args:
      path: the lock's file; it and its folder are made if they don't exist.
      guarded: the folder that the lock guards: whoever may write it may hold the lock.

    Raises:
      OutputError: another process has held it for ten minutes, or the filesystem has no locks.
    """
    with _refusals(path):
        descriptor = _wait(path, guarded)
    try:
        yield
    finally:
        folder = os.path.dirname(path)
        # The last thing done under the lock, so whoever waits for the file sees that it is gone.
        with contextlib.suppress(OSError):
            if os.listdir(folder) == [os.path.basename(path)]:
                os.unlink(path)
                os.rmdir(folder)
        os.close(descriptor)


@contextlib.contextmanager
def keep(path: str, guarded: str) -> Iterator[None]:
    """Makes a lock's file and holds the lock while the body runs; the file stays."""
    with _refusals(path):
        descriptor = _create(path, guarded)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def try_to_hold(path: str) -> Iterator[bool]:
    """Holds a lock if it is free; yields whether it is. An absent file counts as free."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        yield True
        return
    except OSError:
        # Another user's file: only that user can find out.
        yield False
        return
    try:
        with _refusals(path):
            free = _try(descriptor)
        yield free
    finally:
        os.close(descriptor)


def _wait(path: str, guarded: str) -> int:
    """Waits until the file at the path is locked; returns its descriptor."""
    started = time.monotonic()
    noted = False
    while True:
        waited = time.monotonic() - started
        # Another user's file gets its mode a moment after it is made.
        descriptor = _open(path, guarded, patient=waited < _NOTE_SECONDS)
        if descriptor is not None:
            if _try(descriptor) and _is_at(descriptor, path):
                return descriptor
            found = os.fstat(descriptor)
            os.close(descriptor)
            if waited > _NOTE_SECONDS and not noted:
                noted = True
                print(
                    f"penguin-score: note: waiting for the lock of {guarded}, "
                    f"held by {_holder(found)}",
                    file=sys.stderr,
                    flush=True,
                )
            if waited > _MOST_SECONDS:
                raise OutputError(
                    f"{guarded}: {_holder(found)} has held its lock ({path}) for "
                    f"{_MOST_SECONDS / 60:.0f} minutes; end that process if it hangs, "
                    "then run again"
                )
        time.sleep(_PAUSE_SECONDS)


def _open(path: str, guarded: str, *, patient: bool) -> int | None:
    """Opens a lock's file; None if another process has just removed or made it."""
    # Another run may remove the folder while this one makes it.
    with contextlib.suppress(FileExistsError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        if not patient:
            raise
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            return _create(path, guarded)
    return None


def _create(path: str, guarded: str) -> int:
    """Makes a lock's file, for those who may write what it guards."""
    about = os.stat(guarded)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    mode = 0o600
    with contextlib.suppress(OSError):
        if about.st_mode & stat.S_IWGRP:
            os.fchown(descriptor, -1, about.st_gid)
            mode |= 0o060
    if about.st_mode & stat.S_IWOTH:
        mode |= 0o006
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, mode)
    return descriptor


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: str) -> bool:
    """Whether a path still leads to the file, which its last holder may have removed."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _holder(found: os.stat_result) -> str:
    """Names the process that holds a file's lock, if the system says."""
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with contextlib.suppress(OSError, ValueError), open("/proc/locks") as locks:
        for line in locks:
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5] == device and int(fields[4]) > 0:
                return f"process {fields[4]}"
    return "another process, perhaps on another machine"


@contextlib.contextmanager
def _refusals(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _NO_LOCKS:
            reason = f"its filesystem has no locks ({reason})"
        raise OutputError(f"cannot write {path}: {reason}") from error
