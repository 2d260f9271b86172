"""Labels that come after a run: joined with its predictions, and measured like a night's own."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from penguin_model.arrow_text import as_text
from penguin_model.card import ModelCard
from penguin_model.command_line import did_you_mean
from penguin_model.labels import MISSING, Codes, to_codes
from penguin_model.names import fold
from pipelines import storage
from pipelines.counts.figures import Counts, Figures
from pipelines.errors import DamagedError, UsageError
from pipelines.monitoring import labels
from pipelines.reading.column_names import match_columns
from pipelines.reading.csv_files.text import open_text
from pipelines.reading.dialect import Dialect
from pipelines.reading.rows import InputColumns
from pipelines.reading.unreadable import UnreadableFile
from pipelines.review.verify import UNREADABLE, opened, read_batches

LOCATION = ("source_file", "source_row")
_LABEL = "label"
_NOT_FOUND = -1
_READ_BYTES = 1 << 20

Places = npt.NDArray[np.int64]


class Measured(NamedTuple):
    """How a run's predictions compare with a file of labels.

    Attributes:
      labels: the manifest's ``labels``.
      unmatched: rows of the file that belong to no prediction.
    """

    labels: dict[str, Any]
    unmatched: int


def measure(
    shards: Sequence[str],
    path: str,
    card: ModelCard,
    *,
    rows_scored: int,
    prediction_column: str,
    key: str | None = None,
    label_column: str | None = None,
) -> Measured:
    """Measures a run's predictions, a batch of them in memory at a time.

    Args:
      shards: of the run's predictions.
      path: a CSV or Parquet file with a label for each row.
      card: the run's model's.
      rows_scored: how many predictions the run has.
      prediction_column: their column of the predicted classes.
      key: the column that identifies a row, in the file and in the predictions; None means
        `LOCATION`.
      label_column: the file's column with the labels; None finds it as the job does.

    Raises:
      UsageError: the file can't be read, a row isn't clear, or no label belongs to a prediction.
      DamagedError: the predictions can't be read.
    """
    try:
        carried = _carried(shards, prediction_column)
    except UNREADABLE as error:
        raise _damaged(shards[0], error) from error
    if key is not None:
        key = _find_key(key, carried)
    names = LOCATION if key is None else (key,)
    table = _read(path, names, card, label_column)
    if not table.num_rows:
        raise UsageError(_nothing_found(path, table, names, 0))
    index: _Index = _Locations(path, table) if key is None else _Keys(path, table, key)
    codes = to_codes(table.column(_LABEL).combine_chunks(), card.classes, card.class_aliases)
    figures, matched = _count(shards, index, codes, card, prediction_column)
    found = labels.summarize(figures, card.classes, rows_scored)
    if found is None:
        raise UsageError(_nothing_found(path, table, names, matched))
    return Measured(found, table.num_rows - matched)


def _count(
    shards: Sequence[str],
    index: _Index,
    codes: Codes,
    card: ModelCard,
    column: str,
) -> tuple[Figures, int]:
    """Adds up the comparisons of all batches, and counts the labels that were used."""
    columns = [*index.columns, column, "probability", *card.probability_columns]
    used = np.zeros(len(codes), bool)
    sums: dict[str, Counts] = {}
    classes = pa.array(card.classes, pa.string())
    try:
        for batch in read_batches(shards, list(dict.fromkeys(columns))):
            places = index.find(batch)
            _mark(used, places, index)
            winners = pc.index_in(batch.column(column), value_set=classes)
            if winners.null_count:
                raise ValueError(f"a {column} isn't a class of the model")
            chosen = np.where(places == _NOT_FOUND, MISSING, codes[places])
            found = labels.count_hits(
                chosen.astype(np.int32),
                winners.to_numpy().astype(np.int32),
                batch.column("probability").to_numpy(),
                np.column_stack([batch.column(name) for name in card.probability_columns]),
            )
            for name, counts in found.items():
                before = sums.get(name, (0,) * len(counts))
                sums[name] = tuple(a + b for a, b in zip(before, counts, strict=True))
    except UsageError:
        raise
    except UNREADABLE as error:
        raise _damaged(shards[0], error) from error
    return {(labels.GROUP, name): counts for name, counts in sums.items()}, int(used.sum())


def _mark(used: npt.NDArray[np.bool_], places: Places, index: _Index) -> None:
    """Notes which labels were used, and refuses one that two predictions could have."""
    found, counts = np.unique(places[places != _NOT_FOUND], return_counts=True)
    twice = found[(counts > 1) | used[found]]
    if len(twice):
        raise UsageError(f"two predictions have {index.name(int(twice[0]))}: a label needs one")
    used[found] = True


class _Index(abc.ABC):
    """Finds the label of a prediction.

    Attributes:
      columns: those of the predictions that it takes.
    """

    columns: tuple[str, ...]

    @abc.abstractmethod
    def find(self, batch: pa.RecordBatch) -> Places:
        """The place of each prediction's label in the file, or _NOT_FOUND."""

    @abc.abstractmethod
    def name(self, place: int) -> str:
        """What identifies the row of a label, for a message."""


