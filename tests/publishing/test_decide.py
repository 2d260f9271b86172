"""Publication: verified, atomic for readers, safe to interrupt at any step and to repeat."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import publishing, storage
from pipelines.datasets.shard_writer import Shard
from pipelines.errors import OutputError, ReconcileError, RunExistsError
from pipelines.publishing import publish
from pipelines.publishing.publisher import verify_and_decide
from pipelines.runs import layout
from pipelines.runs.manifest import Status, read_manifest
from tests.support import samples
from tests.support.publication import (
    PUBLISHED_LISTING,
    Crash,
    at_step,
    check_whole,
    crash,
    new,
    publish_new,
    rows_seen,
    stage,
    staged,
)
from tests.support.running import listing, run_here


def test_published_shards_are_ordered_and_staging_is_gone(tmp_path: Path) -> None:
    manifest = publish_new(new(tmp_path))
    assert listing(tmp_path) == PUBLISHED_LISTING
    assert read_manifest(str(tmp_path / "runs/r.json")) == manifest
    assert manifest.shards["predictions"].files == 2
    first = pa.parquet.read_table(tmp_path / "predictions/run_id=r/part-00000.parquet")
    assert first.column("source_file").to_pylist() == ["a"] * 3


def test_the_manifest_has_the_hash_of_each_shard(tmp_path: Path) -> None:
    manifest = publish_new(new(tmp_path), rejects=1, rows=19)
    for dataset in layout.DATASETS:
        folder = tmp_path / dataset / "run_id=r"
        found = [
            hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in manifest.shard_names(dataset)
        ]
        assert manifest.shards[dataset].sha256 == tuple(found)


def test_orphans_of_failed_bundles_are_not_published(tmp_path: Path) -> None:
    publication = new(tmp_path)
    with publishing.of(publication.layout).attempt():
        stage(publication.layout, layout.PREDICTIONS, [("orphan", 0)])
        publish(publication, *staged(publication.layout))
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


@pytest.mark.parametrize(("rejects", "status"), [(1, Status.PUBLISHED), (2, Status.HELD)])
def test_the_budget_decides(tmp_path: Path, rejects: int, status: str) -> None:
    publication = new(tmp_path, max_reject_fraction=0.1)
    with publishing.of(publication.layout).attempt():
        made = staged(publication.layout, 9, rejects)
        assert publish(publication, *made).status == status
    seen = listing(tmp_path)
    assert ("runs/r.json" in seen) == (status == Status.PUBLISHED)
    assert ("_held/r/manifest.json" in seen) == (status == Status.HELD)
    assert ("_held/r/rejects/part-00000.parquet" in seen) == (status == Status.HELD)
    assert not any(name.startswith("_staging") for name in seen)


def test_a_held_run_goes_when_it_is_published_at_last(tmp_path: Path) -> None:
    held = new(tmp_path, max_reject_fraction=0.0)
    with publishing.of(held.layout).attempt():
        publish(held, *staged(held.layout, 9, 1))
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


def test_a_decision_is_made_once(tmp_path: Path) -> None:
    """Two publishing steps run concurrently, as when a runner takes one for dead."""
    publication = new(tmp_path)
    other = new(tmp_path, max_reject_fraction=0.0, layout=publication.layout)
    with publishing.of(publication.layout).attempt():
        made = staged(publication.layout, 90, 1)
        ways = publishing.of(publication.layout)

        def decide_late() -> publishing.Decision:
            quick = ways.decide(lambda: verify_and_decide(publication, ways, *made))
            assert quick.manifest.status == Status.PUBLISHED
            return verify_and_decide(other, ways, *made)

        late = ways.decide(decide_late)
        assert late.manifest.status == Status.PUBLISHED
        assert publish(other, *made) == late.manifest
    assert check_whole(tmp_path) == 90


def test_more_shards_than_five_digits_number(tmp_path: Path) -> None:
    names = layout.numbered_names(100_001)
    assert names == sorted(names)
    assert len(set(names)) == 100_001
    assert names[-1] == "part-100000.parquet"
    assert layout.numbered_names(2) == ["part-00000.parquet", "part-00001.parquet"]


def test_shards_are_compared_by_name_whatever_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both five-digit and six-digit names, text order differs from number order."""
    names = lambda count: [f"part-{n + 99_999:05d}.parquet" for n in range(count)]  # noqa: E731
    monkeypatch.setattr(layout, "numbered_names", names)
    manifest = publish_new(new(tmp_path))
    assert manifest.shard_names("predictions") == ["part-99999.parquet", "part-100000.parquet"]
    assert check_whole(tmp_path) == 5


