"""A real terminal for a command, which records what it writes, frame by frame."""

import contextlib
import dataclasses
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterable, Iterator

from tests.support.running import PROJECT

# The percentage in a line or bar about scoring.
_SCORING = re.compile(r"\bscoring\b.*?(\d+) ?%")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"

# The job, which shows all of its progress without pausing.
_EAGER = """if True:
    from pipelines import score
    from pipelines.progress import display
    display._BAR_SECONDS = display._LINE_SECONDS = 0.02
    score.console()
"""


def eager(*arguments: object) -> list[str]:
    """The command for a job that checks its progress fifty times a second."""
    return [sys.executable, "-c", _EAGER, *map(str, arguments)]


def run_eager(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs such a job without a terminal."""
    return subprocess.run(
        eager(*arguments), cwd=PROJECT, capture_output=True, text=True, timeout=timeout,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def percents(lines: Iterable[str]) -> list[int]:
    """The percentages of scoring in the lines or frames that show it."""
    return [int(match.group(1)) for line in lines if (match := _SCORING.search(line))]


@dataclasses.dataclass
class Terminal:
    """A terminal of some width.

    Attributes:
      descriptor: the end that a command gets.
      text: what has been written to it so far, if it's being read.
    """

    descriptor: int
    text: str = ""

    def start(self, command: list[str], **settings: str) -> subprocess.Popen[str]:
        """Starts a command with this terminal as its standard input and error."""
        # pytest-xdist sets a size of its own, which would come before the terminal's.
        sizes = ("COLUMNS", "LINES")
        inherited = {name: value for name, value in os.environ.items() if name not in sizes}
        return subprocess.Popen(
            command, cwd=PROJECT, text=True, start_new_session=True,
            stdin=self.descriptor, stdout=subprocess.PIPE, stderr=self.descriptor,
            env={**inherited, "TERM": "xterm-256color", **settings},
        )  # fmt: skip

    @property
    def frames(self) -> list[str]:
        """The lines shown one after the other, without colours."""
        plain = _CONTROL.sub("", self.text).replace("\n", "\r")
        return [line.rstrip() for line in plain.split("\r") if line.strip()]


@contextlib.contextmanager
def opened(width: int, *, read: bool = True) -> Iterator[Terminal]:
    """Opens a terminal, and reads its output or lets it fill up."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    terminal = Terminal(theirs)
    thread = threading.Thread(target=_read, args=(ours, terminal))
    if read:
        thread.start()
    try:
        yield terminal
    finally:
        # The reader reaches the end once nothing holds the other side open.
        os.close(theirs)
        if read:
            thread.join(10)
        os.close(ours)


def _read(descriptor: int, terminal: Terminal) -> None:
    data = b""
    # Linux signals the end of a terminal with an error.
    with contextlib.suppress(OSError):
        while more := os.read(descriptor, 65536):
            data += more
            terminal.text = data.decode(errors="replace")


def full_pipe() -> tuple[int, int]:
    """The two ends of a full pipe, for a command whose output nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)
    return reader, writer
