"""The yardstick: pyarrow, the network and a Parquet writer in one plain loop.

With `--engine keras` the network is one compiled call of TensorFlow's, with `--engine onnx` one
session of ONNX Runtime's. No validation, no provenance but the row number, no staging, no manifest.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from benchmarks.peers.common import (
    BATCH_ROWS,
    ENGINES,
    FEATURES,
    answer_table,
    arguments,
    normalize,
)

BLOCK_BYTES = 8 << 20


def read(path: str, names: list[str]) -> Iterator[pa.RecordBatch]:
    """Some columns, some rows at a time."""
    if path.endswith(".parquet"):
        yield from pq.ParquetFile(path).iter_batches(BATCH_ROWS, columns=names)
    else:
        yield from pa_csv.open_csv(
            path,
            read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES),
            convert_options=pa_csv.ConvertOptions(include_columns=names),
        )


def main() -> None:
    """Scores one file."""
    given = arguments(__doc__, list(ENGINES))
    predict = ENGINES[given.engine](given.model)
    writer = None
    row = 0
    for batch in read(given.input, FEATURES):
        columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
        places = np.arange(row, row + batch.num_rows)
        table = answer_table("source_row", places, predict(normalize(columns)))
        writer = writer or pq.ParquetWriter(
            # By default the writer would try a dictionary for every float: half the speed.
            given.output,
            table.schema,
            use_dictionary=["species"],
        )
        writer.write_table(table)
        row += batch.num_rows
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main()
