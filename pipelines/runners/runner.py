"""What the job requires of a runner; each runner has a module of its own."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, PortableOptions

from pipelines.errors import UsageError
from pipelines.runners import beam_private
from pipelines.runners.flags import add_defaults
from pipelines.runners.submission import Submission

# Makes workers send their output by a timer, which loses bytes (docs/reliability.md).
_TIMED_STREAM = "data_buffer_time_limit_ms"


class Runner(abc.ABC):
    """One runner: completes the flags, checks them, and makes a submission."""

    def complete(self, arguments: Sequence[str], job_name: str) -> list[str]:
        """Adds the flags that a batch job needs on this runner, unless the user gave them.

        Args:
          arguments: the command line.
          job_name: what the runner's pages call the job.
        """
        # Before anything is connected, by the runner, its servers or its workers.
        beam_private.reach_loopback_directly()
        return add_defaults(arguments, {"--job_name": job_name})

    def check_reach(self, paths: Sequence[str]) -> None:  # noqa: B027
        """Refuses paths that this runner's workers can't reach; most runners can reach all.

        Args:
          paths: those of the input and the output.

        Raises:
          UsageError: a path is out of reach.
        """

    def check(self, options: PipelineOptions) -> None:
        """Refuses options that can't work or would lose data, before Beam tries them.

        Beam 2.77's `TimeBasedBufferingClosableOutputStream` (`runners/worker/data_plane.py`) loses
        what is written during a flush. An experiment turns it on.

        Raises:
          UsageError: an option is refused, or something that the runner needs is missing.
        """
        experiments = options.view_as(DebugOptions).experiments or []
        environment = options.view_as(PortableOptions).environment_config or ""
        if _TIMED_STREAM in environment or any(_TIMED_STREAM in each for each in experiments):
            raise UsageError(
                f"{_TIMED_STREAM}: Beam's streams with a timer lose data; leave the option out"
            )

    def count_workers(self, options: PipelineOptions) -> int | None:
        """Counts the workers; None if only the runner knows."""
        return None

    @abc.abstractmethod
    def make_submission(self, options: PipelineOptions) -> Submission:
        """Makes a submission from checked options.

        Raises:
          UsageError: Beam doesn't have this runner.
        """
