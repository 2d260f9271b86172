"""Says what a run would read from each kind of file, from headers and footers alone."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from penguin_model import validate
from pipelines import storage
from pipelines.counts.by_file import UNKNOWN
from pipelines.errors import PenguinError
from pipelines.reading.column_names import FileColumns, UnclearColumns, suggest
from pipelines.reading.formats import Described
from pipelines.reading.matching import InputFile
from pipelines.reading.planning import format_of
from pipelines.reading.rows import InputColumns
from pipelines.reading.unreadable import UnreadableFile, reason_of

# More kinds than this are only counted.
MOST_KINDS = 1000
# How a column was found that isn't in the file, besides the ways of `column_names`.
IN_PATH = "path"
# Why it wasn't found, though it may be there.
UNCLEAR = "unclear"
_AT_A_TIME = 1000


class ColumnUse(NamedTuple):
    """A column of the job in one kind of file.

    Attributes:
      name: the job's name.
      source: the file's column, or the start of a folder's name; None if there is neither.
      way: how it was found, see `column_names`, or UNCLEAR; empty if it isn't there.
      type: its type; empty if the format has none.
      likely: the file's column that may be meant, if it wasn't found.
      required: whether a file without it is rejected whole.
    """

    name: str
    source: str | None
    way: str = ""
    type: str = ""
    likely: str | None = None
    required: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileKind:
    """What files of one kind have in common.

    Attributes:
      format: the name of their format; empty if unknown.
      details: what is unusual about them.
      columns: what is read from where; empty if they can't be opened.
      extra: columns that aren't read.
      reason: why such a file is rejected whole; None if it isn't.
      message: the same for people, with what to do.
      warnings: what a run would do that may not be meant.
    """

    format: str
    details: str = ""
    columns: tuple[ColumnUse, ...] = ()
    extra: tuple[str, ...] = ()
    reason: str | None = None
    message: str | None = None
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass
class Group:
    """The files of one kind: how many, the first of them, and their rows if they say."""

    kind: FileKind
    example: str
    files: int = 0
    rows: int | None = 0


@dataclasses.dataclass
class Findings:
    """What a run would read.

    Attributes:
      groups: one for each kind of file; those that a run would read come first.
      files: how many files there are.
      refused: how many of them would be rejected whole.
    """

    groups: list[Group]
    files: int
    refused: int


def check_files(files: Sequence[InputFile], wanted: InputColumns) -> Findings:
    """Checks files by their headers and footers.

    Args:
      files: as matched.
      wanted: the columns to read.
    """
    groups: dict[FileKind, Group] = {}
    refused = 0
    for file, (kind, rows) in _check_all(files, wanted):
        refused += kind.reason is not None
        if kind not in groups and len(groups) == MOST_KINDS:
            continue
        group = groups.setdefault(kind, Group(kind, file.path))
        group.files += 1
        group.rows = None if group.rows is None or rows == UNKNOWN else group.rows + rows
    ordered = sorted(groups.values(), key=lambda group: group.kind.reason is not None)
    return Findings(ordered, len(files), refused)


def _check_all(
    files: Sequence[InputFile], wanted: InputColumns
) -> Iterator[tuple[InputFile, tuple[FileKind, int]]]:
    check = functools.partial(check_file, wanted=wanted)
    for start in range(0, len(files), _AT_A_TIME):
        some = files[start : start + _AT_A_TIME]
        yield from zip(some, storage.for_each(some[0].path, check, some), strict=True)


def check_file(file: InputFile, wanted: InputColumns) -> tuple[FileKind, int]:
    """Returns the kind of a file, and its number of rows or UNKNOWN."""
    wanted = wanted.of_file(file.path)
    try:
        form = format_of(file)
        with storage.open_input(file.path) as source:
            found = form.describe(source, wanted)
    except UnclearColumns as error:
        kind = _describe(file.format, Described(error.found), wanted)
        return dataclasses.replace(kind, reason=error.reason, message=str(error)), UNKNOWN
    except PenguinError:
        raise
    except Exception as error:
        reason = error.reason if isinstance(error, UnreadableFile) else validate.UNREADABLE_FILE
        return FileKind(format=file.format, reason=reason, message=reason_of(error)), UNKNOWN
    return _describe(file.format, found, wanted), found.rows


def _describe(format_name: str, found: Described, wanted: InputColumns) -> FileKind:
    columns, likely = found.columns, suggest(found.columns, wanted)
    uses = []
    for name in dict.fromkeys((*wanted.columns, *wanted.aliases)):
        source = columns.sources.get(name)
        kind = "" if source is None else str(found.types.get(source, ""))
        way, required = columns.ways.get(name, ""), name in wanted.columns
        if source is None and name in wanted.in_path:
            source, way = f"{name}=", IN_PATH
        if name in columns.clashes:
            way = UNCLEAR
        uses.append(ColumnUse(name, source, way, kind, likely.get(name), required))
    read = set(columns.read)
    return FileKind(
        format=format_name,
        details=found.details,
        columns=tuple(uses),
        extra=tuple(name for name in columns.names if name not in read),
        warnings=tuple(_warn(columns, found.types, wanted)),
    )


def _warn(
    columns: FileColumns, types: Mapping[str, pa.DataType], wanted: InputColumns
) -> Iterable[str]:
    for name in wanted.numbers:
        kind = types.get(columns.sources.get(name, ""))
        if kind is not None and not validate.may_hold_numbers(kind):
            yield f"{name} is of type {kind}: all rows would be rejected, as not_a_number"
