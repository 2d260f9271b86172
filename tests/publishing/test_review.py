"""Reviews of held and published runs: whole or not at all, whenever their process dies."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import ConflictError, DamagedError, OutputError, RunExistsError, UsageError
from pipelines.publishing import disk, publish, recovery, review
from pipelines.publishing import of as commit_of
from pipelines.runs import layout
from pipelines.runs.manifest import HeldBecause, Manifest, Status, read_manifest
from tests.support.publication import (
    check_whole,
    decide_on,
    die_deciding,
    hold_new,
    new,
    publish_new,
    reviewed,
    rows_seen,
    staged,
)
from tests.support.running import listing

CLOSED_LISTING = [
    "_closed/",
    "_closed/r/",
    "_closed/r/files/",
    "_closed/r/files/part-00000.parquet",
    "_closed/r/manifest.json",
]


def shards_of(folder: Path) -> dict[str, bytes]:
    """The shards below a folder, by data set and name."""
    return {
        f"{path.parent.name.partition('=')[0]}/{path.name}": path.read_bytes()
        for path in folder.rglob("*.parquet")
    }


def held_whole(output: Path, run_id: str = "r") -> bool:
    """Whether a run is held; if so, its folder has exactly what its manifest lists."""
    path = output / "_held" / run_id / "manifest.json"
    if not path.exists():
        assert not path.parent.exists()
        return False
    manifest = read_manifest(str(path))
    for dataset in layout.DATASETS:
        found = {each.name for each in (path.parent / dataset).glob("*")}
        assert found == set(manifest.shard_names(dataset))
    return True


def closed(output: Path, run_id: str = "r") -> Manifest | None:
    """The record of a closed run, whose list of files is complete."""
    path = output / "_closed" / run_id / "manifest.json"
    if not path.exists():
        assert not path.parent.exists()
        return None
    manifest = read_manifest(str(path))
    assert [each.name for each in (path.parent / "files").glob("*")] == manifest.shard_names(
        "files"
    )
    return manifest


def settle(output: Path) -> None:
    """The next night."""
    publish_new(new(output, "s", replace=True), rows=4)
    assert check_whole(output, "s") == 4
    assert not (output / "_staging").exists()
    assert [path.name for path in output.rglob(".*")] == []


def test_an_accepted_run_is_published_as_it_was_scored(tmp_path: Path) -> None:
    held = hold_new(tmp_path)
    kept = shards_of(tmp_path / "_held/r")
    accepted = decide_on(tmp_path, "published", why="a known station", as_baseline=True)
    assert check_whole(tmp_path) == 9
    assert not (tmp_path / "_held").exists()
    shown = {
        f"{path.parent.parent.name}/{path.name}": path.read_bytes()
        for path in tmp_path.rglob("*.parquet")
    }
    assert shown == kept
    assert read_manifest(str(tmp_path / "runs/r.json")) == accepted
    assert (accepted.status, accepted.held_because) == (Status.PUBLISHED, HeldBecause.REJECTS)
    (found,) = accepted.reviews
    assert (found.why, found.as_baseline) == ("a known station", True)
    assert (accepted.attempt, accepted.shards) == (held.attempt, held.shards)


@pytest.mark.parametrize("status", ["retracted", "pruned"])
def test_a_closed_run_leaves_its_record_alone(tmp_path: Path, status: str) -> None:
    before = publish_new(new(tmp_path))
    after = decide_on(tmp_path, status, files_done=False)
    assert listing(tmp_path) == CLOSED_LISTING
    assert closed(tmp_path) == after
    assert (after.status, after.totals, after.shards) == (status, before.totals, before.shards)
    assert not after.reviews[-1].files_done


def test_a_rejected_run_leaves_its_record_alone(tmp_path: Path) -> None:
    hold_new(tmp_path)
    decide_on(tmp_path, "rejected")
    assert listing(tmp_path) == CLOSED_LISTING


@pytest.mark.parametrize("linked", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("copied", [False, True], ids=["in place", "copied"])
@pytest.mark.parametrize("replace", [False, True], ids=["first", "replace"])
def test_a_death_while_a_run_is_accepted(
    tmp_path: Path,
    linked: bool,
    after: bool,
    copied: bool,
    replace: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not linked:

        def refuse(source: str, target: str) -> None:
            raise PermissionError(1, "Operation not permitted", source)

        monkeypatch.setattr(os, "link", refuse)
    ended = set()
    for stop in range(1, 1000):
        output = tmp_path / str(stop)
        if replace:
            publish_new(new(output), rows=20)
        hold_new(output, replace=replace)
        died = die_deciding(output, "published", stop, after=after)
        assert rows_seen(output) in (0, 9, 20)
        if not (output / "runs/r.json").exists() or check_manifest_is_old(output):
            # Until its manifest is there, nothing of the held run is missing.
            assert held_whole(output)
        if copied:
            moved = tmp_path / f"copy-{stop}"
            subprocess.run(["cp", "-a", output, moved], check=True)
            shutil.rmtree(output)
            output = moved
        settle(output)
        rows = check_whole(output)
        assert rows in ((20, 9) if replace else (0, 9))
        assert held_whole(output) == (rows != 9)
        ended.add(rows)
        if rows != 9:
            # It can be decided on again.
            decide_on(output, "published")
            assert check_whole(output) == 9
        if not died:
            break
    assert stop > 30
    assert len(ended) == 2


def check_manifest_is_old(output: Path) -> bool:
    return read_manifest(str(output / "runs/r.json")).held_because is None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("copied", [False, True], ids=["in place", "copied"])
@pytest.mark.parametrize("status", ["rejected", "retracted", "pruned"])
def test_a_death_while_a_run_is_closed(
    tmp_path: Path, after: bool, copied: bool, status: str
) -> None:
    ended = set()
    for stop in range(1, 1000):
        output = tmp_path / str(stop)
        if status == "rejected":
            hold_new(output)
        else:
            publish_new(new(output), rows=20)
        died = die_deciding(output, status, stop, after=after)
        if copied:
            moved = tmp_path / f"copy-{stop}"
            subprocess.run(["cp", "-a", output, moved], check=True)
            shutil.rmtree(output)
            output = moved
        # A reader who lists folders sees all of it or nothing, at any moment.
        assert rows_seen(output) in (0, 20)
        if (output / "runs/r.json").exists():
            assert check_whole(output) == 20
        settle(output)
        record = closed(output)
        assert check_whole(output) == (20 if record is None and status != "rejected" else 0)
        assert held_whole(output) == (record is None and status == "rejected")
        ended.add(record is None)
        if record is None:
            decide_on(output, status)
            assert closed(output)
        if not died:
            break
    assert stop > 15
    assert ended == {True, False}


@pytest.mark.parametrize("status", ["published", "rejected", "retracted"])
def test_a_refusal_at_any_step_leaves_the_run_as_it_was_or_is_made_up_for(
    tmp_path: Path, status: str
) -> None:
    """A full disk, or a rename that the system refuses."""
    from tests.support.publication import at_step

    def refuse() -> None:
        raise OSError(28, "No space left on device")

    for stop in range(1, 1000):
        output = tmp_path / str(stop)
        if status == "retracted":
            publish_new(new(output), rows=20)
        else:
            hold_new(output)
        before = listing(output)
        with pytest.MonkeyPatch.context() as patched:
            steps = at_step(patched, stop, refuse)
            try:
                decide_on(output, status)
                said = None
            except OutputError as error:
                said = str(error)
        assert said is None or "No space left on device" in said
        if said and "nothing" in said:
            assert listing(output) == before, said
        settle(output)
        if status == "published":
            assert held_whole(output) == (check_whole(output) == 0)
        elif closed(output) is None:
            assert held_whole(output) or check_whole(output) == 20
        else:
            assert not held_whole(output)
            assert check_whole(output) == 0
        if steps() < stop:
            break
    assert stop > 15


def test_a_review_that_does_not_apply_says_what_the_run_is(tmp_path: Path) -> None:
    publish_new(new(tmp_path, "p"))
    hold_new(tmp_path, "h")
    hold_new(tmp_path, "c")
    decide_on(tmp_path, "rejected", "c")
    before = listing(tmp_path)
    for status, run_id, said in (
        ("published", "p", "run p is published, not held"),
        ("rejected", "p", "run p is published, not held"),
        ("retracted", "h", "run h is held, not published"),
        ("pruned", "h", "run h is held, not published"),
        ("published", "c", "run c isn't held: it was rejected on 2026-11-25"),
        ("rejected", "c", "run c isn't held: it was rejected on 2026-11-25"),
        ("retracted", "c", "run c isn't published: it was rejected on 2026-11-25"),
        ("published", "x", "there is no run x in "),
        ("retracted", "../x", "--run_id"),
    ):
        with pytest.raises(UsageError) as found:
            decide_on(tmp_path, status, run_id)
        assert str(found.value).startswith(said)
        assert "\n" not in str(found.value)
    assert listing(tmp_path) == before


def test_a_review_of_no_output_makes_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no run r in"):
        decide_on(tmp_path / "typo", "published")
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("status", ["rejected", "retracted", "pruned"])
@pytest.mark.parametrize("outcome", ["published", "held"])
def test_the_id_of_a_closed_run_is_taken_again_only_on_demand(
    tmp_path: Path, status: str, outcome: str
) -> None:
    if status == "rejected":
        hold_new(tmp_path)
    else:
        publish_new(new(tmp_path))
    decide_on(tmp_path, status)
    said = rf"run r was {status} on 2026-11-25; choose another --run_id, or give --replace"
    with pytest.raises(RunExistsError, match=said):
        publish_new(new(tmp_path))
    assert listing(tmp_path) == CLOSED_LISTING
    if outcome == "held":
        hold_new(tmp_path, replace=True)
        assert held_whole(tmp_path)
    else:
        publish_new(new(tmp_path, replace=True))
        assert check_whole(tmp_path) == 5
    assert closed(tmp_path) is None


@pytest.mark.parametrize("outcome", ["published", "held"])
def test_a_death_while_a_closed_run_is_replaced(tmp_path: Path, outcome: str) -> None:
    from tests.support.publication import die_at

    for stop in range(1, 1000):
        output = tmp_path / str(stop)
        publish_new(new(output), rows=20)
        decide_on(output, "retracted")
        limit = 0.0 if outcome == "held" else 0.1
        died = die_at(
            new(output, replace=True, max_reject_fraction=limit), stop, rows=50, rejects=1
        )
        settle(output)
        there = held_whole(output) if outcome == "held" else check_whole(output) == 50
        assert (closed(output) is None) == there
        if not died:
            break
    assert stop > 20


def test_a_held_run_that_would_double_a_file_is_not_accepted(tmp_path: Path) -> None:
    hold_new(tmp_path, new_only=True)
    publish_new(new(tmp_path, "other"))
    said = r"a of run r has meanwhile been published by run other \(2 files in all\)"
    with pytest.raises(ConflictError, match=said):
        decide_on(tmp_path, "published")
    assert held_whole(tmp_path)
    decide_on(tmp_path, "retracted", "other")
    decide_on(tmp_path, "published")
    assert check_whole(tmp_path) == 9


def test_a_held_replacement_is_rejected_and_the_published_run_stays(tmp_path: Path) -> None:
    publish_new(new(tmp_path), rows=20)
    hold_new(tmp_path, replace=True)
    decide_on(tmp_path, "rejected")
    assert check_whole(tmp_path) == 20
    assert not held_whole(tmp_path)
    decide_on(tmp_path, "retracted")
    assert listing(tmp_path) == CLOSED_LISTING


def test_a_run_that_is_at_work_is_not_reviewed(tmp_path: Path) -> None:
    """It is held already, but its attempt hasn't ended."""
    publication = new(tmp_path, max_reject_fraction=0.0)
    with commit_of(publication.layout).attempt():
        publish(publication, *staged(publication.layout, 9, 1))
        for status in ("published", "rejected"):
            with pytest.raises(ConflictError, match="run r hasn't ended yet"):
                decide_on(tmp_path, status)
    decide_on(tmp_path, "published")
    assert check_whole(tmp_path) == 9


