"""Leases: how others tell whether an attempt is alive where there are no locks.

An attempt keeps a small object in its staging, and whoever waits for the attempt writes it again
every minute. It names the process that waits, so that a run on the same machine knows at once that
the process is gone; all others go by the time at which the object was last written. Only times that
the store gave are compared.

A lease is a guess: a machine may have slept. Safety comes from the decision, see `manifest_commit`.
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
# A renewal may hang in a store that does not answer.
_JOIN_SECONDS = 5


def this_process() -> dict[str, Any] | None:
    """Identifies this process among all of all machines; None where the system can't."""
    started = _started(os.getpid())
    machine = _machine()
    if started is None or machine is None:
        return None
    return {"machine": machine, "pid": os.getpid(), "started": started}


def has_ended(process: Mapping[str, Any] | None) -> bool:
    """Whether a process is known to be gone; False where only another machine can tell."""
    if not process or process["machine"] != _machine():
        return False
    return bool(_started(process["pid"]) != process["started"])


def is_dead(lease: Mapping[str, Any] | None, *, renewed: float, newest: float, now: float) -> bool:
    """Whether nobody works on an attempt any more.

    Args:
      lease: what its lease says: ``process``, and whether it is ``watched``; None if there is none.
      renewed: when the lease was written last, seconds since the epoch; 0 if that isn't known.
      newest: when anything in the attempt's staging was.
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
    """Renews a lease from a thread while the body runs, until the lease is gone."""
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
    """This boot of this machine, and the namespace that its process ids are of (Linux)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None
    return f"{platform.node()} {boot} {namespace}"


def _started(pid: int) -> int | None:
    """When a process started, in the kernel's ticks; None if there is none (or no Linux)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # A zombie has ended; its parent hasn't looked yet.
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
