"""The side outputs of the steps: shards, exact counts by file, figures of the run, byte ranges."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.counts import failures
from pipelines.datasets.shard_writer import Shard
from pipelines.monitoring import histograms
from pipelines.monitoring.histograms import Counts, Figures

SHARDS = "shards"
TALLIES = "tallies"
FIGURES = "figures"
RANGES = "ranges"

_TYPES: Mapping[str, Any] = {
    SHARDS: Shard,
    TALLIES: tuple[int, Any],
    FIGURES: Any,
    RANGES: Any,
}


def step(dofn: beam.DoFn, main: Any, *others: str, failures_folder: str) -> Any:
    """A ParDo with a main output, called ``main``, and just the side outputs that it has.

    Args:
      dofn: the step.
      main: the type of the main output. Beam chooses the coder by it, and does not read
        annotations that are text, as all of ours are.
      others: the names of the side outputs, of those above.
      failures_folder: where the step's failure is written for the submitter to read.
    """
    return (
        beam.ParDo(failures.Recorded(dofn, failures_folder))
        .with_output_types(main, **{name: _TYPES[name] for name in others})
        .with_outputs(*others, main="main")
    )


def figures(group: str, counts: Mapping[str, int | Counts]) -> Figures:
    """The counts of one group by name, as `FIGURES` holds them."""
    return {(group, name): count for name, count in counts.items()}


def tagged_figures(*parts: Figures) -> pvalue.TaggedOutput:
    """Counts that the manifest holds, in one element: they arrive together or not at all."""
    return pvalue.TaggedOutput(FIGURES, {key: n for part in parts for key, n in part.items()})


class AddUpFigures(beam.CombineFn):
    """Adds up the figures of all steps."""

    def create_accumulator(self) -> dict[tuple[str, str], int | Counts]:
        """Nothing counted yet."""
        return {}

    def add_input(
        self, accumulator: dict[tuple[str, str], int | Counts], element: Figures
    ) -> dict[tuple[str, str], int | Counts]:
        """Adds the counts of one element."""
        for key, count in element.items():
            accumulator[key] = histograms.add_up((accumulator.get(key, 0), count))
        return accumulator

    def merge_accumulators(
        self, accumulators: Iterable[Figures]
    ) -> dict[tuple[str, str], int | Counts]:
        """Adds up partial sums."""
        return functools.reduce(self.add_input, accumulators, self.create_accumulator())

    def extract_output(
        self, accumulator: dict[tuple[str, str], int | Counts]
    ) -> dict[tuple[str, str], int | Counts]:
        """The sums."""
        return accumulator


def at_bundle_end(values: Iterable[Any], tag: str | None = None) -> Iterator[Any]:
    """Wraps what ``finish_bundle`` emits: elements need a window there.

    Args:
      values: the elements.
      tag: the side output; None is the main one.
    """
    window = GlobalWindow()
    for value in values:
        wrapped = WindowedValue(value, window.max_timestamp(), [window])
        yield wrapped if tag is None else pvalue.TaggedOutput(tag, wrapped)
