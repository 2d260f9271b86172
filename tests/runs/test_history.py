"""The records of all runs, wherever each of them is kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines import storage
from pipelines.errors import DamagedError
from pipelines.runs import history
from tests.support.reports import fail, manifest, publish

STATUSES = ("published", "held", "rejected", "retracted", "pruned", "failed")


def make_runs(root: Path) -> None:
    for night, status in enumerate(STATUSES[:-1]):
        publish(root, manifest(f"n{night}", night=night, status=status))
    fail(root, "n5", night=5, error="penguin-score: error: disk full")


def test_every_kind_of_run_is_found_with_its_status(tmp_path: Path) -> None:
    make_runs(tmp_path)
    found = history.newest(history.read_runs(str(tmp_path)), 9)
    assert [(each.run_id, each.status) for each in found] == [
        (f"n{night}", status) for night, status in reversed([*enumerate(STATUSES)])
    ]
    assert [each.run_id for each in history.newest(found, 2)] == ["n5", "n4"]
    failed = found[0]
    assert isinstance(failed, history.FailedRun)
    assert (failed.exit_code, failed.error) == (1, "penguin-score: error: disk full")


def test_an_empty_root_has_no_runs(tmp_path: Path) -> None:
    assert list(history.read_runs(str(tmp_path / "none"))) == []


def test_whatever_else_is_there_is_passed_over(tmp_path: Path) -> None:
    for name in (
        "_held/r/predictions/manifest.json", "_held/manifest.json", "_held/r/manifest.json~",
        "_failed/r.json.unfinished", "_closed/.r/manifest.json", "runs/sub/r.json",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{")
    assert list(history.read_runs(str(tmp_path))) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"run_id": "../x"}', "[" * 10**5])
def test_a_damaged_record_is_named_and_hides_no_other(tmp_path: Path, content: str) -> None:
    make_runs(tmp_path)
    places = ("runs/bad.json", "_held/bad/manifest.json", "_closed/bad/manifest.json")
    for name in (*places, "_failed/bad.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    damaged: list[DamagedError] = []
    assert len(list(history.read_runs(str(tmp_path), damaged.append))) == len(STATUSES)
    assert len(damaged) == 4
    for name in (*places, "_failed/bad.json"):
        assert sum(f"{tmp_path}/{name} is not" in str(error) for error in damaged) == 1
    with pytest.raises(DamagedError, match="move it away or delete it"):
        list(history.read_runs(str(tmp_path)))


def test_a_run_that_moves_meanwhile_is_neither_damaged_nor_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = publish(tmp_path, manifest("r", status="held"))
    read = storage.read_bytes

    def read_after_it_is_accepted(path: str) -> bytes:
        if "_held" in path:
            Path(path).unlink()
            accepted: dict[str, Any] = held | {"status": "published"}
            publish(tmp_path, accepted)
        return read(path)

    monkeypatch.setattr(storage, "read_bytes", read_after_it_is_accepted)
    (found,) = history.read_runs(str(tmp_path))
    assert found.status == "published"


def test_a_failed_runs_record_needs_no_more_than_its_name_end_and_code(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"run_id": "r", "end": "2026-11-01", "exit_code": 2, "new": 1}))
    assert history.read_failed(str(path)) == history.FailedRun(
        run_id="r", end="2026-11-01", exit_code=2
    )
