"""Helpers for the readers' tests: a card's features, and every way of reading a file."""

import datetime
import io
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from penguin_model.card import Feature
from pipelines.reading import matching, small_files
from pipelines.reading.csv_files import ranges, reader
from pipelines.reading.format_table import FORMATS
from pipelines.reading.formats import WHOLE, Part
from pipelines.reading.matching import InputFile
from pipelines.reading.rows import InputColumns, ParsedRows, Reject, validate_rows
from pipelines.reading.settings import Sizes
from pipelines.reading.small_files import SmallFiles
from pipelines.reading.unreadable import UnreadableFile

LENGTH = Feature(name="length", unit="mm", scale=10, minimum=0.5, maximum=300)
MASS = Feature(name="mass", unit="g", scale=100, minimum=100, maximum=9000)
WANTED = InputColumns(features=(LENGTH, MASS), passthrough=("id",))

# A column of one length that a typed file may hold, and why its row is rejected.
BAD_LENGTHS = [
    (pa.array([None], pa.float64()), "missing_value"),
    (pa.array([float("nan")]), "missing_value"),
    (pa.nulls(1), "missing_value"),
    (pa.array(["NA"]), "missing_value"),
    (pa.array(["39,1"]), "not_a_number"),
    (pa.array([True]), "not_a_number"),
    (pa.array([datetime.datetime(2026, 1, 1)]), "not_a_number"),
    (pa.array([[1.0]]), "not_a_number"),
    (pa.array([float("inf")]), "out_of_range"),
    (pa.array([-4]), "out_of_range"),
]

Row = tuple[int, str, float, float]


def observations(rows: int) -> pa.Table:
    """Good rows, of which each is different."""
    return pa.table(
        {
            "mass": pa.array(range(1000, 1000 + rows), pa.int32()),
            "id": [f"bird-{n}" for n in range(rows)],
            "length": [float(n % 200 + 1) for n in range(rows)],
            "note": ["x"] * rows,
        }
    )


def score_ready(
    blocks: Iterable[ParsedRows], wanted: InputColumns = WANTED
) -> tuple[list[tuple[Any, ...]], list[Reject], int]:
    """All good rows (number, passthrough, values), all rejects, and the number of rows read."""
    rows: list[tuple[Any, ...]] = []
    rejects: list[Reject] = []
    read = 0
    for block in blocks:
        read += block.rows_read
        chunk, refused = validate_rows(block, "file", wanted)
        rejects += refused
        if chunk is not None:
            assert set(chunk.column("source_file").to_pylist()) == {"file"}
            rows += zip(*(column.to_pylist() for column in chunk.columns[1:]), strict=True)
    return rows, rejects, read


def read_csv(data: bytes, wanted: InputColumns = WANTED, *, block_bytes: int = 1 << 20) -> Any:
    sizes = Sizes(block_bytes=block_bytes)
    return score_ready(FORMATS["csv"].read(io.BytesIO(data), WHOLE, wanted, sizes), wanted)


# All rows of a file in order, good ones and rejects; or the reason why it is refused.
Outcome = list[tuple[Any, ...]] | str


def outcome(blocks: Iterable[ParsedRows], wanted: InputColumns) -> Outcome:
    """The outcomes of the rows of some blocks, in the form of `plain_reading`."""
    rows, rejects, read = score_ready(blocks, wanted)
    found = rows + [(r.source_row, r.reason, r.column, r.message, r.raw) for r in rejects]
    assert len(found) == read
    return sorted(found, key=lambda each: each[0])


def csv_whole(stream: BinaryIO, wanted: InputColumns, block_bytes: int) -> Outcome:
    """A CSV read from beginning to end."""
    sizes = Sizes(block_bytes=block_bytes)
    try:
        return outcome(FORMATS["csv"].read(stream, WHOLE, wanted, sizes), wanted)
    except UnreadableFile as error:
        return error.reason


def divide(data: bytes, step: int, delimiter: bytes = b",") -> list[Part]:
    """The spans of a CSV surveyed in ranges of the given size."""
    stream, size = io.BytesIO(data), len(data)
    surveys = [
        ranges.survey(stream, at, min(at + step, size), size, delimiter)
        for at in range(0, size, step)
    ]

    def look(start: int, stop: int) -> ranges.RangeScan:
        return ranges.scan_quoted(stream, start, stop, delimiter)

    return list(ranges.assign_rows(surveys, size, look))


def csv_in_ranges(data: bytes, wanted: InputColumns, step: int, block_bytes: int) -> Outcome:
    """A CSV read in ranges, as the job reads a large one, unless it can't be divided."""
    divides = FORMATS["csv"].divides
    assert divides is not None
    try:
        if not divides(io.BytesIO(data), wanted):
            return csv_whole(io.BytesIO(data), wanted, block_bytes)
    except UnreadableFile as error:
        return error.reason
    found: list[Any] = []
    for span in divide(data, step, wanted.dialect.delimiter_byte):
        blocks = reader.read_csv(io.BytesIO(data), wanted, block_bytes=block_bytes, span=span)
        try:
            found += outcome(blocks, wanted)
        except UnreadableFile as error:
            return error.reason
    return found


def read_alone(file: InputFile, wanted: InputColumns) -> Outcome:
    """A small file read as a whole."""
    with open(file.path, "rb") as stream:
        if file.format == "csv":
            return csv_whole(stream, wanted, 1 << 20)
        return in_spans(file.format, stream.read(), wanted, 1 << 30, 1 << 17)


def in_a_pack(
    contents: Sequence[bytes], wanted: InputColumns, suffix: str = "csv"
) -> list[Outcome]:
    """Several small files read together, or alone if the pack hands them back."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.{suffix}") for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        matched = matching.match([str(Path(folder, "*"))])
        found: dict[str, Any] = {}
        for packed in small_files.read_together(SmallFiles(tuple(matched)), wanted):
            found |= {file.path: read_alone(file, wanted) for file in packed.read_alone}
            found |= {file.path: [] for file in packed.rows}
            if packed.block is not None:
                chunk, rejects = validate_rows(packed.block, "", wanted)
                assert not list(rejects)
                for path, *row in _rows(chunk):
                    found[path].append(tuple(row))
        return [found[str(path)] for path in paths]


def _rows(chunk: pa.RecordBatch | None) -> Iterable[tuple[Any, ...]]:
    if chunk is None:
        return []
    return zip(*(column.to_pylist() for column in chunk.columns), strict=True)


def in_spans(
    name: str, data: bytes, wanted: InputColumns, span_bytes: int, batch_rows: int
) -> Outcome:
    """A file read in the spans planned by its format."""
    form = FORMATS[name]
    sizes = Sizes(span_bytes=span_bytes, batch_rows=batch_rows)
    assert form.plan is not None
    found: list[Any] = []
    try:
        for part in form.plan(pa.BufferReader(data), wanted, sizes):
            found += outcome(form.read(pa.BufferReader(data), part, wanted, sizes), wanted)
    except UnreadableFile as error:
        return error.reason
    return found
