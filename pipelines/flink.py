"""Beam's Flink runner, with jobs that can be cancelled and a job server that leaves nothing."""

from __future__ import annotations

import os
import shutil
import sys
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

from penguin_model.errors import UsageError
from pipelines import flink_cluster
from pipelines.options import add_defaults

# Flink 2 runs Beam's batch jobs with its streaming engine, in bundles of some thousand elements.
_BATCH_VERSION = "1.20"
# Between the stages of a job Flink ends a worker, and its model with it, unless it may keep it for
# this long. It keeps one that died just as well: restarts must wait longer (docs/flink.md).
_CACHE_MILLISECONDS = 5_000


class FlinkRunner(flink_runner.FlinkRunner):
    """Beam's runner, but for the end of the job and of its job server, which `close` brings.

    Beam stops the server itself at the first Ctrl-C and takes the signal's handler for that. Told
    to cancel a batch job, the server only stops waiting for it: Flink goes on.

    Args:
      options: the pipeline's.
    """

    def __init__(self, options: PipelineOptions) -> None:
        super().__init__()
        self._master = options.view_as(FlinkRunnerOptions).flink_master
        self._job_name = options.view_as(GoogleCloudOptions).job_name
        self._server: _JobServer | None = None

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        """The server that submits the job: a child process, unless an uber jar goes to Flink."""
        flink = options.view_as(FlinkRunnerOptions)
        flink.flink_master = self.add_http_scheme(flink.flink_master)
        if flink.flink_submit_uber_jar and flink.flink_master not in flink_runner.MAGIC_HOST_NAMES:
            return super().default_job_server(options)
        self._server = _JobServer(options)
        return self._server

    def stop(self) -> None:
        """Stops the job on its cluster and waits for its end; an embedded Flink has none."""
        if self._master not in flink_runner.MAGIC_HOST_NAMES:
            flink_cluster.cancel(self._master, self._job_name)

    def close(self) -> None:
        """Stops the job server, which may never have started, and the job if it still runs."""
        server, self._server = self._server, None
        if server is None or not server.started:
            return
        server.stop()
        # An embedded Flink has ended with its server.
        self.stop()


class _JobServer(flink_runner.FlinkJarJobServer):
    def __init__(self, options: PipelineOptions) -> None:
        super().__init__(options)
        self.started = False

    def subprocess_cmd_and_endpoint(self) -> tuple[list[Any], str]:
        command, endpoint = super().subprocess_cmd_and_endpoint()
        self.started = True
        here = str(os.getpid())
        return [sys.executable, "-m", "pipelines.detached", here, *command], endpoint


def complete(arguments: Sequence[str]) -> list[str]:
    """Adds the flags that a batch job wants of Flink where the user gave none of them."""
    completed = add_defaults(
        arguments,
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
    slots = None if embedded else flink_cluster.count_slots(master)
    return [*completed, f"--parallelism={slots or os.cpu_count() or 1}"]


def check(options: PipelineOptions) -> None:
    """Refuses what cannot work, before Beam tries it for long.

    Raises:
      UsageError: there is no Java, or no such job server.
    """
    if options.view_as(PortableOptions).job_endpoint:
        return
    java = options.view_as(JobServerOptions).job_server_java_launcher
    if shutil.which(java) is None:
        raise UsageError(f"--runner FlinkRunner: there is no {java} command; install Java 11 or 17")
    jar = options.view_as(FlinkRunnerOptions).flink_job_server_jar
    if jar and "://" not in jar and not os.path.isfile(jar):
        raise UsageError(f"--flink_job_server_jar {jar}: no such file; `make flink` fetches one")
