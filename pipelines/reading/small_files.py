"""Many small files read as one: their columns are put together before anything looks at the rows.

Opening a small file costs little; checking, scoring and counting its hundred rows on their own
would cost many times as much. A file that is not plain throughout (a bad row, a quote, an error, a
blank line) is handed back, to be read on its own by the readers that know what to do about it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from penguin_model import validate
from pipelines import storage
from pipelines.reading.csv_files import reader
from pipelines.reading.csv_files.records import BOM, complete_length
from pipelines.reading.encoding import filterable, undecodable_rows
from pipelines.reading.matching import InputFile
from pipelines.reading.parquet_files import memory
from pipelines.reading.parquet_files import reader as parquet_spans
from pipelines.reading.rows import Block, Wanted
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.reading.unreadable import UnreadableFile

FORMATS = frozenset({"csv", "parquet"})
# What a row takes beside its features: its place, its file, and what is worked out meanwhile.
_ROW_BYTES = 64


class Pack(NamedTuple):
    """Small files that one worker reads together."""

    files: tuple[InputFile, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Packed:
    """What became of some files of a pack.

    Attributes:
      block: the rows of the files that are plain, all of them good; None where no file is.
      rows: how many rows each of those files has.
      others: the files that must be read on their own.
    """

    block: Block | None = None
    rows: dict[InputFile, int] = dataclasses.field(default_factory=dict)
    others: tuple[InputFile, ...] = ()


class _Kind(NamedTuple):
    """What files that are parsed together have in common: their header, or their columns."""

    header: bytes | None = None
    types: tuple[tuple[str, pa.DataType], ...] = ()


class _Part(NamedTuple):
    """One plain file: its wanted columns, or the bytes of its records and how many these are.

    Its size is in memory, once its rows are read.
    """

    file: InputFile
    kind: _Kind
    rows: int
    size: int
    body: bytes = b""
    table: pa.Table | None = None


def gather(files: Iterable[InputFile], *, max_file_bytes: int, max_files: int) -> list[Pack]:
    """Puts small files together; a file that is not small is a pack of its own.

    Args:
      files: in the order of the input.
      max_file_bytes: a small file has no more.
      max_files: of a pack.
    """
    packs: list[Pack] = []
    small: list[InputFile] = []
    for file in files:
        if file.size > max_file_bytes or file.format not in FORMATS:
            packs.append(Pack((file,)))
            continue
        small.append(file)
        if len(small) == max_files:
            packs.append(Pack(tuple(small)))
            small = []
    return packs + ([Pack(tuple(small))] if small else [])


def read(
    pack: Pack, wanted: Wanted, *, batch_bytes: int = DEFAULT_SIZES.batch_bytes
) -> Iterator[Packed]:
    """Reads the files of a pack together, as far as they are alike, and as many as fit in memory.

    Args:
      pack: small files.
      wanted: the columns to read, and how rows are checked.
      batch_bytes: decoded bytes that are read together, at most; a small file may have more.

    Yields:
      Each file once: in a block, or among the others.
    """
    parts: list[_Part] = []
    others: list[InputFile] = []
    size = 0
    for file, data in zip(pack.files, _fetch(pack.files), strict=True):
        part = _open(file, data, wanted, batch_bytes)
        if part is None:
            others.append(file)
            continue
        parts.append(part)
        size += part.size
        if size > batch_bytes:
            yield from _read_together(parts, wanted)
            parts, size = [], 0
    yield from _read_together(parts, wanted)
    if others:
        yield Packed(others=tuple(others))


def _read_together(opened: Sequence[_Part], wanted: Wanted) -> Iterator[Packed]:
    others: list[InputFile] = []
    alike: dict[_Kind, list[_Part]] = {}
    for part in opened:
        alike.setdefault(part.kind, []).append(part)
    for kind, parts in alike.items():
        parse: Callable[[Sequence[_Part]], pa.Table] = _put_together
        if kind.header is not None:
            try:
                parse = _csv_parser(kind.header, wanted)
            except UnreadableFile:
                others += [part.file for part in parts]
                continue
        yield from _check(parts, parse, wanted)
    if others:
        yield Packed(others=tuple(others))


def _check(
    parts: Sequence[_Part], parse: Callable[[Sequence[_Part]], pa.Table], wanted: Wanted
) -> Iterator[Packed]:
    """Parses files together; where that fails, each half of them, down to the file at fault."""
    counts = np.array([part.rows for part in parts])
    try:
        table = parse(parts)
        if table.num_rows != counts.sum():
            raise pa.ArrowInvalid("other records than were counted")
        columns = {
            name: filterable(table.column(name).combine_chunks()) for name in table.column_names
        }
        if undecodable_rows({name: columns[name] for name in wanted.columns}):
            raise pa.ArrowInvalid("text that is no UTF-8")
    except (pa.ArrowException, MemoryError):
        if len(parts) == 1:
            yield Packed(others=(parts[0].file,))
            return
        middle = len(parts) // 2
        yield from _check(parts[:middle], parse, wanted)
        yield from _check(parts[middle:], parse, wanted)
        return
    numbers = [validate.to_numbers(columns[feature.name]) for feature in wanted.features]
    good = validate.good_rows(numbers, wanted.features)
    of_file = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
    rows = np.arange(len(of_file)) - np.repeat(np.cumsum(counts) - counts, counts)
    plain = np.ones(len(parts), np.bool_)
    if good is not None:
        plain[of_file[~good]] = False
        kept = plain[of_file]
        of_file, rows, mask = of_file[kept], rows[kept], pa.array(kept)
        columns = {name: array.filter(mask) for name, array in columns.items()}
    paths = pa.array([part.file.path for part in parts], pa.string())
    yield Packed(
        block=Block(
            columns=columns,
            rows=rows,
            raw=lambda _: [],
            files=pa.DictionaryArray.from_arrays(of_file, paths),
        ),
        rows={part.file: part.rows for part, ok in zip(parts, plain, strict=True) if ok},
        others=tuple(part.file for part, ok in zip(parts, plain, strict=True) if not ok),
    )


def _fetch(files: Sequence[InputFile]) -> Iterable[bytes | None]:
    """The bytes of remote files, many at a time; None for local ones and for what can't be read."""

    def fetch(file: InputFile) -> bytes | None:
        try:
            return storage.read_bytes(file.path)
        except storage.ERRORS:
            return None

    if storage.is_local(files[0].path):
        return [None] * len(files)
    return storage.for_each(files[0].path, fetch, files)


