"""The command reads each row's values and row number correctly, however its file is read."""

import datetime
import decimal
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.support.running import PLAIN, manifest, published, run_here

# Large files are divided between them.
TWO_WORKERS = ("--direct_num_workers=2", "--direct_running_mode=in_memory")
BOM = b"\xef\xbb\xbf"
HEADER = b"observation_id,CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
GOOD = b"%d,39.1,18.7,181,3750\n"


def score(folder: Path, passthrough: str) -> None:
    flags = ("--passthrough", passthrough, "--max_reject_fraction", 1, *PLAIN, *TWO_WORKERS)
    assert run_here(folder / "out", "--input", folder / "in", *flags) == 0


def rows_of(folder: Path, dataset: str, name: str, *columns: str) -> list[tuple[Any, ...]]:
    table = published(folder / "out", dataset)
    table = table.filter(pc.ends_with(table.column("source_file").cast(pa.string()), f"/{name}"))
    return list(zip(*(table.column(each).to_pylist() for each in columns), strict=True))


def test_rows_of_a_large_csv_with_a_mark_and_blank_lines_are_in_place(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, blank in (("lf.csv", b"\n"), ("crlf.csv", b"\r\n\r\n")):
        lines = b"".join(GOOD % n + blank * (n % 1000 == 7) for n in range(500_000))
        lines = lines.replace(b",3750\n", b",3750" + b" " * 50 + b"\n")
        assert len(lines) > 30 << 20
        (tmp_path / "in" / name).write_bytes(BOM + blank + HEADER + lines)
    score(tmp_path, "observation_id")
    for name in ("lf.csv", "crlf.csv"):
        table = published(tmp_path / "out", "predictions")
        files = table.column("source_file").cast(pa.string())
        table = table.filter(pc.ends_with(files, f"/{name}"))
        assert table.num_rows == 500_000
        ids = table.column("observation_id").cast(pa.int64())
        assert ids.equals(table.column("source_row"))
        assert np.array_equal(ids.to_numpy(), np.arange(500_000))


def test_a_csv_is_read_the_same_in_every_container_and_company(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rows = HEADER + b"a,NAN,18.7,181,3750\nb,39.1,18.7,181,3750\n"
    (folder / "alone.csv").write_bytes(rows)
    (folder / "bad.csv").write_bytes(rows + b"c,x,18.7,181,3750\n")
    (folder / "bad.csv.gz").write_bytes(gzip.compress(rows + b"c,x,18.7,181,3750\n"))
    (folder / "lone.csv").write_bytes(b"\n" + HEADER.strip())
    (folder / "lone.csv.gz").write_bytes(gzip.compress(BOM + b"\r\n\n" + HEADER.strip()))
    score(tmp_path, "observation_id")
    assert manifest(tmp_path / "out")["totals"]["files_unreadable"] == 0
    missing, bad = (0, "missing_value", "CulmenLength is missing"), (2, "not_a_number")
    for name in ("alone.csv", "bad.csv", "bad.csv.gz"):
        rejects = rows_of(tmp_path, "rejects", name, "source_row", "reason", "message")
        assert rejects[0] == missing
        assert [each[:2] for each in rejects[1:]] == [bad] * ("bad" in name)
        assert rows_of(tmp_path, "predictions", name, "source_row", "observation_id") == [(1, "b")]


def test_decimals_times_and_nested_values_are_read_as_their_text(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    numbers = ["39.1", "18.7", "181", "6300.00000"]
    names = HEADER.decode().strip().split(",")[1:]
    table = pa.table(
        {
            name: pa.array([decimal.Decimal(each)], pa.decimal128(12, 5))
            for name, each in zip(names, numbers, strict=True)
        }
    )
    day = datetime.datetime(9999, 12, 31)
    extras = {
        "time": (pa.array([day], pa.timestamp("us")), "9999-12-31 00:00:00.000000"),
        "zone": (pa.array([day], pa.timestamp("us", "No/Where")), "9999-12-31 00:00:00.000000Z"),
        "list": (pa.array([["a", None]]), '["a", null]'),
        "bytes": (pa.array([b"text"]), "text"),
        "others": (pa.array([b"\xff"]), '"ff"'),
        "view": (pa.array(["text"], pa.string_view()), "text"),
        "price": (pa.array([decimal.Decimal("1E-12")], pa.decimal128(38, 12)), "0.000000000001"),
    }
    for name, (array, _) in extras.items():
        pq.write_table(
            table.append_column("id", array), folder / f"{name}.parquet",
            use_deprecated_int96_timestamps=name == "time",
        )  # fmt: skip
    bad = table.append_column("id", pa.array([b"\xff"]).view(pa.string()))
    pq.write_table(bad, folder / "bad.parquet")
    line = ",".join(["text", *numbers])
    (folder / "same.csv").write_text(",".join(["id", *names]) + f"\n{line}\n")
    score(tmp_path, "id")
    for name, (_, text) in extras.items():
        assert rows_of(tmp_path, "predictions", f"{name}.parquet", "id") == [(text,)]
    assert rows_of(tmp_path, "rejects", "bad.parquet", "reason", "column") == [
        ("bad_encoding", "id")
    ]
    probabilities = [
        name for name in published(tmp_path / "out", "predictions").column_names if "prob" in name
    ]
    (expected,) = rows_of(tmp_path, "predictions", "same.csv", *probabilities)
    for name in extras:
        (found,) = rows_of(tmp_path, "predictions", f"{name}.parquet", *probabilities)
        assert found == pytest.approx(expected, abs=1e-6)
