"""What the command says about the files it matched: exit codes, notes, manifest and summary."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.job import plan
from tests.support.running import ONE_WORKER, PLAIN, listing, manifest, published, run_here

HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
BIRD = "39.1,18.7,181,3750\n"


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A folder with 6 rows in 4 files, two of them in partition folders."""
    folder = tmp_path / "night"
    folder.mkdir()
    for name, rows in (("top.csv", 1), ("x[old]/a\\b.csv", 2)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(HEADER + BIRD * rows)
    row = dict(zip(HEADER.strip().split(","), map(float, BIRD.split(",")), strict=True))
    for year in (2007, 2008):
        (folder / f"obs.parquet/year={year}").mkdir(parents=True)
        table = pa.Table.from_pylist([row] * (year - 2006))
        pq.write_table(table, folder / f"obs.parquet/year={year}/part-0.parquet")
    return folder


def score(output: Path, *arguments: object) -> int:
    return run_here(output, *PLAIN, *ONE_WORKER, "--no-progress", *arguments)


def assert_refused(output: Path, err: str, *words: str) -> None:
    """One line that says why, and nothing of the run below the output root."""
    assert err.startswith("penguin-score: error: ")
    assert err.count("\n") == 1
    assert all(word in err for word in words), err
    assert not any(name.startswith(("runs/", "predictions/")) for name in listing(output))
    assert "_staging/" not in listing(output)


@pytest.mark.parametrize(
    ("pattern", "rows"),
    [
        ("", 6), ("*", 6), ("**", 6), ("**/*.csv", 3), ("*.parquet", 3), ("x[old]", 2),
        ("x[old]/*", 2), ("x[old]/a\\b.csv", 2), ("obs.parquet/year=2007/part-0.parquet", 1),
    ],
)  # fmt: skip
def test_every_row_that_a_pattern_means_is_scored(
    tmp_path: Path, night: Path, pattern: str, rows: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(tmp_path / "out", "--input", night / pattern) == 0
    assert manifest(tmp_path / "out")["totals"]["rows_scored"] == rows
    assert capsys.readouterr().err == ""


def test_an_input_without_files_is_named(
    tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, pattern = tmp_path / "out", f"{night}/**/no*.csv"
    inputs = ("--input", night, "--input", pattern)
    assert score(output, *inputs, "--summary=json") == 0
    out, err = capsys.readouterr()
    assert err == f"penguin-score: note: no file matches {pattern}\n"
    assert json.loads(out)["unmatched"] == manifest(output)["unmatched"] == [pattern]
    # With files that an earlier run scored, an input isn't empty.
    again = ("--run_id", "again", "--new_only", "--fail_on_empty", "--input", night)
    assert run_here(output, *again) == 0
    shutil.rmtree(output)
    capsys.readouterr()
    assert score(output, *inputs, "--fail_on_empty") == 1
    assert_refused(output, capsys.readouterr().err, pattern, "--fail_on_empty")


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("named", ["none.csv", "none", "top.csv/x.csv", "pipe", "link", "out/runs"])
def test_what_cannot_be_input_is_refused(
    tmp_path: Path, night: Path, named: str, early: bool, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """By the command, and by the pipeline, whose workers may see other files than the command."""
    if not early:
        monkeypatch.setattr(plan, "refuse", lambda _: None)
    os.mkfifo(night / "pipe")
    (night / "link").symlink_to("nowhere")
    output = night / "out"
    output.mkdir()
    assert score(output, "--input", night / "top.csv", "--input", night / named) == 2
    assert_refused(output, capsys.readouterr().err, str(night / named))


def test_what_is_not_data_is_counted(
    tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    rubbish = ["_SUCCESS", ".top.csv.crc", "obs.parquet/_metadata", "~$top.csv", "Thumbs.db"]
    rubbish += ["new.csv.part", ".night2.csv", "new.csv.tmp", ".git/x/a.csv"]
    for name in rubbish:
        (night / name).parent.mkdir(parents=True, exist_ok=True)
        (night / name).write_text(HEADER + "half")
    os.mkfifo(night / "pipe.csv")
    (night / "gone.csv").symlink_to("nowhere")
    (night / "same.csv").symlink_to("top.csv")
    assert score(output, "--input", night) == 0
    out, err = capsys.readouterr()
    found = manifest(output)
    assert found["totals"]["files"] == 4
    assert found["totals"]["files_ignored"] == sum(found["ignored"].values()) == len(rubbish) + 1
    assert found["ignored"] == {
        "*.part": 1, "*.tmp": 1, ".*": 3, "Thumbs.db": 1, "_*": 2, "same file": 1, "~$*": 1,
    }  # fmt: skip
    assert found["not_files"] == {
        f"{night}/gone.csv": "link to nothing",
        f"{night}/pipe.csv": "named pipe",
    }
    assert "ignored      10 files" in out
    assert err.splitlines() == [
        f"penguin-score: note: {path} is a {kind}, so it isn't read"
        for path, kind in found["not_files"].items()
    ]
    flags = ("--include_hidden", "--run_id", "all", "--max_reject_fraction=1")
    assert score(output, "--input", night, *flags) == 0
    totals = manifest(output, "all")["totals"]
    assert (totals["files"], totals["files_ignored"]) == (4 + len(rubbish), 1)


def test_night_after_night_into_a_folder_of_the_input(tmp_path: Path, night: Path) -> None:
    output = night / "scored"
    for run_id in ("n1", "n2", "n3"):
        arguments = ("--input", night, "--run_id", run_id, "--report", *ONE_WORKER)
        assert run_here(output, *arguments) == 0
        totals: dict[str, Any] = manifest(output, run_id)["totals"]
        assert (totals["files"], totals["rows_read"]) == (4, 6)
    assert published(output, "files", "n3").num_rows == 4
    assert manifest(output, "n3")["ignored"]["output"] > 6


def test_a_folder_that_may_not_be_listed_fails_the_run(
    tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    really_list = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("x[old]"):
            raise PermissionError(13, "Permission denied", path)
        return really_list(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert score(tmp_path / "out", "--input", night) == 1
    words = ("cannot list", str(night / "x[old]"), "Permission denied")
    assert_refused(tmp_path / "out", capsys.readouterr().err, *words)


def test_a_file_with_the_name_of_a_pattern_is_that_file(
    tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (night / "*.csv").write_text(HEADER + BIRD * 5)
    assert score(tmp_path / "out", "--input", night / "*.csv") == 0
    found = manifest(tmp_path / "out")
    assert found["totals"]["rows_scored"] == 5
    assert "would match 1 other name" in found["notes"][0]
    assert f"{night}/*.csv exists, so it isn't used as a pattern" in capsys.readouterr().out
