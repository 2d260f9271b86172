"""The summary: what a script reads of it is what the manifest says, and the table says the same."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.counts import Metrics, Spread
from pipelines.job import next_commands, summary
from pipelines.job.options import parse_arguments
from pipelines.report import examples, verdict
from pipelines.report.data import gather
from pipelines.runs import commands
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import from_json
from tests.support.running import PROJECT, listing, manifest, run_here

FLAGS = ("--run_id", "test", "--summary=json")


def run_for_json(
    capsys: pytest.CaptureFixture[str], code: int, output: Path, *arguments: object
) -> Any:
    """The summary of a run in this process."""
    assert run_here(output, *FLAGS, *arguments) == code
    # Nothing else on standard output, or this would fail.
    return json.loads(capsys.readouterr().out)


def test_json_of_a_published_run(
    tmp_path: Path, observations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run_for_json(capsys, 0, tmp_path, "--input", observations, "--report")
    written = manifest(tmp_path)
    for key in ("status", "run_id", "start", "end", "totals", "rejects_by_reason", "species"):
        assert found[key] == written[key]
    assert found["status"] == "published"
    assert found["drift"] == {
        "score": 0, "drifted": [], "max_drift": None, "rule": "chance", "baseline_runs": [],
    }  # fmt: skip
    assert found["labels"] is None
    assert found["batches"]["count"] == 8
    assert found["batches"]["mean_rows"] == 342 / 8
    assert {name: Path(path) for name, path in found["paths"].items()} == {
        "predictions": tmp_path / "predictions/run_id=test",
        "rejects": tmp_path / "rejects/run_id=test",
        "files": tmp_path / "files/run_id=test",
        "manifest": tmp_path / "runs/test.json",
        "report": tmp_path / "reports/test.html",
    }
    assert all(Path(path).exists() for path in found["paths"].values())


def test_json_of_a_night_without_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_for_json(capsys, 0, tmp_path, "--input", tmp_path / "none*")
    assert found["totals"]["files"] == 0
    assert (found["drift"], found["labels"], found["batches"]) == (None, None, None)
    assert list(found["paths"]) == ["manifest"]


def test_json_of_a_held_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night = tmp_path / "night.csv"
    night.write_text(
        "CulmenLength,CulmenDepth,FlipperLength,BodyMass,Species\n39,18,181,3750,0\nNA,,,,\n"
    )
    found = run_for_json(capsys, 3, tmp_path / "out", "--input", night)
    assert found["status"] == "held"
    assert found["rejects_by_reason"] == {"missing_value": 1}
    assert found["labels"]["rows"] == 1
    assert found["labels"]["accuracy"] == found["labels"]["recall"]["Adelie"] == 1
    assert listing(Path(found["paths"]["held"]))[-1:] == ["rejects/part-00000.parquet"]
    held = json.loads(Path(found["paths"]["manifest"]).read_text())
    assert held["totals"] == found["totals"]


@pytest.mark.parametrize("drifts", [False, True])
def test_all_say_the_same_of_why_a_run_was_held(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], drifts: bool
) -> None:
    """A limit that only rounding reaches: the exit code, the manifest and the report agree."""
    good = 2000 if drifts else 2
    night = tmp_path / "night.csv"
    night.write_text(
        "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
        + "39,18,181,3750\n" * good
        + "NA,,,\n" * (good // 2)
    )
    flags = ("--input", night, "--max_reject_fraction", 0.333333, "--max_drift", 0.2)
    found = run_for_json(capsys, 3, tmp_path / "out", *flags)
    assert found["held_because"] == "rejects"
    held = json.loads(Path(found["paths"]["manifest"]).read_text())
    assert held["held_because"] == "rejects"
    assert held["reject_fraction"] == 1 / 3
    assert (held["drift"]["score"] > 0.2) == drifts
    answer = verdict.judge(gather(str(tmp_path / "out"), "test").evidence).answer
    assert "rejected" in answer
    assert "drifted" not in answer


def test_json_of_a_run_that_is_only_submitted() -> None:
    submitted = summary.of_submitted(Layout(output="gs://penguins", run_id="n", attempt="a"))
    assert json.loads(summary.as_json(submitted)) == {
        "status": "submitted",
        "run_id": "n",
        "paths": {"manifest": "gs://penguins/runs/n.json"},
    }
    assert summary.as_text(submitted).splitlines() == [
        "run       n (submitted; published when the manifest is there)",
        "manifest  gs://penguins/runs/n.json",
    ]


def test_the_table_has_all_there_is_to_say() -> None:
    totals = {
        "files": 2, "files_unreadable": 1, "files_skipped": 1234, "files_unsettled": 1,
        "files_ignored": 3, "not_files": 1,
        "rows_read": 1000, "rows_scored": 999, "rows_rejected": 1,
    }  # fmt: skip
    written = {
        "status": "published", "run_id": "n", "start": "s", "end": "e", "totals": totals,
        "model": {}, "reject_fraction": 0.001,
        "ignored": {".*": 1, "_*": 2}, "unmatched": ["/none/*"],
        "rejects_by_reason": {"missing_value": 1}, "species": {"Adelie": 999},
        "drift": {"training": {"x": {}}, "score": 0.256, "drifted": ["x", "y"], "max_drift": 0.3},
        "labels": {
            "rows": 10, "accuracy": 0.9, "log_loss": 0.1, "recall": {"Adelie": 0.9},
            "calibration": {"error": 0.02},
        },
        "shards": {name: {"files": 1} for name in ("predictions", "rejects", "files")},
    }  # fmt: skip
    metrics: Metrics = {
        "batch_rows": Spread(3, 333.0, 1, 2),
        "predict_milliseconds": Spread(3, 1.25, 1, 2),
        "model_loads": 2,
    }
    layout = Layout(output="/o", run_id="n", attempt="a")
    worst = [
        {"reason": "missing_value", "file": "/i/a\nb.csv", "row": 7, "column": "x", "message": "m"}
    ]
    found = summary.of_run(
        from_json(written),
        layout,
        metrics,
        "/o/reports/n.html",
        worst=worst,
        next_commands=["penguin-report"],
    )
    assert summary.as_text(found).splitlines() == [
        "run          n (published)",
        "files        2",
        "rows read    1,000",
        "scored       999  (Adelie 999)",
        "rejected     1  (missing_value 1)",
        r"             missing_value  /i/a\nb.csv, row 7: m",
        "drift        PSI 0.26 beyond chance  (x, y)",
        "labelled     10  (accuracy 90.0%, log-loss 0.100, calibration error 0.020)",
        "batches      3  (333 rows, 1.2 ms each; model loads 2)",
        "unreadable   1 file",
        "skipped      1,234 files (scored by an earlier run)",
        "unsettled    1 file (may still be written; left for the next run)",
        "ignored      3 files  (.* 1, _* 2)",
        "not files    1 pipes, sockets, devices or broken links",
        "unmatched    no file matches /none/*",
        "predictions  /o/predictions/run_id=n",
        "rejects      /o/rejects/run_id=n",
        "manifest     /o/runs/n.json",
        "report       /o/reports/n.html",
        "next         penguin-report",
    ]


HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"


@pytest.fixture
def bad_night(tmp_path: Path) -> Path:
    """A folder whose files are wrong in several ways."""
    night = tmp_path / "night"
    night.mkdir()
    (night / "rows.csv").write_text(
        HEADER + "39,18,181,3750\n,18,181,3750\n39,18,181,3\n39,18,181,4\n"
    )
    for number in range(8):
        (night / f"flipperless {number}.csv").write_text(HEADER.replace("FlipperLength", "Id"))
    (night / "notes.txt").write_text("hello")
    return night


def test_the_worst_rejects_are_named(
    tmp_path: Path, bad_night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole files come before rows; there is an example of each reason, not all of them."""
    found = run_for_json(capsys, 3, tmp_path / "out", "--input", bad_night)
    worst = found["worst_rejects"]
    assert [(each["reason"], Path(each["file"]).name, each["row"]) for each in worst] == [
        *(("missing_column", f"flipperless {number}.csv", None) for number in range(5)),
        ("unreadable_file", "notes.txt", None),
        ("out_of_range", "rows.csv", 2),
        ("missing_value", "rows.csv", 1),
    ]
    assert {each["column"] for each in worst[:5]} == {"FlipperLength"}
    assert worst[6]["column"] == "BodyMass"
    assert worst[6]["message"] == "BodyMass is 3 g, outside the plausible 900 to 8100 g"
    assert run_here(tmp_path / "again", "--run_id", "test", "--input", bad_night) == 3
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert f"missing_column   {worst[0]['file']}: {worst[0]['message']}" in lines
    assert "missing_column   and 3 more" in lines
    assert f"out_of_range     {worst[6]['file']}, row 2: {worst[6]['message']}" in lines


