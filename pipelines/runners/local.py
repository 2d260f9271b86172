"""Beam's in-process runner, whose workers are threads."""

from __future__ import annotations

import os
from collections.abc import Sequence

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.runners.portability.fn_api_runner import fn_runner

from pipelines.errors import UsageError
from pipelines.runners.flags import add_defaults
from pipelines.runners.runner import Runner
from pipelines.runners.submission import Submission, Workers

_IN_MEMORY = "in_memory"


class Local(Runner):
    """Runs the job in this process.

    Replaces Beam's own DirectRunner, which first looks online for another runner's binary, so the
    same command would run differently with and without a network.
    """

    def complete(self, arguments: Sequence[str], job_name: str) -> list[str]:
        return add_defaults(
            super().complete(arguments, job_name),
            {"--direct_num_workers": str(_cores()), "--direct_running_mode": _IN_MEMORY},
        )

    def check(self, options: PipelineOptions) -> None:
        # In every other mode workers send data through gRPC, with streams that a timer flushes.
        mode = options.view_as(DirectOptions).direct_running_mode
        if mode != _IN_MEMORY:
            raise UsageError(
                f"--direct_running_mode {mode}: Beam's streams between such workers lose data; "
                "leave the flag out: by default a thread for each core scores in this process"
            )
        super().check(options)

    def count_workers(self, options: PipelineOptions) -> int:
        return int(options.view_as(DirectOptions).direct_num_workers or _cores())

    def make_submission(self, options: PipelineOptions) -> Submission:
        return Submission(fn_runner.FnApiRunner(), options, workers=Workers.THREADS)


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
