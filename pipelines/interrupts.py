"""SIGINT and SIGTERM end a run in order: the main thread stops, staging is removed."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from penguin_model.errors import PenguinError


class InterruptedRun(PenguinError):
    """A signal ended the run; the exit code is the shell's for that signal."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}; nothing is published")
        self.exit_code = 128 + number


class Received:
    """Which signal came first, None while none has."""

    number: int | None = None


@contextlib.contextmanager
def caught() -> Iterator[Received]:
    """Makes the first signal a `KeyboardInterrupt` in the main thread, and ignores further ones.

    Beam turns every exception in a worker, this one too, into text; hence the record.

    Raises:
      InterruptedRun: the body ended with an error after a signal.
    """
    received = Received()
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def handle(number: int, _: FrameType | None) -> None:
        if received.number is None:
            received.number = number
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    except BaseException as error:
        if received.number is None:
            raise
        raise InterruptedRun(received.number) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
