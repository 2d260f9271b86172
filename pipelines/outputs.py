"""The side outputs that all steps share: rejects, counts by file, and figures of the run."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.tallies import FileTally

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
            TALLIES: tuple[str, Any],
            FIGURES: tuple[tuple[str, str], int],
            RANGES: Any,
        },
    )
    return step.with_outputs(REJECTS, TALLIES, FIGURES, RANGES, main="main")


def tally(path: str, **known: int) -> pvalue.TaggedOutput:
    """What a step knows of one file: the fields of a `FileTally`."""
    return pvalue.TaggedOutput(TALLIES, (path, FileTally(**known)))


def figure(group: str, name: str, count: int) -> pvalue.TaggedOutput:
    """A count that the manifest holds, added up over the run."""
    return pvalue.TaggedOutput(FIGURES, ((group, name), count))


def in_global_window(value: Any) -> WindowedValue:
    """What ``finish_bundle`` must wrap its outputs in."""
    window = GlobalWindow()
    return WindowedValue(value, window.max_timestamp(), [window])
