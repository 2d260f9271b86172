"""Clean shutdown on SIGINT and SIGTERM, whatever a run's threads are blocked in."""

from __future__ import annotations

import concurrent.futures
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import FrameType

from pipelines.errors import InterruptedRunError

_LOOK_SECONDS = 0.2


@contextlib.contextmanager
def caught() -> Iterator[None]:
    """Turns the first signal into an error in the main thread, and ignores further ones.

    Raises:
      InterruptedRunError: a signal arrived.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            name = signal.Signals(number).name
            raise InterruptedRunError(f"ended by {name}; nothing is published", 128 + number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_in_thread(
    body: Callable[[], None],
    *,
    cancel: Callable[[], None] = lambda: None,
    grace_seconds: float = 0,
) -> None:
    """Runs the body in a thread of its own and waits for it.

    Python handles signals in its main thread between two instructions, so a main thread busy in a
    library wouldn't see them. The new thread is a daemon, so it ends with the process.

    Args:
      body: what to run.
      cancel: called when a signal arrives; makes the body end.
      grace_seconds: how long to wait for that end.

    Raises:
      Exception: whatever the body raised.
    """
    ended: Future[None] = Future()

    def run() -> None:
        try:
            body()
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    thread = threading.Thread(target=run, name="job", daemon=True)
    thread.start()
    try:
        # A signal delivered to another thread of the process doesn't wake this one.
        while not ended.done():
            concurrent.futures.wait([ended], _LOOK_SECONDS)
    except InterruptedRunError:
        cancel()
        thread.join(grace_seconds)
        raise
    ended.result()
