"""Which runner a job gets.

Every runner but the local one is Beam's business, by the name the user gave.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
)
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.runner import create_runner
from apache_beam.runners.worker import sdk_worker

from pipelines import storage
from pipelines.errors import UsageError
from pipelines.job.options import add_defaults
from pipelines.runners import beam_private
from pipelines.runners.submission import Submission, Workers, expect_disconnects

_LOCAL_NAMES = frozenset({"directrunner", "direct", "fnapirunner", "fnapi"})
_FLINK_NAMES = frozenset({"flinkrunner", "flink"})
_DATAFLOW_NAMES = frozenset({"dataflowrunner", "dataflow"})
_IN_MEMORY = "in_memory"
# Makes workers send what they emit by a timer, which loses bytes (docs/reliability.md).
_TIMED_STREAM = "data_buffer_time_limit_ms"


def is_local(name: str | None) -> bool:
    """Whether a runner's name means the in-process one; no name does."""
    return name is None or name.lower() in _LOCAL_NAMES


def workers(name: str | None, options: PipelineOptions) -> int | None:
    """How many workers the local runner has; None where another runner decides."""
    if not is_local(name):
        return None
    return int(options.view_as(DirectOptions).direct_num_workers or _cores())


def complete(name: str | None, arguments: Sequence[str], job_name: str) -> list[str]:
    """Adds the flags that a batch job wants of a runner where the user gave none of them.

    Args:
      name: ``--runner``, or None.
      arguments: the command line.
      job_name: how the runner's pages call the job.
    """
    completed = add_defaults(arguments, {"--job_name": job_name})
    if is_local(name):
        defaults = {"--direct_num_workers": str(_cores()), "--direct_running_mode": _IN_MEMORY}
        return add_defaults(completed, defaults)
    if _is_dataflow(name) and not {"--save_main_session", "--no_save_main_session"} & {*arguments}:
        # By default Beam sends the main module there; our steps are in packages.
        completed.append("--no_save_main_session")
    if not _is_flink(name):
        return completed
    from pipelines.runners import flink

    return flink.complete(completed)


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_reach(name: str | None, paths: Sequence[str]) -> None:
    """Refuses paths of this machine for workers that run in a cloud.

    Raises:
      UsageError: a path is local, the runner Dataflow's.
    """
    local = [path for path in paths if storage.local_path(path) is not None]
    if _is_dataflow(name) and local:
        raise UsageError(
            f"{local[0]}: Dataflow cannot reach this machine's files; give gs:// paths"
        )


def create(name: str | None, options: PipelineOptions, *, verbose: bool) -> Submission:
    """Chooses the runner.

    Beam's own DirectRunner is passed over: it first looks for another runner's binary on the
    net, so that one command would run in different ways on and off line.

    Args:
      name: as the user gave it, or None.
      options: Beam's.
      verbose: whether workers log.

    Returns:
      A submission to the in-process runner, to ours for Flink, or to the one that Beam has under
      this name.

    Raises:
      UsageError: Beam has none, something that it needs is not there, or an option makes workers
        send data in a way that loses some of it.
    """
    _refuse_timed_streams(name, options)
    if not verbose:
        # It prints the traceback of a worker that is a thread of this process; the job's end tells.
        vars(sdk_worker)["print"] = _print_nothing
        expect_disconnects()
    if is_local(name):
        return Submission(fn_runner.FnApiRunner(), options, workers=Workers.THREADS)
    if _is_flink(name):
        from pipelines.runners import flink

        flink.check(options)
        runner = flink.FlinkRunner(options)
        return Submission(runner, options, runner.close, stop=runner.stop)
    if _is_dataflow(name):
        _check_dataflow(options)
    beam_private.guard_loopback_workers()
    try:
        return Submission(create_runner(name), options)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(f"--runner {name}: {str(error).splitlines()[0]}") from error


def _print_nothing(*values: object, **settings: object) -> None:
    pass


def _is_flink(name: str | None) -> bool:
    return name is not None and name.lower() in _FLINK_NAMES


def _is_dataflow(name: str | None) -> bool:
    return name is not None and name.lower() in _DATAFLOW_NAMES


def _check_dataflow(options: PipelineOptions) -> None:
    """Refuses what Beam would ask the cloud about, for minutes where there are no credentials."""
    cloud = options.view_as(GoogleCloudOptions)
    missing = [flag for flag in ("project", "region") if not getattr(cloud, flag)]
    if not (cloud.temp_location or cloud.staging_location):
        missing.append("temp_location")
    if missing:
        raise UsageError(f"--runner DataflowRunner needs --{missing[0]}")


def _refuse_timed_streams(name: str | None, options: PipelineOptions) -> None:
    """Refuses what makes Beam's workers flush their streams by a timer.

    Beam 2.77's `TimeBasedBufferingClosableOutputStream` (`runners/worker/data_plane.py`) loses what
    is written during a flush. Its local runner uses it with gRPC, in threads as in processes;
    elsewhere an experiment turns it on.

    Raises:
      UsageError: an option does.
    """
    mode = options.view_as(DirectOptions).direct_running_mode
    if is_local(name) and mode != _IN_MEMORY:
        raise UsageError(
            f"--direct_running_mode {mode}: Beam's streams between such workers lose data; leave "
            "the flag out: by default a thread for each core scores in this process"
        )
    experiments = options.view_as(DebugOptions).experiments or []
    environment = options.view_as(PortableOptions).environment_config or ""
    if _TIMED_STREAM in environment or any(_TIMED_STREAM in each for each in experiments):
        raise UsageError(
            f"{_TIMED_STREAM}: Beam's streams with a timer lose data; leave the option out"
        )
