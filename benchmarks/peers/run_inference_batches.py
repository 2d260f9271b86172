"""Beam's RunInference at its best: whole matrices as elements, two workers, either engine.

Each element is the matrix of some 100,000 rows, keyed by its column of ids, so that Beam's cost of
an element counts for all of them. The handlers stack what they are given, which gives rows another
rank; the inference function, a parameter of theirs, takes each matrix as it is. ReadFromParquet's
batched form reads one row group at a time; Beam has none for CSV, so pyarrow reads that. The sink
writes like the bare loop, as WriteToParquetBatched tries a dictionary for every float.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from apache_beam.io import fileio
from apache_beam.ml.inference.base import (
    KeyedModelHandler,
    ModelHandler,
    PredictionResult,
    RunInference,
)
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks.peers.common import (
    BATCH_ROWS,
    ENGINES,
    FEATURES,
    KEY,
    Floats,
    answer_table,
    arguments,
    normalize,
    onnx_path,
    quieten,
)

WORKERS = 2
BLOCK_BYTES = 8 << 20


class ToMatrices(beam.DoFn):
    """Cuts a table into matrices, each keyed by its ids."""

    def process(self, table: pa.Table) -> Iterator[tuple[np.ndarray[Any, Any], Floats]]:
        for batch in table.to_batches(BATCH_ROWS):
            yield batch[KEY].to_numpy(), normalize([batch[name].to_numpy() for name in FEATURES])


class ReadCsv(beam.DoFn):
    """Reads a file block by block."""

    def process(self, path: str) -> Iterator[pa.Table]:
        blocks = pa_csv.open_csv(path, read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES))
        for batch in blocks:
            yield pa.Table.from_batches([batch])


class ToTable(beam.DoFn):
    """Turns a prediction into the table that is written."""

    def process(self, element: tuple[np.ndarray[Any, Any], PredictionResult]) -> Iterator[pa.Table]:
        keys, result = element
        yield answer_table(KEY, keys, result.inference)


class ParquetSink(fileio.FileSink):
    """Writes tables to one file."""

    def open(self, fh: Any) -> None:
        self._file = fh
        self._writer: pq.ParquetWriter | None = None

    def write(self, record: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, record.schema, use_dictionary=["species"])
        self._writer.write_table(record)

    def flush(self) -> None:
        if self._writer is not None:
            self._writer.close()


def infer_with_tensorflow(
    model: Any, batch: Sequence[Floats], arguments: Any, model_id: str | None = None
) -> list[PredictionResult]:
    """Calls the model for each matrix."""
    found = [model(matrix, training=False).numpy() for matrix in batch]
    return [PredictionResult(*each, model_id=model_id) for each in zip(batch, found, strict=True)]


def infer_with_onnx(session: Any, batch: Sequence[Floats], arguments: Any = None) -> list[Floats]:
    """Runs the session for each matrix."""
    name = session.get_inputs()[0].name
    return [session.run(None, {name: matrix})[0] for matrix in batch]


def handler_of(engine: str, model: str) -> ModelHandler[Floats, PredictionResult, Any]:
    """Beam's handler for one engine: a matrix is a batch, one thread for each of the workers."""
    if engine == "keras":
        quieten()
        import tensorflow as tf
        from apache_beam.ml.inference.tensorflow_inference import TFModelHandlerNumpy

        tf.config.threading.set_intra_op_parallelism_threads(1)
        return TFModelHandlerNumpy(
            model,
            load_model_args={"compile": False},
            inference_fn=infer_with_tensorflow,
            max_batch_size=1,
        )
    import onnxruntime
    from apache_beam.ml.inference.onnx_inference import OnnxModelHandlerNumpy

    class OneThread(OnnxModelHandlerNumpy):
        """Makes the options where the model is loaded: given ones could not be pickled."""

        def load_model(self) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            return onnxruntime.InferenceSession(
                onnx_path(model), options, providers=["CPUExecutionProvider"]
            )

    return OneThread(onnx_path(model), inference_fn=infer_with_onnx, max_batch_size=1)


def main() -> None:
    """Scores one file."""
    given = arguments(__doc__, list(ENGINES))
    handler = handler_of(given.engine, given.model)
    options = PipelineOptions(direct_num_workers=WORKERS, direct_running_mode="in_memory")
    with beam.Pipeline("FnApiRunner", options=options) as pipeline:
        if given.input.endswith(".parquet"):
            tables = pipeline | beam.io.ReadFromParquetBatched(
                given.input, columns=[KEY, *FEATURES]
            )
        else:
            tables = pipeline | beam.Create([given.input]) | "Read" >> beam.ParDo(ReadCsv())
        (
            tables
            | "Matrices" >> beam.ParDo(ToMatrices())
            | RunInference(KeyedModelHandler(handler))
            | "Tables" >> beam.ParDo(ToTable())
            | fileio.WriteToFiles(
                os.path.abspath(given.output),
                file_naming=fileio.default_file_naming("part", ".parquet"),
                sink=ParquetSink,
            )
        )


if __name__ == "__main__":
    main()
