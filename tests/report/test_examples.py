"""Sample rows of rejects and files, read with little memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.datasets import schemas
from pipelines.report import examples
from pipelines.runs.manifest import from_json
from tests.support.reports import (
    file,
    manifest,
    publish,
    reject,
)
from tests.support.running import PROJECT


def test_examples_are_the_first_of_each_reason(tmp_path: Path) -> None:
    rows = [reject("a", n, "x.csv", f"raw {n}", "m") for n in range(50)]
    rows[41] = reject("rare", 41, "x.csv", None, "m")
    found = publish(tmp_path, manifest("r"), rejects=rows, row_group_rows=7)
    paths = examples.shards(str(tmp_path / "rejects/run_id=r"), from_json(found), "rejects")
    assert len(paths) == 2
    got = examples.first_rejects(paths, {"a": 49, "rare": 1, "none": 0}, 5)
    places = {reason: [row["source_row"] for row in rows] for reason, rows in got.items()}
    assert places == {"a": [0, 1, 2, 3, 4], "rare": [41], "none": []}
    assert got["a"][4]["raw"] == "raw 4"


def test_no_more_rejects_are_read_than_it_takes(tmp_path: Path) -> None:
    rows = [reject("a", n, "x.csv", "raw", "m") for n in range(20)]
    found = publish(tmp_path, manifest("r"), rejects=rows)
    paths = examples.shards(str(tmp_path / "rejects/run_id=r"), from_json(found), "rejects")
    Path(paths[1]).unlink()
    assert len(examples.first_rejects(paths, {"a": 20}, 5)["a"]) == 5


def test_large_rejects_are_read_few_at_a_time(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    raw = [random.bytes(1 << 11).hex() for _ in range(20_000)]
    rows = [reject("a", n, "x.csv", each, "m") for n, each in enumerate(raw)]
    rows[-1]["reason"] = "rare"
    path = tmp_path / "rejects.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schemas.REJECTS), path, use_dictionary=False)
    assert path.stat().st_size > 40 << 20
    code = (
        "import pyarrow as pa; from pipelines.report import examples; "
        f"got = examples.first_rejects([{str(path)!r}], {{'a': 19999, 'rare': 1}}, 5); "
        "print(len(got['a']), got['rare'][0]['source_row'], pa.default_memory_pool().max_memory())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    found, row, most = map(int, ran.stdout.split())
    assert (found, row) == (5, 19_999)
    assert most < 30 << 20  # all of them are 80 MiB


def test_the_worst_files_come_first(tmp_path: Path) -> None:
    rows = [file(f"{n:03d}.csv", 100, n % 7) for n in range(200)]
    rows[150] = file("torn.csv", 0, 0)
    found = publish(tmp_path, manifest("r"), files=rows)
    paths = examples.shards(str(tmp_path / "files/run_id=r"), from_json(found), "files")
    worst = examples.worst_files(paths, 20)
    assert [row["source_file"] for row in worst] == [f"{n:03d}.csv" for n in range(6, 140, 7)]
    fine = examples.worst_files(paths, 200)
    assert next(row for row in fine if not row["rows_rejected"])["source_file"] == "torn.csv"
    assert examples.worst_files([], 20) == []
