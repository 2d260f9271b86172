"""The record of a failed run: written whole or not at all, and gone when the run succeeds."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines import publishing, storage
from pipelines.errors import (
    InputError,
    InterruptedRunError,
    ModelError,
    OutputError,
    PenguinError,
    RunExistsError,
)
from pipelines.runs.layout import Layout
from tests.support.publication import START
from tests.support.running import PLAIN, run_here

HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
RECORD = ["_failed/", "_failed/test.json"]


def listing(output: Path) -> list[str]:
    """Everything, the records too."""
    return sorted(
        str(path.relative_to(output)) + ("/" if path.is_dir() else "") for path in output.rglob("*")
    )


def read(output: Path) -> Any:
    return json.loads((output / "_failed/test.json").read_text())


@pytest.fixture
def paths(tmp_path: Path) -> Layout:
    return Layout(output=str(tmp_path / "out"), run_id="test", attempt="a")


def fail(paths: Layout, error: BaseException) -> None:
    with pytest.raises(type(error)), publishing.recorded(paths, START):
        raise error


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (PenguinError("no; run again"), 1, "no; run again"),
        (OutputError("disk full"), 1, "disk full"),
        (InputError("lone \udcff.csv"), 1, "lone \udcff.csv"),
        (InterruptedRunError("ended by SIGTERM", 143), 143, "ended by SIGTERM"),
        (KeyboardInterrupt(), 130, "KeyboardInterrupt: KeyboardInterrupt()"),
        (ValueError("two\nlines"), 1, "ValueError: two"),
    ],
)
def test_a_failure_is_recorded(paths: Layout, error: BaseException, code: int, text: str) -> None:
    output = Path(paths.output)
    output.mkdir()
    fail(paths, error)
    assert listing(output) == RECORD
    found = read(output)
    assert (found["run_id"], found["start"]) == ("test", START)
    assert (found["exit_code"], found["error"]) == (code, text)
    assert datetime.datetime.fromisoformat(found["end"]).tzinfo is not None
    with publishing.recorded(paths, START):
        pass
    assert listing(output) == []


def test_a_run_that_did_not_begin_is_not_recorded(paths: Layout) -> None:
    Path(paths.output).mkdir()
    for error in (ModelError("x"), RunExistsError("x")):
        fail(paths, error)
    assert listing(Path(paths.output)) == []


def test_a_root_that_is_not_there_is_not_made(paths: Layout, tmp_path: Path) -> None:
    fail(paths, OutputError("x"))
    assert listing(tmp_path) == []


def test_the_record_of_another_run_stays(paths: Layout) -> None:
    other = Layout(output=paths.output, run_id="other", attempt="b")
    Path(paths.output).mkdir()
    fail(other, PenguinError("x"))
    fail(paths, PenguinError("x"))
    with publishing.recorded(paths, START):
        pass
    assert listing(Path(paths.output)) == ["_failed/", "_failed/other.json"]


def test_a_record_that_cannot_be_written_leaves_nothing(
    paths: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Path(paths.output)
    output.mkdir()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pipelines.storage.local.os.replace", full)
        fail(paths, PenguinError("the first error"))
    assert [name for name in listing(output) if not name.endswith("/")] == []
    (output / "_failed").rmdir()
    (output / "_failed").write_text("a file in the way")
    fail(paths, PenguinError("x"))
    assert (output / "_failed").read_text() == "a file in the way"


def test_a_run_that_fails_is_recorded_until_it_succeeds(tmp_path: Path) -> None:
    output = tmp_path / "out"
    nights = tmp_path / "in"
    nights.mkdir()
    flags = ("--input", nights / "*.csv", "--fail_on_empty", *PLAIN)
    assert run_here(output, *flags) == 1
    assert listing(output) == RECORD
    assert "no file" in read(output)["error"]
    # The record isn't input, even of a run that reads a folder around its own output root.
    around = ("--input", tmp_path / "**/*", "--run_id", "other", "--include_hidden")
    assert run_here(output, *around) == 0
    assert (output / "_failed/test.json").exists()
    (nights / "a.csv").write_text(HEADER + "39,18,181,3750\n" * 9)
    assert run_here(output, *flags) == 0
    assert not any(name.startswith("_failed") for name in listing(output))
    assert run_here(output, *flags) == 2  # taken
    assert not storage.exists(str(output / "_failed/test.json"))


def test_a_held_run_is_no_failure(tmp_path: Path) -> None:
    night = tmp_path / "night.csv"
    night.write_text(HEADER)
    output = tmp_path / "out"
    assert run_here(output, "--input", tmp_path / "none*.csv", "--fail_on_empty", *PLAIN) == 1
    assert run_here(output, "--input", night, "--min_rows=1", *PLAIN) == 3
    assert {path.name for path in output.iterdir()} == {"_held"}
