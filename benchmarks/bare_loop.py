"""The yardstick: pyarrow, the compiled network and a Parquet writer in one plain loop.

No validation, no provenance but the row number, no staging, no manifest.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from benchmarks.peers.common import (
    BATCH_ROWS,
    CLASSES,
    FEATURES,
    PROBABILITIES,
    answers,
    arguments,
    compiled,
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
    given = arguments(__doc__)
    predict = compiled(given.model)
    writer = None
    row = 0
    for batch in read(given.input, FEATURES):
        columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
        winners, best, by_class = answers(predict(normalize(columns)))
        table = pa.table(
            {
                "source_row": np.arange(row, row + len(winners)),
                "species": pa.DictionaryArray.from_arrays(winners, pa.array(CLASSES)),
                "probability": best,
                **dict(zip(PROBABILITIES, by_class, strict=True)),
            }
        )
        writer = writer or pq.ParquetWriter(
            # By default the writer would try a dictionary for every float: half the speed.
            given.output,
            table.schema,
            use_dictionary=["species"],
        )
        writer.write_table(table)
        row += len(winners)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main()
