"""`penguin-runs accept`, `reject`, `retract` and `prune`: what is true afterwards."""

import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.review import deciding, prune
from pipelines.review.catalogue import Found
from pipelines.runs import manifest as manifests
from pipelines.runs.history import FailedRun
from tests.support.reports import fail, manifest, publish
from tests.support.running import run_here
from tests.support.runs import act, hold

Captured = pytest.CaptureFixture[str]
NOW = datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC)


@pytest.fixture
def night(tmp_path: Path, observations: Path) -> tuple[Path, tuple[object, ...]]:
    """An output root with a held run, and the flags to score its file again."""
    flags = ("--input", observations / "torgersen-2007.csv", "--no-progress", "--new_only")
    root = tmp_path / "out"
    assert run_here(root, *flags, "--run_id", "h", "--max_reject_fraction", 0) == 3
    return root, flags


def status_of(root: Path, captured: Captured) -> list[tuple[str, str]]:
    captured.readouterr()
    assert act(root, "list", "--json") == 0
    return [(run["run_id"], run["status"]) for run in json.loads(captured.readouterr().out)]


def scored_again(root: Path, flags: tuple[object, ...]) -> int:
    assert run_here(root, *flags, "--run_id", "next") == 0
    found = json.loads((root / "runs/next.json").read_text())
    return int(found["totals"]["files"])


def test_a_held_run_is_accepted_as_it_was_scored(night: Any, capsys: Captured) -> None:
    root, _ = night
    capsys.readouterr()
    flags = ("--why", "new station", "--by", "ann", "--as_baseline")
    assert act(root, "accept", "h", *flags) == 0
    first, following = capsys.readouterr().out.splitlines()
    assert first == (
        f"run h is published as it was scored: 19 predictions in {root}/predictions/run_id=h; "
        "later nights are compared with it"
    )
    assert following.startswith("next  ")
    assert following.endswith(f"--output {root} --run_id h")
    assert status_of(root, capsys) == [("h", "published")]
    (review,) = json.loads((root / "runs/h.json").read_text())["reviews"]
    known = {"status": "published", "by": "ann", "why": "new station", "as_baseline": True}
    assert {name: review[name] for name in known} == known
    assert abs(datetime.datetime.fromisoformat(review["at"]) - deciding.now()).days == 0
    assert act(root, "verify") == 0
    assert capsys.readouterr().out.startswith("h: good; 19 predictions, ")
    assert act(root, "accept", "h") == 2
    assert "run h is published: only a held run can be accepted" in capsys.readouterr().err


@pytest.mark.parametrize(("flags", "again"), [((), 0), (("--retry",), 1)])
def test_a_rejected_runs_files_stay_done_or_are_new(
    night: Any, capsys: Captured, flags: tuple[str, ...], again: int
) -> None:
    root, scoring = night
    capsys.readouterr()
    assert act(root, "reject", "h", *flags) == 0
    said = "scores its files again" if again else "its files stay done"
    assert said in capsys.readouterr().out
    assert status_of(root, capsys) == [("h", "rejected")]
    assert scored_again(root, scoring) == again
    capsys.readouterr()
    assert act(root, "show", "h") == 0
    assert re.search(r"^review +rejected .* by \S+@\S+", capsys.readouterr().out, re.M)


@pytest.mark.parametrize(("flags", "again"), [((), 1), (("--keep-done",), 0)])
def test_a_retracted_runs_files_are_new_or_stay_done(
    night: Any, capsys: Captured, flags: tuple[str, ...], again: int
) -> None:
    root, scoring = night
    assert act(root, "accept", "h") == 0
    assert act(root, "retract", "h", *flags) == 0
    assert not list(root.glob("predictions/*/*"))
    assert status_of(root, capsys) == [("h", "retracted")]
    assert scored_again(root, scoring) == again
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["accept"], "which run do you want to accept? held: held"),
        (["accept", "hedl"], "no run is named hedl; did you mean held?"),
        (["accept", "pub"], "run pub is published: only a held run can be accepted"),
        (["reject", "pub"], "run pub is published: only a held run can be rejected"),
        (["retract", "held"], "run held is held: only a published run can be retracted"),
        (["retract"], "which run do you want to retract? published: pub"),
        (["retract", "bad"], "runs/bad.json is not JSON"),
        (["accept", "f"], "run f is failed: only a held run can be accepted"),
    ],
)
def test_what_cannot_be_decided_is_refused_in_one_line(
    tmp_path: Path, capsys: Captured, arguments: list[str], words: str
) -> None:
    hold(tmp_path, "held")
    publish(tmp_path, manifest("pub"))
    fail(tmp_path, "f")
    (tmp_path / "runs/bad.json").write_text("{")
    before = sorted(tmp_path.rglob("*"))
    assert act(tmp_path, *arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err
    assert sorted(tmp_path.rglob("*")) == before


def test_old_runs_lose_their_data_and_their_files_stay_done(
    night: Any, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, scoring = night
    assert act(root, "accept", "h") == 0
    fail(root, "f")
    assert run_here(root, *scoring, "--run_id", "last") == 0
    monkeypatch.setattr(deciding, "now", lambda: NOW + datetime.timedelta(days=300))
    capsys.readouterr()
    assert act(root, "prune", "--keep", "90d", "--dry_run") == 0
    dry = capsys.readouterr().out
    assert list(root.glob("predictions/*/*"))
    assert (root / "_failed/f.json").exists()
    assert act(root, "prune", "--keep", "90d") == 0
    assert capsys.readouterr().out == dry.replace("would be ", "")
    record, run, done = dry.splitlines()
    assert record.startswith("the record of failed run f (ended 2026-11-01 20:38 UTC) would be re")
    assert re.match(r"the data of run h \(ended .* UTC\) would be removed: \d+\.\d kB", run)
    assert re.match(r"2 runs would be pruned, \d+\.\d kB would be freed", done)
    assert status_of(root, capsys) == [("last", "published"), ("h", "pruned")]
    assert not list(root.glob("predictions/*/*"))
    assert scored_again(root, scoring) == 0


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["published", "held", "failed"]))))
def test_only_old_published_and_failed_runs_go(runs: list[tuple[int, str]]) -> None:
    found = []
    for number, (days, status) in enumerate(runs):
        end = (NOW - datetime.timedelta(days=days)).isoformat()
        name = f"r{number}"
        record: Any = FailedRun(run_id=name, end=end, exit_code=1)
        if status != "failed":
            record = manifests.from_json(manifest(name, status=status, end=end))
        found.append(Found(run_id=name, path=__file__, record=record))
    old = prune.find_old(found, NOW - datetime.timedelta(days=90))
    gone = {each.found.run_id for each in old}
    published = [run for run in found if run.status == "published"]
    for number, (days, status) in enumerate(runs):
        if days <= 90 or status == "held":
            assert f"r{number}" not in gone
        elif status == "failed":
            assert f"r{number}" in gone
    if published:
        assert len([run for run in published if run.run_id not in gone]) >= 1
        newest = max(run.end for run in published)
        assert any(run.end == newest and run.run_id not in gone for run in published)


@pytest.mark.parametrize("keep", ["90", "d", "0d", "-1d", "1.5d", "90 d", "9999999d", "९d", "1m"])
def test_a_time_needs_a_unit(tmp_path: Path, capsys: Captured, keep: str) -> None:
    assert act(tmp_path, "prune", f"--keep={keep}") == 2
    assert "is not a time up to 100 years such as 90d" in capsys.readouterr().err
