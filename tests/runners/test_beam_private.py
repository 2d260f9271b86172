"""Detects changes in Beam's private parts that `runners/beam_private.py` relies on."""

import ast
import hashlib
import inspect
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from apache_beam.options import pipeline_options
from apache_beam.runners.portability import (
    flink_runner,
    job_server,
    portable_runner,
    prism_runner,
)
from apache_beam.runners.worker import sdk_worker, sdk_worker_main, worker_pool_main

from pipelines.runners import beam_private
from tests.support.running import PROJECT

_POOL = worker_pool_main.BeamFnExternalWorkerPoolServicer

# The start of the SHA-256 of each source, as of Beam 2.77. If one differs, read Beam's new code and
# what replaces it here, then record the new digest.
READ = [
    (portable_runner.PortableRunner.start_and_replace_loopback_environments, "08bd4bf8db7a"),
    (_POOL.__init__, "029c41ad2296"),
    (_POOL.StartWorker, "766cce5c5a7a"),
    (_POOL.StopWorker, "ea6a5f125ba6"),
    (sdk_worker_main._get_state_cache_size_bytes, "47211093f230"),
    (sdk_worker_main._get_data_buffer_time_limit_ms, "0062fc4c62ed"),
    (sdk_worker.SdkHarness._execute, "2a62fda30490"),
    (job_server.JavaJarJobServer, "f13879c284ad"),
    (flink_runner.FlinkJarJobServer, "6f5327016803"),
    (prism_runner.PrismRunner, "2defab1233cd"),
    (pipeline_options._BeamArgumentParser, "ed03efd2bcc8"),
]


@pytest.mark.parametrize(("source", "digest"), READ, ids=lambda each: getattr(each, "__name__", ""))
def test_beam_is_as_it_was_read(source: Any, digest: str) -> None:
    found = hashlib.sha256(inspect.getsource(source).encode()).hexdigest()
    assert found.startswith(digest), f"{source.__qualname__} differs from Beam 2.77's"


def test_private_names_of_beam_are_imported_in_one_module() -> None:
    def imports_private(path: Path) -> bool:
        return any(
            isinstance(node, ast.ImportFrom)
            and (node.module or "").startswith("apache_beam")
            and any(alias.name.startswith("_") for alias in node.names)
            for node in ast.walk(ast.parse(path.read_text()))
        )

    found = {path.name for path in (PROJECT / "pipelines").rglob("*.py") if imports_private(path)}
    assert found == {"beam_private.py"}


def test_quiet_workers_leaves_the_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda error: seen.append(error.exc_type))
    before = threading.excepthook

    def fail(error: BaseException) -> None:
        raise error

    with beam_private.quiet_workers():
        assert "print" in vars(sdk_worker)
        for error in (grpc.RpcError(), ValueError()):
            thread = threading.Thread(target=fail, args=(error,))
            thread.start()
            thread.join()
    assert seen == [ValueError]
    assert threading.excepthook is before
    assert "print" not in vars(sdk_worker)
