"""A labelled table: read from a file, its columns understood, and its complete rows taken from it.

What a column means is decided by the values that it has, as scoring reads them, so a text column
of a CSV and a column of numbers in a Parquet file are the same. Rows are counted from 0, as
scoring does.
"""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import gzip
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from penguin_model import validate
from penguin_model.arrow_text import as_text
from penguin_model.card import Category, Feature, Input
from penguin_model.command_line import did_you_mean
from penguin_model.errors import CardError, UsageError
from penguin_model.formatting import listed
from penguin_model.labels import MISSING, UNKNOWN, named_numbers, spellings, to_codes
from penguin_model.names import fold

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Scale = Literal["none", "standard"]

# A plausible range is the observed one, widened on each side by this share of its width.
MARGIN = 0.5
# A vocabulary learned from more texts than this is rather a column of names or notes.
MOST_CATEGORIES = 100
# Ends of ranges are rounded to a power of ten that is at most this share of the observed width.
_COARSEST = 0.2
_MOST_EXACT = 2.0**53
_DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*"')
# A spreadsheet's first line that names the delimiter.
_SEPARATOR = re.compile(r'"?sep=([^\r\n])"?\1*[\r\n]+', re.IGNORECASE)
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NOTHING: Mapping[str, str] = {}
_NO_SCALES: Mapping[str, float] = {}
_NO_RANGES: Mapping[str, tuple[float, float]] = {}
_NO_TEXTS: Mapping[str, Sequence[str]] = {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Complete observations with their classes.

    Attributes:
      raw: float64 ``[n, features]`` in raw units, or the codes of a category.
      labels: int64 ``[n]``, places in the sequence of classes.
      numbers: int64 ``[n]``, each row's number in the table, from 0.
    """

    raw: Floats
    labels: Labels
    numbers: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: npt.NDArray[np.int64]) -> Rows:
        """Some of the rows, by their places."""
        return Rows(raw=self.raw[places], labels=self.labels[places], numbers=self.numbers[places])


def read(path: str) -> pa.Table:
    """Reads a table: Parquet by its suffix, otherwise a CSV, which may be gzipped.

    The columns of a CSV are text: what they mean is found out later, by all of their values. It's
    in UTF-8, or in UTF-16 with a byte-order mark. Fields are separated by tabs in a ``.tsv``,
    otherwise by what a first line such as ``sep=;`` names, or by what the header has most of:
    commas, semicolons, tabs or vertical bars.

    Raises:
      UsageError: the file is missing, is of another kind or has no rows; names it.
    """
    name = path.lower()
    kind = "Parquet file" if name.endswith(".parquet") else "CSV table"
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise UsageError(f"data {path}: is a pipe or a device; save its rows in a file")
    try:
        if kind == "Parquet file":
            with open(path, "rb") as file:
                table = pq.ParquetFile(file).read()
        else:
            table = _read_csv(_content(path), name)
    except UnicodeDecodeError as error:
        raise UsageError(
            f"data {path}: is not a CSV table in UTF-8; save it as one, or as .parquet"
        ) from error
    except (pa.ArrowInvalid, EOFError, gzip.BadGzipFile) as error:
        reason = (str(error).strip().splitlines() or [repr(error)])[0]
        raise UsageError(f"data {path}: is not a {kind}: {reason}") from error
    except OSError as error:
        raise UsageError(f"data {path}: {error.strerror or error}") from error
    if not table.num_rows:
        raise UsageError(f"data {path}: has no rows")
    return table


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """Puts the name of the data before the messages of the functions below."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{what}: {error}") from error


def find_column(table: pa.Table, name: str, aliases: Sequence[str] = ()) -> str:
    """Finds a column by its exact name, else in any case and spacing, else by an alias.

    Returns:
      Its name in the table.

    Raises:
      UsageError: there is none, or two are equally good.
    """
    found = match(table, name, aliases)
    if len(set(found)) > 1:
        raise UsageError(f"columns {' and '.join(found[:2])} could both be {name}; rename one")
    if len(found) > 1:
        raise UsageError(f"column {found[0]} appears twice; rename one")
    if not found:
        names = table.column_names
        raise UsageError(
            f"has no column {name}{did_you_mean(name, names)}; its columns are {listed(names)}"
        )
    return found[0]


def match(table: pa.Table, name: str, aliases: Sequence[str] = ()) -> list[str]:
    """The columns that are equally good for a name; see `find_column`."""
    names: list[str] = table.column_names
    others = {fold(each) for each in aliases}
    return (
        [each for each in names if each == name]
        or [each for each in names if fold(each) == fold(name)]
        or [each for each in names if fold(each) in others]
    )


