"""How files are divided into pieces that workers read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from pipelines.reading import DEFAULT_SIZES, matching, planning
from tests.support.reading import WANTED

LEAST = 4 << 20


@given(size=st.integers(0, 1 << 50), most=st.integers(1, 1 << 30))
def test_pieces_are_many_but_neither_tiny_nor_larger_than_wanted(size: int, most: int) -> None:
    found = planning.piece_bytes(size, most)
    assert min(most, LEAST) <= found <= most
    assert found in (most, LEAST) or size // found >= 64


def test_a_middling_parquet_file_is_divided_by_its_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    numbers = np.random.default_rng(0).uniform(size=4 * 300_000)
    table = pa.table({"id": ["bird"] * len(numbers), "length": numbers, "mass": numbers})
    pq.write_table(table, path, row_group_size=300_000)
    group = pq.ParquetFile(path).metadata.row_group(0).total_byte_size
    assert LEAST <= group < DEFAULT_SIZES.span_bytes / 2
    (file,) = matching.match([str(path)])
    spans = planning.plan_spans(file, WANTED, DEFAULT_SIZES)
    assert [span.rows for span in spans] == [300_000] * 4
    assert sum(span.size for span in spans) == file.size


def test_a_middling_csv_file_is_divided_into_more_ranges(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"id,length,mass\n" + b"bird,39.0,500.0\n" * (5 * LEAST // 16))
    (file,) = matching.match([str(path)])
    ranges = planning.plan_ranges(file, WANTED, DEFAULT_SIZES)
    assert len(ranges) == 6
    planning.check_cover([(each.start, each.stop) for each in ranges], file)
