"""What the job asks of a file format: how a file is divided, and how its rows are read.

A format is one value of `Format`, listed in `format_table`; nothing else tells formats apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from pipelines.counts.by_file import UNKNOWN
from pipelines.reading.rows import InputColumns, ParsedRows
from pipelines.reading.settings import Sizes


class Part(NamedTuple):
    """Rows of a file that are read on their own.

    Attributes:
      start, stop: in the format's own unit: bytes, row groups or record batches; 0, 0 for a whole
        file of unknown length.
      first_row: the 0-based row in the file that the part begins with.
      rows: how many rows it holds; UNKNOWN if only reading it tells.
    """

    start: int
    stop: int
    first_row: int
    rows: int = UNKNOWN


WHOLE = Part(0, 0, 0)


class Loaded(NamedTuple):
    """A small file that is to be read together with others.

    Attributes:
      kind: files of the same kind can be combined.
      rows: how many rows it has.
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
      load: takes an open file, the columns to read and the most bytes that its rows may take in
        memory. Raises `UnreadableFile` for a file that must be read alone.
      combine: turns loaded files of one kind into a table of their rows. Raises
        `pa.ArrowException` if one of them is at fault, `UnreadableFile` if they all are.
    """

    load: Callable[[pa.NativeFile, InputColumns, int], Loaded]
    combine: Callable[[Sequence[Loaded], InputColumns], pa.Table]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A file format. All of its functions raise `UnreadableFile` for a file they refuse.

    Attributes:
      name: the value of ``--format``.
      suffixes: what file names end in, lower case.
      read: yields the rows of a part in order, some at a time.
      plan: divides an open file into parts, in order; None if a file is always one part.
      check_header: checks an open file whose bytes may then be divided into ranges of any size, as
        `csv_files.ranges` surveys them; None if files can't be divided so.
      together: how many small files are read at once; None if each is read alone.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[pa.NativeFile, Part, InputColumns, Sizes], Iterator[ParsedRows]]
    plan: Callable[[pa.NativeFile, InputColumns, Sizes], list[Part]] | None = None
    check_header: Callable[[pa.NativeFile, InputColumns], object] | None = None
    together: Together | None = None