def rename(table: pa.Table, aliases: Mapping[str, Sequence[str]]) -> pa.Table:
    """Gives columns the names by which `aliases` has them, with other names of each.

    Raises:
      UsageError: one is missing, or two are equally good.
    """
    found = {find_column(table, name, others): name for name, others in aliases.items()}
    return table.rename_columns([found.get(name, name) for name in table.column_names])


def choose_features(
    table: pa.Table, label: str, names: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Chooses the columns that a network gets.

    Args:
      table: of `read`.
      label: the column of the classes.
      names: of the features, in order; without them, all columns that have at least two different
        numbers and nothing else, except the label.

    Returns:
      Their names in the table.

    Raises:
      UsageError: a column is missing, is named twice, or is the label, or there is none to choose.
    """
    label = find_column(table, label)
    if names is not None:
        found = [find_column(table, name) for name in names]
    else:
        found = [
            name
            for place, name in enumerate(table.column_names)
            if fold(name) and name != label and _is_telling(table.column(place), name)
        ]
    if not found:
        raise UsageError(
            f"no column besides {label} has numbers that differ; its columns are "
            f"{listed(table.column_names)}"
        )
    keys = [fold(name) for name in found]
    for place, (name, key) in enumerate(zip(found, keys, strict=True)):
        if key == fold(label):
            raise UsageError(f"column {name} can't be a feature: {label} is the label")
        if key in keys[:place]:
            other = found[keys.index(key)]
            raise UsageError(
                f"column {name} is a feature twice"
                if other == name and names is not None
                else f"columns {other} and {name} have the same name; rename one"
            )
    return tuple(found)


def left_out(table: pa.Table, label: str, features: Sequence[str]) -> tuple[str, ...]:
    """The table's columns that are neither features nor the label."""
    used = {fold(label), *map(fold, features)}
    return tuple(name or "(no name)" for name in table.column_names if fold(name) not in used)


def learn_classes(
    table: pa.Table, label: str, names: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Finds out the classes, in the order of the network's outputs.

    Args:
      table: of `read`.
      label: the column of the classes.
      names: the classes, if they are known: the network's order.

    Returns:
      `names`; without them, whole numbers in ascending order, or texts sorted. Spellings that
      differ in case and spaces only are one class, spelled as most rows do.

    Raises:
      UsageError: fewer than two classes, numbers with decimals, or a name given twice.
    """
    label = find_column(table, label)
    if names is not None:
        if len(set(map(fold, names))) < len(names):
            raise UsageError(f"the classes {listed(names)} have a name twice")
        found = [name.strip() for name in names]
    else:
        column = _array(table, label)
        numbers = validate.to_numbers(column)
        if _is_numeric(numbers):
            found = _whole_numbers(numbers.values, label)
        else:
            found = _distinct_texts(column)
    if len(found) < 2:
        raise UsageError(
            f"label {label} has "
            + (f"a single class, {found[0]}" if found else "no values")
            + "; there must be at least two classes"
        )
    return tuple(found)


def learn_inputs(
    table: pa.Table,
    names: Sequence[str],
    *,
    units: Mapping[str, str] = _NOTHING,
    scales: Mapping[str, float] = _NO_SCALES,
    ranges: Mapping[str, tuple[float, float]] = _NO_RANGES,
    vocabularies: Mapping[str, Sequence[str]] = _NO_TEXTS,
    one_hot: bool = True,
) -> tuple[Input, ...]:
    """Finds out what a network's inputs are, from all values of their columns.

    A column of numbers is a `Feature`. Its plausible range is the observed one, widened by MARGIN
    of its width on each side and rounded outwards, to whole units unless the values are close
    together; it doesn't reach below 0 if no value does. A column of texts, or one with a
    vocabulary, is a `Category`.

    Args:
      table: of `read`.
      names: of the features.
      units: of numbers, by feature; others have none.
      scales: raw units per network unit, by feature; 1 for others.
      ranges: plausible ranges of numbers, by feature.
      vocabularies: the texts of a category in the network's order, by feature; otherwise its
        different texts, sorted.
      one_hot: whether the network gets a number for each text of a category, or its code.

    Raises:
      UsageError: a column is missing, has a value that isn't a number among its numbers, doesn't
        vary, or has too many different texts; names it.
    """
    inputs: list[Input] = []
    for name in names:
        column = _array(table, find_column(table, name))
        try:
            if name in vocabularies or not (
                name in units or name in scales or _means_numbers(column, name)
            ):
                texts = vocabularies.get(name) or _learn_texts(column, name)
                found: Input = Category(name=name, categories=tuple(texts), one_hot=one_hot)
            else:
                numbers = _numbers(column, name)
                minimum, maximum = ranges.get(name) or _plausible(numbers, name)
                found = Feature(
                    name=name, unit=units.get(name, ""), scale=scales.get(name, 1.0),
                    minimum=minimum, maximum=maximum,
                )  # fmt: skip
        except CardError as error:
            raise UsageError(f"column {name} can't be a feature: {error}") from error
        inputs.append(found)
    return tuple(inputs)


def standardize(features: Sequence[Input], rows: Rows) -> tuple[Input, ...]:
    """Sets offset and scale of the numbers to the mean and standard deviation of rows."""
    return tuple(
        _standard(feature, column) if isinstance(feature, Feature) else feature
        for feature, column in zip(features, rows.raw.T, strict=True)
    )


def complete(
    table: pa.Table,
    features: Sequence[Input],
    label: str,
    classes: Sequence[str],
    class_aliases: Mapping[str, Sequence[str]] = _NO_TEXTS,
    label_aliases: Sequence[str] = (),
) -> tuple[Rows, int]:
    """Takes the rows that have a value for every feature and a label, read as scoring reads them.

    Returns:
      The rows, and how many others there are: those with a missing, infinite or implausible value,
      or without a label.

    Raises:
      UsageError: a column is missing, a value can't be read, or a label isn't one of the classes;
        names the first row.
    """
    columns = [
        _read_feature(_array(table, find_column(table, each.name, each.aliases)), each)
        for each in features
    ]
    label = find_column(table, label, label_aliases)
    given = _array(table, label)
    labels = to_codes(given, classes, class_aliases)
    unknown = np.flatnonzero(labels == UNKNOWN)
    if len(unknown):
        row = int(unknown[0])
        message = f"{label} is {_show(given, row)} in data row {row}; it must be one of "
        message += listed(classes)
        if not named_numbers(spellings(classes, class_aliases)):
            message += f", or the number of one from 0 to {len(classes) - 1}"
        raise UsageError(message)
    good = labels != MISSING
    inside = validate.good_rows(columns, features)
    if inside is not None:
        good &= inside
    kept = Rows(
        raw=np.stack([column.values[good] for column in columns], axis=1),
        labels=labels[good].astype(np.int64),
        numbers=np.flatnonzero(good),
    )
    return kept, len(labels) - len(kept)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        content = file.read()
    return gzip.decompress(content) if path.lower().endswith(".gz") else content


def _read_csv(content: bytes, name: str) -> pa.Table:
    """Reads the text of all columns."""
    text = content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig").lstrip("\r\n")
    if "\0" in text:
        raise pa.ArrowInvalid("it has NUL characters; save it in UTF-8")
    separator = _SEPARATOR.match(text)
    if separator:
        text = text[separator.end() :]
        delimiter = separator[1]
    elif name.removesuffix(".gz").endswith(".tsv"):
        delimiter = "\t"
    else:
        header = _QUOTED.sub("", text.partition("\n")[0])
        delimiter = max(_DELIMITERS, key=header.count)
    parse = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    encoded = pa.py_buffer(text.encode())
    names = pa_csv.open_csv(pa.BufferReader(encoded), parse_options=parse).schema.names
    return pa_csv.read_csv(
        pa.BufferReader(encoded),
        parse_options=parse,
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )


def _array(table: pa.Table, name: str) -> pa.Array:
    return _combine(table.column(name))


def _combine(chunked: pa.ChunkedArray) -> pa.Array:
    array = chunked.unify_dictionaries().combine_chunks()
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array


def _is_numeric(column: validate.Column) -> bool:
    """Whether a column has numbers and nothing else."""
    return not (_has_unparsed(column) or np.isnan(column.values).all())


def _has_unparsed(column: validate.Column) -> bool:
    return column.unparsed is not None and bool(column.unparsed.any())


def _is_telling(chunked: pa.ChunkedArray, name: str) -> bool:
    """Whether a column has numbers that differ, and nothing else but missing values."""
    column = _combine(chunked)
    if not _means_numbers(column, name):
        return False
    values = validate.to_numbers(column).values
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() < values.max())


def _means_numbers(column: pa.Array, name: str) -> bool:
    """Whether a column is one of numbers.

    Raises:
      UsageError: most of its different values are numbers, so that the others are likely mistakes;
        or all are, with decimal commas.
    """
    if not validate.may_hold_numbers(column.type):
        return False
    found = validate.to_numbers(column)
    if _is_numeric(found):
        return True
    if found.unparsed is not None and _has_unparsed(found):
        if _is_numeric(validate.to_numbers(column, ",")):
            reason = "which is a number with a comma instead of a decimal point; "
            _refuse_unparsed(found, column, f"{name} is {{}} in data row {{}}, {reason}")
        numbers = len(np.unique(found.values[~np.isnan(found.values)]))
        if numbers > len(_spellings(column.filter(pa.array(found.unparsed)))):
            _numbers(column, name)
    return False


def _numbers(column: pa.Array, name: str) -> Floats:
    """A column's finite numbers.

    Raises:
      UsageError: it has a value that isn't a number, or no number at all.
    """
    found = validate.to_numbers(column)
    _refuse_unparsed(found, column, f"{name} is {{}} in data row {{}}, which is not a number; ")
    values = found.values[np.isfinite(found.values)]
    if not len(values):
        raise UsageError(f"column {name} can't be a feature: it has no numbers")
    return values


def _read_feature(array: pa.Array, feature: Input) -> validate.Column:
    column = validate.read_column(array, feature)
    reason = (
        f"which isn't one of {listed(feature.categories)}; "
        if isinstance(feature, Category)
        else "which is not a number; "
    )
    _refuse_unparsed(column, array, f"{feature.name} is {{}} in data row {{}}, {reason}")
    return column


def _refuse_unparsed(column: validate.Column, array: pa.Array, message: str) -> None:
    if column.unparsed is not None and _has_unparsed(column):
        row = int(column.unparsed.argmax())
        text = message.format(repr(_show(array, row)), row)
        raise UsageError(f"{text}correct it, empty it or leave the column out")


def _whole_numbers(values: Floats, label: str) -> list[str]:
    numbers = np.unique(values[~np.isnan(values)])
    for value in numbers.tolist():
        if not (abs(value) < _MOST_EXACT and value == int(value)):
            raise UsageError(
                f"label {label} has the value {value:g}; classes are texts or whole numbers"
            )
    return [str(int(value)) for value in numbers.tolist()]


def _spellings(column: pa.Array) -> Counter[str]:
    """How often each text is in a column, without missing ones."""
    counts = as_text(column).value_counts() if len(column) else []
    found: Counter[str] = Counter()
    for each in counts:
        text = str(each["values"].as_py() or "").strip()
        if text not in validate.NULL_SPELLINGS:
            found[text] += each["counts"].as_py()
    return found


def _distinct_texts(column: pa.Array) -> list[str]:
    """A column's different texts, sorted; spellings of one are spelled as most rows do."""
    chosen: dict[str, str] = {}
    for text, _ in sorted(_spellings(column).items(), key=lambda each: (-each[1], each[0])):
        chosen.setdefault(fold(text), text)
    return sorted(chosen.values())


def _learn_texts(column: pa.Array, name: str) -> list[str]:
    """A column's vocabulary.

    Raises:
      UsageError: it has fewer than two texts, or too many.
    """
    texts = _distinct_texts(column)
    if len(texts) < 2:
        reason = f"all its values are {texts[0]}" if texts else "it has no values"
        raise UsageError(f"column {name} can't be a feature: {reason}")
    if len(texts) > MOST_CATEGORIES:
        raise UsageError(
            f"column {name} can't be a feature: it isn't one of numbers, and has {len(texts)} "
            f"different texts, more than {MOST_CATEGORIES}"
        )
    return texts


def _plausible(values: Floats, name: str) -> tuple[float, float]:
    """The plausible range of a number; see `learn_inputs`."""
    low, high = float(values.min()), float(values.max())
    width = high - low
    if not width:
        raise UsageError(
            f"column {name} can't be a feature: all its values are {low:g}, so they show no range"
        )
    margin = MARGIN * width
    place = math.log10(width) + math.log10(_COARSEST) if math.isfinite(width) else 0
    decimals = max(0, -math.floor(place))
    least = _round(low - margin, decimals, math.floor)
    # What is never negative, such as a length, isn't plausible below 0 either.
    return least if low < 0 else max(least, 0.0), _round(high + margin, decimals, math.ceil)


def _round(value: float, decimals: int, to_whole: Callable[[float], int]) -> float:
    """Rounds to so many decimals, unless the number has no room for them."""
    factor = 10.0 ** min(decimals, 300)
    if not abs(value * factor) < _MOST_EXACT:
        return value
    # Without the noise in the last digits that a difference has.
    return round(to_whole(round(value * factor, 6)) / factor, decimals)


def _standard(feature: Feature, values: Floats) -> Feature:
    """A feature whose offset and scale are the mean and the standard deviation of values."""
    known = values[np.isfinite(values)]
    offset, deviation = float(known.mean()), float(known.std())
    # What doesn't differ beyond rounding isn't blown up.
    scale = deviation if deviation > 1e-12 * abs(offset) else 1.0
    return dataclasses.replace(feature, offset=offset, scale=scale)


def _show(array: pa.Array, row: int) -> str:
    return str(as_text(array.slice(row, 1))[0].as_py())
