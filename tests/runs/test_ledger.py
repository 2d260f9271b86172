"""The ledger: which files are done, and which wait."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import DamagedError
from pipelines.runs import ledger
from pipelines.runs.layout import Layout
from pipelines.runs.ledger import Known
from pipelines.runs.manifest import read_manifest
from tests.support.publication import (
    FILES,
    decide_on,
    hold_new,
    new,
    publish_new,
    stage,
)

A, B = ("a", 1, 0), ("b", 1, 0)
ASKED = [A, B, ("c", 1, 0)]


def known(output: Path, **asking: Any) -> Known:
    return ledger.look_up(str(output), "0" * 64, ASKED, **asking)


def test_files_of_a_held_run_wait(tmp_path: Path) -> None:
    hold_new(tmp_path)
    assert known(tmp_path) == ({}, {A: "r", B: "r"})
    assert known(tmp_path, run_id="r") == ({}, {})
    assert ledger.look_up(str(tmp_path), "1" * 64, ASKED) == ({}, {})
    publish_new(new(tmp_path, "s"))
    assert known(tmp_path) == ({A: "s", B: "s"}, {})


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("status", ["rejected", "retracted", "pruned"])
def test_files_of_a_closed_run_are_done_if_its_review_says_so(
    tmp_path: Path, status: str, done: bool
) -> None:
    if status == "rejected":
        hold_new(tmp_path)
    else:
        publish_new(new(tmp_path))
    decide_on(tmp_path, status, files_done=done)
    assert known(tmp_path) == ({A: "r", B: "r"} if done else {}, {})


def test_an_accepted_run_counts_from_the_day_of_its_acceptance(tmp_path: Path) -> None:
    """A night that began before may have taken its files for new."""
    held = hold_new(tmp_path)
    decide_on(tmp_path, "published", at="9998-01-01T00:00:00+00:00")
    assert held.end < "9997"
    assert ledger.find_done(str(tmp_path), "0" * 64, [A], decided_after="9997") == {A: "r"}


def test_a_held_file_that_could_not_be_read_for_now_is_tried_again(tmp_path: Path) -> None:
    held = hold_new(tmp_path)
    paths = Layout(output=str(tmp_path), run_id="r", attempt=held.attempt)
    (shard,) = (tmp_path / "_held/r/files").iterdir()
    Path(paths.staged("files")).mkdir(parents=True)
    (made,) = stage(paths, "files", [("a", 1, 0, "unreadable_for_now"), ("b", 1, 0, "read")], FILES)
    Path(made.path).replace(shard)
    assert known(tmp_path) == ({}, {B: "r"})


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("manifest.json", tear),
        ("files/part-00000.parquet", tear),
        ("files/part-00000.parquet", Path.unlink),
    ],
)
@pytest.mark.parametrize("status", ["held", "rejected"])
def test_a_damaged_held_or_closed_run_is_one_clear_error(
    tmp_path: Path, status: str, name: str, damage: Callable[[Path], Any]
) -> None:
    """Guessing would lose rows or double them."""
    hold_new(tmp_path)
    if status == "rejected":
        decide_on(tmp_path, status)
    folder = tmp_path / ("_held/r" if status == "held" else "_closed/r")
    damage(folder / name)
    with pytest.raises(DamagedError) as found:
        known(tmp_path)
    assert str(folder) in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("status", ["published", "rejected", "retracted"])
def test_a_run_that_is_decided_on_while_the_ledger_is_read_is_not_lost(
    tmp_path: Path, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The review comes between any two of the manifests that are read."""
    for stop in range(1, 100):
        output, count = tmp_path / str(stop), 0
        if status == "retracted":
            publish_new(new(output))
        else:
            hold_new(output)
        read = read_manifest

        def meanwhile(path: str, output: Path = output, stop: int = stop, read: Any = read) -> Any:
            nonlocal count
            count += 1
            if count == stop:
                monkeypatch.setattr(ledger, "read_manifest", read)
                decide_on(output, status)
            return read(path)

        monkeypatch.setattr(ledger, "read_manifest", meanwhile)
        found = known(output)
        monkeypatch.setattr(ledger, "read_manifest", read)
        assert {*found.done, *found.waiting} == {A, B}
        if count < stop:
            break
    assert stop > 1
