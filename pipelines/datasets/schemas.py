"""The job's Arrow schemas, both of chunks and of published data sets.

The only element type throughout is the *located chunk*: a `pyarrow.RecordBatch` whose first two
columns say where each row came from. Columns that a user names have a prefix there, since a
passthrough column may share its name with a feature, and either with a column of ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from penguin_model.card import Input, ModelCard

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
PROBABILITY = "probability"
LABEL = "label"
_LABEL = (pa.field(LABEL, pa.int32()),)
LOCATION = (pa.field("source_file", _DICTIONARY), pa.field("source_row", pa.int64()))
LOCATION_NAMES = tuple(field.name for field in LOCATION)

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
    passthrough: Sequence[str], features: Sequence[Input], *, labelled: bool = False
) -> pa.Schema:
    """Good rows in raw units: location, passthrough text, float64 features in the card's order.

    Chunks of labelled files end with the label codes (`penguin_model.labels`); others omit
    the column.
    """
    values = [pa.field(feature_column(feature), pa.float64()) for feature in features]
    return pa.schema([*LOCATION, *_carried(passthrough), *values, *_LABEL[:labelled]])


def batches(
    passthrough: Sequence[str], features: Sequence[Input], *, labelled: bool = False
) -> pa.Schema:
    """Normalized rows: location, passthrough text, the columns of the network's float32 matrix.

    Label codes, if any, come last, as in `observations`.
    """
    matrix = [pa.field(name, pa.float32()) for name in network_columns(features)]
    return pa.schema([*LOCATION, *_carried(passthrough), *matrix, *_LABEL[:labelled]])


def predictions(passthrough: Sequence[str], card: ModelCard) -> pa.Schema:
    """Scored rows, as published; dictionary columns are plain strings in the files.

    Only passthrough columns may be null. Parquet writes the others in two thirds of the time if it
    knows.
    """
    carried = [pa.field(name, pa.string()) for name in passthrough]
    answers = [pa.field(card.prediction_column, _DICTIONARY), pa.field(PROBABILITY, pa.float32())]
    probabilities = [pa.field(name, pa.float32()) for name in card.probability_columns]
    # How far a prediction can be trusted, if the card can tell.
    trust = (
        pa.field("novelty", pa.float32()),
        pa.field("out_of_distribution", pa.bool_()),
        pa.field(card.set_column, _DICTIONARY),
    )
    answers += [*probabilities, *(trust if card.trust is not None else ())]
    answers = [each.with_nullable(False) for each in answers]
    return pa.schema([*(each.with_nullable(False) for each in LOCATION), *carried, *answers])


def passthrough_columns(passthrough: Sequence[str]) -> list[str]:
    """The names of the passthrough columns in a chunk; the predictions have their own names."""
    return [f"passthrough:{name}" for name in passthrough]


def feature_column(feature: Input) -> str:
    """The name of a feature's column in a chunk."""
    return f"feature:{feature.name}"


def network_columns(features: Sequence[Input]) -> list[str]:
    """The names in a chunk of the numbers that the network gets."""
    return [f"network:{place}" for place in range(sum(each.width for each in features))]


def find_labels(chunk: pa.RecordBatch) -> list[pa.Array]:
    """The column of label codes of a chunk; none if its files have no labels."""
    return [chunk.column(LABEL)] if LABEL in chunk.schema.names else []


def _carried(passthrough: Sequence[str]) -> list[pa.Field]:
    return [pa.field(name, pa.string()) for name in passthrough_columns(passthrough)]


def constant(value: str, rows: int) -> pa.DictionaryArray:
    """A dictionary column with the same value in every row."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([value], pa.string()))
