"""Beam's RunInference as its documentation shows it: one row an element, Beam's own readers.

ReadFromParquet or ReadFromCsv, a keyed TFModelHandlerNumpy with its own batching, WriteToParquet;
in the same in-process runner as ours. `run_inference_batches` is RunInference at its best.
"""

import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.ml.inference.base import KeyedModelHandler, PredictionResult, RunInference

from benchmarks.peers.common import (
    CLASSES,
    FEATURES,
    KEY,
    PROBABILITIES,
    SCALES,
    arguments,
    quieten,
)

SCHEMA = pa.schema(
    [(KEY, pa.int64()), ("species", pa.string()), ("probability", pa.float32())]
    + [(name, pa.float32()) for name in PROBABILITIES]
)


def from_record(record: dict[str, Any]) -> tuple[int, np.ndarray[Any, Any]]:
    """A key and an example of a Parquet record."""
    values = [record[name] for name in FEATURES]
    return record[KEY], (np.array(values) / SCALES).astype(np.float32)


def from_row(row: Any) -> tuple[int, np.ndarray[Any, Any]]:
    """A key and an example of a CSV row."""
    values = [getattr(row, name) for name in FEATURES]
    return getattr(row, KEY), (np.array(values) / SCALES).astype(np.float32)


class ToRecord(beam.DoFn):
    """Turns a prediction into the record that is written."""

    def process(self, element: tuple[int, PredictionResult]) -> Iterator[dict[str, Any]]:
        key, result = element
        found = result.inference.numpy()
        winner = int(found.argmax())
        yield {
            KEY: key,
            "species": CLASSES[winner],
            "probability": found[winner],
            **dict(zip(PROBABILITIES, found, strict=True)),
        }


def main() -> None:
    """Scores one file."""
    given = arguments(__doc__)
    quieten()
    from apache_beam.ml.inference.tensorflow_inference import TFModelHandlerNumpy

    handler = KeyedModelHandler(TFModelHandlerNumpy(given.model))
    with beam.Pipeline("FnApiRunner") as pipeline:
        if given.input.endswith(".parquet"):
            read = beam.io.ReadFromParquet(given.input, columns=[KEY, *FEATURES])
            examples = pipeline | read | "Examples" >> beam.Map(from_record)
        else:
            read = beam.io.ReadFromCsv(given.input)
            examples = pipeline | read | "Examples" >> beam.Map(from_row)
        prefix = os.path.join(given.output, "part")
        (
            examples
            | RunInference(handler)
            | "Records" >> beam.ParDo(ToRecord())
            | beam.io.WriteToParquet(prefix, SCHEMA, file_name_suffix=".parquet")
        )


if __name__ == "__main__":
    main()
