"""Beam's Flink runner, with jobs that can be cancelled and a job server that is always stopped."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from typing import Any

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
)
from apache_beam.runners.portability import flink_runner
from apache_beam.runners.portability.job_server import JobServer
from apache_beam.transforms import environments

from pipelines.errors import UsageError
from pipelines.runners import beam_private, flink_keys, flink_rest, secret_files, supervisor
from pipelines.runners.flags import add_defaults
from pipelines.runners.runner import Runner
from pipelines.runners.submission import Submission

# Flink 2 runs Beam's batch jobs with its streaming engine, in bundles of some thousand elements.
_BATCH_VERSION = "1.20"
# Flink ends a worker, and its model with it, between the stages of a job unless it may keep it for
# this long. It also keeps dead workers, so restarts must wait longer (docs/flink.md).
_CACHE_MILLISECONDS = 5_000
# Marks the manifest of a job server that deploy/flink/sockets.py has changed.
_SOCKETS = b"Penguin-Sockets: unix"
# Beam's flag takes a host and a port, and builds the socket's name from both.
_SOCKET_NUMBER = 1
# The parameter of `--environment_config` that names the file of a pool's secret.
_SECRET_FILE = "secret_file"


class Flink(Runner):
    """Completes and checks Flink's flags, and runs the job on `FlinkRunner`."""

    def complete(self, arguments: Sequence[str], job_name: str) -> list[str]:
        completed = add_defaults(
            super().complete(arguments, job_name),
            {
                "--flink_version": _BATCH_VERSION,
                "--environment_cache_millis": str(_CACHE_MILLISECONDS),
            },
        )
        if "--parallelism" in {each.split("=")[0] for each in arguments}:
            return completed
        # Beam's own default is 1, whatever the cluster has.
        master = PipelineOptions(completed).view_as(FlinkRunnerOptions).flink_master
        embedded = master in flink_runner.MAGIC_HOST_NAMES
        slots = None if embedded else flink_rest.count_slots(master)
        return [*completed, f"--parallelism={slots or os.cpu_count() or 1}"]

    def check(self, options: PipelineOptions) -> None:
        super().check(options)
        if options.view_as(PortableOptions).job_endpoint:
            return
        java = options.view_as(JobServerOptions).job_server_java_launcher
        if shutil.which(java) is None:
            raise UsageError(
                f"--runner FlinkRunner: there is no {java} command; install Java 11 or 17"
            )
        jar = options.view_as(FlinkRunnerOptions).flink_job_server_jar
        if jar and "://" not in jar and not os.path.isfile(jar):
            raise UsageError(
                f"--flink_job_server_jar {jar}: no such file; `make flink` fetches one"
            )

    def make_submission(self, options: PipelineOptions) -> Submission:
        runner = FlinkRunner(options)
        return Submission(runner, options, runner.close, stop=runner.stop)


class FlinkRunner(flink_runner.FlinkRunner):
    """Beam's runner, except that `close` ends the job and its job server.

    Beam itself stops the server at the first Ctrl-C and replaces the signal handler to do so. When
    the server is told to cancel a batch job, it only stops waiting for it: Flink carries on.

    Args:
      options: the pipeline's.
    """

    start_and_replace_loopback_environments = staticmethod(beam_private.start_loopback_workers)

    def __init__(self, options: PipelineOptions) -> None:
        super().__init__()
        beam_private.reach_loopback_directly()
        self._master = options.view_as(FlinkRunnerOptions).flink_master
        self._job_name = options.view_as(GoogleCloudOptions).job_name
        self._server: _JobServer | None = None

    def default_environment(self, options: PipelineOptions) -> environments.Environment:
        """The workers' environment; a pool's secret goes here and not into the options.

        Flink's page shows the options to anyone who may see it, and `ps` shows the command line. So
        ``--environment_config`` names a file: ``{"url": …, "params": {"secret_file": …}}``.

        Raises:
          UsageError: the file can't be read, or others may read it.
        """
        found = super().default_environment(options)
        if isinstance(found, environments.ExternalEnvironment) and _SECRET_FILE in (
            found.params or {}
        ):
            found.params = dict(found.params)
            path = found.params.pop(_SECRET_FILE)
            found.params[beam_private.SECRET] = secret_files.read(path)
        return found

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        """The server that submits the job: a child process, unless an uber jar goes to Flink."""
        flink = options.view_as(FlinkRunnerOptions)
        flink.flink_master = self.add_http_scheme(flink.flink_master)
        if flink.flink_submit_uber_jar and flink.flink_master not in flink_runner.MAGIC_HOST_NAMES:
            return super().default_job_server(options)
        if flink.flink_master == "[auto]":
            # The same embedded Flink, but this one takes settings.
            flink.flink_master = "[local]"
        self._server = _JobServer(options)
        return self._server

    def stop(self) -> None:
        """Stops the job on its cluster and waits for its end; an embedded Flink has no such job."""
        if self._master not in flink_runner.MAGIC_HOST_NAMES:
            flink_rest.cancel(self._master, self._job_name)

    def close(self) -> None:
        """Stops the job server, if it ever started, and the job if it is still running."""
        server, self._server = self._server, None
        if server is None or not server.started:
            return
        server.stop()
        # An embedded Flink ended with its server.
        self.stop()