def test_long_names_and_messages_are_cut() -> None:
    name = "/" + "x" * 300 + "/bird.csv"
    each = {"reason": "unreadable_file", "file": name, "row": None, "column": None}
    found = {"worst_rejects": [{**each, "message": "m" * 300}]}
    (line,) = summary._worst({**found, "rejects_by_reason": {"unreadable_file": 1}})
    assert len(line) < 450
    assert "xx/bird.csv: mm" in line
    assert line.endswith("m… (300 characters)")


def test_rejects_that_cannot_be_read_do_not_change_the_outcome(
    tmp_path: Path,
    bad_night: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(examples, "first_rejects", fail)
    flags = ("--run_id", "test", "--max_reject_fraction", 1)
    assert run_here(tmp_path / "out", *flags, "--input", bad_night) == 0
    out, err = capsys.readouterr()
    assert "missing_column 8" in out
    assert "penguin-score: note: no examples of the rejects: Input/output error" in err


@pytest.mark.parametrize("limit", [0, 1])
def test_the_next_commands_work_as_they_are(
    tmp_path: Path, bad_night: Path, capsys: pytest.CaptureFixture[str], limit: int
) -> None:
    """A held run's as well as a published one's; a space in a path is quoted for the shell."""
    output = tmp_path / "the output"
    flags = ("--input", bad_night / "*l*s*", "--max_reject_fraction", limit, "--format", "csv")
    check, report, *reviews = run_for_json(capsys, 0 if limit else 3, output, *flags)["next"]
    ran = subprocess.run(check, shell=True, cwd=PROJECT, capture_output=True, text=True)
    assert (ran.returncode, "flipperless 0.csv" in ran.stdout) == (3, True)
    ran = subprocess.run(report, shell=True, cwd=PROJECT, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{output / 'reports/test.html'}\n", "")
    assert "flipperless 0.csv" in (output / "reports/test.html").read_text()
    assert len(reviews) == (0 if limit else 3)
    for review, said in zip(reviews, ("(held)", "is published", "is published"), strict=False):
        ran = subprocess.run(review, shell=True, cwd=PROJECT, capture_output=True, text=True)
        # The last one is late: the run is accepted by then.
        assert (ran.returncode, said in ran.stdout + ran.stderr) == (2 * ("reject" in review), True)


def test_what_each_outcome_is_followed_by(
    tmp_path: Path, bad_night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "good.csv"
    good.write_text(HEADER + "39,18,181,3750\n" * 50)
    many, held = ("--max_reject_fraction", 1), ["runs"] * 3
    for code, because, names, flags in (
        (0, None, ["report"], ("--input", good, "--new_only")),
        (0, None, [], ("--input", good, "--report", "--replace")),
        (0, None, [], ("--input", good, "--new_only", "--replace")),  # nothing is new
        (0, None, ["score"], ("--input", tmp_path / "none*.csv", "--replace")),
        (0, None, ["score", "report"], ("--input", bad_night, *many, "--replace")),
        (3, "rejects", ["score", "report", *held], ("--input", bad_night)),
        (3, "rejects", ["score", *held], ("--input", bad_night, "--report")),
        (3, "rejects", ["report", *held], ("--input", bad_night / "rows.csv")),
        (4, "drift", ["report", *held], ("--input", good, "--max_drift", 0.2, "--run_id", "d")),
    ):
        if code == 3:
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
        found = run_for_json(capsys, code, tmp_path / "out", *flags)
        assert found["held_because"] == because, flags
        got = [re.findall(r"penguin-(\w+)|pipelines\.(\w+)", line)[0] for line in found["next"]]
        assert ["".join(each) for each in got] == names, flags


def test_a_script_is_named_only_if_the_shell_finds_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("bin", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "penguin-report").write_text("#!/bin/sh")
        (tmp_path / folder / "penguin-report").chmod(0o755)
    python = str(tmp_path / "bin" / "python")
    monkeypatch.setattr(sys, "executable", python)
    flags = "--output /o --run_id n"
    for folder, start in (
        ("bin", "penguin-report"),
        ("other", f"{python} -m pipelines.report"),
        ("none", f"{python} -m pipelines.report"),
    ):
        monkeypatch.setenv("PATH", str(tmp_path / folder))
        assert commands.report("/o", "n") == f"{start} {flags}"


def test_a_check_reads_the_files_as_the_run_did() -> None:
    """Only flags that differ from their defaults are repeated."""
    given = [
        "--input=obs/*", "--input=-odd", "--delimiter=;", "--decimal=,", "--include_hidden",
        "--rename=a b=CulmenLength", "--passthrough=id", "--passthrough=site", "--format=csv",
        "--model=my model.keras",
    ]  # fmt: skip
    others = ["--output=o", "--new_only", "--replace", "--report", "--run_id=n", "--verbose"]
    command = next_commands._check(parse_arguments("test", [*given, *others]))
    start, _, flags = command.partition(" --check ")
    assert start
    assert flags == (
        "--input 'obs/*' --input=-odd --format csv --include_hidden --delimiter ';' --decimal , "
        "--passthrough id --passthrough site --rename 'a b=CulmenLength' --model 'my model.keras'"
    )
    again = vars(parse_arguments("test", shlex.split(f"--check {flags}")))
    expected = vars(parse_arguments("test", [*given, "--check"]))
    assert again == expected


def test_a_command_for_an_object_store_reaches_it_without_its_keys() -> None:
    keys = ["--s3_access_key_id=AKIA", "--s3_secret_access_key=secret", "--s3_session_token=token"]
    reach = ["--s3_endpoint_url=http://localhost:9000", "--s3_disable_ssl"]
    flags = ["--input=s3://penguins/in/*", "--output=s3://penguins/out", *keys, *reach]
    values = parse_arguments("test", flags)
    report = commands.report("s3://penguins/out", "n", commands.reach_flags(values))
    check = next_commands._check(values)
    end = " --s3_endpoint_url http://localhost:9000 --s3_disable_ssl"
    assert report.endswith(f"--output s3://penguins/out --run_id n{end}")
    assert check.endswith(f"--check --input 's3://penguins/in/*'{end}")
