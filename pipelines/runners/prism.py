"""Beam's Prism runner, with a program that is never downloaded and a server that always ends."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import mmap
import os
import shutil
import tempfile
from pathlib import Path

from apache_beam.options.pipeline_options import (
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
)
from apache_beam.runners.portability import prism_runner
from apache_beam.runners.portability.job_server import JobServer

from pipelines.errors import UsageError
from pipelines.runners import beam_private
from pipelines.runners.job_server import SupervisedJobServer
from pipelines.runners.runner import Runner
from pipelines.runners.submission import Submission

# What `make prism` builds; an installed package has no such folder.
BUILT = Path(__file__).parents[2] / ".prism" / "prism"
# Tells the program of `make prism` to listen on a Unix socket; any other one ignores it.
SOCKET_VARIABLE = "PENGUIN_PRISM_SOCKET"

_PACKAGE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
_VERSION = importlib.metadata.version("apache-beam")
_GET_ONE = f"`go install {_PACKAGE}@v{_VERSION}` or `make prism` makes one"
# Go records a program's package in it.
_MARK = f"path\t{_PACKAGE}\n".encode()


class Prism(Runner):
    """Finds the program, and runs the job on a server of its own."""

    def check(self, options: PipelineOptions) -> None:
        super().check(options)
        if not options.view_as(PortableOptions).job_endpoint:
            find_program(options.view_as(PrismRunnerOptions).prism_location)

    def make_submission(self, options: PipelineOptions) -> Submission:
        runner = PrismRunner()
        return Submission(runner, options, runner.close)


class PrismRunner(prism_runner.PrismRunner):
    """Beam's runner, except that it downloads nothing and `close` ends its server.

    Beam itself stops the server with a signal handler, which only a main thread can set.
    """

    start_and_replace_loopback_environments = staticmethod(beam_private.start_loopback_workers)

    def __init__(self) -> None:
        super().__init__()
        self._server: _Server | None = None

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        """A server for this job only."""
        self._server = _Server(options)
        return self._server

    def close(self) -> None:
        """Ends the server, and any job with it."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()


class _Server(SupervisedJobServer):
    def __init__(self, options: PipelineOptions) -> None:
        prism = options.view_as(PrismRunnerOptions)
        # Only this user may enter it.
        self._folder = tempfile.mkdtemp(prefix="penguin-")
        command = [
            find_program(prism.prism_location),
            "--serve_http=false",
            # By default, any port that is free: the server says which.
            f"--job_port={options.view_as(JobServerOptions).job_port or 0}",
            "--log_kind=json",
            # It wouldn't say which below this level.
            f"--log_level={'debug' if prism.prism_log_level == 'debug' else 'info'}",
        ]
        socket = os.path.join(self._folder, "jobs")
        super().__init__("Prism", command, _find_address, {SOCKET_VARIABLE: socket})

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def find_program(location: str | None) -> str:
    """Finds the Prism program.

    Args:
      location: ``--prism_location``; by default, what `make prism` built, then `prism` on the PATH.

    Raises:
      UsageError: there is none.
    """
    if location is None:
        found = str(BUILT) if BUILT.is_file() else shutil.which("prism")
        if found is None:
            raise UsageError(f"--runner PrismRunner: there is no prism program; {_GET_ONE}")
    else:
        found = location
        if "://" in location:
            raise UsageError(
                f"--prism_location {location}: the job downloads no programs; {_GET_ONE}"
            )
    path = os.path.abspath(found)
    if not os.path.isfile(path):
        raise UsageError(f"--prism_location {found}: no such file; {_GET_ONE}")
    if not _is_prism(path):
        raise UsageError(f"{found} isn't Beam's Prism; give --prism_location: {_GET_ONE}")
    if not os.access(path, os.X_OK):
        raise UsageError(f"{found} isn't executable; chmod +x it")
    return path


def _is_prism(path: str) -> bool:
    """Whether Go built this file from Prism's package: other programs have the name, too."""
    # An empty file can't be mapped.
    with (
        contextlib.suppress(OSError, ValueError),
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return content.find(_MARK) >= 0
    return False


def _find_address(line: str) -> str | None:
    """The address in the line with which Prism announces that it serves jobs."""
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict) and said.get("msg") == "Serving JobManagement":
            return str(said["endpoint"])
    return None
