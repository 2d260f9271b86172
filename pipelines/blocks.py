"""Rows as they were read, and what becomes of them: a located chunk of good rows, and rejects."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from penguin_model import validate
from penguin_model.card import Feature, ModelCard
from pipelines import labels, schemas


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which columns a job reads, and how it checks them.

    Attributes:
      features: the card's features, in order.
      passthrough: columns carried into the predictions as text.
      label: the column that may tell each row's class; None where there can be none.
      classes: the classes that it tells.
    """

    features: tuple[Feature, ...]
    passthrough: tuple[str, ...] = ()
    label: str | None = None
    classes: tuple[str, ...] = ()

    @classmethod
    def of_card(cls, card: ModelCard, passthrough: tuple[str, ...]) -> Wanted:
        """What scoring with a card reads; a column that is a feature tells no class."""
        return cls(
            features=card.features,
            passthrough=passthrough,
            label=None if card.label in card.feature_names else card.label,
            classes=card.classes,
        )

    @functools.cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns that a file must have, passthrough first."""
        names = (*self.passthrough, *(feature.name for feature in self.features))
        return tuple(dict.fromkeys(names))

    def in_file(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names of all columns to read of a file that has these: its labels as well.

        Labels are never a reason to refuse anything: of two columns neither is read.
        """
        columns = self.columns
        if self.label is None or self.label in columns or list(names).count(self.label) != 1:
            return columns
        return (*columns, self.label)

    @functools.cached_property
    def feature_names(self) -> frozenset[str]:
        """The names of the feature columns."""
        return frozenset(feature.name for feature in self.features)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reject:
    """One row, or one whole file, that cannot be scored."""

    source_row: int | None
    reason: str
    column: str | None
    message: str
    raw: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """Some rows of one file as a reader found them.

    Attributes:
      columns: the wanted columns and what labels the file has, Arrow arrays ``[n]``.
      rows: int64 ``[n]``, each row's 0-based place in its file.
      raw: gives the raw text of the rows at some positions; called for rejects alone.
      broken: rows that could not be read into the columns at all.
      files: dictionary ``[n]`` of each row's file, where these are several.
    """

    columns: dict[str, pa.Array]
    rows: npt.NDArray[np.int64]
    raw: Callable[[Sequence[int]], list[str | None]]
    broken: tuple[Reject, ...] = ()
    files: pa.DictionaryArray | None = None

    @property
    def rows_read(self) -> int:
        """Rows of the file that this block accounts for."""
        return len(self.rows) + len(self.broken)


def split(
    block: Block, source_file: str, wanted: Wanted
) -> tuple[pa.RecordBatch | None, list[Reject]]:
    """Divides a block into the chunk of its good rows and the rejects.

    Args:
      block: rows as read.
      source_file: the file's path as matched.
      wanted: the features to check and the columns to carry along.

    Returns:
      The chunk (`schemas.observations`), None where no row is good, and the rejects in the order
      of the file. Every row of the block is in one of the two.
    """
    columns = [validate.to_numbers(block.columns[feature.name]) for feature in wanted.features]
    good = validate.good_rows(columns, wanted.features)
    rejects = list(block.broken)
    rows = block.rows
    values: list[npt.NDArray[Any]] = [column.values for column in columns]
    if wanted.label is not None and wanted.label in block.columns:
        values.append(labels.read(block.columns[wanted.label], wanted.classes))
    carried = [validate.as_text(block.columns[name]) for name in wanted.passthrough]
    if good is not None:
        bad = np.flatnonzero(~good).tolist()
        for position, raw in zip(bad, block.raw(bad), strict=True):
            problem = validate.explain(position, columns, wanted.features)
            rejects.append(
                Reject(
                    source_row=int(rows[position]),
                    reason=problem.reason,
                    column=problem.column,
                    message=problem.message,
                    raw=raw,
                )
            )
        rejects.sort(key=lambda reject: -1 if reject.source_row is None else reject.source_row)
        rows = rows[good]
        values = [value[good] for value in values]
        mask = pa.array(good)
        carried = [array.filter(mask) for array in carried]
    if len(rows) == 0:
        return None, rejects
    source = schemas.constant(source_file, len(rows)) if block.files is None else block.files
    located = [source, pa.array(rows)]
    chunk = pa.RecordBatch.from_arrays(
        [*located, *carried, *(pa.array(value) for value in values)],
        schema=schemas.observations(
            wanted.passthrough, wanted.features, labelled=len(values) > len(columns)
        ),
    )
    return chunk, rejects


def rejects_batch(rejects: Sequence[Reject], source_file: str) -> pa.RecordBatch:
    """Makes a batch of `schemas.REJECTS` from the rejects of one file."""
    return pa.RecordBatch.from_pylist(
        [{"source_file": source_file, **dataclasses.asdict(reject)} for reject in rejects],
        schema=schemas.REJECTS,
    )
