"""Parquet input: spans of row groups, every numeric type, damaged files and row groups."""

import decimal
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.reading.parquet_files import reader
from pipelines.reading.unreadable import UnreadableFile
from tests.support.reading import (
    BAD_LENGTHS,
    WANTED,
    in_a_pack,
    in_spans,
    observations,
    score_ready,
)
from tests.torture import fuzz


def file_of(table: pa.Table, row_group_size: int = 100) -> pq.ParquetFile:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=row_group_size)
    return reader.open_file(pa.BufferReader(sink.getvalue()), WANTED)


def read_all(file: pq.ParquetFile, target_bytes: int = 1, batch_rows: int = 1000) -> Any:
    blocks = [
        block
        for part in reader.plan(file, target_bytes)
        for block in reader.read_row_groups(file, part, WANTED, batch_rows=batch_rows)
    ]
    return score_ready(blocks)


@given(st.integers(1, 300), st.integers(1, 90), st.integers(1, 5000), st.integers(1, 70))
def test_spans_and_batches_of_any_size_give_the_same_rows(
    rows: int, row_group_size: int, target_bytes: int, batch_rows: int
) -> None:
    file = file_of(observations(rows), row_group_size)
    good, rejects, read = read_all(file, target_bytes, batch_rows)
    assert (rejects, read) == ([], rows)
    assert good == [(n, f"bird-{n}", float(n % 200 + 1), float(1000 + n)) for n in range(rows)]


def test_plan_covers_all_row_groups_once() -> None:
    file = file_of(observations(250), 100)
    assert list(reader.plan(file, 1)) == [(0, 1, 0, 100), (1, 2, 100, 100), (2, 3, 200, 50)]
    assert list(reader.plan(file, 1 << 30)) == [(0, 3, 0, 250)]
    assert list(reader.plan(file_of(observations(0)), 1)) in ([], [(0, 1, 0, 0)])


