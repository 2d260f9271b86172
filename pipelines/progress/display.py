"""Progress display during a run: a live bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Protocol

from pipelines import storage
from pipelines.progress import reporter
from pipelines.progress.rate import (
    STARTING,
    ProgressSnapshot,
    RateEstimator,
    as_line,
    describe,
    outcome,
)
from pipelines.progress.reporter import ProgressCounts

_BAR_SECONDS = 0.5
_LINE_SECONDS = 5.0
# How often an object store is asked, and how long it is waited for at the end.
_REMOTE_SECONDS = 10.0
# In characters: the phase, the percentage and the spaces; the bar; the facts next to it.
_FIXED_WIDTH = 10 + 4 + 3
_LEAST_BAR, _MOST_BAR = 6, 30
_FACTS_WIDTH = 56
# Anything that a blocked terminal or pipe doesn't accept in this time at the end is dropped.
_END_SECONDS = 2.0


class Display(Protocol):
    """Shows facts; it may leave some out."""

    interval: float

    def show(self, facts: ProgressSnapshot) -> None: ...

    def end(self, facts: ProgressSnapshot, seconds: float, *, well: bool) -> None: ...


@contextlib.contextmanager
def shown(program: str, folder: str, *, verbose: bool) -> Iterator[None]:
    """Shows on standard error what the workers report while the body runs.

    A separate thread does that, so the body never waits for a slow store or a blocked terminal.

    Args:
      program: the command's name, for the lines.
      folder: where the workers report.
      verbose: whether logs appear in between; they would break up a bar.
    """
    descriptor = _descriptor()
    if descriptor is None:
        yield
        return
    storage.make_folder(folder)
    watch = _Watch(folder, program, descriptor, bar=not verbose and _is_terminal(descriptor))
    watch.start()
    try:
        yield
        watch.well = True
    finally:
        watch.ended.set()
        watch.join(_REMOTE_SECONDS if storage.of(folder).has_slow_calls else _END_SECONDS)


class _Watch(threading.Thread):
    """Reads what the workers report, and shows it.

    Attributes:
      ended: set when the run has ended.
      well: whether it ended well.
    """

    def __init__(self, folder: str, program: str, descriptor: int, *, bar: bool) -> None:
        # A daemon, because it may be stuck in a write when the process ends.
        super().__init__(name="progress", daemon=True)
        self.ended = threading.Event()
        self.well = False
        self._folder = folder
        self._program = program
        self._descriptor = descriptor
        self._bar = bar
        self._found = ProgressCounts()

    def run(self) -> None:
        # If standard error is closed, nobody is left to show it to.
        with contextlib.suppress(OSError):
            started = time.monotonic()
            display = self._display()
            pace = RateEstimator()
            pause = display.interval
            while not self.ended.wait(pause):
                looked = time.monotonic()
                display.show(pace.see(self._look(), looked))
                if storage.of(self._folder).has_slow_calls:
                    # There may be a thousand workers' files: read for at most half of the time.
                    pause = max(_REMOTE_SECONDS, time.monotonic() - looked)
            now = time.monotonic()
            display.end(pace.see(self._look(), now), now - started, well=self.well)

    def _display(self) -> Display:
        return Bar(self._descriptor) if self._bar else Lines(self._program, self._descriptor)

    def _look(self) -> ProgressCounts:
        """The latest report, or the previous one if a store doesn't answer."""
        with contextlib.suppress(*storage.ERRORS):
            self._found = reporter.read(self._folder)
        return self._found


class Lines:
    """A line every few seconds, for logs; none for a run that ends sooner."""

    def __init__(self, program: str, descriptor: int) -> None:
        self.interval = _LINE_SECONDS
        self._program = program
        self._descriptor = descriptor
        self._has_shown = False

    def show(self, facts: ProgressSnapshot) -> None:
        if facts.phase != STARTING:
            self._write(as_line(facts))

    def end(self, facts: ProgressSnapshot, seconds: float, *, well: bool) -> None:
        if self._has_shown and well:
            self._write(f"done: {outcome(facts, seconds)}")

    def _write(self, line: str) -> None:
        self._has_shown = True
        _write(self._descriptor, f"{self._program}: {line}\n")


class Bar:
    """A live bar."""

    def __init__(self, descriptor: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self.interval = _BAR_SECONDS
        file: Any = _Unbuffered(descriptor)
        self._bar = BarColumn()
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            self._bar,
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
            console=Console(file=file, force_terminal=True),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(STARTING, total=None, facts="")
        self._fit([])
        self._progress.start()

    def show(self, facts: ProgressSnapshot) -> None:
        self._update(facts.phase, facts, describe(facts))

    def end(self, facts: ProgressSnapshot, seconds: float, *, well: bool) -> None:
        if well:
            whole = max(facts.total, 1)
            done = facts._replace(done=whole, total=whole)
            self._update("done", done, [outcome(facts, seconds)])
        self._progress.stop()

    def _update(self, phase: str, facts: ProgressSnapshot, said: list[str]) -> None:
        self._progress.update(
            self._task,
            description=phase,
            completed=facts.done,
            total=facts.total or None,
            facts=self._fit(said),
            refresh=True,
        )

    def _fit(self, said: list[str]) -> str:
        """Shortens the text to fit next to the bar; the window's width may change."""
        left = self._progress.console.width - _FIXED_WIDTH
        width = min(max(left - _FACTS_WIDTH, _LEAST_BAR), _MOST_BAR)
        self._bar.bar_width = width
        while len(said) > 1 and len(", ".join(said)) > left - width:
            said = said[:-1]
        return ", ".join(said)


class _Unbuffered:
    """An unbuffered text file, so that the process doesn't wait for a buffer when it ends."""

    encoding = "utf-8"

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        _write(self._descriptor, text)
        return len(text)

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return True


def _write(descriptor: int, text: str) -> None:
    data = text.encode("utf-8", errors="replace")
    while data:
        data = data[os.write(descriptor, data) :]


def _descriptor() -> int | None:
    """Standard error's descriptor; None if it is closed or isn't a file."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def _is_terminal(descriptor: int) -> bool:
    return os.isatty(descriptor) and os.environ.get("TERM", "dumb") != "dumb"