class _Keys(_Index):
    """Labels by the text of a key column."""

    def __init__(self, path: str, table: pa.Table, key: str) -> None:
        self.columns, self._key = (key,), key
        self._places: dict[str, int] = {}
        self._texts = as_text(table.column(key).combine_chunks()).to_pylist()
        for place, text in enumerate(self._texts):
            if text and self._places.setdefault(text, place) != place:
                raise UsageError(f"{path}: two rows have {self.name(place)}: keep one")

    def find(self, batch: pa.RecordBatch) -> Places:
        get = self._places.get
        texts = batch.column(self._key).to_pylist()
        return np.fromiter((get(text, _NOT_FOUND) for text in texts), np.int64, len(texts))

    def name(self, place: int) -> str:
        return f"{self._key} {self._texts[place]}"


class _Locations(_Index):
    """Labels by input file and row: sorted row numbers of each file."""

    columns = LOCATION

    def __init__(self, path: str, table: pa.Table) -> None:
        files = as_text(table.column("source_file").combine_chunks()).dictionary_encode()
        rows = _row_numbers(path, table.column("source_row").combine_chunks())
        valid = (files.indices.is_valid().to_numpy(False)) & rows.is_valid().to_numpy(False)
        self._names = files.dictionary.to_pylist()
        self._files = files.indices.fill_null(0).to_numpy(zero_copy_only=False)
        self._rows = rows.fill_null(0).to_numpy(zero_copy_only=False)
        order = np.lexsort((self._rows, self._files))
        order = order[valid[order]]
        same = (np.diff(self._files[order]) == 0) & (np.diff(self._rows[order]) == 0)
        if same.any():
            place = int(order[1:][same][0])
            raise UsageError(f"{path}: two rows have {self.name(place)}: keep one")
        ends = np.searchsorted(self._files[order], np.arange(len(self._names) + 1))
        self._by_file = {
            name: order[first:last]
            for name, first, last in zip(self._names, ends, ends[1:], strict=False)
        }

    def find(self, batch: pa.RecordBatch) -> Places:
        files = batch.column("source_file").dictionary_encode()
        numbers, rows = files.indices.to_numpy(), batch.column("source_row").to_numpy()
        found = np.full(batch.num_rows, _NOT_FOUND, np.int64)
        for number, name in enumerate(files.dictionary.to_pylist()):
            order = self._by_file.get(name)
            if order is None or not len(order):
                continue
            here = np.flatnonzero(numbers == number)
            known = self._rows[order]
            places = np.minimum(np.searchsorted(known, rows[here]), len(known) - 1)
            hits = known[places] == rows[here]
            found[here[hits]] = order[places[hits]]
        return found

    def name(self, place: int) -> str:
        return f"source_file {self._names[self._files[place]]}, source_row {self._rows[place]}"


def _row_numbers(path: str, column: pa.Array) -> pa.Array:
    try:
        if pa.types.is_string(column.type):
            trimmed = pc.utf8_trim_whitespace(column)
            column = pc.if_else(pc.equal(trimmed, ""), None, trimmed)
        return column.cast(pa.int64())
    except pa.ArrowException as error:
        raise UsageError(f"{path}: source_row isn't a whole number everywhere: {error}") from error


