"""Reads many small files as one, concatenating their columns before checking any rows.

Opening a small file costs little; checking, scoring and counting its hundred rows separately would
cost many times as much. A file that isn't plain throughout (it has a bad row, a quote, an error or
a blank line) is handed back, to be read on its own by the reader for its format.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from penguin_model import validate
from pipelines import storage
from pipelines.errors import PenguinError
from pipelines.reading.arrow_batches import readable
from pipelines.reading.encoding import undecodable_rows
from pipelines.reading.format_table import FORMATS
from pipelines.reading.formats import Loaded, Together
from pipelines.reading.matching import InputFile
from pipelines.reading.rows import InputColumns, ParsedRows, from_path
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.reading.unreadable import UnreadableFile


class SmallFiles(NamedTuple):
    """Small files that one worker reads together."""

    files: tuple[InputFile, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadTogether:
    """The result of reading some files of a pack.

    Attributes:
      block: the rows of the plain files, all of them good; None if no file is plain.
      rows: the row count of each of those files.
      read_alone: the files that must be read on their own.
    """

    block: ParsedRows | None = None
    rows: dict[InputFile, int] = dataclasses.field(default_factory=dict)
    read_alone: tuple[InputFile, ...] = ()


class _Kind(NamedTuple):
    """What files have in common that are read in the same way: their format, and their folders'."""

    format: str
    in_path: frozenset[str]


class _File(NamedTuple):
    """A file that looks plain before its rows are checked."""

    file: InputFile
    kind: _Kind
    together: Together
    loaded: Loaded


def gather(files: Iterable[InputFile], *, max_file_bytes: int, max_files: int) -> list[SmallFiles]:
    """Groups small files into packs; any other file is a pack of its own.

    Args:
      files: in input order.
      max_file_bytes: maximum size of a small file.
      max_files: maximum number of files in a pack.
    """
    packs: list[SmallFiles] = []
    small: list[InputFile] = []
    for file in files:
        if file.size > max_file_bytes or _together(file) is None:
            packs.append(SmallFiles((file,)))
            continue
        small.append(file)
        if len(small) == max_files:
            packs.append(SmallFiles(tuple(small)))
            small = []
    return packs + ([SmallFiles(tuple(small))] if small else [])


def read_together(
    pack: SmallFiles, wanted: InputColumns, *, batch_bytes: int = DEFAULT_SIZES.batch_bytes
) -> Iterator[ReadTogether]:
    """Reads small files of the same kind together, as many as fit in memory.

    Args:
      pack: small files.
      wanted: the columns to read, and how to check rows.
      batch_bytes: maximum decoded bytes read together; a single file may have more.

    Yields:
      Each file once: in a block, or in `read_alone`.
    """
    plain: list[_File] = []
    read_alone: list[InputFile] = []
    loaders: dict[_Kind, Callable[[pa.NativeFile], Loaded]] = {}
    size = 0
    for file, data in zip(pack.files, _fetch(pack.files), strict=True):
        opened = _load(file, data, wanted, batch_bytes, loaders)
        if opened is None:
            read_alone.append(file)
            continue
        plain.append(opened)
        size += opened.loaded.size + opened.loaded.rows * wanted.row_bytes
        if size > batch_bytes:
            yield from _read_together(plain, wanted)
            plain, size = [], 0
    yield from _read_together(plain, wanted)
    if read_alone:
        yield ReadTogether(read_alone=tuple(read_alone))


def _read_together(files: Sequence[_File], wanted: InputColumns) -> Iterator[ReadTogether]:
    alike: dict[Hashable, list[_File]] = {}
    for each in files:
        alike.setdefault((each.kind, each.loaded.kind), []).append(each)
    for group in alike.values():
        yield from _check(group, wanted.of_file(group[0].file.path))


def _check(files: Sequence[_File], wanted: InputColumns) -> Iterator[ReadTogether]:
    """Parses files together; if that fails, parses each half, down to the file at fault."""
    try:
        yield _combine(files, wanted)
    except PenguinError:
        raise
    except Exception as error:
        if isinstance(error, UnreadableFile) or len(files) == 1:
            yield ReadTogether(read_alone=tuple(each.file for each in files))
            return
        middle = len(files) // 2
        yield from _check(files[:middle], wanted)
        yield from _check(files[middle:], wanted)


def _combine(files: Sequence[_File], wanted: InputColumns) -> ReadTogether:
    counts = np.array([each.loaded.rows for each in files])
    # All columns at once: column by column, it takes five times as long.
    table = files[0].together.combine([each.loaded for each in files], wanted).combine_chunks()
    if table.num_rows != counts.sum():
        raise pa.ArrowInvalid("other records than were counted")
    columns = {
        name: readable(name, column.combine_chunks(), wanted)
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    if undecodable_rows({name: columns[name] for name in columns if name in wanted.columns}):
        raise pa.ArrowInvalid("text that is no UTF-8")
    of_file = np.repeat(np.arange(len(files), dtype=np.int32), counts)
    paths = pa.array([each.file.path for each in files], pa.string())
    columns |= from_path(columns, pa.DictionaryArray.from_arrays(of_file, paths), wanted)
    values = [validate.read_column(columns[feature.name], feature) for feature in wanted.features]
    good = validate.good_rows(values, wanted.features)
    rows = np.arange(len(of_file)) - np.repeat(np.cumsum(counts) - counts, counts)
    plain = np.ones(len(files), np.bool_)
    if good is not None:
        plain[of_file[~good]] = False
        kept = plain[of_file]
        of_file, rows, mask = of_file[kept], rows[kept], pa.array(kept)
        columns = {name: array.filter(mask) for name, array in columns.items()}
    return ReadTogether(
        block=ParsedRows(
            columns=columns,
            rows=rows,
            raw=lambda _: [],
            files=pa.DictionaryArray.from_arrays(of_file, paths),
        ),
        rows={each.file: each.loaded.rows for each, ok in zip(files, plain, strict=True) if ok},
        read_alone=tuple(each.file for each, ok in zip(files, plain, strict=True) if not ok),
    )


def _fetch(files: Sequence[InputFile]) -> Iterable[pa.Buffer | None]:
    """Fetches files; remote ones all at once, in parallel. None for those that can't be read."""

    def fetch(file: InputFile) -> pa.Buffer | None:
        try:
            # In one piece, and no more than was matched: the file may have grown.
            with storage.open_input(file.path) as source:
                return source.read_buffer(file.size)
        except Exception:
            return None

    if storage.of(files[0].path).has_slow_calls:
        return storage.for_each(files[0].path, fetch, files)
    return map(fetch, files)


def _load(
    file: InputFile,
    data: pa.Buffer | None,
    wanted: InputColumns,
    most_bytes: int,
    loaders: dict[_Kind, Callable[[pa.NativeFile], Loaded]],
) -> _File | None:
    """Loads a file; returns None if it must be read alone."""
    together = _together(file)
    if together is None or data is None:
        return None
    mine = wanted.of_file(file.path)
    kind = _Kind(file.format, mine.in_path)
    if kind not in loaders:
        loaders[kind] = together.loader(mine, most_bytes)
    try:
        return _File(file, kind, together, loaders[kind](pa.BufferReader(data)))
    except PenguinError:
        raise
    except Exception:  # which the file's own reader tells
        return None


def _together(file: InputFile) -> Together | None:
    known = FORMATS.get(file.format)
    return known.together if known else None
