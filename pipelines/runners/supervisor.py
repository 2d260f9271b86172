"""Runs a command that ignores Ctrl-C and ends with its parent: `supervisor.py PID COMMAND`.

A terminal sends Ctrl-C to every process of its group. A job server that received it would exit
before the job on its cluster could be cancelled, so it gets its own session; but then nothing else
would end it if the job were killed by kill -9. Runs as a script and imports only the standard
library.
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
    """Calls back in a thread when this process's parent is gone, however it ended.

    Args:
      parent: the parent's process id, passed by the parent because it may exit before this process
        can look.
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
      The command's exit code; the shell's code if a signal ended it.
    """
    os.setsid()
    # The command may start processes of its own, which end with its group.
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
