"""Publication: verified, atomic for readers, safe to interrupt at any step and to run again."""

import dataclasses
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penguin_model.errors import ReconcileError, RunExistsError
from pipelines import commit, layout, publish, storage
from pipelines.layout import Layout
from pipelines.publish import Publication
from pipelines.shards import Shard, ShardWriter
from tests import samples
from tests.running import listing, run_here
from tests.toy import toy_card

SCHEMA = pa.schema([("source_file", pa.string()), ("source_row", pa.int64())])
PUBLISHED_LISTING = [
    "files/",
    "files/run_id=r/",
    "files/run_id=r/part-00000.parquet",
    "predictions/",
    "predictions/run_id=r/",
    "predictions/run_id=r/part-00000.parquet",
    "predictions/run_id=r/part-00001.parquet",
    "runs/",
    "runs/r.json",
]


class Crash(BaseException):
    """Stands for the process's end: no handler catches it."""


def new(output: Path, run_id: str = "r", **changes: Any) -> Publication:
    paths = Layout(output=str(output), run_id=run_id, attempt=uuid.uuid4().hex)
    return dataclasses.replace(
        Publication(
            layout=paths, replace=False, card=toy_card(), max_reject_fraction=0.1,
            about={"start": "now"},
        ),
        **changes,
    )  # fmt: skip


def stage(paths: Layout, dataset: str, rows: list[tuple[str, int]]) -> list[Shard]:
    writer = ShardWriter(
        paths.staged(dataset), dataset, SCHEMA, {}, max_shard_bytes=1, row_group_rows=1000
    )
    writer.write(
        pa.RecordBatch.from_pylist(
            [{"source_file": file, "source_row": row} for file, row in rows], schema=SCHEMA
        )
    )
    return writer.finish()


def staged(paths: Layout, rows: int = 5, rejects: int = 0) -> tuple[list[Shard], dict[Any, int]]:
    """Two shards of predictions, the second one first, and the figures that fit."""
    shards = stage(paths, layout.PREDICTIONS, [("b", n) for n in range(rows - 3)])
    shards += stage(paths, layout.PREDICTIONS, [("a", n) for n in range(3)])
    shards += stage(paths, layout.FILES, [("a", 0), ("b", 0)])
    if rejects:
        shards += stage(paths, layout.REJECTS, [("a", n + 3) for n in range(rejects)])
    totals = {
        "files": 2, "rows_read": rows + rejects, "rows_scored": rows, "rows_rejected": rejects,
    }  # fmt: skip
    return shards, {("totals", name): count for name, count in totals.items()}


def publish_new(
    publication: Publication,
    rows: int = 5,
    change: Callable[[list[Shard], dict[Any, int]], Any] = lambda *made: made,
) -> dict[str, Any]:
    with commit.attempt(publication.layout):
        made = change(*staged(publication.layout, rows))
        return publish.publish(publication, *made)


def rows_seen(output: Path) -> int:
    files = (output / "predictions").rglob("*.parquet")
    return sum(len(pa.parquet.read_table(path)) for path in files)


def test_published_shards_are_ordered_and_staging_is_gone(tmp_path: Path) -> None:
    manifest = publish_new(new(tmp_path))
    assert listing(tmp_path) == PUBLISHED_LISTING
    assert json.loads((tmp_path / "runs/r.json").read_text()) == manifest
    assert manifest["shards"]["predictions"]["files"] == 2
    first = pa.parquet.read_table(tmp_path / "predictions/run_id=r/part-00000.parquet")
    assert first.column("source_file").to_pylist() == ["a"] * 3


def test_orphans_of_failed_bundles_are_not_published(tmp_path: Path) -> None:
    publication = new(tmp_path)
    with commit.attempt(publication.layout):
        stage(publication.layout, layout.PREDICTIONS, [("orphan", 0)])
        publish.publish(publication, *staged(publication.layout))
    assert listing(tmp_path) == PUBLISHED_LISTING


@pytest.mark.parametrize("change", ["rows_scored", "rows_rejected", "files"])
def test_figures_that_the_shards_do_not_hold_are_refused(tmp_path: Path, change: str) -> None:
    def one_more(shards: list[Shard], figures: dict[Any, int]) -> Any:
        return shards, {**figures, ("totals", change): figures["totals", change] + 1}

    with pytest.raises(ReconcileError, match="nothing is published"):
        publish_new(new(tmp_path), change=one_more)
    assert listing(tmp_path) == []


def test_a_shard_that_lost_rows_is_refused(tmp_path: Path) -> None:
    def one_lost(shards: list[Shard], figures: dict[Any, int]) -> Any:
        return [shards[0]._replace(rows=9), *shards[1:]], figures

    with pytest.raises(ReconcileError, match="begins with b"):
        publish_new(new(tmp_path), change=one_lost)
    assert listing(tmp_path) == []


