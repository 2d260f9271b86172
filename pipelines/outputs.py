"""The side outputs that all steps share: rejects, counts by file, and figures of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.histograms import Counts
from pipelines.tallies import FileTally, by_bucket

REJECTS = "rejects"
TALLIES = "tallies"
FIGURES = "figures"
RANGES = "ranges"


def with_outputs(dofn: beam.DoFn, produces: Any) -> Any:
    """A ParDo with a main output, called ``main``, and the shared side outputs.

    Args:
      dofn: the step.
      produces: the type of the main output. Beam chooses the coder by it, and does not read
        annotations that are text, as all of ours are.
    """
    step = beam.ParDo(dofn).with_output_types(
        produces,
        **{
            REJECTS: pa.RecordBatch,
            TALLIES: tuple[int, Any],
            FIGURES: tuple[tuple[str, str], Any],
            RANGES: Any,
        },
    )
    return step.with_outputs(REJECTS, TALLIES, FIGURES, RANGES, main="main")


def tally(path: str, **known: int) -> pvalue.TaggedOutput:
    """What a step knows of one file: the fields of a `FileTally`."""
    (output,) = tallies({path: FileTally(**known)})
    return output


def tallies(known: Mapping[str, FileTally]) -> Iterator[pvalue.TaggedOutput]:
    """What a step knows of several files."""
    return (pvalue.TaggedOutput(TALLIES, bucket) for bucket in by_bucket(known))


def figure(group: str, name: str, count: int | Counts) -> pvalue.TaggedOutput:
    """A count that the manifest holds, or a tuple of them, added up over the run."""
    return pvalue.TaggedOutput(FIGURES, ((group, name), count))


def in_global_window(value: Any) -> WindowedValue:
    """What ``finish_bundle`` must wrap its outputs in."""
    window = GlobalWindow()
    return WindowedValue(value, window.max_timestamp(), [window])
