"""What a command costs: seconds, CPU seconds and memory of its process and of all that it starts.

Linux only. This process makes itself the reaper of orphans, so that daemons that leave their
parent (Ray's) come back to it and are counted, ended and waited for like any child.

CPU seconds are the kernel's for all processes that were waited for. A process whose parent does not
wait is missing there, so the times last seen in /proc are added up too; the larger sum counts.
Memory is the largest sum of the proportional set sizes (PSS, where shared pages count once) of all
processes at one moment, looked at every tenth of a second, less often where looking takes long.
"""

import ctypes
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36
INTERVAL = 0.1
# Looking takes this part of one core at most.
SHARE = 0.03
GRACE = 10.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class CommandError(Exception):
    """A command failed or took too long."""


class Cost(NamedTuple):
    """Wall seconds, CPU seconds of user and system, peak memory in MiB."""

    seconds: float
    cpu: float
    memory: float


class Status(NamedTuple):
    """What /proc tells of a process: its parent, start and own CPU time in clock ticks."""

    parent: int
    start: int
    cpu: int


def statuses() -> dict[int, Status]:
    """All processes of the machine."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            stat = Path("/proc", name, "stat").read_bytes()
        except OSError:
            continue
        fields = stat.rpartition(b")")[2].split()
        found[int(name)] = Status(
            int(fields[1]), int(fields[19]), int(fields[11]) + int(fields[12])
        )
    return found


def descendants(known: dict[int, Status], root: int) -> list[int]:
    """All that a process has started, directly or not."""
    children: dict[int, list[int]] = {}
    for pid, status in known.items():
        children.setdefault(status.parent, []).append(pid)
    found, waiting = [], [root]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def proportional_kib(pid: int) -> int:
    """A process's memory, its part of shared pages included."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


class Sampler(threading.Thread):
    """Looks at all children of this process until it is stopped.

    Attributes:
      peak: the largest memory in KiB.
      ticks: the CPU time last seen of each process, by its id and start.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.ticks: dict[tuple[int, int], int] = {}
        self._stopped = threading.Event()

    def run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            started = time.thread_time()
            self.look()
            pause = max(INTERVAL, (time.thread_time() - started) / SHARE)

    def look(self) -> None:
        """Looks once."""
        known = statuses()
        pids = descendants(known, os.getpid())
        for pid in pids:
            self.ticks[pid, known[pid].start] = known[pid].cpu
        self.peak = max(self.peak, sum(map(proportional_kib, pids)))

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        self.join()


def measure(command: Sequence[str], log: Path, limit: float) -> Cost:
    """Runs a command to its end, and ends whatever it leaves behind.

    Args:
      command: what to run.
      log: where its output goes; its temporary files go into the same folder.
      limit: seconds after which it is killed.

    Raises:
      CommandError: it did not end with 0.
    """
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError("prctl: this process cannot become the reaper of orphans")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    sampler = Sampler()
    timer = threading.Timer(limit, kill_children)
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TMPDIR": str(log.parent)},
        )
    try:
        sampler.start()
        timer.start()
        ended = status = 0
        while ended != process.pid:
            ended, status = os.wait()
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        end_children(GRACE)
    finally:
        timer.cancel()
        end_children(0)
        sampler.stop()
    if process.returncode:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        late = [f"after {limit:.0f} s"] if seconds >= limit else []
        reason = "; ".join([f"exit code {process.returncode}", *late, *last])
        raise CommandError(f"{' '.join(command)}: {reason}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seen = sum(sampler.ticks.values()) / CLOCK_TICKS
    return Cost(seconds, max(waited, seen), sampler.peak / 1024)


def kill_children() -> None:
    """Kills all that this process has started."""
    for pid in descendants(statuses(), os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def end_children(grace: float) -> None:
    """Waits until all children have ended; kills those that have not after some seconds."""
    until = time.monotonic() + grace
    while True:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            if time.monotonic() >= until:
                kill_children()
            time.sleep(0.01)
