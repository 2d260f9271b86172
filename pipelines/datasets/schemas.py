"""The Arrow schemas of the job, and the coder by which a chunk crosses a stage.

The one element type from end to end is the *located chunk*: a `pyarrow.RecordBatch` whose first
two columns say where each of its rows came from. Columns that follow are found by position, since
a user's passthrough column may share a name with a feature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from apache_beam import coders

from penguin_model.card import Feature, ModelCard

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
# Output columns that every card has: `model_file.read_card` refuses features of these names.
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

    The chunks of a file that has labels end with their codes (`labels.to_codes`); others lack the
    column, which then costs nothing.
    """
    carried = [pa.field(name, pa.string()) for name in passthrough]
    values = [pa.field(feature.name, pa.float64()) for feature in features]
    return pa.schema([*LOCATION, *carried, *values, *_LABEL[:labelled]])


def batches(
    passthrough: Sequence[str], features: Sequence[Feature], *, labelled: bool = False
) -> pa.Schema:
    """Normalized rows: location, passthrough text, the network's float32 matrix row by row.

    Codes of labels come last, where there are any, as in `observations`.
    """
    carried = [pa.field(name, pa.string()) for name in passthrough]
    matrix = pa.field("matrix", pa.list_(pa.float32(), len(features)))
    return pa.schema([*LOCATION, *carried, matrix, *_LABEL[:labelled]])


def predictions(passthrough: Sequence[str], card: ModelCard) -> pa.Schema:
    """Scored rows, as published; the dictionary columns are plain strings in the files."""
    carried = [pa.field(name, pa.string()) for name in passthrough]
    answers = [pa.field("species", _DICTIONARY), pa.field("probability", pa.float32())]
    probabilities = [pa.field(name, pa.float32()) for name in card.probability_columns]
    return pa.schema([*LOCATION, *carried, *answers, *probabilities])


def constant(value: str, rows: int) -> pa.DictionaryArray:
    """A dictionary column that holds one value in every row."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([value], pa.string()))


class RecordBatchCoder(coders.Coder):
    """Encodes a record batch as an Arrow IPC stream.

    Beam has no coder for Arrow: it would pickle the batch, and a slice with the whole buffer it
    was cut from.
    """

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Encodes one batch."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_batch(value)
        return bytes(sink.getvalue())

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Decodes one batch."""
        with pa.ipc.open_stream(encoded) as reader:
            return reader.read_next_batch()

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """The size without encoding: runners sample it on every edge, fused ones too."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        """Equal batches may have unequal buffers."""
        return False

    def to_type_hint(self) -> type:
        """The element type."""
        chunk: type = pa.RecordBatch
        return chunk


coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)
