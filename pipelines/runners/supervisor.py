"""Runs a command that ignores Ctrl-C and ends with its parent: `supervisor.py PID COMMAND`.

A terminal sends Ctrl-C to every process of its group. A job server that got it would be gone
before the job on its cluster could be cancelled, so it gets a session of its own; and nothing else
would end it after a kill -9 of the job. It runs as a script and imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 3


def watch_parent(parent: int, then: Callable[[], object]) -> None:
    """Calls back in a thread when the process that started this one is gone, however it ended.

    Args:
      parent: its process id, from itself: it may be gone before this one first looks.
      then: the callback.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        then()

    threading.Thread(target=watch, name="watch parent", daemon=True).start()


def main() -> int:
    """Runs the command that follows the parent's process id; SIGINT and SIGTERM end it.

    Returns:
      Its exit code; a shell's code for a signal.
    """
    os.setsid()
    # The command may start processes of its own: they end with its group.
    child = subprocess.Popen(sys.argv[2:], start_new_session=True)

    def end(number: int = signal.SIGTERM, _: FrameType | None = None) -> None:
        signal_group(child.pid, signal.SIGTERM)
        threading.Timer(_GRACE_SECONDS, signal_group, (child.pid, signal.SIGKILL)).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    watch_parent(int(sys.argv[1]), end)
    code = child.wait()
    signal_group(child.pid, signal.SIGKILL)
    sys.stdout.flush()
    # Not sys.exit, which would wait for a timer.
    os._exit(code if code >= 0 else 128 - code)


def signal_group(group: int, number: int) -> None:
    """Signals a process group, which may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
