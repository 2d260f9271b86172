"""The job's Arrow schemas, both of chunks and of published data sets.

The only element type throughout is the *located chunk*: a `pyarrow.RecordBatch` whose first two
columns say where each row came from. The other columns are found by position, since a user's
passthrough column may share a name with a feature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from penguin_model.card import Feature, ModelCard

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
# Output columns for every card; `model_file.read_card` refuses features with these names.
RESERVED_COLUMNS = frozenset({"source_file", "source_row", "species", "probability"})
_LABEL = (pa.field("label", pa.int32()),)
LOCATION = (pa.field("source_file", _DICTIONARY), pa.field("source_row", pa.int64()))

REJECTS = pa.schema(
    [
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_row", pa.int64()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("column", pa.string()),
        pa.field("message", pa.string(), nullable=False),
        pa.field("raw", pa.string()),
    ]
)

FILES = pa.schema(
    [
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("modified", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("model_sha256", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("rows_read", pa.int64(), nullable=False),
        pa.field("rows_scored", pa.int64(), nullable=False),
        pa.field("rows_rejected", pa.int64(), nullable=False),
    ]
)


def observations(
    passthrough: Sequence[str], features: Sequence[Feature], *, labelled: bool = False
) -> pa.Schema:
    """Good rows in raw units: location, passthrough text, float64 features in the card's order.

    Chunks of labelled files end with the label codes (`labels.to_codes`); others omit the column.
    """
    carried = [pa.field(name, pa.string()) for name in passthrough]
    values = [pa.field(feature.name, pa.float64()) for feature in features]
    return pa.schema([*LOCATION, *carried, *values, *_LABEL[:labelled]])


def batches(
    passthrough: Sequence[str], features: Sequence[Feature], *, labelled: bool = False
) -> pa.Schema:
    """Normalized rows: location, passthrough text, the network's float32 matrix row by row.

    Label codes, if any, come last, as in `observations`.
    """
    carried = [pa.field(name, pa.string()) for name in passthrough]
    matrix = pa.field("matrix", pa.list_(pa.float32(), len(features)))
    return pa.schema([*LOCATION, *carried, matrix, *_LABEL[:labelled]])


def predictions(passthrough: Sequence[str], card: ModelCard) -> pa.Schema:
    """Scored rows, as published; dictionary columns are plain strings in the files."""
    carried = [pa.field(name, pa.string()) for name in passthrough]
    answers = [pa.field("species", _DICTIONARY), pa.field("probability", pa.float32())]
    probabilities = [pa.field(name, pa.float32()) for name in card.probability_columns]
    return pa.schema([*LOCATION, *carried, *answers, *probabilities])


def constant(value: str, rows: int) -> pa.DictionaryArray:
    """A dictionary column with the same value in every row."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([value], pa.string()))
