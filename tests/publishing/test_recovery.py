"""Runs that died: the next run finishes or undoes them, in place or in a copy."""

import json
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from pipelines import publishing
from pipelines.errors import OutputError, RunExistsError
from pipelines.publishing import publish
from pipelines.runs import layout, ledger
from tests.support.publication import (
    PUBLISHED_LISTING,
    at_step,
    check_whole,
    die_at,
    new,
    publish_new,
    rows_seen,
    staged,
)
from tests.support.running import listing

NEXT = ("another id", "the same id", "the same id replaced", "--new_only")


def next_run(output: Path, kind: str) -> None:
    """The run after one that died."""
    if kind == "another id":
        publish_new(new(output, run_id="s"), rows=4)
        assert check_whole(output, "s") == 4
    elif kind == "the same id":
        publication = new(output)
        # If the dead run is finished, its id is taken.
        with suppress(RunExistsError), publishing.of(publication.layout).attempt():
            publishing.of(publication.layout).refuse_published()
            publish(publication, *staged(publication.layout, 4))
    elif kind == "the same id replaced":
        publish_new(new(output, replace=True), rows=4)
        assert check_whole(output) == 4
    else:
        publication = new(output, run_id="s", new_only=True)
        with publishing.of(publication.layout).attempt():
            asked = [("a", 1, 0), ("b", 1, 0)]
            done = ledger.find_done(str(output), "0" * 64, asked)
            assert len(done) in (0, 2)
            if not done:
                publish(publication, *staged(publication.layout, 4))


def check_output(output: Path) -> None:
    assert not (output / "_staging").exists()
    for run_id in ("r", "s"):
        check_whole(output, run_id)
    assert [path.name for path in output.rglob(".*")] == []


@pytest.mark.parametrize("kind", NEXT)
@pytest.mark.parametrize("copied", [False, True], ids=["in place", "copied"])
@pytest.mark.parametrize("replace", [False, True], ids=["first", "replace"])
def test_a_death_at_any_step_ends_in_a_whole_run_or_none(
    tmp_path: Path, kind: str, copied: bool, replace: bool
) -> None:
    for stop in range(1, 1000):
        output = tmp_path / str(stop)
        if replace:
            publish_new(new(output), rows=20, rejects=1)
        died = die_at(new(output, replace=replace), stop, rows=50, rejects=0 if stop % 2 else 2)
        if copied:
            moved = tmp_path / f"copy-{stop}"
            subprocess.run(["cp", "-a", output, moved], check=True)
            shutil.rmtree(output)
            output = moved
        next_run(output, kind)
        check_output(output)
        if kind == "--new_only":
            # Only one run of the same two files may be published.
            assert rows_seen(output, "r") == 0 or rows_seen(output, "s") == 0
        if replace and kind != "the same id replaced":
            assert rows_seen(output, "r") in (20, 50)
        if not died:
            break
    assert stop > 30


def test_two_dead_runs_of_one_id(tmp_path: Path) -> None:
    """Both died past their journals, in turn: each ends complete, and the later one stays."""
    for first in range(20, 60, 3):
        for second in range(20, 60, 7):
            output = tmp_path / f"{first}-{second}"
            die_at(new(output, replace=True), first, rows=50, rejects=1)
            die_at(new(output, replace=True), second, rows=60)
            publish_new(new(output, run_id="s"), rows=4)
            check_output(output)


def test_a_run_that_is_alive_beside_a_dead_one_of_its_id(tmp_path: Path) -> None:
    """The dead run's journal is settled before the living one publishes."""
    for stop in range(1, 1000):
        output = tmp_path / str(stop)
        living, dead = new(output, replace=True), new(output, replace=True)
        with publishing.of(living.layout).attempt():
            made = staged(living.layout, 70)
            died = die_at(dead, stop, rows=50, rejects=2)
            publish(living, *made)
            assert check_whole(output) == 70
        publish_new(new(output, run_id="s"), rows=4)
        assert check_whole(output) == 70
        check_output(output)
        if not died:
            break


def damage_journal(staging: Path) -> None:
    (staging / "journal.json").write_bytes(b"")


def damage_folder_for_journal(staging: Path) -> None:
    (staging / "journal.json").unlink(missing_ok=True)
    (staging / "journal.json").mkdir()


def damage_ready(staging: Path) -> None:
    shutil.rmtree(staging / "ready")


def damage_shard(staging: Path) -> None:
    for shard in staging.glob("ready/*/*.parquet"):
        shard.write_bytes(b"")


def damage_foreign_journal(staging: Path) -> None:
    (staging / "journal.json").write_text(json.dumps({"run_id": "x", "shards": []}))


