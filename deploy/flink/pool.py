"""A pool of Beam workers for several TaskManagers on a machine: `python pool.py PORT SECRET_FILE`.

It runs code for anyone who knows the secret: the content of a file, at least 32 characters long,
that only the pool's user may read. The submitter of a job has a copy (docs/flink.md).

Beam's own pool (`apache_beam.runners.worker.worker_pool_main`) serves one TaskManager: it
identifies a worker by an id that is unique within one TaskManager, and would stop the worker of
another. It also holds back what workers print. Nothing here stops a worker: it ends by itself when
its TaskManager disconnects.
"""

from __future__ import annotations

import hmac
import os
import signal
import stat
import subprocess
import sys
import tempfile
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
_LEAST_LENGTH = 32
# The parameter by which the pool recognizes a job (pipelines/runners/beam_private.py).
_SECRET = "secret"


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts workers in this Python's environment.

    Args:
      secret: What a request must contain.
      packages: A folder for the packages of jobs; no other user may write to it.
    """

    def __init__(self, secret: str, packages: str) -> None:
        self._secret = secret.encode()
        self._packages = packages
        self._workers: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def StartWorker(self, request: Any, context: Any) -> Any:
        """Starts one worker; Beam's protocol expects the answer before the worker is ready."""
        if not hmac.compare_digest(request.params[_SECRET].encode(), self._secret):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "the secret is missing or wrong")
        # -P keeps this script's folder and the working directory off the module path.
        command = [sys.executable, "-P", str(_BOOT), f"--id={request.worker_id}"]
        command += [f"--packages={self._packages}"]
        command += [f"--{name}={getattr(request, name).url}" for name in _ENDPOINTS]
        with self._lock:
            # poll() also removes ended workers from the process table.
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


def read_secret(path: str) -> str:
    """Reads the secret; exits if it is missing, too short or readable by others."""
    try:
        with open(path, encoding="ascii") as file:
            found = os.fstat(file.fileno())
            secret = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"pool: error: cannot read the secret: {error}")
    if found.st_uid not in (os.geteuid(), 0) or stat.S_IMODE(found.st_mode) & 0o077:
        sys.exit(f"pool: error: others may read {path}; chmod 600 it, and generate a new secret")
    if len(secret) < _LEAST_LENGTH:
        sys.exit(f"pool: error: the secret in {path} has fewer than {_LEAST_LENGTH} characters")
    return secret


def main() -> None:
    """Serves on loopback until SIGTERM or SIGINT."""
    if len(sys.argv) != 3:
        sys.exit("usage: pool.py PORT SECRET_FILE")
    secret = read_secret(sys.argv[2])
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with tempfile.TemporaryDirectory(prefix="penguin-packages-") as packages:
        _serve(int(sys.argv[1]), WorkerPool(secret, packages), ended)


def _serve(port: int, pool: WorkerPool, ended: threading.Event) -> None:
    server = grpc.server(thread_pool_executor.shared_unbounded_instance())
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(f"localhost:{port}")
    server.start()
    ended.wait()
    server.stop(0)
    pool.close()


if __name__ == "__main__":
    main()
