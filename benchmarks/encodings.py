"""What it costs to write predictions as Parquet, by compression and encoding.

`python -m benchmarks.encodings` prints CPU milliseconds and bytes of a million rows.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1 << 20
FLOATS = ("probability", "adelie", "gentoo", "chinstrap")
DELTA = {"source_row": "DELTA_BINARY_PACKED"}
SPLIT = dict.fromkeys(FLOATS, "BYTE_STREAM_SPLIT")
PLAIN_FLOATS = {
    "source_file": "snappy",
    "source_row": "snappy",
    "species": "snappy",
    **dict.fromkeys(FLOATS, "none"),
}
WAYS: dict[str, dict[str, Any]] = {
    "pyarrow's defaults": {},
    "dictionaries for text only": {"dictionaries": True},
    "... and rows as differences": {"dictionaries": True, "column_encoding": DELTA},
    "... and floats uncompressed": {
        "dictionaries": True,
        "column_encoding": DELTA,
        "compression": PLAIN_FLOATS,
    },
    "... in batches of 65,536 values": {
        "dictionaries": True,
        "column_encoding": DELTA,
        "compression": PLAIN_FLOATS,
        "write_batch_size": 1 << 16,
    },
    "... statistics where of use": {
        "dictionaries": True,
        "column_encoding": DELTA,
        "compression": PLAIN_FLOATS,
        "write_batch_size": 1 << 16,
        "write_statistics": ["source_file", "source_row", "probability"],
    },
    "... in pages of 131,072 rows (ours)": {
        "dictionaries": True,
        "column_encoding": DELTA,
        "compression": PLAIN_FLOATS,
        "write_batch_size": 1 << 16,
        "write_statistics": ["source_file", "source_row", "probability"],
        "max_rows_per_page": 1 << 17,
    },
    "zstd 1 all over": {"dictionaries": True, "column_encoding": DELTA, "compression": "zstd"},
    "zstd 1, floats as byte streams": {
        "dictionaries": True,
        "column_encoding": DELTA | SPLIT,
        "compression": "zstd",
    },
}


def predictions() -> pa.Table:
    """Predictions as the pipeline makes them, of seeded probabilities."""
    found = np.random.default_rng(0).dirichlet((0.2, 0.2, 0.2), ROWS).astype(np.float32)
    species = found.argmax(axis=1).astype(np.int32)
    names = pa.array(["Adelie", "Gentoo", "Chinstrap"])
    file = np.zeros(ROWS, np.int32)
    return pa.table(
        {
            "source_file": pa.DictionaryArray.from_arrays(file, pa.array(["/night/a.csv"])),
            "source_row": np.arange(ROWS),
            "species": pa.DictionaryArray.from_arrays(species, names),
            "probability": found.max(axis=1),
            **{name: found[:, n].copy() for n, name in enumerate(FLOATS[1:])},
        }
    )


def main() -> None:
    """Measures and prints; the best of five."""
    table = predictions()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        for name, settings in WAYS.items():
            chosen = dict(settings)
            if chosen.pop("dictionaries", False):
                chosen["use_dictionary"] = ["source_file", "species"]
            seconds = []
            for _ in range(5):
                start = time.process_time()
                with pq.ParquetWriter(path, table.schema, **chosen) as writer:
                    writer.write_table(table, row_group_size=ROWS)
                seconds.append(time.process_time() - start)
            size = path.stat().st_size / ROWS
            print(f"{name:36} {min(seconds) * 1e3:6.0f} ms  {size:5.2f} bytes a row")


if __name__ == "__main__":
    main()
