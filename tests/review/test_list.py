"""`penguin-runs list` and `show`: every run, its status, and what can follow."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model import terminal
from pipelines.errors import DamagedError
from pipelines.review import catalogue, table
from pipelines.review.catalogue import Found
from pipelines.runs import manifest as manifests
from pipelines.runs.history import FailedRun
from tests.support.reports import fail, file, labelled, made_up, manifest, measured, publish
from tests.support.runs import HOSTILE, act, close, hold, one_of_each, write_json

Captured = pytest.CaptureFixture[str]
ESTIMATE = {"accuracy": 0.979, "low": 0.961, "high": 0.992, "rows": 342}


def listed(captured: Captured, output: Path, *arguments: object) -> Any:
    assert act(output, "list", "--json", *arguments) == 0
    return json.loads(captured.readouterr().out)


def test_all_runs_are_listed_newest_first(tmp_path: Path, capsys: Captured) -> None:
    names = one_of_each(tmp_path)
    found = listed(capsys, tmp_path)
    assert [run["run_id"] for run in found] == names
    assert [run["status"] for run in found] == names
    for run in found:
        assert Path(run["path"]).is_file()
    assert found[1]["held_reason"] == "too many rejects"
    assert found[2]["reviews"][0]["by"] == "ann@station"
    assert found[-2]["error"] == "cannot write /out: No space left on device"


def test_a_damaged_manifest_is_named_and_not_fatal(tmp_path: Path, capsys: Captured) -> None:
    one_of_each(tmp_path)
    (tmp_path / "_failed/torn.json").write_text("[1")
    assert act(tmp_path, "list") == 0
    out, err = capsys.readouterr()
    assert sorted(err.splitlines()) == [
        f"penguin-runs: note: {tmp_path}/_failed/torn.json is not the record of a failed run; "
        "move it away or delete it, then run again",
        f"penguin-runs: note: {tmp_path}/runs/damaged.json is not JSON; move it away or delete it, "
        "then run again",
    ]
    assert "damaged  damaged" in out.replace("    ", "  ")


@pytest.mark.parametrize("status", ["published", "held", "pruned", "failed", "damaged"])
def test_runs_of_one_status(tmp_path: Path, capsys: Captured, status: str) -> None:
    one_of_each(tmp_path)
    assert [run["status"] for run in listed(capsys, tmp_path, "--status", status)] == [status]
    both = listed(capsys, tmp_path, "--status", status, "--status", "retracted")
    assert {run["status"] for run in both} == {status, "retracted"}


def test_a_held_folder_that_accepting_left_behind_is_not_a_run(
    tmp_path: Path, capsys: Captured
) -> None:
    publish(tmp_path, manifest("a", attempt="1"))
    hold(tmp_path, "a", attempt="1")
    assert [run["status"] for run in listed(capsys, tmp_path)] == ["published"]
    assert act(tmp_path, "show", "a") == 0
    assert capsys.readouterr().out.startswith("run        a (published)\n")


def test_a_held_run_and_the_one_it_would_replace_are_both_shown(
    tmp_path: Path, capsys: Captured
) -> None:
    publish(tmp_path, manifest("a", night=1, attempt="1"))
    hold(tmp_path, "a", night=2, attempt="2")
    assert [run["status"] for run in listed(capsys, tmp_path)] == ["held", "published"]
    assert act(tmp_path, "show", "a") == 0
    assert capsys.readouterr().out.startswith("run        a (held)\n")


def test_accuracy_is_measured_or_estimated(tmp_path: Path, capsys: Captured) -> None:
    publish(tmp_path, labelled(manifest("m", night=2), wrong=20) | {"accuracy_estimate": ESTIMATE})
    publish(tmp_path, manifest("e", night=1, accuracy_estimate=ESTIMATE))
    publish(tmp_path, manifest("u", night=0))
    found = listed(capsys, tmp_path)
    assert [run["accuracy_is"] for run in found] == ["measured", "estimated", None]
    assert found[1]["accuracy"] == 0.979
    assert act(tmp_path, "list") == 0
    _, first, second, third = capsys.readouterr().out.splitlines()
    assert first.endswith("%")
    assert second.endswith("97.9% est.")
    assert third.endswith("0.0%")


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z"),
            st.integers(0, 10**10),
            st.text(max_size=300),
            st.text(max_size=30),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_the_table_fits_a_terminal(runs: list[tuple[str, int, str, str]]) -> None:
    found = []
    for run_id, rows, why, end in runs:
        known = manifest(run_id, status="held", held_because="drift", held_reason=why)
        known["totals"]["rows_read"] = rows
        held = manifests.from_json(known)
        failed = FailedRun(run_id=run_id, end=end, exit_code=1, error=why)
        records = (held, failed, DamagedError(why))
        found += [Found(run_id=run_id, path="", record=record) for record in records]
    lines = [line for line, _ in table.as_lines(found)]
    assert all(len(line) <= table.WIDTH for line in lines if len(line.split()) > 1)
    assert all(terminal.printable(line) == line for line in lines)
    for run_id, *_ in runs:  # never cut
        assert any(line.split()[:1] == [run_id] for line in lines)


def test_an_empty_root_and_one_that_does_not_exist(tmp_path: Path, capsys: Captured) -> None:
    assert act(tmp_path, "list") == 0
    assert capsys.readouterr() == ("", f"penguin-runs: note: {tmp_path} has no runs\n")
    assert listed(capsys, tmp_path, "--status", "held") == []
    assert act(tmp_path / "out", "list") == 2
    assert f"{tmp_path}/out doesn't exist: give the --output of the runs" in capsys.readouterr().err


def test_foreign_files_are_not_runs(tmp_path: Path, capsys: Captured) -> None:
    for name in (
        "_held/x/notes.txt", "_held/manifest.json", "_held/a b/manifest.json",
        "_closed/x/files/manifest.json", "_failed/x/y.json", "_failed/.x.json",
    ):  # fmt: skip
        write_json(tmp_path / name, {})
    assert listed(capsys, tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found | {"labels": {"accuracy": "high", "rows": None, "recall": [1]}},
        lambda found: found | {"drift": {"score": {}, "training": 7, "max_drift": "x"}},
        lambda found: found | {"drift": {"score": 1, "training": {"x": 3, "y": {"psi": "?"}}}},
        lambda found: found | {"shards": {}, "rejects_by_reason": {"out_of_range": 3}},
        lambda found: found | {"end": "yesterday", "start": "?"},
    ],
)
def test_parts_of_a_manifest_that_are_not_typed_may_hold_anything(
    tmp_path: Path, capsys: Captured, change: Callable[[Any], Any]
) -> None:
    found = change(measured(manifest("r")))
    write_json(tmp_path / "runs/r.json", found)
    assert act(tmp_path, "list") == 0
    is_damaged = bool(capsys.readouterr().err)
    assert act(tmp_path, "show", "r") == (2 if is_damaged else 0)
    err = capsys.readouterr().err
    assert err.count("\n") == is_damaged
    assert not is_damaged or "is not a manifest: " in err


def test_control_sequences_never_reach_the_terminal(tmp_path: Path, capsys: Captured) -> None:
    known = {
        "input": [HOSTILE], "notes": [HOSTILE], "held_reason": HOSTILE, "runner": HOSTILE,
        "species": {HOSTILE: 1}, "model": {"path": HOSTILE, "name": HOSTILE, "sha256": HOSTILE},
        "reviews": [{"status": "rejected", "at": HOSTILE, "by": HOSTILE, "why": HOSTILE}],
        "end": HOSTILE, "rejects_by_reason": {HOSTILE: 3}, "labels": {"recall": {HOSTILE: 1}},
        "drift": {"score": 1, "training": {HOSTILE: {"psi": 1.0}}},
    }  # fmt: skip
    hold(tmp_path, "h", **known)
    close(tmp_path, "c", "rejected", **{k: v for k, v in known.items() if k != "reviews"})
    fail(tmp_path, "f", error=HOSTILE)
    for arguments in (
        ["list"],
        ["show", "h"],
        ["show", "c"],
        ["show", "f"],
        ["show", "h", "--json"],
    ):
        assert act(tmp_path, *arguments) == 0
        text = "".join(capsys.readouterr())
        assert "\\x1b" in text or "\\u001b" in text
        assert all(line.isprintable() for line in text.splitlines())


def test_show_has_what_a_decision_needs(tmp_path: Path, capsys: Captured) -> None:
    found = measured(
        labelled(manifest("r", rows=500, status="held", held_because="drift"), wrong=20),
        shift=2, max_drift=0.2,
    )  # fmt: skip
    found |= {
        "held_reason": "the data have drifted", "rejects_by_reason": {"out_of_range": 3},
        "labels": labelled(manifest("r", rows=500), wrong=20)["labels"],
        "accuracy_estimate": ESTIMATE, "notes": ["not compared with: x"],
        "trust": {"rows": 500, "out_of_distribution": 7, "ambiguous": 9, "coverage": 0.95},
    }  # fmt: skip
    files = [file("/data/a.csv", 9, 0), file("/data/worst.csv", 9, 3)]
    publish(tmp_path, found, rejects=made_up("out_of_range", 3), files=files)
    assert act(tmp_path, "show", "r") == 0
    out = capsys.readouterr().out
    for words in (
        "run        r (held)\nheld       the data have drifted\n",
        "BodyMass is 3.75 g, outside the plausible",
        "3 of 9 rows rejected: /data/worst.csv",
        "(limit 0.2)\n           CulmenLength ",  # the worst first
        "against training, drifted",
        "% measured, log-loss ",
        "accuracy   97.9% estimated from the probabilities (95% interval 96.1% to 99.2%)",
        "7 of 500 rows unlike the training data, 9 with more than one possible class",
        f"rejects    {tmp_path}/_held/r/rejects",
        "note       not compared with: x",
    ):
        assert words in out
    assert "/data/a.csv" not in out


def test_the_commands_that_can_follow_are_quoted(tmp_path: Path, capsys: Captured) -> None:
    root = tmp_path / "it's 5 o'clock"
    hold(root, "r")
    publish(root, manifest("p"))
    close(root, "c", "rejected")
    following = {}
    for run_id in "rpc":
        assert act(root, "show", run_id) == 0
        lines = capsys.readouterr().out.splitlines()
        commands = [shlex.split(line[4:]) for line in lines if line.startswith("next")]
        assert all(each[each.index("--output") + 1] == str(root) for each in commands)
        following[run_id] = [" ".join(each[2:]).partition(" --output")[0] for each in commands]
    assert following == {
        "r": ["pipelines.report", "pipelines.runs accept r", "pipelines.runs reject r",
              "pipelines.runs reject r"],
        "p": ["pipelines.report", "pipelines.runs verify p", "pipelines.runs retract p"],
        "c": [],
    }  # fmt: skip


def test_show_json_is_the_manifest(tmp_path: Path, capsys: Captured) -> None:
    written = hold(tmp_path, "r")
    fail(tmp_path, "f", error="disk full")
    assert act(tmp_path, "show", "r", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert {name: shown[name] for name in ("run_id", "held_reason", "end", "totals")} == {
        name: written[name] | {"files_waiting": 0} if name == "totals" else written[name]
        for name in ("run_id", "held_reason", "end", "totals")
    }
    assert act(tmp_path, "show", "f", "--json") == 0
    assert json.loads(capsys.readouterr().out)["error"] == "disk full"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show"], "which run do you want to show? held: h1, h2"),
        (["show", "h"], "no run is named h; held: h1, h2"),
        (["show", "night_1"], "no run is named night_1; did you mean night-1?"),
        (["show", "../x"], "no run is named '../x': a name has letters"),
        (["show", "bad"], "runs/bad.json is not a manifest: "),
        (["show", "x", "y"], "unrecognized arguments: y"),
        (["show", "--jsn", "x"], "unrecognized arguments: --jsn"),
        (["list", "--status", "hold"], "did you mean held?"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, capsys: Captured, arguments: list[str], words: str
) -> None:
    hold(tmp_path, "h1", night=2)
    hold(tmp_path, "h2", night=1)
    publish(tmp_path, manifest("night-1"))
    (tmp_path / "runs/bad.json").write_text('{"status": "published"}')
    assert act(tmp_path, *arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("penguin-runs")
    assert words in err


def test_times_are_compared_as_times(tmp_path: Path) -> None:
    publish(tmp_path, manifest("later", end="2026-11-01T00:30:00-05:00"))
    publish(tmp_path, manifest("sooner", end="2026-11-01T05:00:00+00:00"))
    publish(tmp_path, manifest("naive", end="2026-11-01T05:15:00"))
    found = [run.run_id for run in catalogue.find_all(str(tmp_path))]
    assert found == ["later", "naive", "sooner"]
