"""The table of data sets that a run publishes, which the other rooms derive theirs from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pyarrow as pa

from penguin_model.card import ModelCard
from pipelines.datasets import schemas

# Every data set has one partition for each run, named in Hive's way.
PARTITION = "run_id"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSet:
    """One of the data sets that a run publishes.

    Attributes:
      name: also the name of its folder below the output root.
      schema: its schema, given the passthrough columns and the model card.
      by_file: the field of `FileTally` that counts its rows; empty if they aren't rows of input
        files.
      totals: the fields of the manifest's totals that add up to its number of rows.
    """

    name: str
    schema: Callable[[Sequence[str], ModelCard], pa.Schema]
    by_file: str = ""
    totals: tuple[str, ...]


PREDICTIONS = DataSet(
    name="predictions",
    schema=schemas.predictions,
    by_file="rows_scored",
    totals=("rows_scored",),
)
REJECTS = DataSet(
    name="rejects",
    schema=lambda passthrough, card: schemas.REJECTS,
    by_file="rows_rejected",
    # A file that can't be read has a reject of its own, which isn't a row.
    totals=("rows_rejected", "files_unreadable"),
)
FILES = DataSet(
    name="files",
    schema=lambda passthrough, card: schemas.FILES,
    totals=("files",),
)
# Published from last to first, see `recovery.ORDER`.
TABLE = (PREDICTIONS, REJECTS, FILES)