@pytest.mark.parametrize(("rejects", "status"), [(1, publish.PUBLISHED), (2, publish.HELD)])
def test_the_budget_decides(tmp_path: Path, rejects: int, status: str) -> None:
    publication = new(tmp_path, max_reject_fraction=0.1)
    with commit.attempt(publication.layout):
        made = staged(publication.layout, 9, rejects)
        assert publish.publish(publication, *made)["status"] == status
    seen = listing(tmp_path)
    assert ("runs/r.json" in seen) == (status == publish.PUBLISHED)
    assert ("_held/r/manifest.json" in seen) == (status == publish.HELD)
    assert ("_held/r/rejects/part-00000.parquet" in seen) == (status == publish.HELD)
    assert not any(name.startswith("_staging") for name in seen)


def test_a_held_run_goes_when_it_is_published_at_last(tmp_path: Path) -> None:
    held = new(tmp_path, max_reject_fraction=0.0)
    with commit.attempt(held.layout):
        publish.publish(held, *staged(held.layout, 9, 1))
    publish_new(new(tmp_path))
    assert listing(tmp_path) == PUBLISHED_LISTING


def test_a_published_run_is_not_replaced_unasked(tmp_path: Path) -> None:
    publish_new(new(tmp_path))
    before = (tmp_path / "runs/r.json").read_text()
    with pytest.raises(RunExistsError, match="--replace"):
        publish_new(new(tmp_path), rows=4)
    assert (tmp_path / "runs/r.json").read_text() == before
    assert rows_seen(tmp_path) == 5
    assert listing(tmp_path) == PUBLISHED_LISTING


def test_replace_leaves_nothing_of_the_old_run(tmp_path: Path) -> None:
    old = new(tmp_path)
    with commit.attempt(old.layout):
        publish.publish(old, *staged(old.layout, 12, 1))
    publish_new(new(tmp_path, replace=True))
    assert listing(tmp_path) == sorted([*PUBLISHED_LISTING, "rejects/"])
    assert rows_seen(tmp_path) == 5


def test_the_step_may_run_again_after_its_end(tmp_path: Path) -> None:
    publication = new(tmp_path)
    with commit.attempt(publication.layout):
        made = staged(publication.layout)
        assert publish.publish(publication, *made) == publish.publish(publication, *made)
    assert listing(tmp_path) == PUBLISHED_LISTING


STEPS = ["write_json", "put_folder", "move_file", "remove_folder", "delete_tree"]


def crash_at(monkeypatch: pytest.MonkeyPatch, stop: int, *, after: bool) -> Callable[[], int]:
    """Ends the process before or after the stop-th change on disk; tells how many there were."""
    count = 0

    def wrap(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count == stop and not after:
                raise Crash
            result = change(*arguments)
            if count == stop and after:
                raise Crash
            return result

        return changed

    for name in STEPS:
        monkeypatch.setattr(storage, name, wrap(getattr(storage, name)))
    return lambda: count


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("replace", [False, True], ids=["first", "replace"])
@pytest.mark.parametrize("again", ["retry", "next run"])
def test_a_crash_at_any_step_loses_and_doubles_nothing(
    tmp_path: Path, after: bool, replace: bool, again: str
) -> None:
    """Every step is tried; the run is then retried, or another run comes next."""
    stops = 0
    for stop in range(1, 100):
        output = tmp_path / str(stop)
        if replace:
            publish_new(new(output), rows=8)
        publication = new(output, replace=replace)
        context = commit.attempt(publication.layout)
        context.__enter__()
        made = staged(publication.layout)
        with pytest.MonkeyPatch.context() as patched:
            steps = crash_at(patched, stop, after=after)
            try:
                publish.publish(publication, *made)
            except Crash:
                stops += 1
            if steps() < stop:
                break
        # A reader in between sees one of the two runs, or none.
        assert rows_seen(output) in ({8, 5} if replace else {0, 5})
        if again == "retry":
            publish.publish(publication, *made)
            context.__exit__(None, None, None)
            assert rows_seen(output) == 5
            assert listing(output) == PUBLISHED_LISTING
            continue
        # The process is gone: its locks are free, and its `finally` never ran.
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(commit, "_finish", lambda _: None)
            context.__exit__(None, None, None)
        other = new(output, run_id="s")
        publish_new(other, rows=4)
        visible = rows_seen(output) - 4
        manifest = output / "runs/r.json"
        if manifest.exists():
            read = json.loads(manifest.read_text())["totals"]["rows_scored"]
            assert visible == read
            assert read in ({8, 5} if replace else {5})
        else:
            assert (visible, replace) == (0, False)
        assert not (output / "_staging").exists()
    assert stops >= 5


def test_a_job_that_nobody_waits_for_removes_its_own_staging(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a Flex Template's launcher submits it; here the runner runs it at once."""
    output = tmp_path / "out"
    template = ("--template_location", tmp_path / "template")
    assert run_here(output, *samples.FLAGS, *template) == 0
    assert "golden (submitted; published when the manifest is there)" in capsys.readouterr().out
    samples.assert_golden(output)


def test_a_held_run_that_nobody_waits_for_removes_its_own_staging(tmp_path: Path) -> None:
    output = tmp_path / "out"
    template = ("--template_location", tmp_path / "template", "--max_reject_fraction", "0")
    assert run_here(output, *samples.FLAGS, *template) == 0
    assert {path.name for path in output.iterdir()} == {"_held"}
