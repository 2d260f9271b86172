"""The command as users and schedulers meet it: exit codes, one clear line, nothing left over."""

import csv
import dataclasses
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from penguin_model.card import card_path, read_card
from tests.support.running import (
    ONE_WORKER,
    PLAIN,
    command,
    listing,
    manifest,
    published,
    run_command,
    run_here,
    totals,
)
from tests.support.toy import toy_bundle

CSV = (
    "id,CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
    "a,39.1,18.7,181,3750\n"
    "b,50.4,15.3,200,5000\n"
)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / "night"
    folder.mkdir()
    (folder / "birds.csv").write_text(CSV)
    return folder


def refused(capsys: pytest.CaptureFixture[str], output: Path, code: int, *arguments: object) -> str:
    """Runs, and checks that there is one line on standard error and nothing else."""
    capsys.readouterr()
    before = listing(output) if output.is_dir() else []
    assert run_here(output, *arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("penguin-score: error: ")
    assert err.count("\n") == 1
    assert (listing(output) if output.is_dir() else []) == before
    return err


def test_the_command_scores_the_samples(tmp_path: Path) -> None:
    ran = run_command(
        "--input", "data/observations/*", "--output", tmp_path, "--run_id", "demo"
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "342" in ran.stdout
    assert str(tmp_path / "predictions/run_id=demo") in ran.stdout
    assert published(tmp_path, "predictions", "demo").num_rows == 342
    assert published(tmp_path, "rejects", "demo").num_rows == 2
    assert manifest(tmp_path, "demo")["status"] == "published"


def test_bad_arguments_end_with_one_line_and_code_2(tmp_path: Path) -> None:
    ran = run_command("--inptu", "x", "--output", tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        "penguin-score: error: unrecognized arguments: --inptu x; did you mean --input? "
        "(see penguin-score --help)\n"
    )
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input", "x", "--run_id", ".."], "--run_id '..'"),
        (["--input", "x", "--run_id", "a/b"], "--run_id 'a/b'"),
        (["--input", "x", "--run_id", ""], "--run_id ''"),
        (["--input", "x", "--run_id", "x" * 129], "1 to 128"),
        (["--input", "x", "--max_reject_fraction", "1.5"], "not a fraction"),
        (["--input", __file__, "--passthrough", "species"], "--passthrough 'species'"),
        (["--input", "x", "--format", "xml"], "--format"),
        (["--input", "x", "--runner", "NoSuchRunner"], "--runner NoSuchRunner"),
        ([], "--input is required"),
    ],
)
def test_bad_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert message in refused(capsys, tmp_path / "out", 2, *flags)


def test_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run_command("--input", "x")
    assert (ran.returncode, "--output is required" in ran.stderr) == (2, True)


