"""A pipeline's run on a runner: it can be cancelled, and its metrics read."""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Callable

import apache_beam as beam
import grpc
from apache_beam.metrics.metric import MetricResults
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineRunner

from pipelines.counts import NAMESPACE, Metrics, Spread
from pipelines.errors import PenguinError


class Workers(enum.Enum):
    """Where a runner's workers are, relative to this process."""

    THREADS = enum.auto()
    ELSEWHERE = enum.auto()


class Submission:
    """Runs one pipeline; another thread may call `cancel` at any time.

    Args:
      runner: Beam's.
      options: for the pipeline.
      close: ends what the runner started.
      workers: where they are.
      stop: stops the job itself, if the runner's own `cancel` doesn't.

    Attributes:
      workers: where they are.
      waits_for_end: whether `run` waits for the job to end; it doesn't if it only makes a template,
        as the launcher of a Dataflow Flex Template does.
    """

    def __init__(
        self,
        runner: PipelineRunner,
        options: PipelineOptions,
        close: Callable[[], None] = lambda: None,
        workers: Workers = Workers.ELSEWHERE,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.runner = runner
        self.options = options
        self.close = close
        self.workers = workers
        self.waits_for_end = not options.view_as(GoogleCloudOptions).template_location
        self._stop = stop
        self._lock = threading.Lock()
        self._result: PipelineResult | None = None
        self._cancelled = False

    def run(self, label: str, transform: beam.PTransform) -> Metrics:
        """Runs a transform as a whole pipeline, and waits for its end if `waits_for_end`.

        Args:
          label: the transform's.
          transform: from a pipeline to anything.

        Returns:
          The job's own metrics by name, which may include failed attempts; empty if the job isn't
          waited for.
        """
        pipeline = beam.Pipeline(runner=self.runner, options=self.options)
        _ = pipeline | label >> transform
        result = pipeline.run()
        if not self.waits_for_end:
            return {}
        with self._lock:
            self._result = result
            late = self._cancelled
        if late:
            self._cancel(result)
        result.wait_until_finish()
        return read_metrics(result.metrics())

    def cancel(self) -> None:
        """Asks the runner to cancel the job, as soon as it is submitted."""
        with self._lock:
            self._cancelled = True
            result = self._result
        if result is not None:
            self._cancel(result)

    def _cancel(self, result: PipelineResult) -> None:
        self._stop()
        # The in-process runner only returns a result once the job is over, and can't cancel it.
        with contextlib.suppress(NotImplementedError):
            result.cancel()


def read_metrics(results: MetricResults) -> Metrics:
    """Adds up the job's own metrics over all steps.

    Args:
      results: as the runner gives them; committed values are preferred.
    """
    found: Metrics = {}
    answer = results.query(beam.metrics.MetricsFilter().with_namespace(NAMESPACE))
    for each in answer["counters"]:
        name = each.key.metric.name
        found[name] = found.get(name, 0) + each.result
    for each in answer["distributions"]:
        value = each.result
        if value.count:
            found[each.key.metric.name] = Spread(value.count, value.mean, value.min, value.max)
    return found


def as_penguin_error(error: Exception) -> PenguinError:
    """A runner's own error in one line; steps record theirs (`failures`)."""
    if isinstance(error, PenguinError):
        return error
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        return PenguinError(f"the connection to the runner was lost: {error.details()}; run again")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else repr(error)
    return PenguinError(f"{last} (--verbose shows where)")
