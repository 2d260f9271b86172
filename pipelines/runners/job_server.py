"""A job server in a child process that ends when this process does, however it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import IO

import grpc
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability.job_server import JobServer

from pipelines.errors import PenguinError
from pipelines.runners import supervisor

_LOGGER = logging.getLogger(__name__)
_START_SECONDS = 120
_STOP_SECONDS = 10
_LOOK_SECONDS = 0.1
# Jobs of any size; a busy machine may answer late.
_CHANNEL = {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.keepalive_timeout_ms": 600_000,
    "grpc.http2.max_pings_without_data": 0,
}
_REASON = re.compile(r"panic|error|exception|fatal", re.IGNORECASE)


class SupervisedJobServer(JobServer):
    """Starts a command that serves Beam's job API, and ends it with all its children.

    Args:
      name: what messages call the server.
      command: starts it.
      address: finds the server's address in a line of its output; None if the line has none.
      environment: variables to add to this process's own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        address: Callable[[str], str | None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = name
        self._command = list(command)
        self._find_address = address
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self._channel: grpc.Channel | None = None

    def start(self) -> beam_job_api_pb2_grpc.JobServiceStub:
        """Starts the server and waits until it answers.

        Raises:
          PenguinError: it ended, or didn't answer in time.
        """
        # Isolated: the folder where the job is started doesn't affect what is imported.
        command = [sys.executable, "-I", supervisor.__file__, str(os.getpid()), *self._command]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self._environment, text=True, errors="backslashreplace",
        )  # fmt: skip
        assert self._process.stdout is not None
        address: Future[str] = Future()
        threading.Thread(
            target=self._read, args=(self._process.stdout, address), name=self._name, daemon=True
        ).start()
        deadline = time.monotonic() + _START_SECONDS
        try:
            found = address.result(_START_SECONDS)
            self._channel = grpc.insecure_channel(found, options=list(_CHANNEL.items()))
            grpc.channel_ready_future(self._channel).result(deadline - time.monotonic())
        except (TimeoutError, grpc.FutureTimeoutError) as error:
            self.stop()
            raise PenguinError(f"{self._name} didn't answer within {_START_SECONDS} s") from error
        except BaseException:
            self.stop()
            raise
        return beam_job_api_pb2_grpc.JobServiceStub(self._channel)

    def _read(self, output: IO[str], address: Future[str]) -> None:
        """Logs the server's output, and looks for its address."""
        reason = ""
        with output:
            for line in output:
                _LOGGER.info("%s: %s", self._name, line.rstrip())
                if address.done():
                    continue
                if found := self._find_address(line):
                    address.set_result(found)
                elif not _REASON.search(reason):
                    reason = line.strip() or reason
        if not address.done():
            address.set_exception(PenguinError(f"{self._name} didn't start: {reason}"))

    def stop(self) -> None:
        """Ends the server; does nothing if it isn't running."""
        channel, self._channel = self._channel, None
        process, self._process = self._process, None
        if channel is not None:
            channel.close()
        if process is not None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
