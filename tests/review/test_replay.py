"""`penguin-runs verify --replay`: rows scored again are what was published."""

import os
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.review import replay
from tests.support.running import run_here
from tests.support.runs import act

Captured = pytest.CaptureFixture[str]
ROWS = (
    "plain;Say;schnabel;{}CulmenDepth;FlipperLength;BodyMass\n"
    "b1;x y;39,1;18,7;181;3750\nb2;;bad;17,4;186;3800\nb3;z;40,3;18,0;195;3250\n"
)


@pytest.fixture
def nights(tmp_path: Path) -> tuple[Path, Path]:
    """A run whose files can only be read with its own flags; their folder and the output root."""
    incoming, output = tmp_path / "in [1]*" / "year=2007", tmp_path / "out"
    incoming.mkdir(parents=True)
    for number in range(3):
        (incoming / f"{number}.csv").write_text(ROWS.format(""))
    flags = ("--delimiter", ";", "--decimal", ",", "--rename", "schnabel=CulmenLength")
    carried = ("--passthrough", 'plain,"year"', "--passthrough", "say")
    held = ("--max_reject_fraction", 0.5, "--run_id", "r", "--no-progress")
    assert run_here(output, "--input", incoming.parent, *flags, *carried, *held) == 0
    return incoming, output


def edit(output: Path, name: str, change: Any) -> None:
    """Changes a column of all predictions."""
    for path in (output / "predictions/run_id=r").glob("*.parquet"):
        table = pq.ParquetFile(path).read()
        place = table.column_names.index(name)
        column = change(table.column(name).combine_chunks())
        pq.write_table(table.set_column(place, table.field(place), column), path)


def again(output: Path, captured: Captured, *arguments: object) -> tuple[int, list[str]]:
    code = act(output, "verify", "r", "--replay", 100, "--seed", 1, *arguments)
    return code, captured.readouterr().out.splitlines()


def test_a_run_is_read_with_its_own_flags(nights: tuple[Path, Path], capsys: Captured) -> None:
    _, output = nights
    code, (line,) = again(output, capsys)
    assert code == 0
    assert line.endswith("; 6 rows of 3 files scored again (--seed 1)")
    assert not list(output.glob("_staging/*"))


@pytest.mark.parametrize(
    ("column", "change", "words"),
    [
        ("probability", lambda old: pa.array(old.to_numpy() * np.float32(0.9)), "probability was"),
        ("plain", lambda old: pa.array(["b9"] * len(old)), "plain was 'b9', and is now 'b1'"),
        ("source_row", lambda old: pa.array(old.to_numpy() + 1), "row 1: it was scored, but isn't"),
    ],
)  # fmt: skip
def test_rows_that_differ_are_named(
    nights: tuple[Path, Path], capsys: Captured, monkeypatch: pytest.MonkeyPatch,
    column: str, change: Any, words: str,
) -> None:  # fmt: skip
    from pipelines.review import verify

    edit(nights[1], column, change)
    # As if all else had been forged with care.
    monkeypatch.setattr(verify, "find_faults", lambda run: [])
    code, lines = again(nights[1], capsys)
    assert code == 1
    assert any(words in line for line in lines[1:]), lines


def test_input_that_is_gone_or_changed_is_named(
    nights: tuple[Path, Path], capsys: Captured
) -> None:
    incoming, output = nights
    (incoming / "0.csv").unlink()
    os.utime(incoming / "1.csv", (1, 1))
    with (incoming / "2.csv").open("a") as file:
        file.write("b4;;1;1;1;1\n")
    code, lines = again(output, capsys)
    assert code == 1
    shown = "\n".join(lines)
    assert re.search(r"0\.csv can't be scored again \(No such file or directory\): restore", shown)
    assert re.search(r"1\.csv has changed since it was scored \(it was modified\): restore", shown)
    assert re.search(r"2\.csv has changed .*\(it has \d+ bytes, not \d+\): restore", shown)


def test_another_model_is_named(
    nights: tuple[Path, Path], capsys: Captured, tmp_path: Path, shipped_model: Path
) -> None:
    code, lines = again(nights[1], capsys, "--model", tmp_path / "gone.keras")
    assert code == 1
    assert "needs the run's model, " in lines[1]
    manifest = nights[1] / "runs/r.json"
    manifest.write_text(manifest.read_text().replace('"sha256": "', '"sha256": "f', 1))
    code, lines = again(nights[1], capsys, "--model", shipped_model)
    assert code == 1


def test_the_same_seed_chooses_the_same_rows(pristine: Path) -> None:
    folder = pristine / "predictions/run_id=golden"
    shards = sorted(map(str, folder.glob("*.parquet")))
    files = [str(path) for path in (Path(__file__).parents[2] / "data/observations").iterdir()]
    first, second, other = (
        replay.choose_rows(shards, files, 20, random.Random(seed)) for seed in (1, 1, 2)
    )
    assert first is not None
    assert first.equals(second)
    assert not first.equals(other)
    assert first.num_rows == 20
    assert replay.choose_rows(shards, ["/none"], 20, random.Random(1)) is None


def test_large_files_are_chosen_more_often(tmp_path: Path) -> None:
    rows = [1, 0, 99]
    table = pa.table(
        {
            "source_file": ["small", "empty", "large"],
            "size": [1, 1, 1],
            "modified": pa.array([0, 0, 0], pa.timestamp("us", "UTC")),
            "rows_scored": rows,
        }
    )
    pq.write_table(table, tmp_path / "files.parquet")
    chance = random.Random(0)
    chosen = [
        replay.choose_files([str(tmp_path / "files.parquet")], 1, chance)[0].path
        for _ in range(300)
    ]
    assert 1 <= chosen.count("small") <= 12  # expected: 3
    assert "empty" not in chosen


@given(st.lists(st.text(min_size=1), unique=True), st.lists(st.text(), max_size=3))
def test_flags_keep_every_name(carried: list[str], files: list[str]) -> None:
    import csv

    from pipelines.runs.manifest import Manifest, Model, Status, Totals

    manifest = Manifest(
        status=Status.PUBLISHED, run_id="r", end="", model=Model(), totals=Totals(),
        reject_fraction=0, rejects_by_reason={}, species={}, shards={},
        flags={"include_hidden": True, "rename": ["a=b", "c=d"], "input": "/etc", "output": "/etc"},
    )  # fmt: skip
    columns = ["source_file", "source_row", *carried, "species", "probability"]
    flags = replay.make_flags(manifest, columns, files, model="m", output="o")
    assert [flag for flag in flags if flag.startswith("--input=")] == [
        f"--input={f}" for f in files
    ]
    assert flags.count("--output=o") == 1
    assert {"--include_hidden", "--rename=a=b", "--rename=c=d"} <= set(flags)
    told = [flag.removeprefix("--passthrough=") for flag in flags if flag.startswith("--pass")]
    if all("\r" not in name and "\n" not in name for name in carried):
        assert [next(csv.reader([each])) for each in told] == [[name] for name in carried]
