"""Which runner a job gets.

Every runner but the local one is Beam's business, by the name the user gave.
"""

from __future__ import annotations

import os
import shlex
import sys

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, WorkerOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.runner import PipelineRunner, create_runner
from apache_beam.transforms import environments

from penguin_model.errors import UsageError

_LOCAL_NAMES = frozenset({"directrunner", "direct", "fnapirunner", "fnapi"})
_PROCESSES = "multi_processing"


def is_local(name: str | None) -> bool:
    """Whether a runner's name means the in-process one; no name does."""
    return name is None or name.lower() in _LOCAL_NAMES


def is_in_process(name: str | None, options: PipelineOptions) -> bool:
    """Whether the workers are threads of this process."""
    return is_local(name) and options.view_as(DirectOptions).direct_running_mode != _PROCESSES


def has_processes(name: str | None, options: PipelineOptions) -> bool:
    """Whether the workers are child processes of this one."""
    return is_local(name) and not is_in_process(name, options)


def workers(name: str | None, options: PipelineOptions) -> int | None:
    """How many workers the local runner has; None where another runner decides."""
    if not is_local(name):
        return None
    return int(options.view_as(DirectOptions).direct_num_workers or os.cpu_count() or 1)


def create(name: str | None, options: PipelineOptions, *, verbose: bool) -> PipelineRunner:
    """Chooses the runner.

    Beam's own DirectRunner is passed over: it first looks for another runner's binary on the
    net, so that one command would run in different ways on and off line.

    Args:
      name: as the user gave it, or None.
      options: Beam's; with ``multi_processing`` the mode moves from there into the runner.
      verbose: whether worker processes log.

    Returns:
      The in-process runner, or the one that Beam has under this name.

    Raises:
      UsageError: Beam has none.
    """
    if name is not None and not is_local(name):
        try:
            return create_runner(name)
        except (ValueError, ImportError, AttributeError) as error:
            raise UsageError(f"--runner {name}: {str(error).splitlines()[0]}") from error
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != _PROCESSES:
        return fn_runner.FnApiRunner()
    # Beam's runner would start its own worker command, which logs before it can be told not to.
    direct.direct_running_mode = "in_memory"
    # Beam gives this to a shell, which `exec` replaces: the worker is our own child.
    command = f"exec {shlex.quote(sys.executable)} -m pipelines.worker"
    if not verbose:
        options.view_as(WorkerOptions).default_sdk_harness_log_level = "CRITICAL"
        command += " --quiet"
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    return fn_runner.FnApiRunner(
        default_environment=environments.SubprocessSDKEnvironment.from_command_string(command),
        provision_info=fn_runner.ExtendedProvisionInfo(
            beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
        ),
    )
