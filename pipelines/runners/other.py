"""Any other runner that Beam knows by the name the user gave."""

from __future__ import annotations

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from penguin_model import command_line
from pipelines.errors import UsageError
from pipelines.runners import beam_private
from pipelines.runners.runner import Runner
from pipelines.runners.submission import Submission


class Other(Runner):
    """Passes the job to Beam's runner of this name.

    Args:
      name: as the user gave it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def make_submission(self, options: PipelineOptions) -> Submission:
        beam_private.guard_loopback_workers()
        try:
            return Submission(create_runner(self._name), options)
        except (ValueError, ImportError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            meant = command_line.did_you_mean(self._name, StandardOptions.KNOWN_RUNNER_NAMES)
            raise UsageError(f"--runner {self._name}: {reason}{meant}") from error