def test_a_missing_model_or_card(
    tmp_path: Path, night: Path, shipped_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, model = tmp_path / "out", tmp_path / "copy.keras"
    assert "no such file" in refused(capsys, output, 2, "--input", night, "--model", model)
    shutil.copy(shipped_model, model)
    assert "copy.keras.card.json" in refused(
        capsys, output, 2, "--input", night, "--model", model
    )  # fmt: skip
    Path(card_path(str(model))).write_text("{}")
    assert "not a model card" in refused(capsys, output, 2, "--input", night, "--model", model)


def test_a_card_that_does_not_fit_its_model(
    tmp_path: Path, night: Path, shipped_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, model = tmp_path / "out", tmp_path / "copy.keras"
    shutil.copy(card_path(str(shipped_model)), card_path(str(model)))
    model.write_bytes(shipped_model.read_bytes() + b"x")
    assert "SHA-256" in refused(capsys, output, 2, "--input", night, "--model", model)


def test_a_card_with_other_widths_than_its_model(
    tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = toy_bundle(tmp_path, features=5, classes=4)
    card = read_card(model)
    narrow = dataclasses.replace(card, features=card.features[:4])
    Path(card_path(model)).write_text(narrow.to_json())
    (tmp_path / "out").mkdir()
    line = refused(capsys, tmp_path / "out", 2, "--input", night, "--model", model)
    assert "its input has shape (None, 5), the card names 4" in line


def test_an_output_that_cannot_be_written(
    tmp_path: Path, night: Path, shipped_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    line = refused(capsys, tmp_path / "file/out", 1, "--input", night, "--model", shipped_model)
    assert f"cannot write {tmp_path / 'file/out'}" in line


def test_a_published_run_id_is_refused_without_replace(
    tmp_path: Path, night: Path, shipped_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    arguments = ("--input", night, "--model", shipped_model, *PLAIN)
    assert run_here(output, *arguments) == 0
    first = manifest(output)
    assert "published already" in refused(capsys, output, 2, *arguments)
    (night / "birds.csv").write_text(CSV + "c,50,15,200,5000\n")
    assert run_here(output, *arguments, "--replace") == 0
    assert manifest(output)["attempt"] != first["attempt"]
    assert published(output, "predictions").num_rows == 3


FOREIGN = {
    "page.csv": (b"<html><body>not found</body></html>\n", "missing_column"),
    "parquet.csv": (b"PAR1\x00\x00\x00", "unreadable_file"),
    "text.parquet": (CSV.encode(), "unreadable_file"),
    "torn.csv.gz": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb", "unreadable_file"),
    "plain.csv.gz": (CSV.encode(), "unreadable_file"),
    "empty.csv": (b"", "unreadable_file"),
    "notes.txt": (b"hello", "unreadable_file"),
    "columns.csv": (b"id,CulmenLength\na,39.1\n", "missing_column"),
}


def test_files_that_are_not_what_their_names_say_cost_only_themselves(
    tmp_path: Path, night: Path, shipped_model: Path
) -> None:
    for name, (content, _) in FOREIGN.items():
        (night / name).write_bytes(content)
    output = tmp_path / "out"
    flags = ("--max_reject_fraction", "0.9", *PLAIN)
    assert run_here(output, "--input", night, "--model", shipped_model, *flags) == 0
    rejects = published(output, "rejects").to_pylist()
    assert {Path(row["source_file"]).name: row["reason"] for row in rejects} == {
        name: reason for name, (_, reason) in FOREIGN.items()
    }
    assert all(row["source_row"] is None and row["message"] for row in rejects)
    assert manifest(output)["totals"] == totals(
        files=9, files_unreadable=8, rows_read=2, rows_scored=2
    )
    assert published(output, "files").num_rows == 9


def test_too_many_rejects_hold_the_run(
    tmp_path: Path, night: Path, shipped_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (night / "page.csv").write_text("<html>")
    output = tmp_path / "out"
    assert run_here(output, "--input", night, "--model", shipped_model, *PLAIN) == 3
    out, err = capsys.readouterr()
    assert "(held)" in out
    assert err.count("\n") == 1
    assert str(output / "_held/test") in err
    assert not (output / "runs").exists()
    assert not (output / "predictions").exists()
    rejects = pq.read_table(output / "_held/test/rejects/part-00000.parquet").to_pylist()
    assert [row["reason"] for row in rejects] == ["missing_column"]


def test_a_scheduler_sees_codes_1_and_3(tmp_path: Path, night: Path) -> None:
    """0, 2 and the signals' codes are seen through processes elsewhere on this page."""
    (tmp_path / "file").write_text("")
    ran = run_command("--input", night, "--output", tmp_path / "file/out")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        f"penguin-score: error: cannot write {tmp_path / 'file/out'}: Not a directory\n"
    )
    (night / "blank.csv").write_text(CSV.splitlines()[0] + "\nx,,,,\n")
    ran = run_command("--input", night, "--output", tmp_path / "out", "--run_id", "n")
    assert ran.returncode == 3
    assert ran.stderr == (
        "penguin-score: error: 33.3% of the rows were rejected, more than "
        "--max_reject_fraction 0.1; nothing is published, the rejects are in "
        f"{tmp_path / 'out/_held/n'}\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_and_leaves_nothing(
    tmp_path: Path, shipped_model: Path, number: signal.Signals
) -> None:
    """A named pipe that nobody writes to keeps the job reading until the signal comes."""
    night, output = tmp_path / "night", tmp_path / "out"
    night.mkdir()
    os.mkfifo(night / "birds.csv")
    job = subprocess.Popen(
        command("--input", night, "--output", output, "--model", shipped_model, *PLAIN),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: any(output.glob("_staging/test/*/model/*")))
        time.sleep(1)
        job.send_signal(number)
        _, err = job.communicate(timeout=60)
    finally:
        job.kill()
    assert job.returncode == 128 + number
    assert err == f"penguin-score: error: ended by {number.name}; nothing is published\n"
    assert listing(output) == []


def wait_until(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("run_id", "a column run_id already"),
        ("Species", "a column species already"),
        ("PROBABILITY_adelie", "a column probability_adelie already"),
        (" Source_File ", "a column source_file already"),
        ("id,ID", "the same name as 'id'"),
        ("", "is blank"),
        ("id,,x", "no name"),
        ("\ufeff", "no name"),
        ("a\nb", "quote a name"),
        ('"a\nb"', "a space for a line break"),
        ("a\0b", "a NUL character"),
        ("a\x1bb", "control character"),
        ("a\ud800", "not UTF-8"),
        ('"a', "quote a name"),
        ('"a"b', "quote a name"),
    ],
)
def test_a_passthrough_name_that_would_spoil_the_predictions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    (tmp_path / "rows.csv").write_text("")
    flags = ["--input", str(tmp_path / "rows.csv"), "--passthrough", name]
    assert why in refused(capsys, tmp_path / "out", 2, *flags)


CARRIED = {
    "a, b": ["007", "NA", "1e5", ""],
    'quote "': ['a "quoted" one', " spaced ", "two\nlines", "'"],
    "passthrough:BodyMass": ["null", "-0.0", "1.50", "Ünïcode"],
    "feature:BodyMass": ["a", "b", "c", "d"],
    "label": ["a", "b", "c", "d"],
    "matrix": ["a", "b", "c", "d"],
    "BodyMass": ["3750", "3750.0", "3.75e3", "03750"],
}


def test_names_of_all_kinds_and_text_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*CARRIED, "CulmenLength", "CulmenDepth", "FlipperLength", "Species"])
        for row in zip(*CARRIED.values(), strict=True):
            writer.writerow([*row, 39.1, 18.7, 181, "Adelie"])
    names = [
        '"a, b",label',
        '"quote """',
        "passthrough:BodyMass",
        "feature:BodyMass,BodyMass,matrix",
    ]
    flags = [flag for name in names for flag in ("--passthrough", name)]
    assert run_here(tmp_path / "out", "--input", path, *flags, *PLAIN, *ONE_WORKER) == 0
    found = published(tmp_path / "out", "predictions")
    assert {name: found.column(name).to_pylist() for name in CARRIED} == CARRIED
