"""SIGINT and SIGTERM end a run in order, whatever its threads are blocked in."""

from __future__ import annotations

import contextlib
import glob
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from penguin_model.errors import PenguinError


class InterruptedRun(PenguinError):
    """A signal ended the run; the exit code is the shell's for that signal."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}; nothing is published")
        self.exit_code = 128 + number


@contextlib.contextmanager
def caught(*, end_children: bool = False) -> Iterator[None]:
    """Makes the first signal an error in the main thread, and ignores further ones.

    Args:
      end_children: whether child processes are killed first, so that none writes any longer when
        staging is removed.

    Raises:
      InterruptedRun: a signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            if end_children:
                _kill_children()
            raise InterruptedRun(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill_children() -> None:
    """Kills this process' children, as Linux lists them; elsewhere they notice soon themselves."""
    for stat in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError):
            with open(stat) as file:
                # pid (name) state parent …: the name may hold anything, parentheses too.
                parent = int(file.read().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                os.kill(int(stat.split("/")[2]), signal.SIGKILL)


def run_in_thread(
    body: Callable[[], None], *, cancel: Callable[[], None] = lambda: None, grace_seconds: float = 0
) -> None:
    """Runs the body in a thread of its own and waits for it.

    Python handles signals in its main thread between two instructions: one that computes or reads
    in a library would not see them. The thread is a daemon, so it ends with the process.

    Args:
      body: what to run.
      cancel: called when a signal came; it makes the body end.
      grace_seconds: how long to wait for that end.

    Raises:
      Exception: whatever the body raised.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            body()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="job", daemon=True)
    thread.start()
    try:
        thread.join()
    except InterruptedRun:
        cancel()
        thread.join(grace_seconds)
        raise
    if errors:
        raise errors[0]
