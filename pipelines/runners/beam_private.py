"""Everything that depends on Beam's private parts, as of Beam 2.77.

A patch protects this user from others. Beam starts LOOPBACK workers with a server on all addresses
that runs anything sent to it: here it listens on loopback and requires a secret that only the job
knows.
`tests/runners/test_beam_private.py` fails when Beam changes what is patched or replaced here.
"""

from __future__ import annotations

import bz2
import contextlib
import functools
import hmac
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from apache_beam.internal import cloudpickle_pickler
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, _BeamArgumentParser
from apache_beam.portability import python_urns
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
)
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.worker import sdk_worker, sdk_worker_main, worker_pool_main
from apache_beam.transforms import environments
from apache_beam.utils import thread_pool_executor

from pipelines.errors import UsageError

# Knows the value providers of Beam's options, which argparse's own parser doesn't.
BeamArgumentParser = _BeamArgumentParser

# The parameter of an EXTERNAL environment by which its pool knows the job (deploy/flink/pool.py).
SECRET = "secret"

_DIRECT = "localhost,127.0.0.1,::1"
_IN_PROCESS = "use_loopback_process_worker"


def reach_loopback_directly() -> None:
    """Keeps this process and its children from using a proxy to reach this machine itself.

    gRPC and urllib use the environment's proxy for any address; a proxy elsewhere would then be
    asked for its own loopback, and the job would wait for it. What else goes through the proxy,
    such as gs:// and s3:// paths, still does.
    """
    for name, others in (("no_grpc_proxy", "no_proxy"), ("no_proxy", "NO_PROXY")):
        given = os.environ.get(name) or os.environ.get(others) or os.environ.get("NO_PROXY") or ""
        # A lone star is urllib's sign for every address; gRPC doesn't know it.
        if _DIRECT not in given and (given.strip() != "*" or name == "no_grpc_proxy"):
            os.environ[name] = f"{given},{_DIRECT}".lstrip(",")


class LoopbackPool(worker_pool_main.BeamFnExternalWorkerPoolServicer):
    """Starts workers in this process for anyone who knows the secret."""

    def __init__(self, secret: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._secret = secret.encode()

    def StartWorker(self, request: Any, context: Any) -> Any:
        if not hmac.compare_digest(request.params[SECRET].encode(), self._secret):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "the secret is missing or wrong")
        return super().StartWorker(request, context)

    def StopWorker(self, request: Any, context: Any) -> Any:
        # The request has no room for a secret; a worker ends when its runner disconnects.
        return beam_fn_api_pb2.StopWorkerResponse()


def start_loopback_workers(pipeline: Any, options: PipelineOptions) -> list[Callable[[], object]]:
    """Replaces `PortableRunner.start_and_replace_loopback_environments`.

    Args:
      pipeline: its environments that ask for workers in this process get the pool's address.
      options: the pipeline's.

    Returns:
      Functions that stop the workers.

    Raises:
      UsageError: the options ask for workers in separate processes.
    """
    if options.view_as(DebugOptions).lookup_experiment(_IN_PROCESS, False):
        raise UsageError(f"--experiments={_IN_PROCESS}: use --environment_type=EXTERNAL instead")
    experiments = options.view_as(DebugOptions).experiments or []
    ends: list[Callable[[], object]] = []
    for environment in pipeline.components.environments.values():
        if environment.urn != python_urns.EMBEDDED_PYTHON_LOOPBACK:
            continue
        secret = secrets.token_urlsafe(32)
        pool = LoopbackPool(
            secret,
            state_cache_size=sdk_worker_main._get_state_cache_size_bytes(options=options),
            data_buffer_time_limit_ms=sdk_worker_main._get_data_buffer_time_limit_ms(experiments),
        )
        server = grpc.server(thread_pool_executor.shared_unbounded_instance())
        beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        external = environments.ExternalEnvironment(address, {SECRET: secret}).to_runner_api(None)
        environment.urn, environment.payload = external.urn, external.payload
        ends.append(functools.partial(server.stop, 1))
    return ends


def guard_loopback_workers() -> None:
    """Guards the loopback workers of every portable runner in this process, not only Flink's."""
    PortableRunner.start_and_replace_loopback_environments = staticmethod(start_loopback_workers)


class IgnoreDisconnects:
    """A thread exception hook that ignores lost connections.

    Args:
      report: the hook for all other errors.
    """

    def __init__(self, report: Callable[[threading.ExceptHookArgs], object]) -> None:
        self._report = report

    def __call__(self, error: threading.ExceptHookArgs) -> None:
        if not issubclass(error.exc_type, grpc.RpcError):
            self._report(error)


class _SmallBlocks:
    """In place of `bz2` where Beam pickles steps."""

    decompress = staticmethod(bz2.decompress)

    @staticmethod
    def compress(content: bytes, compresslevel: int) -> bytes:
        del compresslevel  # 9: eight megabytes are reserved and cleared for each kilobyte of a step
        return bz2.compress(content, 1)


def pickle_quickly() -> None:
    """Makes Beam pickle steps in small blocks, which take a tenth of the time, for any reader."""
    vars(cloudpickle_pickler)["bz2"] = _SmallBlocks


@contextlib.contextmanager
def quiet_workers() -> Iterator[None]:
    """Keeps workers that are threads of this process from printing tracebacks during the body.

    Beam 2.77's `sdk_worker` prints the traceback of a failed step, which the submitter reports
    anyway, and its threads fail with a lost connection when the runner disconnects.
    """
    hook = threading.excepthook
    threading.excepthook = IgnoreDisconnects(hook)
    # A module's own name takes precedence over the builtin.
    vars(sdk_worker)["print"] = _print_nothing
    try:
        yield
    finally:
        threading.excepthook = hook
        vars(sdk_worker).pop("print", None)


def _print_nothing(*_: object, **__: object) -> None:
    pass