def damage_lock(staging: Path) -> None:
    (staging / ".lock").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        damage_journal,
        damage_folder_for_journal,
        damage_ready,
        damage_shard,
        damage_foreign_journal,
        damage_lock,
    ],
)
@pytest.mark.parametrize("replace", [False, True], ids=["first", "replace"])
def test_damaged_leftovers_stop_nobody(tmp_path: Path, damage: object, replace: bool) -> None:
    assert callable(damage)
    if replace and damage in (damage_ready, damage_shard):
        pytest.skip("nothing brings back a replaced run that was damaged as well")
    for stop in range(1, 1000):
        output = tmp_path / str(stop)
        if replace:
            publish_new(new(output), rows=20, rejects=1)
        died = die_at(new(output, replace=replace), stop, rows=50)
        for staging in output.glob("_staging/*/*"):
            damage(staging)
        publish_new(new(output, run_id="s"), rows=4)
        check_output(output)
        if replace:
            assert rows_seen(output, "r") in (20, 50)
        if not died:
            break
    assert stop > 30


def test_foreign_things_in_staging_stop_nobody(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "folder").mkdir(parents=True)
    (kept / "folder/file").write_text("x")
    output = tmp_path / "out"
    staging = output / "_staging"
    (staging / "r/attempt").mkdir(parents=True)
    (staging / "r/attempt/.lock").mkdir()
    (staging / "r/file").write_text("x")
    (staging / "file").write_text("x")
    (staging / "no run id!").mkdir()
    (staging / ".removed/x").mkdir(parents=True)
    (staging / "link").symlink_to(kept)
    (staging / "r/link").symlink_to(kept)
    os.mkfifo(staging / "pipe")
    publish_new(new(output))
    assert listing(output) == PUBLISHED_LISTING
    assert (kept / "folder/file").read_text() == "x"


def test_a_death_while_a_run_is_held(tmp_path: Path) -> None:
    for stop in range(1, 1000):
        output = tmp_path / str(stop)
        held = new(output, max_reject_fraction=0.0)
        died = die_at(held, stop, rows=9, rejects=1)
        publish_new(new(output, run_id="s"), rows=4)
        assert rows_seen(output, "r") == 0
        found = listing(output / "_held") if (output / "_held").exists() else []
        # Complete or not at all.
        assert len(found) in (0, 9)
        check_output(output)
        if not died:
            break
    assert found


def test_a_failure_after_the_journal_is_undone(tmp_path: Path) -> None:
    """The system refuses a rename at each step from the journal on."""

    def refuse() -> None:
        raise OSError(28, "No space left on device")

    for replace in (False, True):
        for stop in range(1, 1000):
            output = tmp_path / f"{replace}-{stop}"
            if replace:
                publish_new(new(output), rows=20, rejects=1)
            before = listing(output) if replace else []
            publication = new(output, replace=replace)
            refused = []
            with pytest.MonkeyPatch.context() as patched:
                try:
                    with publishing.of(publication.layout).attempt():
                        made = staged(publication.layout, 50)
                        steps = at_step(patched, stop, refuse)
                        publish(publication, *made)
                except OutputError as error:
                    refused.append(str(error))
            assert all("No space left on device" in each for each in refused)
            if refused and publishing.read_outcome(publication.layout) is None:
                assert listing(output) == before
            check_output(output)
            if steps() < stop:
                break
        assert stop > 30


def test_a_dead_run_that_cannot_be_finished_is_undone(tmp_path: Path) -> None:
    """Something that isn't a folder has since taken the place of `files`."""
    for stop in range(1, 1000):
        output = tmp_path / str(stop)
        die_at(new(output), stop)
        if list(output.glob("_staging/r/*/journal.json")):
            break
    (output / "files/run_id=r").rmdir()
    (output / "files").rmdir()
    (output / "files").write_text("no folder")
    with pytest.raises(OutputError, match="files is not a folder"):
        publish_new(new(output, run_id="s"))
    (output / "files").unlink()
    publish_new(new(output, run_id="s"), rows=4)
    check_output(output)
    assert (rows_seen(output, "r"), rows_seen(output, "s")) == (0, 4)


def test_layout_of_a_dead_run_needs_no_inode_numbers(tmp_path: Path) -> None:
    """Every shard's footer says which run and attempt wrote it."""
    import pyarrow.parquet as pq

    manifest = publish_new(new(tmp_path))
    for dataset in (layout.PREDICTIONS, layout.FILES):
        for shard in (tmp_path / dataset).rglob("*.parquet"):
            about = pq.read_metadata(shard).metadata
            assert about[b"run_id"] == b"r"
            assert about[b"attempt"].decode() == manifest.attempt
