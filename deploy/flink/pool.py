"""A pool of Beam workers for several TaskManagers on one machine: `python pool.py PORT`.

Beam's own pool (`apache_beam.runners.worker.worker_pool_main`) is for one TaskManager: it knows a
worker by an id that is unique there alone, and would stop the worker of another; it also holds back
what workers print. A worker ends by itself when its TaskManager hangs up, so here nobody stops it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.utils import thread_pool_executor

_BOOT = Path(__file__).with_name("boot.py")
_ENDPOINTS = ("logging_endpoint", "artifact_endpoint", "provision_endpoint", "control_endpoint")
_GRACE_SECONDS = 5


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts workers in this Python's environment."""

    def __init__(self) -> None:
        self._workers: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def StartWorker(self, request: Any, context: Any) -> Any:
        """Starts one worker; Beam's protocol wants an answer before it is ready."""
        command = [sys.executable, str(_BOOT), f"--id={request.worker_id}"]
        command += [f"--{name}={getattr(request, name).url}" for name in _ENDPOINTS]
        with self._lock:
            # Those that ended are asked for, so that they leave the process table.
            self._workers = [worker for worker in self._workers if worker.poll() is None]
            self._workers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, context: Any) -> Any:
        """Leaves the worker to its TaskManager."""
        return beam_fn_api_pb2.StopWorkerResponse()

    def close(self) -> None:
        """Ends all workers."""
        with self._lock:
            for worker in self._workers:
                worker.terminate()
            for worker in self._workers:
                try:
                    worker.wait(_GRACE_SECONDS)
                except subprocess.TimeoutExpired:
                    worker.kill()


def main() -> None:
    """Serves on loopback until SIGTERM or SIGINT."""
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    pool = WorkerPool()
    server = grpc.server(thread_pool_executor.shared_unbounded_instance())
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(f"localhost:{int(sys.argv[1])}")
    server.start()
    ended.wait()
    server.stop(0)
    pool.close()


if __name__ == "__main__":
    main()
