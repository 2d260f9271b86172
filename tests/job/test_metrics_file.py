"""The metrics file: written at every end, read by a real parser, and never in a run's way."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipelines.job import metrics_file
from pipelines.job.options import build_parser
from pipelines.monitoring.estimate import AccuracyEstimate
from pipelines.runs.layout import DATASETS, Layout
from pipelines.runs.manifest import Shards, Totals, Trust
from tests.support.publication import manifest_of
from tests.support.running import PLAIN, manifest, run_here

HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
GOOD = "39,18,181,3750\n"
PATHS = Layout(output="/out", run_id="r", attempt="a")
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Samples:
    """All samples by name, without the prefix, and labels."""
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    samples = {
        (each.name.removeprefix("penguin_score_"), frozenset(each.labels.items())): each.value
        for each in found
    }
    assert len(samples) == len(found)
    return samples


def plain(samples: Samples) -> dict[str, float]:
    return {name: value for (name, labels), value in samples.items() if not labels}


def labelled(samples: Samples, name: str) -> dict[str, float]:
    return {
        next(value for _, value in labels): value_of
        for (found, labels), value_of in samples.items()
        if found == name
    }


@pytest.fixture
def night(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "night.csv"
    path.parent.mkdir()
    path.write_text(HEADER + GOOD * 20 + "NA,18,181,3750\n")
    return path


def test_a_published_run_has_all_its_figures(tmp_path: Path, night: Path) -> None:
    (night.parent / "torn.csv").write_text("x\n1\n")
    path = tmp_path / "metrics" / "penguin.prom"
    path.parent.mkdir()
    flags = ("--input", night.parent, "--max_reject_fraction", 0.5, "--metrics_file", path)
    assert run_here(tmp_path / "out", *flags, *PLAIN) == 0
    assert os.listdir(path.parent) == ["penguin.prom"]
    samples, written = parse(path.read_text()), manifest(tmp_path / "out")
    values, counted = plain(samples), written["totals"]
    for name in ("rows_read", "rows_scored", "rows_rejected"):
        assert values[name] == counted[name]
    assert values["exit_code"] == 0
    assert values["duration_seconds"] == pytest.approx(
        values["end_timestamp_seconds"] - values["start_timestamp_seconds"]
    )
    assert values["last_success_timestamp_seconds"] == values["end_timestamp_seconds"]
    assert values["reject_ratio"] == written["reject_fraction"]
    assert values["drift_score"] == written["drift"]["score"]
    files = labelled(samples, "files")
    assert (files["read"], files["unreadable"]) == (1, 1)
    assert labelled(samples, "rejects") == written["rejects_by_reason"]
    assert labelled(samples, "predictions") == written["species"]
    assert set(labelled(samples, "held").values()) == {0}
    shifts = {
        frozenset({("distribution", name), ("reference", "training")}): shift["psi"]
        for name, shift in written["drift"]["training"].items()
    }
    assert shifts
    assert shifts == {key: n for (name, key), n in samples.items() if name == "drift_psi"}


def test_every_end_is_written(tmp_path: Path, night: Path) -> None:
    path = tmp_path / "penguin.prom"
    flags = ("--input", night, "--metrics_file", path)
    assert run_here(tmp_path / "out", *flags, "--run_id=good") == 0
    success = plain(parse(path.read_text()))["last_success_timestamp_seconds"]
    ends = (
        (0, None, ()),
        (3, "rejects", ("--max_reject_fraction=0",)),
        (3, "min_rows", ("--min_rows=21",)),
        (4, "drift", ("--max_drift=0.2",)),
        (1, None, ("--fail_on_empty", "--input", tmp_path / "none*")),
        (2, None, ("--run_id=good",)),
        (2, None, ("--model=/nowhere.keras",)),
        (2, None, ("--no_such_flag",)),
        (2, None, ("--min_rows=many",)),
    )
    for number, (code, because, more) in enumerate(ends):
        given = (*flags, f"--run_id=r{number}", *more)
        assert run_here(tmp_path / "out", *given) == code
        samples = parse(path.read_text())
        values = plain(samples)
        assert values["exit_code"] == code
        held = {reason for reason, value in labelled(samples, "held").items() if value}
        assert held == ({because} if because else set())
        assert ("rows_read" in values) == (code in (0, 3, 4))
        if code == 0:
            success = values["last_success_timestamp_seconds"]
            assert success == values["end_timestamp_seconds"]
        assert values["last_success_timestamp_seconds"] == success


def test_help_and_a_check_write_nothing(tmp_path: Path, night: Path) -> None:
    path = tmp_path / "penguin.prom"
    for flags in (("--help",), ("--version",), ("--check",)):
        assert run_here(tmp_path / "out", "--input", night, f"--metrics_file={path}", *flags) == 0
    assert not path.exists()


def test_another_machine_is_refused(
    tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--input", night, "--metrics_file", "gs://bucket/penguin.prom")
    assert run_here(tmp_path / "out", *flags) == 2
    assert "--metrics_file gs://bucket/penguin.prom: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_written_does_not_change_the_outcome(
    tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe.prom"
    os.mkfifo(pipe)
    for number, path in enumerate((tmp_path / "no" / "such.prom", tmp_path, pipe)):
        flags = ("--input", night, "--metrics_file", path, "--run_id", number)
        assert run_here(tmp_path / "out", *flags) == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("penguin-score: note: no metrics: ")
    assert pipe.is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["in", "out", "pipe.prom"]


@pytest.mark.parametrize(
    "old", [b"", b"\xff\x00", b"penguin_score_last_success_timestamp_seconds x"]
)
def test_whatever_was_there_is_replaced(tmp_path: Path, night: Path, old: bytes) -> None:
    path = tmp_path / "penguin.prom"
    path.write_bytes(old)
    flags = ("--input", night, "--metrics_file", path, "--max_reject_fraction=0")
    assert run_here(tmp_path / "out", *flags) == 3
    assert "last_success_timestamp_seconds" not in plain(parse(path.read_text()))


@given(st.text(), st.text(), st.text())
def test_any_name_is_read_back(feature: str, species: str, reason: str) -> None:
    """Quotes, line breaks, backslashes and what isn't UTF-8."""
    shift = {"psi": 0.5, "js": 0.1, "threshold": 0.1, "drifted": True}
    drift = {
        "training": {feature: shift}, "previous": None, "previous_run": None, "score": 0.5,
        "max_drift": None, "drifted": [feature],
    }  # fmt: skip
    samples = parse(text_of(drift=drift, species={species: 7}, rejects_by_reason={reason: 3}))
    assert labelled(samples, "predictions") == {shown(species): 7}
    assert labelled(samples, "rejects") == {shown(reason): 3}
    (key,) = [key for name, key in samples if name == "drift_psi"]
    assert dict(key) == {"distribution": shown(feature), "reference": "training"}


def shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def text_of(**facts: Any) -> str:
    found = manifest_of(PATHS, shards={name: Shards(files=0) for name in DATASETS}, **facts)
    registry = CollectorRegistry()
    ending = metrics_file.Ending(start=1.5, end=4.0, manifest=found, last_success=4.0)
    registry.register(metrics_file._Collector(ending))
    return generate_latest(registry).decode()


def everything() -> str:
    shift = {"psi": 0.5, "js": 0.1, "threshold": 0.1, "drifted": True}
    return text_of(
        totals=Totals(files=3, files_unreadable=1, files_waiting=2, rows_read=9, rows_scored=9),
        rejects_by_reason={"unreadable_file": 1},
        species={'a "b"\\\n': 9},
        drift={
            "training": {"x": shift}, "previous": {"x": shift}, "previous_run": "p",
            "score": 0.5, "max_drift": 0.2, "drifted": ["x"],
        },
        labels={"rows": 4, "accuracy": 0.75},
        accuracy_estimate=AccuracyEstimate(accuracy=0.9, low=0.8, high=0.95, rows=9),
        trust=Trust(rows=9, out_of_distribution=2, ambiguous=1, coverage=0.95),
    )  # fmt: skip


def test_what_is_known_of_accuracy_and_trust_is_there() -> None:
    values = plain(parse(everything()))
    assert values["estimated_accuracy_ratio"] == 0.9
    assert values["estimated_accuracy_low_ratio"] == 0.8
    assert values["estimated_accuracy_high_ratio"] == 0.95
    assert (values["measured_accuracy_ratio"], values["labelled_rows"]) == (0.75, 4)
    assert (values["out_of_distribution_rows"], values["ambiguous_rows"]) == (2, 1)
    assert labelled(parse(everything()), "files") == {
        "read": 2, "unreadable": 1, "skipped": 0, "waiting": 2, "unsettled": 0, "ignored": 0,
        "not_files": 0,
    }  # fmt: skip
    assert "run_id" not in everything()


def test_each_metric_has_help_and_is_a_gauge() -> None:
    for family in text_string_to_metric_families(everything()):
        assert family.type == "gauge"
        assert family.documentation
        assert not family.name.endswith("_total")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool isn't installed")
def test_promtool_finds_nothing_wrong() -> None:
    ran = subprocess.run(
        ["promtool", "check", "metrics"], input=everything(), capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["--metrics_file", "/a"], "/a"),
        (["--metrics-file=/a"], "/a"),
        (["--metrics_file=/a", "--metrics_file=/b"], "/b"),
        (["--wrong", "--metrics_file", "/a", "--min_rows=x"], "/a"),
        (["--metrics_file"], None),
        (["--metrics_file="], None),
        (["--metrics_file= "], None),
        (["--metrics_file=/a\0"], None),
        (["--metrics_file=gs://b/a"], None),
        (["--", "--metrics_file=/a"], None),
        (["--check", "--metrics_file=/a"], None),
        ([], None),
    ],
)
def test_the_flag_is_found_in_a_line_that_may_be_wrong(
    arguments: list[str], path: str | None
) -> None:
    assert metrics_file.find_path(build_parser("penguin-score"), arguments) == path
