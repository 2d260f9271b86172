"""Memory is bounded by bytes: the process stays below one limit for any input."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.datasets import schemas
from pipelines.datasets.shard_writer import ShardWriter
from pipelines.reading.encoding import MAX_RAW_BYTES, show_bytes
from pipelines.reading.formats import Part
from pipelines.reading.parquet_files import reader
from pipelines.reading.parquet_files.memory import InputParquet, TooLargeError, rows_at_a_time
from pipelines.reading.parquet_files.pages import read_pages
from pipelines.reading.rows import Reject, reject_batches
from tests.support import bombs
from tests.support.reading import WANTED, score_ready

# Two of the kinds that took the most memory, sized to run in seconds.
SHORT = ("256 constant files", "long text passed through")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_a_bomb_stays_within_the_limit(tmp_path: Path, name: str) -> None:
    _, faults = bombs.check(name, bombs.bombs(0.5)[name], tmp_path)
    assert faults == []


def opened(table: pa.Table, **settings: Any) -> InputParquet:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=max(1, table.num_rows), **settings)
    return InputParquet(pa.BufferReader(sink.getvalue()), columns=table.num_columns)


def rows_for(table: pa.Table, most_bytes: int, **settings: Any) -> int:
    file = opened(table, **settings)
    return rows_at_a_time(file, 0, table.column_names, most_rows=1 << 17, most_bytes=most_bytes)


TEXTS = {
    "one long value": ["x" * 10_000] * 3000,
    "short, then long": ["a"] * 2000 + ["y" * 9_000 for _ in range(1000)],
    "all different": [f"bird-{n:06d}" for n in range(3000)],
    "some nulls": [None if n % 3 else "z" * n for n in range(3000)],
}
ENCODINGS: dict[str, dict[str, Any]] = {
    "dictionary": {},
    "plain": {"use_dictionary": False},
    "small pages": {"use_dictionary": False, "data_page_size": 1000, "write_batch_size": 10},
    "delta": {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
    "delta length": {"use_dictionary": False, "column_encoding": "DELTA_LENGTH_BYTE_ARRAY"},
    "pages of version 2": {"data_page_version": "2.0", "compression": "zstd"},
}


@pytest.mark.parametrize("texts", TEXTS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_batch_has_more_bytes_than_were_foreseen(texts: str, encoding: str) -> None:
    table = pa.table({"id": TEXTS[texts]})
    for most_bytes in (100_000, 1_000_000, 100_000_000):
        file = opened(table, **ENCODINGS[encoding])
        rows = rows_at_a_time(file, 0, ["id"], most_rows=1 << 17, most_bytes=most_bytes)
        read = [batch.column(0) for batch in file.read_group(0, ["id"], rows)]
        assert sum(map(len, read)) == table.num_rows
        # At least one row is always read.
        assert rows == 1 or max(column.nbytes for column in read) <= most_bytes


def test_ordinary_columns_are_read_in_full_batches() -> None:
    rows = 200_000
    table = pa.table(
        {
            "id": [f"bird-{n:09d}" for n in range(rows)],
            "length": np.random.default_rng(0).uniform(1, 200, rows),
            "kind": ["a", "b"] * (rows // 2),
        }
    )
    assert rows_for(table, 16 << 20) == 1 << 17


def test_pages_are_found_as_they_were_written() -> None:
    values = np.arange(100_000)
    file = opened(pa.table({"x": values}), use_dictionary=False, max_rows_per_page=1000)
    pages = read_pages(file.source, file.metadata.row_group(0).column(0))
    assert pages.rows.sum() == len(values)
    assert len(pages.rows) >= 100
    assert pages.sizes.sum() == pytest.approx(8 * len(values), rel=0.01)
    assert pages.dictionary == 0


def test_a_page_that_cannot_be_held_names_its_column() -> None:
    file = opened(pa.table({"a": [1], "id": ["x" * 100_000]}))
    with pytest.raises(TooLargeError, match="column id takes"):
        rows_at_a_time(file, 0, ["a", "id"], most_rows=10, most_bytes=10**6, held_bytes=100_000)


def test_a_nested_column_that_cannot_be_held_is_named() -> None:
    file = opened(pa.table({"list": [[0] * 300_000]}))
    with pytest.raises(TooLargeError, match="column list is nested and holds 300,000 values"):
        rows_at_a_time(file, 0, ["list"], most_rows=10, most_bytes=10**6)


@pytest.mark.parametrize("batch_bytes", [1, 3_000, 50_000, 1 << 20])
def test_bytes_of_a_batch_change_nothing(batch_bytes: int) -> None:
    lengths = [float(n % 300) for n in range(500)]
    table = pa.table(
        {
            "id": [chr(97 + n % 26) * (n % 97) for n in range(500)],
            "length": lengths,
            "mass": [500] * 500,
            "note": ["n" * n for n in range(500)],
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    found = []
    for size in (batch_bytes, 1 << 24):
        file = reader.open_file(pa.BufferReader(sink.getvalue()), WANTED)
        blocks = reader.read_row_groups(
            file, Part(0, 1, 0), WANTED, batch_rows=200, batch_bytes=size
        )
        found.append(score_ready(blocks))
    assert found[0] == found[1]
    assert found[0][2] == 500


def test_what_a_reject_shows_has_a_limit() -> None:
    assert show_bytes("é".encode() * MAX_RAW_BYTES).startswith("é" * 100)
    assert show_bytes(b"x" * (MAX_RAW_BYTES + 1000)).endswith("x… (1,000 bytes more)")
    assert len(show_bytes(b"\xff" * 1_000_000)) <= 5 * MAX_RAW_BYTES
    table = pa.table(
        {"id": ["i" * 99_999], "length": [None], "mass": [500], "note": ["n" * 99_999]}
        | {f"c{n}": [n] for n in range(1000)}
    )
    sink = io.BytesIO()
    pq.write_table(table.cast(table.schema.set(1, pa.field("length", pa.float64()))), sink)
    file = reader.open_file(pa.BufferReader(sink.getvalue()), WANTED)
    _, (reject,), _ = score_ready(
        reader.read_row_groups(file, Part(0, 1, 0), WANTED, batch_rows=10)
    )
    assert reject.raw is not None
    assert len(reject.raw) <= MAX_RAW_BYTES
    assert '"length": null' in reject.raw
    assert json.loads(reject.raw)["…"] == "937 more columns"


def test_rejects_come_in_batches_of_bounded_bytes() -> None:
    def made() -> Any:
        for row in range(30_000):
            yield Reject(
                source_row=row, reason="x", column=None, message="m", raw="r" * (row % 5000)
            )

    batches = list(reject_batches(made(), "file"))
    assert max(batch.nbytes for batch in batches) < 8 << 20
    rows = [row for batch in batches for row in batch.column("source_row").to_pylist()]
    assert rows == list(range(30_000))


def test_row_groups_are_closed_by_bytes_too(tmp_path: Path) -> None:
    writer = ShardWriter(
        str(tmp_path), "rejects", schemas.REJECTS, {},
        max_shard_bytes=1 << 30, row_group_rows=1 << 20, row_group_bytes=1 << 20,
    )  # fmt: skip
    narrow = [
        Reject(source_row=n, reason="x", column=None, message="m", raw="r") for n in range(5000)
    ]
    wide = [
        Reject(source_row=n, reason="x", column=None, message="m", raw="r" * 30_000)
        for n in range(200)
    ]
    for rejects in (narrow, wide, narrow):
        for batch in reject_batches(rejects, "file"):
            writer.write(batch)
    shards = writer.finish()
    assert sum(shard.rows for shard in shards) == 10_200
    groups = [
        (footer.row_group(n).num_rows, footer.row_group(n).total_byte_size)
        for shard in shards
        for footer in [pq.ParquetFile(shard.path).metadata]
        for n in range(footer.num_row_groups)
    ]
    assert sum(rows for rows, _ in groups) == 10_200
    assert len(groups) > 1
    assert max(size for _, size in groups) < 12 << 20


def test_a_damaged_page_header_is_refused() -> None:
    file = opened(pa.table({"x": ["abc"] * 100}))
    chunk = file.metadata.row_group(0).column(0)
    for damage in (b"\xff" * 4000, b"\x1c" * 4000, b""):
        with pytest.raises((pa.ArrowInvalid, OSError)):
            read_pages(pa.BufferReader(damage), chunk)