@pytest.mark.parametrize(
    "lengths",
    [
        pa.array([39, 40], pa.int8()),
        pa.array([39, 40], pa.uint64()),
        pa.array([39, 40], pa.float32()),
        pa.array([39, 40], pa.float16()),
        pa.array([decimal.Decimal("39.00"), decimal.Decimal(40)], pa.decimal128(9, 2)),
        pa.array(["39", " 4.0e1 "]),
        pa.array(["39", "40"], pa.large_string()),
        pa.array(["39", "40"]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_numbers_of_any_type_score(lengths: pa.Array) -> None:
    table = pa.table({"id": ["a", "b"], "length": lengths, "mass": [500, 600]})
    good, rejects, _ = read_all(file_of(table))
    assert rejects == []
    assert good == [(0, "a", 39.0, 500.0), (1, "b", 40.0, 600.0)]


@pytest.mark.parametrize(("lengths", "reason"), BAD_LENGTHS, ids=str)
def test_reasons(lengths: pa.Array, reason: str) -> None:
    table = pa.table({"id": ["a"], "length": lengths, "mass": [500], "note": [b"\xff"]})
    good, (reject,), read = read_all(file_of(table))
    assert (good, read) == ([], 1)
    assert (reject.source_row, reject.reason, reject.column) == (0, reason, "length")
    assert set(json.loads(reject.raw)) == {"id", "length", "mass", "note"}
    assert json.loads(reject.raw)["mass"] == 500


def test_the_raw_text_of_a_late_reject_is_its_own() -> None:
    table = observations(500)
    lengths = table.column("length").to_pylist()
    lengths[3] = lengths[250] = lengths[499] = None
    table = table.set_column(2, "length", pa.array(lengths))
    _, rejects, _ = read_all(file_of(table, 200), 1 << 30, batch_rows=70)
    assert [json.loads(r.raw)["id"] for r in rejects] == ["bird-3", "bird-250", "bird-499"]
    assert [r.source_row for r in rejects] == [3, 250, 499]


@pytest.mark.parametrize("data", [b"", b"id,length,mass\n", b"PAR1", b"PAR1" * 100])
def test_a_file_that_is_no_parquet_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="not a readable Parquet"):
        reader.open_file(pa.BufferReader(data), WANTED)


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "torn.parquet"
    pq.write_table(observations(1000), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableFile), pa.OSFile(str(path)) as source:
        reader.open_file(source, WANTED)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(UnreadableFile, match="column length is missing; the file has: id, mass"):
        file_of(pa.table({"id": ["a"], "mass": [1]}))


def test_a_torn_row_group_costs_its_own_rows() -> None:
    sink = io.BytesIO()
    pq.write_table(observations(300), sink, row_group_size=100, compression="zstd")
    data = bytearray(sink.getvalue())
    column = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(1).column(2)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xa5" * column.total_compressed_size
    file = reader.open_file(pa.BufferReader(bytes(data)), WANTED)
    good, rejects, read = read_all(file)
    assert read == 300
    assert [row[0] for row in good] == [*range(100), *range(200, 300)]
    assert [r.source_row for r in rejects] == list(range(100, 200))
    assert {r.reason for r in rejects} == {"unreadable_file"}
    assert "row group 1 cannot be read" in rejects[0].message


@pytest.mark.parametrize("seed", [885, 1570, 5850])
def test_a_row_group_that_ends_early_without_an_error_is_rejected(seed: int) -> None:
    """pyarrow returns fewer rows than the footer counts for these files, found by fuzzing."""
    data = fuzz.mutate(fuzz.parquet_seed(seed), random.Random(seed))
    found, read = fuzz.read_parquet(data, 1000)
    assert [row[0] for row in found] == list(range(read))
    assert read == pq.ParquetFile(pa.BufferReader(data)).metadata.num_rows


def test_damaged_size_statistics_do_not_end_the_process() -> None:
    """pyarrow aborts on this file if asked for a column chunk's metadata."""
    case = fuzz.fuzz("parquet", 1, 1447)
    assert (case.faults, case.tries) == ([], 1)


def test_a_footer_with_names_that_are_no_text_is_refused() -> None:
    data = fuzz.mutate(fuzz.parquet_seed(3803), random.Random(3803))
    with pytest.raises(UnreadableFile, match="not a readable Parquet"):
        fuzz.read_parquet(data, 1000)


@pytest.mark.parametrize("page", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_a_page_that_fails_its_checksum_is_never_scored(
    page: str, dictionary: bool, compression: str
) -> None:
    """Without its checksum, a mass of 3750 g would be scored as one of 6250 g."""
    rows = 60
    columns = {
        "id": [f"b{n}" for n in range(rows)],
        "length": [100.0] * rows,
        "mass": pa.array([3750.0 + n % 3 for n in range(rows)]),
    }
    sink = io.BytesIO()
    pq.write_table(
        pa.table(columns), sink, row_group_size=20, write_page_checksum=True,
        data_page_version=page, use_dictionary=dictionary, compression=compression,
    )  # fmt: skip
    data = sink.getvalue()
    whole = in_spans("parquet", data, WANTED, 1 << 30, 1 << 17)
    assert not isinstance(whole, str)
    assert len(whole) == rows
    file = pq.ParquetFile(io.BytesIO(data))
    chunk = file.metadata.row_group(1).column(2)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    refused = 0
    for place in range(start, start + chunk.total_compressed_size):
        changed = bytearray(data)
        changed[place] ^= 0x10
        alone = in_spans("parquet", bytes(changed), WANTED, 1, 1 << 17)
        assert not isinstance(alone, str)
        assert in_a_pack([bytes(changed)], WANTED, "parquet") == [alone]
        # The other row groups are as they were; this one is right, or refused as a whole.
        assert [row for row in alone if not 20 <= row[0] < 40] == whole[:20] + whole[40:]
        if (part := alone[20:40]) != whole[20:40]:
            assert {row[1] for row in part} == {"unreadable_file"}
            refused += 1
    assert refused > chunk.total_compressed_size // 2
