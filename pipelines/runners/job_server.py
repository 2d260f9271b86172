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
from typing import IO, TypeVar

import grpc
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability.job_server import JobServer

from pipelines.errors import PenguinError
from pipelines.runners import supervisor

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")
_START_SECONDS = 180
_STOP_SECONDS = 10
_LOOK_SECONDS = 0.1
# Jobs of any size; a busy machine may answer late.
_CHANNEL = {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.keepalive_timeout_ms": 600_000,
    "grpc.http2.max_pings_without_data": 0,
}
# How Go, Java and Python start the line that says why a program ended.
_REASON = re.compile(r"(panic|fatal error|\w*Error|Exception in thread .*?): ")


class SupervisedJobServer(JobServer):
    """Starts a command that serves Beam's job API, and ends it with all its children.

    Args:
      name: what messages call the server.
      command: starts it.
      address: where it listens, or what finds that in a line of its output.
      environment: variables to add to this process's own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        address: str | Callable[[str], str | None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = name
        self._command = list(command)
        self._address: Future[str] = Future()
        self._find_address: Callable[[str], str | None] = lambda _: None
        if callable(address):
            self._find_address = address
        else:
            self._address.set_result(address)
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
        ended: Future[str] = Future()
        threading.Thread(
            target=self._read, args=(self._process.stdout, ended), name=self._name, daemon=True
        ).start()
        try:
            address = self._wait(self._address.result, ended)
            self._channel = grpc.insecure_channel(address, options=list(_CHANNEL.items()))
            self._wait(grpc.channel_ready_future(self._channel).result, ended)
        except BaseException:
            self.stop()
            raise
        return beam_job_api_pb2_grpc.JobServiceStub(self._channel)

    def _read(self, output: IO[str], ended: Future[str]) -> None:
        """Logs the server's output, and finds its address, or the likely reason of its end."""
        reason = ""
        with output:
            for line in output:
                _LOGGER.info("%s: %s", self._name, line.rstrip())
                if not self._address.done() and (found := self._find_address(line)):
                    self._address.set_result(found)
                if not _REASON.match(reason):
                    reason = line.strip() or reason
        ended.set_result(reason)

    def _wait(self, result: Callable[[float], _T], ended: Future[str]) -> _T:
        """Waits for a result, unless the server ends first."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError, grpc.FutureTimeoutError):
                return result(_LOOK_SECONDS)
            if ended.done():
                raise PenguinError(f"{self._name} didn't start: {ended.result()}")
        raise PenguinError(f"{self._name} didn't answer within {_START_SECONDS} s")

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
