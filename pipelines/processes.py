"""The worker processes of the in-process runner: started, watched and ended by us.

Beam's own handler starts them through a shell and does not tell the runner when one dies: a job
whose worker is killed before it has connected waits for ever.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from apache_beam.portability import python_urns
from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.transforms.environments import SubprocessSDKEnvironment
from google.protobuf import json_format, text_format

from penguin_model.errors import PenguinError


class Processes:
    """The worker processes of one run.

    Args:
      command: what each of them runs.

    Attributes:
      failure: gets a PenguinError when one of them ends while the run needs it.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.failure: Future[None] = Future()
        self._command = list(command)
        self._lock = threading.Lock()
        self._needed = True
        self._started: list[subprocess.Popen[bytes]] = []

    def environment(self) -> SubprocessSDKEnvironment:
        """Beam's environment of a pipeline that runs in these processes."""

        def handle(_: bytes, *others: Any) -> _Handler:
            return _Handler(self, *others)

        urn = python_urns.SUBPROCESS_SDK
        worker_handlers.WorkerHandler.register_environment(urn, bytes)(handle)
        return SubprocessSDKEnvironment.from_command_string(" ".join(self._command))

    def start(self, settings: Mapping[str, str]) -> None:
        """Starts one more.

        Args:
          settings: environment variables beside this process' own.

        Raises:
          PenguinError: the run has ended.
        """
        with self._lock:
            if not self._needed:
                raise PenguinError("the run has ended")
            process = subprocess.Popen(self._command, env={**os.environ, **settings})
            self._started.append(process)
        threading.Thread(
            target=self._watch, args=(process,), name="watch worker", daemon=True
        ).start()

    def release(self) -> None:
        """Tells that they may end."""
        with self._lock:
            self._needed = False

    def kill(self) -> None:
        """Kills those that still run, and waits until none can write any longer."""
        self.release()
        for process in self._started:
            process.kill()
            process.wait()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with self._lock:
            if self._needed and not self.failure.done():
                self.failure.set_exception(_explain(code))


def _explain(code: int) -> PenguinError:
    if code == -signal.SIGKILL:
        return PenguinError(
            "a worker process was killed, as Linux does when memory runs out; nothing is published "
            "(a lower --direct_num_workers needs less)"
        )
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return PenguinError(f"a worker process {how}; nothing is published (--verbose shows more)")


class _Handler(worker_handlers.GrpcWorkerHandler):
    """What Beam's runner knows of one of them.

    Args:
      processes: where it belongs.
      others: the base class' arguments.
    """

    def __init__(self, processes: Processes, *others: Any) -> None:
        super().__init__(*others)
        self._processes = processes

    def start_worker(self) -> None:
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        options = self.provision_info.provision_info.pipeline_options
        self._processes.start(
            {
                "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(control),
                "PIPELINE_OPTIONS": json_format.MessageToJson(options),
                "WORKER_ID": self.worker_id,
            }
        )

    def close(self) -> None:
        # The runner's last word to a worker, which ends it.
        self._processes.release()
        super().close()

    def stop_worker(self) -> None:
        # The runner ends them one after the other, none of which has work left by now.
        self._processes.kill()