def _read(path: str, names: Sequence[str], card: ModelCard, label_column: str | None) -> pa.Table:
    """Reads the columns of a label file that matter, under the names that they have here.

    Raises:
      UsageError: it can't be read, or a column isn't clear.
    """
    try:
        with storage.open_input(path) as source:
            if path.lower().endswith((".parquet", ".pq")):
                file = pq.ParquetFile(source)
                columns = _find_columns(path, file.schema_arrow.names, names, card, label_column)
                table = file.read(list(dict.fromkeys(columns.values())), use_threads=False)
            else:
                text, delimiter = _read_text(source, path)
                header = _csv_header(text, delimiter)
                columns = _find_columns(path, header, names, card, label_column)
                table = _read_csv(text, delimiter, list(dict.fromkeys(columns.values())))
    except (*UNREADABLE, UnreadableFile) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"--labels {path}: {storage.reason_of(error)}") from error
    return pa.table({name: table.column(column) for name, column in columns.items()})


def _csv_options(delimiter: str) -> pa_csv.ParseOptions:
    return pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)


def _read_text(source: Any, path: str) -> tuple[bytes, str]:
    """The text of a CSV, whatever its encoding and compression, and its delimiter."""
    tabs = path.lower().removesuffix(".gz").endswith(".tsv")
    text = open_text(source, Dialect("\t" if tabs else ",", "."))
    blocks = iter(lambda: text.stream.read(_READ_BYTES), b"")
    return b"".join(blocks), text.dialect.delimiter


def _csv_header(text: bytes, delimiter: str) -> list[str]:
    options = _csv_options(delimiter)
    with pa_csv.open_csv(pa.BufferReader(text), parse_options=options) as reader:
        return list(reader.schema.names)


def _read_csv(text: bytes, delimiter: str, columns: Sequence[str]) -> pa.Table:
    """Reads columns as text, so that a key such as 007 stays as it is."""
    convert = pa_csv.ConvertOptions(
        include_columns=columns, column_types=dict.fromkeys(columns, pa.string())
    )
    return pa_csv.read_csv(
        pa.BufferReader(text), parse_options=_csv_options(delimiter), convert_options=convert
    )


def _find_columns(
    path: str,
    header: Sequence[str],
    names: Sequence[str],
    card: ModelCard,
    label_column: str | None,
) -> dict[str, str]:
    """The file's column for each of some names, and for the label as _LABEL."""
    label = card.label if card.label and card.label not in names else _LABEL
    renames = ((label_column, label),) if label_column is not None else ()
    wanted = InputColumns(
        features=(), passthrough=tuple(names), label=label,
        label_aliases=card.label_aliases, renames=renames,
    )  # fmt: skip
    found = match_columns(header, wanted)
    missing = [name for name in names if name not in found.sources]
    if missing:
        advice = did_you_mean(missing[0], header)
        raise UsageError(f"--labels {path}: has no column {missing[0]}, or two{advice}")
    if label_column is not None and fold(label_column) not in map(fold, header):
        advice = did_you_mean(label_column, header)
        raise UsageError(f"--labels {path}: has no column {label_column}{advice}")
    if label not in found.sources:
        raise UsageError(
            f"--labels {path}: which column has the labels? It is none or several of {label} and "
            "its aliases: name it with --label_column"
        )
    return {**{name: found.sources[name] for name in names}, _LABEL: found.sources[label]}


def _carried(shards: Sequence[str], prediction_column: str) -> list[str]:
    """The passthrough columns of predictions."""
    for path in shards:
        with opened(path) as file:
            names = list(file.schema_arrow.names)
            return names[len(LOCATION) : names.index(prediction_column)]
    raise UsageError("the run has no predictions, so there is nothing to label")


def _find_key(key: str, carried: Sequence[str]) -> str:
    by_fold: Mapping[str, str] = {fold(name): name for name in carried}
    if key in carried or fold(key) in by_fold:
        return key if key in carried else by_fold[fold(key)]
    have = f"only {', '.join(carried)}" if carried else "none: score with --passthrough"
    raise UsageError(
        f"--key {key}: the predictions carry no such column, {have}{did_you_mean(key, carried)}"
    )


def _nothing_found(path: str, table: pa.Table, names: Sequence[str], matched: int) -> str:
    if matched:
        return f"--labels {path}: none of its labels is a known class; nothing has changed"
    first = ", ".join(f"{name} {table.column(name)[0].as_py()}" for name in names if table.num_rows)
    such = f", such as that of {first}" if first else ""
    return f"--labels {path}: no label{such} belongs to a prediction of the run; nothing changed"


def _damaged(path: str, error: Exception) -> DamagedError:
    return DamagedError(
        f"{path}: the predictions can't be read ({storage.reason_of(error)}); `verify` says more"
    )