def _open(file: InputFile, data: bytes | None, wanted: Wanted, most_bytes: int) -> _Part | None:
    """What a file holds; None for one to be read on its own."""
    try:
        if data is None and not storage.is_local(file.path):
            return None
        if file.format == "csv":
            return _open_csv(file, storage.read_bytes(file.path) if data is None else data, wanted)
        source = storage.open_input(file.path) if data is None else pa.BufferReader(data)
        with source:
            return _open_parquet(file, source, wanted, most_bytes)
    except (UnreadableFile, *storage.ERRORS, *parquet_spans.ARROW_ERRORS):
        return None


def _open_csv(file: InputFile, data: bytes, wanted: Wanted) -> _Part:
    """The records of a CSV that can be counted by its line ends.

    Raises:
      UnreadableFile: the file is not so plain.
    """
    data = data.removeprefix(BOM)
    header, _, body = data.partition(b"\n")
    if body and not body.endswith(b"\n"):
        body += b"\n"
    # A quoted name may stand in the header, but not go on in the next line.
    odd = b'"' in body or not complete_length(header + b"\n")
    odd = odd or b"\n\n" in body or body.startswith((b"\n", b"\r\n"))
    if b"\r" in data:
        odd = odd or b"\n\r\n" in body or data.count(b"\r") != data.count(b"\r\n")
    if odd:
        raise UnreadableFile("its records are not its lines")
    rows = body.count(b"\n")
    size = len(body) + rows * _row_bytes(wanted)
    return _Part(file, _Kind(header.rstrip(b"\r")), rows, size, body=body)


def _row_bytes(wanted: Wanted) -> int:
    return _ROW_BYTES + 8 * len(wanted.features)


def _csv_parser(header: bytes, wanted: Wanted) -> Callable[[Sequence[_Part]], pa.Table]:
    names, _ = reader.read_header(header, wanted)

    def parse(parts: Sequence[_Part]) -> pa.Table:
        return reader.parse_fast(b"".join(part.body for part in parts), names, wanted)

    return parse


def _open_parquet(file: InputFile, source: pa.NativeFile, wanted: Wanted, most_bytes: int) -> _Part:
    """The wanted columns of a Parquet file.

    Raises:
      UnreadableFile: it takes much memory, or is not as its footer says.
    """
    opened = parquet_spans.open_file(source, wanted)
    columns = wanted.in_file(opened.schema_arrow.names)
    rows = opened.metadata.num_rows
    if rows * _row_bytes(wanted) > most_bytes or not memory.fits(opened, columns, most_bytes):
        raise UnreadableFile("it takes much memory")
    table = opened.read(columns=list(columns), use_threads=False)
    if table.num_rows != rows:
        raise UnreadableFile("it has other rows than the footer says")
    for batch in table.to_batches():
        parquet_spans.check_dictionaries(batch)
    types = tuple((field.name, field.type) for field in table.schema)
    size = table.nbytes + rows * _row_bytes(wanted)
    return _Part(file, _Kind(types=types), rows, size, table=table)


def _put_together(parts: Sequence[_Part]) -> pa.Table:
    return pa.concat_tables([part.table.replace_schema_metadata() for part in parts if part.table])
