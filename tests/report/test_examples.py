"""Sample rows of rejects and files, read with little memory."""

import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.datasets import schemas
from pipelines.report import examples
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import from_json
from tests.support.reports import (
    file,
    manifest,
    publish,
    reject,
)
from tests.support.running import PROJECT


def rejects(root: Path, rows: list[dict[str, Any]], row_group_rows: int = 1 << 20) -> list[str]:
    """The paths of two shards with these rejects."""
    found = publish(root, manifest("r"), rejects=rows, row_group_rows=row_group_rows)
    paths = examples.shards(
        Layout(output=str(root), run_id="r", attempt=""), from_json(found), "rejects"
    )
    assert len(paths) == 2
    return paths


def test_examples_are_the_first_of_each_reason(tmp_path: Path) -> None:
    rows = [reject("a", n, "x.csv", f"raw {n}", "m") for n in range(50)]
    rows[41] = reject("rare", 41, "x.csv", None, "m")
    got = examples.first_rejects(rejects(tmp_path, rows, 7), {"a": 5, "rare": 1, "none": 0})
    places = {reason: [row["source_row"] for row in rows] for reason, rows in got.items()}
    assert places == {"a": [0, 1, 2, 3, 4], "rare": [41], "none": []}
    assert got["a"][4]["raw"] == "raw 4"


@given(st.randoms(use_true_random=False), st.integers(1, 9), st.integers(1, 4))
def test_examples_do_not_depend_on_the_order_of_the_rows(
    tmp_path_factory: pytest.TempPathFactory, random: Random, row_group_rows: int, most: int
) -> None:
    """Several workers write rejects in any order, into any shard."""
    rows = [
        reject(random.choice("ab"), row, f"{name}.csv", f"raw {name} {row}", "m")
        for name in "xyz"
        for row in (None, 0, 1, 2)
    ]
    expected = {reason: [row for row in rows if row["reason"] == reason][:most] for reason in "ab"}
    random.shuffle(rows)
    root = tmp_path_factory.mktemp("run")
    wanted = {reason: len(found) for reason, found in expected.items()}
    assert examples.first_rejects(rejects(root, rows, row_group_rows), wanted) == expected


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    rows = [reject("a", n, "x.csv", "raw", "m") for n in range(2)]
    got = examples.first_rejects(rejects(tmp_path, rows), {"a": 1}, columns=["message"])
    assert got == {"a": [{"message": "m"}]}


def test_many_rejects_are_searched_until_there_are_enough_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [reject("a", n, "x.csv", "raw", "m") for n in reversed(range(20))]
    rows[12] = reject("rare", 7, "x.csv", "raw", "m")
    paths = rejects(tmp_path, rows, 5)

    def found(most: int, **wanted: int) -> list[int]:
        monkeypatch.setattr(examples, "MOST_SEARCHED", most)
        got = examples.first_rejects(paths, wanted)
        return [row["source_row"] for reason in wanted for row in got[reason]]

    assert found(20, a=2) == [0, 1]
    assert found(5, a=2) == [15, 16]
    assert found(5, a=2, rare=1) == [15, 16, 7]
    for path in paths:
        Path(path).unlink()
    assert found(20, a=0) == []


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
        f"got = examples.first_rejects([{str(path)!r}], {{'a': 5, 'rare': 1}}); "
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
    layout = Layout(output=str(tmp_path), run_id="r", attempt="")
    paths = examples.shards(layout, from_json(found), "files")
    worst = examples.worst_files(paths, 20)
    assert [row["source_file"] for row in worst] == [f"{n:03d}.csv" for n in range(6, 140, 7)]
    fine = examples.worst_files(paths, 200)
    assert next(row for row in fine if not row["rows_rejected"])["source_file"] == "torn.csv"
    assert examples.worst_files([], 20) == []