class _JobServer(flink_runner.FlinkJarJobServer):
    def __init__(self, options: PipelineOptions) -> None:
        super().__init__(options)
        self.started = False
        self._on_sockets = _listens_on_sockets(self._jar)

    def start(self) -> Any:
        if not self._on_sockets:
            return super().start()
        # Only this user may enter it.
        self._local_temp_root = tempfile.mkdtemp(prefix="penguin-")
        if self._master_url in flink_runner.MAGIC_HOST_NAMES:
            self._configure_embedded()
        self._jvm_properties += [f"-Djava.io.tmpdir={self._local_temp_root}"]
        command, _ = self.subprocess_cmd_and_endpoint()
        address = f"{self._socket}:{_SOCKET_NUMBER}"
        self._server = beam_private.JobServerProcess(command, address, logging.getLogger(__name__))
        return self._server.start()

    def _configure_embedded(self) -> None:
        """Locks down the ports of a Flink that runs inside the job server."""
        settings = embedded_settings(self._local_temp_root)
        with open(os.path.join(self._local_temp_root, "config.yaml"), "w") as file:
            json.dump(settings, file)

    @property
    def _socket(self) -> str:
        return f"unix://{self._local_temp_root}/jobs"

    def java_arguments(self, job_port: int, *others: Any) -> list[Any]:
        if not self._on_sockets:
            return list(super().java_arguments(job_port, *others))
        arguments = super().java_arguments(_SOCKET_NUMBER, *others)
        # A later flag wins. Nobody needs a Java expansion service.
        arguments += ["--job-host", self._socket, "--expansion-port", -1]
        if self._master_url in flink_runner.MAGIC_HOST_NAMES:
            arguments += ["--flink-conf-dir", self._local_temp_root]
        return list(arguments)

    def subprocess_cmd_and_endpoint(self) -> tuple[list[Any], str]:
        command, endpoint = super().subprocess_cmd_and_endpoint()
        self.started = True
        here = str(os.getpid())
        # Isolated: the folder where the job is started doesn't affect what is imported.
        return [sys.executable, "-I", supervisor.__file__, here, *command], endpoint


def embedded_settings(folder: str) -> dict[str, object]:
    """Flink's settings for an embedded cluster: loopback only, and only for clients with its key.

    Args:
      folder: where the key goes; nobody else may enter it.
    """
    return {
        "rest.address": "localhost",
        "rest.bind-address": "localhost",
        "jobmanager.bind-host": "localhost",
        "taskmanager.bind-host": "localhost",
        "taskmanager.host": "localhost",
        **flink_keys.make(folder),
    }


def _listens_on_sockets(jar: str | None) -> bool:
    """Whether a job server is the one that `make flink` fetches, on a system with Unix sockets."""
    if not jar or not os.path.isfile(jar):
        return False
    with contextlib.suppress(OSError, KeyError, zipfile.BadZipFile), zipfile.ZipFile(jar) as file:
        return _SOCKETS in file.read("META-INF/MANIFEST.MF").splitlines()
    return False
