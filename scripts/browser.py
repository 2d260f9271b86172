"""A headless Chromium, driven over a pipe by its DevTools protocol; needs no package, no port."""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
# Chromium reads commands from descriptor 3 and writes replies and events to 4, each NUL-terminated.
_LAUNCH = (
    "import fcntl, os, sys\n"
    "reads, writes = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3])\n"
    "os.dup2(reads, 3); os.dup2(writes, 4)\n"
    "os.execvp(sys.argv[3], sys.argv[3:])\n"
)


def find() -> str | None:
    """The path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser with one page.

    Attributes:
      events: everything that the page reported, in order, as ``(method, parameters)``.
    """

    def __init__(self, reads: int, writes: int, timeout: float) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._reads, self._writes, self._timeout = reads, writes, timeout
        self._numbers = itertools.count(1)
        self._unread = b""
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command and returns its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def show(self, page: Path, *, width: int = 1000, height: int = 800, dark: bool = False) -> None:
        """Opens a file in a window of the given size, and waits until it has loaded."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        self.events.clear()
        self.call("Page.navigate", url=page.absolute().as_uri())
        while all(method != "Page.loadEventFired" for method, _ in self.events):
            self._next()

    def ask(self, expression: str) -> Any:
        """Evaluates a JavaScript expression, which the page's own policy doesn't restrict."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def print_media(self) -> None:
        """Shows the page as it would be printed."""
        self.call("Emulation.setEmulatedMedia", media="print", features=[])

    def picture(self, *, top: float = 0, height: float | None = None) -> bytes:
        """Takes a PNG of the whole page, or of a part of it at full width."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": size["width"], "height": height or size["height"]}
        answer = self.call(
            "Page.captureScreenshot",
            format="png",
            clip=clip | {"scale": 1},
            captureBeyondViewport=True,
        )
        return base64.b64decode(answer["data"])

    def picture_of(self, first: str | None, last: str, margin: float = 16) -> bytes:
        """Takes a PNG from one element of the page to another, with some space around them.

        Args:
          first: a CSS selector; None begins at the top of the page.
          last: likewise.
          margin: in pixels.
        """
        place = "document.querySelector('{}').getBoundingClientRect().{}"
        top = self.ask(place.format(first, "top")) - margin if first else 0
        bottom = self.ask(place.format(last, "bottom")) + margin
        return self.picture(top=top, height=bottom - top)

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + self._timeout
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._reads], [], [], max(0, end - time.monotonic()))
            data = os.read(self._reads, 1 << 20) if ready else b""
            if not data:
                raise TimeoutError(
                    "the browser doesn't reply" if not ready else "the browser has exited"
                )
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message


@contextlib.contextmanager
def opened(program: str, profile: Path, *, timeout: float = 60) -> Iterator[Browser]:
    """Starts a browser with a new profile, and kills all its processes at the end."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    command = [
        sys.executable, "-I", "-c", _LAUNCH, str(theirs_in), str(theirs_out), program, *FLAGS,
        f"--user-data-dir={profile}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, pass_fds=(theirs_in, theirs_out), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(profile)},
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_in, ours_out, timeout)
    finally:
        os.close(ours_in)
        os.close(ours_out)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
