"""Rows as read, and their split into a located chunk of good rows and rejects."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from penguin_model import labels, validate
from penguin_model.arrow_text import as_text
from penguin_model.card import Category, Input, ModelCard
from penguin_model.names import fold
from pipelines.datasets import schemas
from pipelines.reading.dialect import DEFAULT_DIALECT, Dialect
from pipelines.reading.partitions import partition_values

# How many rejects are made at a time, and the maximum rows and bytes in a batch of them.
_REJECTS_AT_A_TIME = 256
_BATCH_ROWS, _BATCH_BYTES = 1 << 13, 4 << 20
# A row's number, its file, and intermediate results.
_ROW_BYTES = 64
# In a message, a value such as '39,1'.
_DECIMAL_COMMA = re.compile(r"'\s*[+-]?[0-9]+,[0-9]+\s*'")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputColumns:
    """Which columns a job reads, and how it checks them.

    Attributes:
      features: the card's features, in order.
      passthrough: columns carried into the predictions as text.
      label: the column that may hold each row's true class; None if there can't be one.
      classes: the label's possible classes.
      label_aliases: other names of the label column.
      class_aliases: other spellings of a class, by class.
      renames: pairs of a column in a file and the name it is read by.
      dialect: how fields and numbers are written in a CSV that doesn't say so itself.
      in_path: columns that a file may lack, since its path holds their value; see `of_file`.
    """

    features: tuple[Input, ...]
    passthrough: tuple[str, ...] = ()
    label: str | None = None
    classes: tuple[str, ...] = ()
    label_aliases: tuple[str, ...] = ()
    class_aliases: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    renames: tuple[tuple[str, str], ...] = ()
    dialect: Dialect = DEFAULT_DIALECT
    in_path: frozenset[str] = frozenset()

    @classmethod
    def of_card(
        cls,
        card: ModelCard,
        passthrough: tuple[str, ...],
        *,
        renames: tuple[tuple[str, str], ...] = (),
        dialect: Dialect = DEFAULT_DIALECT,
    ) -> InputColumns:
        """The columns that scoring with a card reads; a feature column is never the label."""
        return cls(
            features=card.features,
            passthrough=passthrough,
            label=None if card.label in card.feature_names else card.label,
            classes=card.classes,
            label_aliases=card.label_aliases,
            class_aliases=card.class_aliases,
            renames=renames,
            dialect=dialect,
        )

    @functools.cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns that a file must have, passthrough first."""
        names = (*self.passthrough, *(feature.name for feature in self.features))
        return tuple(dict.fromkeys(names))

    def of_file(self, path: str) -> InputColumns:
        """The columns to read from one file, which may lack those whose value its path holds."""
        found = self.values_in_path(path)
        return dataclasses.replace(self, in_path=frozenset(found)) if found else self

    def values_in_path(self, path: str) -> dict[str, str | None]:
        """The values of columns other than numbers that folders such as ``year=2007`` hold."""
        if "=" not in path:
            return {}
        values = partition_values(path)
        folded = {fold(key): value for key, value in values.items()} | values
        found = {}
        for name in dict.fromkeys((*self.passthrough, *self.categories, self.label)):
            if name is None or name in self.numbers:
                continue
            key = name if name in values else fold(name)
            if key in folded:
                found[name] = folded[key]
        return found

    @functools.cached_property
    def aliases(self) -> dict[str, tuple[str, ...]]:
        """Other names of the columns that the model has a use for: the label, the features."""
        label = {} if self.label is None else {self.label: self.label_aliases}
        return label | {feature.name: feature.aliases for feature in self.features}

    @functools.cached_property
    def folded(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """The folded name and the folded aliases of each column that a job reads."""
        names = dict.fromkeys((*self.columns, *self.aliases))
        return {
            name: (fold(name), tuple(dict.fromkeys(map(fold, self.aliases.get(name, ())))))
            for name in names
        }

    @property
    def row_bytes(self) -> int:
        """Bytes that checking a row takes in addition to its columns."""
        return _ROW_BYTES + 8 * len(self.features)

    @functools.cached_property
    def only_carried(self) -> frozenset[str]:
        """The names of the passthrough columns that aren't also features."""
        return frozenset(self.passthrough) - self.feature_names

    @functools.cached_property
    def numbers(self) -> frozenset[str]:
        """The names of the features that are numbers."""
        return self.feature_names.difference(self.categories)

    @functools.cached_property
    def categories(self) -> tuple[str, ...]:
        """The names of the features that are categories, in order."""
        return tuple(each.name for each in self.features if isinstance(each, Category))

    @functools.cached_property
    def feature_names(self) -> frozenset[str]:
        """The names of the feature columns."""
        return frozenset(feature.name for feature in self.features)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reject:
    """One row, or one whole file, that can't be scored."""

    source_row: int | None
    reason: str
    column: str | None
    message: str
    raw: str | None = None


@dataclasses.dataclass(frozen=True)
class Broken:
    """Rows that couldn't be read into columns at all.

    Attributes:
      rows: int64 ``[n]``, each row's 0-based number in its file, ascending.
      explain: returns the rejects of the rows at the given positions, ascending.
    """

    rows: npt.NDArray[np.int64]
    explain: Callable[[Sequence[int]], list[Reject]]


_NOTHING_BROKEN = Broken(np.empty(0, np.int64), lambda _: [])


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParsedRows:
    """Some rows of a file, as read.

    Attributes:
      columns: the columns to read and the file's labels, if any, as Arrow arrays ``[n]``.
      rows: int64 ``[n]``, each row's 0-based number in its file.
      raw: returns the raw text of the rows at the given positions, ascending; only for rejects.
      broken: rows that couldn't be read into the columns at all.
      files: dictionary ``[n]`` of each row's file, if there are several files.
      dialect: how numbers in text are written, if it is the text of a CSV.
    """

    columns: dict[str, pa.Array]
    rows: npt.NDArray[np.int64]
    raw: Callable[[Sequence[int]], list[str | None]]
    broken: Broken = _NOTHING_BROKEN
    files: pa.DictionaryArray | None = None
    dialect: Dialect | None = None

    @property
    def rows_read(self) -> int:
        """The number of the file's rows that this block accounts for."""
        return len(self.rows) + len(self.broken.rows)


def validate_rows(
    block: ParsedRows, source_file: str, wanted: InputColumns
) -> tuple[pa.RecordBatch | None, Iterator[Reject]]:
    """Splits a block into a chunk of good rows and rejects.

    Args:
      block: rows as read.
      source_file: the file's path as matched.
      wanted: the features to check and the columns to carry along.

    Returns:
      The chunk (`schemas.observations`), or None if no row is good, and the rejects in file order.
      Every row of the block is in one of the two. The rejects are made lazily: consume them before
      the next block is read.
    """
    decimal = block.dialect.decimal if block.dialect else "."
    rows = block.rows
    source = schemas.constant(source_file, len(rows)) if block.files is None else block.files
    read = block.columns | from_path(block.columns, source, wanted)
    columns = [
        validate.read_column(read[feature.name], feature, decimal) for feature in wanted.features
    ]
    good = validate.good_rows(columns, wanted.features)
    bad: npt.NDArray[np.int64] = np.empty(0, np.int64)
    values: list[npt.NDArray[Any]] = [column.values for column in columns]
    if wanted.label is not None and wanted.label in read:
        values.append(labels.to_codes(read[wanted.label], wanted.classes, wanted.class_aliases))
    carried = [as_text(read[name]) for name in wanted.passthrough]
    if good is not None:
        bad = np.flatnonzero(~good)
        rows = rows[good]
        source = source.filter(pa.array(good))
        values = [value[good] for value in values]
        mask = pa.array(good)
        carried = [array.filter(mask) for array in carried]
    rejects = _rejects(block, bad, columns, wanted)
    if len(rows) == 0:
        return None, rejects
    located = [source, pa.array(rows)]
    chunk = pa.RecordBatch.from_arrays(
        [*located, *carried, *(pa.array(value) for value in values)],
        schema=schemas.observations(
            wanted.passthrough, wanted.features, labelled=len(values) > len(columns)
        ),
    )
    return chunk, rejects


def from_path(
    read: Collection[str], files: pa.DictionaryArray, wanted: InputColumns
) -> dict[str, pa.DictionaryArray]:
    """Columns that the files lack, and whose values their paths hold.

    Args:
      read: the columns that the files have.
      files: each row's file.
      wanted: the columns to read.
    """
    values = [wanted.values_in_path(path) for path in files.dictionary.to_pylist()]
    found = set(values[0]).intersection(*values[1:]).difference(read)
    return {
        name: pa.DictionaryArray.from_arrays(
            files.indices, pa.array([each[name] for each in values], pa.string())
        )
        for name in found
    }


def _rejects(
    block: ParsedRows,
    bad: npt.NDArray[np.int64],
    columns: Sequence[validate.Column],
    wanted: InputColumns,
) -> Iterator[Reject]:
    """Yields the rejects of a block in file order, making a few at a time."""
    broken = block.broken
    order = np.argsort(np.concatenate([block.rows[bad], broken.rows]), kind="stable")
    for start in range(0, len(order), _REJECTS_AT_A_TIME):
        part = order[start : start + _REJECTS_AT_A_TIME]
        # Split into runs of one kind, since raw text can only be requested in order.
        turns = np.flatnonzero(np.diff(part >= len(bad))) + 1
        for run in np.split(part, turns):
            if run[0] >= len(bad):
                yield from broken.explain((run - len(bad)).tolist())
                continue
            positions = bad[run].tolist()
            for position, raw in zip(positions, block.raw(positions), strict=True):
                problem = validate.explain(position, columns, wanted.features)
                advice = _advise(problem, block.dialect)
                yield Reject(
                    source_row=int(block.rows[position]),
                    reason=problem.reason,
                    column=problem.column,
                    message=problem.message + advice,
                    raw=raw,
                )


def _advise(problem: validate.Problem, dialect: Dialect | None) -> str:
    """Returns the end of a message: the flags that would read a number with a decimal comma."""
    if problem.reason != validate.NOT_A_NUMBER or not _DECIMAL_COMMA.search(problem.message):
        return ""
    if dialect is None or dialect.decimal == ",":
        return ""
    if dialect.delimiter == ",":
        return "; decimal commas are only read from files with another delimiter"
    return f"; to read decimal commas, give {Dialect(dialect.delimiter, ',').flags}"


def reject_batches(rejects: Iterable[Reject], source_file: str) -> Iterator[pa.RecordBatch]:
    """Makes `schemas.REJECTS` batches, bounded in rows and bytes, from the rejects of one file.

    Args:
      rejects: any number of rejects, consumed as the batches are.
      source_file: the file's path as matched.
    """
    some: list[Reject] = []
    size = 0
    for reject in rejects:
        some.append(reject)
        size += len(reject.message) + len(reject.raw or "")
        if len(some) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield rejects_batch(some, source_file)
            some, size = [], 0
    if some:
        yield rejects_batch(some, source_file)


def rejects_batch(rejects: Sequence[Reject], source_file: str) -> pa.RecordBatch:
    """Makes one `schemas.REJECTS` batch from some rejects of one file."""
    values = [
        [source_file] * len(rejects),
        *([getattr(reject, name) for reject in rejects] for name in schemas.REJECTS.names[1:]),
    ]
    return pa.RecordBatch.from_arrays(
        [pa.array(each, field.type) for each, field in zip(values, schemas.REJECTS, strict=True)],
        schema=schemas.REJECTS,
    )
