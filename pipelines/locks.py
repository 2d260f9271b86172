"""The kernel's locks on local folders: they end with their process, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from pipelines import storage


def exist(path: str) -> bool:
    """Whether a lock means anything for this path; object stores have none."""
    return storage.is_local(path)


@contextlib.contextmanager
def hold(folder: str) -> Iterator[None]:
    """Holds the lock of an existing local folder, waiting for it; does nothing for a remote one."""
    with _locked(folder, wait=True):
        yield


@contextlib.contextmanager
def try_to_hold(folder: str) -> Iterator[bool]:
    """Holds the lock of a local folder if nobody else does; yields whether it is held."""
    with _locked(folder, wait=False) as held:
        yield held


@contextlib.contextmanager
def _locked(folder: str, *, wait: bool) -> Iterator[bool]:
    if not exist(folder):
        yield wait
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
