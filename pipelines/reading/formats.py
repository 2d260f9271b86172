"""The file format interface: how to divide a file, and how to read its rows.

A format is one `Format` value, listed in `format_table`; no other code distinguishes formats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from pipelines.counts.by_file import UNKNOWN
from pipelines.reading.column_names import FileColumns
from pipelines.reading.rows import InputColumns, ParsedRows
from pipelines.reading.settings import Sizes


class Part(NamedTuple):
    """A run of rows in a file that is read on its own.

    Attributes:
      start, stop: in the format's own unit: bytes, row groups or record batches; 0, 0 for a whole
        file of unknown length.
      first_row: 0-based number of the part's first row in the file.
      rows: how many rows it holds; UNKNOWN until it has been read.
    """

    start: int
    stop: int
    first_row: int
    rows: int = UNKNOWN


WHOLE = Part(0, 0, 0)


class Loaded(NamedTuple):
    """A small file to be read together with others.

    Attributes:
      kind: files of the same kind can be combined.
      rows: its row count.
      size: bytes in memory.
      content: whatever the format's `combine` takes.
    """

    kind: Hashable
    rows: int
    size: int
    content: Any


class Together(NamedTuple):
    """How a format reads many small files at once.

    Attributes:
      loader: takes the columns to read and the maximum bytes that a file's rows may take in memory.
        Returns what loads an open file, and may remember what the last one was like. It raises
        `UnreadableFile` for a file that must be read alone.
      combine: turns loaded files of one kind into a table of their rows. Raises
        `pa.ArrowException` if one of them is at fault, `UnreadableFile` if they all are.
    """

    loader: Callable[[InputColumns, int], Callable[[pa.NativeFile], Loaded]]
    combine: Callable[[Sequence[Loaded], InputColumns], pa.Table]


def one_by_one(
    load: Callable[[pa.NativeFile, InputColumns, int], Loaded],
) -> Callable[[InputColumns, int], Callable[[pa.NativeFile], Loaded]]:
    """The `Together.loader` of a format that remembers nothing from file to file."""
    return lambda wanted, most_bytes: lambda source: load(source, wanted, most_bytes)


class Described(NamedTuple):
    """What a file's header or footer says about it.

    Attributes:
      columns: where it has the columns to read.
      details: what is unusual about the file, for people: its compression, encoding or delimiter.
      types: of its columns, by its own names; empty for text.
      rows: how many it has; UNKNOWN if it must be read to its end to know.
    """

    columns: FileColumns
    details: str = ""
    types: Mapping[str, pa.DataType] = {}
    rows: int = UNKNOWN


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A file format, whose functions all raise `UnreadableFile` for a file they refuse.

    Attributes:
      name: the value of ``--format``.
      suffixes: file name endings, in lower case.
      read: yields the rows of a part in order, some at a time.
      describe: reads an open file's header or footer, and none of its rows.
      plan: divides an open file into parts, in order; None if a file is always one part.
      divides: whether an open file, whose header it checks, can be divided into arbitrary ranges of
        bytes that `csv_files.ranges` surveys; None if no file can.
      together: reads many small files at once; None if each is read alone.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[pa.NativeFile, Part, InputColumns, Sizes], Iterator[ParsedRows]]
    describe: Callable[[pa.NativeFile, InputColumns], Described]
    plan: Callable[[pa.NativeFile, InputColumns, Sizes], list[Part]] | None = None
    divides: Callable[[pa.NativeFile, InputColumns], bool] | None = None
    together: Together | None = None
