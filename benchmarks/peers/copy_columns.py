"""The physical limit: reads the input and writes an output of our shape, without a model.

pyarrow reads ahead with its threads while the main thread writes. The floats are the features as
they come, all of one species and one set, none out of distribution.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq

from benchmarks.peers.common import BATCH_ROWS, CLASSES, FEATURES, KEY, PROBABILITIES, arguments

BLOCK_BYTES = 8 << 20
FLOATS = ["probability", *PROBABILITIES, "novelty"]
TEXT = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [(KEY, pa.int64()), ("species", TEXT)]
    + [(name, pa.float32()) for name in FLOATS]
    + [("out_of_distribution", pa.bool_()), ("species_set", TEXT)]
)


def read(path: str) -> Iterable[pa.RecordBatch]:
    """The key and the features, read ahead."""
    file_format: str | pa_dataset.CsvFileFormat = "parquet"
    if path.endswith(".csv"):
        file_format = pa_dataset.CsvFileFormat(
            read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES)
        )
    return pa_dataset.dataset(path, format=file_format).to_batches(
        columns=[KEY, *FEATURES], batch_size=BATCH_ROWS
    )


def main() -> None:
    """Copies one file."""
    given = arguments(__doc__)
    classes = pa.array(CLASSES)
    with pq.ParquetWriter(
        given.output,
        SCHEMA,
        use_dictionary=["species", "species_set"],
        column_encoding={KEY: "DELTA_BINARY_PACKED"},
        compression="none",
    ) as writer:
        for batch in read(given.input):
            rows = batch.num_rows
            text = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), classes)
            floats = [column.cast(pa.float32(), safe=False) for column in batch.columns[1:]]
            near = pa.array(np.zeros(rows, bool))
            columns = [batch.column(0), text, *floats, floats[0], near, text]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))


if __name__ == "__main__":
    main()
