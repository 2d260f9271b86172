"""Steps with several outputs: pieces of work, shard records, and exact counts by file and run.

The outputs of a step are the fields of a named tuple of PCollections; a field's name is the tag,
and its type selects the coder. The first field is the main output.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.counts import failures
from pipelines.counts.figures import Counts, Figures, add_up

# Names of outputs that several steps have.
SHARDS = "shards"
TALLIES = "tallies"
COUNTS = "counts"


class Step(beam.PTransform):
    """A ParDo whose outputs are exactly the fields of a named tuple.

    Args:
      dofn: the step.
      outputs: the named tuple.
      failures_folder: where the step's failure is written for the submitter to read.
    """

    def __init__(self, dofn: beam.DoFn, outputs: type[Any], failures_folder: str) -> None:
        super().__init__()
        self._dofn = failures.Recorded(dofn, failures_folder)
        self._outputs = outputs

    def expand(self, pcoll: Any) -> Any:
        """Applies the ParDo and returns the named tuple."""
        # Takes T from PCollection[T]; Beam itself doesn't read annotations that are strings.
        types = {
            name: typing.get_args(hint)[0]
            for name, hint in typing.get_type_hints(self._outputs).items()
        }
        main, *others = types
        found = pcoll | (
            beam.ParDo(self._dofn)
            .with_output_types(types.pop(main), **types)
            .with_outputs(*others, main=main)
        )
        return self._outputs(*(found[name] for name in (main, *others)))


def emit_counts(*parts: Figures) -> pvalue.TaggedOutput:
    """Puts counts for the manifest into one element: they arrive together or not at all."""
    return pvalue.TaggedOutput(COUNTS, {key: n for part in parts for key, n in part.items()})


class AddUpCounts(beam.CombineFn):
    """Adds up the counts of all steps."""

    def create_accumulator(self) -> dict[tuple[str, str], int | Counts]:
        """Creates an empty accumulator."""
        return {}

    def add_input(
        self, accumulator: dict[tuple[str, str], int | Counts], element: Figures
    ) -> dict[tuple[str, str], int | Counts]:
        """Adds the counts of one element."""
        for key, count in element.items():
            accumulator[key] = add_up((accumulator.get(key, 0), count))
        return accumulator

    def merge_accumulators(
        self, accumulators: Iterable[Figures]
    ) -> dict[tuple[str, str], int | Counts]:
        """Adds up partial sums."""
        return functools.reduce(self.add_input, accumulators, self.create_accumulator())

    def extract_output(
        self, accumulator: dict[tuple[str, str], int | Counts]
    ) -> dict[tuple[str, str], int | Counts]:
        """Returns the sums."""
        return accumulator


def at_bundle_end(values: Iterable[Any], tag: str | None = None) -> Iterator[Any]:
    """Wraps the elements that ``finish_bundle`` emits, because they need a window there.

    Args:
      values: the elements.
      tag: the side output; None is the main one.
    """
    window = GlobalWindow()
    for value in values:
        wrapped = WindowedValue(value, window.max_timestamp(), [window])
        yield wrapped if tag is None else pvalue.TaggedOutput(tag, wrapped)
