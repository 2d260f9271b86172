"""The summary: what a script reads of it is what the manifest says, and the table says the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.counts import Metrics, Spread
from pipelines.job import summary
from pipelines.report import verdict
from pipelines.report.data import gather
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import from_json
from tests.support.running import listing, manifest, run_here

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
    assert found["drift"] == {"score": 0, "drifted": [], "max_drift": None}
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
        "CulmenLength,CulmenDepth,FlipperLength,BodyMass,Species\n39,18,181,3750,0\n,,,,\n"
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
        + ",,,\n" * (good // 2)
    )
    flags = ("--input", night, "--max_reject_fraction", 0.333333, "--max_drift", 0.2)
    found = run_for_json(capsys, 3, tmp_path / "out", *flags)
    assert found["held_because"] == "rejects"
    held = json.loads(Path(found["paths"]["manifest"]).read_text())
    assert held["held_because"] == "rejects"
    assert held["reject_fraction"] == 1 / 3
    assert (held["drift"]["score"] > 0.2) == drifts
    answer = verdict.judge(gather(str(tmp_path / "out"), "test")).answer
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
    found = summary.of_run(from_json(written), layout, metrics, "/o/reports/n.html")
    assert summary.as_text(found).splitlines() == [
        "run          n (published)",
        "files        2",
        "rows read    1,000",
        "scored       999  (Adelie 999)",
        "rejected     1  (missing_value 1)",
        "drift        PSI 0.26  (x, y)",
        "labelled     10  (accuracy 90.0%, log-loss 0.100, calibration error 0.020)",
        "batches      3  (333 rows, 1.2 ms each; model loads 2)",
        "unreadable   1 files",
        "skipped      1,234 files (scored by an earlier run)",
        "unsettled    1 files (may still be written; left for the next run)",
        "ignored      3 files  (.* 1, _* 2)",
        "not files    1 pipes, sockets, devices or broken links",
        "unmatched    no file matches /none/*",
        "predictions  /o/predictions/run_id=n",
        "rejects      /o/rejects/run_id=n",
        "manifest     /o/runs/n.json",
        "report       /o/reports/n.html",
    ]