def test_a_shard_of_another_attempt_is_refused(tmp_path: Path) -> None:
    other = new(tmp_path / "other").layout

    def one_foreign(shards: list[Shard], figures: dict[Any, int]) -> Any:
        Path(other.staged(layout.PREDICTIONS)).mkdir(parents=True)
        foreign = stage(other, layout.PREDICTIONS, [("b", n) for n in range(2)])
        return [*foreign, *shards[1:]], figures

    with pytest.raises(ReconcileError, match="not of this attempt"):
        publish_new(new(tmp_path / "out"), change=one_foreign)
    assert listing(tmp_path / "out") == []


def test_what_outlives_its_attempt_brings_nothing_back(tmp_path: Path) -> None:
    """A worker that outlives its job writes into a deleted folder."""
    publication = new(tmp_path)
    paths = publication.layout
    with publishing.of(paths).attempt():
        made = staged(paths)
        decision = verify_and_decide(publication, publishing.of(paths), *made)
    assert listing(tmp_path) == []
    with pytest.raises(OutputError, match="No such file"):
        stage(paths, layout.PREDICTIONS, [("late", 0)])
    with pytest.raises(FileNotFoundError):
        storage.put_bytes(f"{paths.progress}/late.json", b"{}")
    for late in (
        lambda: publishing.of(paths).decide(lambda: decision),
        lambda: publishing.of(paths).hold(decision),
        lambda: publishing.of(paths).make_visible(decision, replace=False, check=print),
    ):
        with pytest.raises(OutputError, match="staged shards have gone"):
            late()
        assert listing(tmp_path) == []


def test_replace_leaves_nothing_of_the_old_run(tmp_path: Path) -> None:
    publish_new(new(tmp_path), rows=12, rejects=1)
    publish_new(new(tmp_path, replace=True))
    assert listing(tmp_path) == sorted([*PUBLISHED_LISTING, "rejects/"])
    assert rows_seen(tmp_path) == 5


def test_the_step_may_run_again_after_its_end(tmp_path: Path) -> None:
    publication = new(tmp_path)
    with publishing.of(publication.layout).attempt():
        made = staged(publication.layout)
        assert publish(publication, *made) == publish(publication, *made)
    assert listing(tmp_path) == PUBLISHED_LISTING


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("replace", [False, True], ids=["first", "replace"])
@pytest.mark.parametrize("exchanges", [False, True], ids=["two renames", "exchange"])
def test_a_step_that_was_interrupted_is_tried_again(
    tmp_path: Path, after: bool, replace: bool, exchanges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner retries the step in the same process, at every step of publication."""
    if not exchanges:
        monkeypatch.setattr("pipelines.publishing.disk.exchange", lambda *_: False)
    for stop in range(1, 1000):
        output = tmp_path / str(stop)
        if replace:
            publish_new(new(output), rows=8, rejects=0)
        publication = new(output, replace=replace)
        with publishing.of(publication.layout).attempt():
            made = staged(publication.layout)
            with pytest.MonkeyPatch.context() as patched:
                steps = at_step(patched, stop, crash, after=after)
                try:
                    publish(publication, *made)
                except Crash:
                    if exchanges:
                        # A reader in between sees one of the two runs, or none.
                        assert rows_seen(output) in ({8, 5} if replace else {0, 5})
            publish(publication, *made)
        assert check_whole(output) == 5
        assert listing(output) == PUBLISHED_LISTING
        if steps() < stop:
            break
    assert stop > 30


def test_a_job_that_nobody_waits_for_removes_its_own_staging(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Submitted as a Flex Template's launcher does; here the runner runs it at once."""
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
