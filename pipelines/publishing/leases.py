"""Leases: how to see whether an attempt is alive on a store that has no locks.

An attempt keeps a small object in its staging, and whoever waits for the attempt rewrites it every
minute. It names the waiting process, so that a run on the same machine knows at once when the
process is gone; other machines go by when the object was last written. Only times given by the
store are compared.

A lease is only a guess, because a machine may have slept. The decision is what makes publication
safe, see `manifest_commit`.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

RENEWED_SECONDS = 60
DEAD_SECONDS = 15 * 60
# Nobody renews the lease of a job that isn't waited for, but its workers write shards.
DEAD_UNWATCHED_SECONDS = 7 * 24 * 3600
# A renewal may hang if the store doesn't answer.
_JOIN_SECONDS = 5


def this_process() -> dict[str, Any] | None:
    """Identifies this process among those of all machines; None if the system can't."""
    started = _started(os.getpid())
    machine = _machine()
    if started is None or machine is None:
        return None
    return {"machine": machine, "pid": os.getpid(), "started": started}


def has_ended(process: Mapping[str, Any] | None) -> bool:
    """Whether a process is known to be gone; always False for another machine's process."""
    if not process or process["machine"] != _machine():
        return False
    return bool(_started(process["pid"]) != process["started"])


def is_dead(lease: Mapping[str, Any] | None, *, renewed: float, newest: float, now: float) -> bool:
    """Whether an attempt is dead.

    Args:
      lease: its content: ``process``, and whether it is ``watched``; None if there is no lease.
      renewed: when the lease was last written, in seconds since the epoch; 0 if unknown.
      newest: when anything in the attempt's staging was last written.
      now: the time by the same clock.
    """
    if lease is not None and has_ended(lease["process"]):
        return True
    if lease is not None and lease["watched"]:
        return bool(renewed) and now - renewed > DEAD_SECONDS
    limit = DEAD_SECONDS if lease is None else DEAD_UNWATCHED_SECONDS
    return bool(newest) and now - newest > limit


@contextlib.contextmanager
def renewed(renew: Callable[[], bool]) -> Iterator[None]:
    """Renews a lease in a thread while the body runs, until the lease is gone."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(RENEWED_SECONDS):
            if not renew():
                return

    thread = threading.Thread(target=work, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_JOIN_SECONDS)


def _machine() -> str | None:
    """This machine's current boot, and the process id namespace (Linux)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None
    return f"{platform.node()} {boot} {namespace}"


def _started(pid: int) -> int | None:
    """When a process started, in kernel ticks; None if it doesn't exist (or not on Linux)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may contain anything.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # A zombie has ended, but its parent hasn't reaped it yet.
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