@pytest.mark.parametrize("dataset", layout.DATASETS)
def test_a_held_run_that_is_not_whole_is_not_accepted(tmp_path: Path, dataset: str) -> None:
    for damage in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])):
        output = tmp_path / str(damage)
        hold_new(output)
        (path,) = (output / "_held/r" / dataset).glob("part-00000.parquet")
        damage(path)
        with pytest.raises(DamagedError, match=dataset):
            decide_on(output, "published")
        assert (output / "_held/r/manifest.json").exists()
        assert rows_seen(output) == 0
        assert not (output / "_staging").exists()


def test_a_damaged_run_can_be_retracted(tmp_path: Path) -> None:
    publish_new(new(tmp_path))
    for path in (tmp_path / "predictions").rglob("*.parquet"):
        path.write_bytes(b"torn")
    decide_on(tmp_path, "retracted")
    assert listing(tmp_path) == CLOSED_LISTING


def test_a_run_that_another_one_replaces_meanwhile_is_not_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_new(new(tmp_path))
    adopt = review._adopt

    def replaced(*arguments: Any) -> Any:
        adopted = adopt(*arguments)
        publish_new(new(tmp_path, replace=True), rows=20)
        return adopted

    monkeypatch.setattr(review, "_adopt", replaced)
    with pytest.raises(ConflictError, match="replaced or reviewed by another command"):
        decide_on(tmp_path, "retracted")
    assert check_whole(tmp_path) == 20
    assert closed(tmp_path) is None


