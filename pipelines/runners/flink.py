"""Beam's Flink runner, with jobs that can be cancelled and a job server that is always stopped."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Sequence

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
from apache_beam.utils.subprocess_server import JavaJarServer, pick_port

from pipelines.errors import UsageError
from pipelines.runners import beam_private, flink_keys, flink_rest, secret_files
from pipelines.runners.flags import add_defaults
from pipelines.runners.job_server import SupervisedJobServer
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
        """Stops the job server, if there is one, and the job if it is still running."""
        server, self._server = self._server, None
        if server is None:
            return
        server.stop()
        # An embedded Flink ended with its server.
        self.stop()


class _JobServer(SupervisedJobServer):
    """Beam's job server for Flink, in Java.

    Args:
      options: the pipeline's.
    """

    def __init__(self, options: PipelineOptions) -> None:
        server = options.view_as(JobServerOptions)
        flink = options.view_as(FlinkRunnerOptions)
        jar = JavaJarServer.local_jar(
            flink.flink_job_server_jar
            or JavaJarServer.path_to_beam_jar(
                f":runners:flink:{flink.flink_version}:job-server:shadowJar"
            ),
            server.jar_cache_dir,
        )
        # Only this user may enter it.
        self._folder = tempfile.mkdtemp(prefix="penguin-")
        artifacts = os.path.join(self._folder, "artifacts")
        os.mkdir(artifacts)
        properties = list(server.job_server_jvm_properties)
        flags = {
            "--flink-master": flink.flink_master,
            "--artifacts-dir": server.artifacts_dir or artifacts,
            "--artifact-port": server.artifact_port,
        }
        if _listens_on_sockets(jar):
            properties.append(f"-Djava.io.tmpdir={self._folder}")
            host = f"unix://{self._folder}/jobs"
            address = f"{host}:{_SOCKET_NUMBER}"
            # Nobody needs a Java expansion service.
            flags |= {"--job-host": host, "--job-port": _SOCKET_NUMBER, "--expansion-port": -1}
            if flink.flink_master in flink_runner.MAGIC_HOST_NAMES:
                # Locks down the ports of a Flink that runs inside the job server.
                with open(os.path.join(self._folder, "config.yaml"), "w") as file:
                    json.dump(embedded_settings(self._folder), file)
                flags["--flink-conf-dir"] = self._folder
        else:
            (port,) = pick_port(server.job_port)
            address = f"localhost:{port}"
            flags |= {"--job-port": port, "--expansion-port": server.expansion_port}
        java = [server.job_server_java_launcher, *properties, "-jar", jar]
        arguments = [str(each) for pair in flags.items() for each in pair]
        super().__init__("Flink's job server", [*java, *arguments], address)

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self._folder, ignore_errors=True)


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
