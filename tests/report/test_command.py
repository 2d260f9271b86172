"""The command, and the report that the job itself writes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.report import __main__ as report
from tests.support import samples
from tests.support.reports import (
    SECTIONS,
    manifest,
    publish,
    read_page,
)
from tests.support.running import PROJECT, run_here


def test_the_command_writes_beside_the_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(tmp_path, manifest("r"))
    assert report.main(["--output", str(tmp_path)]) == 0
    path = tmp_path / "reports/r.html"
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>\n<html lang=")
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["r.json"]
    other = tmp_path / "elsewhere/x.html"
    assert report.main(["--output", str(tmp_path), "--run_id", "r", "--to", str(other)]) == 0
    assert other.read_text() == path.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run_id", "missing"], "no run that was published or held is named missing"),
        (["--run_id", "a/b"], "use 1 to 128 letters"),
        (["--model", "nowhere.keras"], "model card nowhere.keras.card.json doesn't exist"),
        (["--misspelt"], "unrecognized arguments: --misspelt"),
        (["--to", "/dev/null/x.html"], "cannot write /dev/null/x.html"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    publish(tmp_path, manifest("r"))
    code = report.main(["--output", str(tmp_path), *arguments])
    out, err = capsys.readouterr()
    assert (code, out) == (1 if "--to" in arguments else 2, "")
    assert err.startswith("penguin-report: error: ")
    assert words in err
    assert err.count("\n") == 1


def test_a_root_without_runs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["--output", "/nowhere"]) == 2
    assert "/nowhere: no published runs found" in capsys.readouterr().err


def test_options_of_the_filesystems_are_taken(tmp_path: Path) -> None:
    publish(tmp_path, manifest("r"))
    flags = ["--output", str(tmp_path), "--s3_endpoint_url", "http://127.0.0.1:1"]
    assert report.main(flags) == 0


def test_help_is_fast() -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipelines.report", "--help"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith("usage: penguin-report ")
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert loaded.isdisjoint(("apache_beam", "pyarrow", "numpy", "pandas", "tensorflow"))


def test_a_real_run_has_a_report(tmp_path: Path, observations: Path) -> None:
    assert run_here(tmp_path, "--input", observations, "--run_id", "real") == 0
    page = read_page(tmp_path)
    assert page.text("h2") == SECTIONS
    assert "missing_value: 2 of 2" in page.text("h3")
    assert "rejected 0.6% 2 rows" in page.words
    assert "All files, worst first, in " in page.words


@pytest.mark.parametrize(("fraction", "code", "said"), [("0.1", 0, "published"), ("0", 3, "held")])
def test_the_job_writes_its_own_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fraction: str, code: int, said: str
) -> None:
    flags = (*samples.FLAGS, "--report", "--max_reject_fraction", fraction)
    assert run_here(tmp_path, *flags) == code
    page = tmp_path / "reports" / "golden.html"
    assert re.search(rf"^report +{re.escape(str(page))}$", capsys.readouterr().out, re.M)
    assert said in page.read_text()


def test_a_report_that_cannot_be_written_leaves_the_run_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reports").write_text("in the way")
    assert run_here(tmp_path, *samples.FLAGS, "--report") == 0
    assert "note: no report: cannot write" in capsys.readouterr().err
    assert (tmp_path / "runs" / "golden.json").exists()