@pytest.mark.parametrize("status", ["published", "held"])
def test_a_manifest_is_rewritten_whole(tmp_path: Path, status: str) -> None:
    path = tmp_path / ("runs/r.json" if status == "published" else "_held/r/manifest.json")
    found = publish_new(new(tmp_path)) if status == "published" else hold_new(tmp_path)
    before = listing(tmp_path)
    import msgspec

    changed = msgspec.structs.replace(found, notes=("labels came",))
    review.rewrite(str(tmp_path), changed)
    assert read_manifest(str(path)) == changed
    assert listing(tmp_path) == before
    if status == "published":
        publish_new(new(tmp_path, replace=True))
    else:
        decide_on(tmp_path, "rejected")
    with pytest.raises(ConflictError, match="replaced or reviewed by another command"):
        review.rewrite(str(tmp_path), found)


def test_recovery_knows_what_is_closed(tmp_path: Path) -> None:
    found = publish_new(new(tmp_path))
    paths = layout.Layout(output=str(tmp_path), run_id="r", attempt=found.attempt)
    assert not recovery.Attempt(paths).is_closed()
    decide_on(tmp_path, "pruned")
    assert recovery.Attempt(paths).is_closed()
    assert reviewed("pruned").status is Status.PRUNED
    assert disk.list_names(str(tmp_path / "_closed")) == ["r"]
