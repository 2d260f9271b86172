"""Reviews of runs on an object store: whatever crashes when, each run is in one place, whole."""

import contextlib
import json

import pytest

from pipelines.errors import ConflictError, PenguinError, RunExistsError, UsageError
from pipelines.publishing import review
from pipelines.publishing.manifest_commit import ManifestCommit
from pipelines.runs import layout
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Status, read_manifest
from tests.publishing.test_manifest_commit import (
    HOUR,
    OUTPUT,
    Crash,
    Run,
    _nothing_goes_on,
    crash_at,
    doomed,
    seen,
    store,
    use,
)
from tests.support.publication import reviewed
from tests.support.stores.memory import Memory

__all__ = ["_nothing_goes_on", "store"]
PATHS = Layout(output=OUTPUT, run_id="r", attempt="")
CLOSED = ("rejected", "retracted", "pruned")


def decide(status: str, run_id: str = "r") -> None:
    work = review.accept if status == "published" else review.close
    work(OUTPUT, run_id, reviewed(status))


def kept(store: Memory, manifest: str, folder: str) -> str | None:
    """The attempt of a held or closed run, all of whose shards are there."""
    if manifest not in store.content:
        return None
    found = json.loads(store.content[manifest])
    for dataset in (layout.FILES,) if found["status"] in CLOSED else layout.DATASETS:
        for name in found["shards"][dataset]["names"]:
            assert f"{folder}/{dataset}/{name}" in store.content
    return str(found["attempt"])


def held(store: Memory) -> str | None:
    return kept(store, PATHS.held_manifest, PATHS.held)


def closed(store: Memory) -> str | None:
    return kept(store, PATHS.closed_manifest, PATHS.closed)


def names_of_r(store: Memory) -> set[str]:
    """The objects of run r, wherever they are."""
    return {path for path in store.content if "/s.json" not in path and "run_id=s/" not in path}


def begin(store: Memory, status: str, *, replace: bool = False) -> str:
    """A run that the review applies to; its attempt."""
    if replace:
        Run(store, shards=3).run()
    run = Run(store, held=status in ("published", "rejected"), replace=replace)
    run.run()
    return run.paths.attempt


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("again", ["the next night", "the same review"])
@pytest.mark.parametrize("status", ["published", "replaced", "rejected", "retracted", "pruned"])
def test_a_crash_at_any_step_of_a_review(
    monkeypatch: pytest.MonkeyPatch, status: str, again: str, after: bool
) -> None:
    ended = set()
    replace, status = status == "replaced", "published" if status == "replaced" else status
    for stop in range(1, 200):
        store = use(monkeypatch, Memory())
        mine = begin(store, status, replace=replace)
        old = seen(store)
        with pytest.MonkeyPatch.context() as patched, doomed():
            steps = crash_at(store, stop, after=after)
            finish = ManifestCommit.finish

            def end(commit: ManifestCommit, finish: object = finish) -> None:
                """A process that is gone tidies nothing up."""
                if steps() < stop:  # noqa: B023
                    assert callable(finish)
                    finish(commit)

            patched.setattr(ManifestCommit, "finish", end)
            with contextlib.suppress(Crash):
                decide(status)
            store.before = store.after = lambda _: None
        # Readers see the old state or the new one.
        assert seen(store) in (old, mine if status == "published" else None)
        if status == "published" and seen(store) != mine:
            assert held(store) == mine
        if status == "rejected" and closed(store) is None:
            assert held(store) == mine
        if again == "the same review":
            with contextlib.suppress(UsageError):
                decide(status)
            done = True
        else:
            Run(store, "s").run()
            done = (seen(store) if status == "published" else closed(store)) == mine
        assert not any("/_staging/" in path for path in store.content)
        if status == "published":
            assert seen(store) == (mine if done else old)
            assert held(store) == (None if done else mine)
        else:
            assert closed(store) == (mine if done else None)
            assert seen(store) == (None if done or status == "rejected" else mine)
            assert held(store) == (mine if not done and status == "rejected" else None)
        if done:
            rest = {PATHS.manifest} if status == "published" else {PATHS.closed_manifest}
            named = read_manifest(*rest).shards
            count = sum(named[name].files for name in layout.DATASETS)
            expected = count if status == "published" else named[layout.FILES].files
            assert len(names_of_r(store)) == 1 + expected
        ended.add(done)
        if steps() < stop:
            break
    assert stop > 10
    assert again == "the same review" or ended == {True, False}


@pytest.mark.parametrize("outcome", ["published", "held"])
def test_a_closed_run_is_replaced_on_demand(store: Memory, outcome: str) -> None:
    begin(store, "retracted")
    decide("retracted")
    with pytest.raises(RunExistsError, match="run r was retracted on 2026-11-25"):
        Run(store).run()
    Run(store, replace=True, held=outcome == "held").run()
    assert closed(store) is None
    assert (seen(store) is None) == (outcome == "held")
    assert (held(store) is None) == (outcome == "published")


def test_a_review_waits_for_nobody_at_work_on_the_run(store: Memory) -> None:
    begin(store, "retracted")
    other = Run(store, replace=True)
    other.begin()
    with pytest.raises(ConflictError, match="run r hasn't ended yet"):
        decide("retracted")
    assert other.finish() is None
    assert seen(store) == other.paths.attempt


def test_of_two_reviews_at_once_one_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second one comes at each change that the first one makes."""
    for first, second in (("published", "rejected"), ("rejected", "published")):
        for stop in range(1, 100):
            store = use(monkeypatch, Memory())
            mine = begin(store, first)
            count, errors = 0, []

            def between(
                _: str, store: Memory = store, stop: int = stop, second: str = second
            ) -> None:
                nonlocal count
                count += 1
                if count == stop:
                    store.before = lambda _: None
                    try:
                        decide(second)
                    except PenguinError as error:
                        errors.append(error)  # noqa: B023

            store.before = between
            try:
                decide(first)
            except PenguinError as error:
                errors.append(error)
            if count < stop:
                break
            assert len(errors) == 1
            assert isinstance(errors[0], ConflictError | UsageError)
            assert [seen(store), closed(store), held(store)].count(mine) == 1
            assert held(store) is None
            store.now += HOUR
            Run(store, "s").run()
            assert not any("/_staging/" in path for path in store.content)
        assert stop > 8


def test_a_step_that_wakes_up_late_does_not_publish_a_retracted_run(store: Memory) -> None:
    late = Run(store)
    late.begin()
    late.step()
    decision = late.make()
    late.end()
    decide("retracted")
    with pytest.raises(ConflictError):
        late.commit.make_visible(decision, replace=False, check=None)
    assert seen(store) is None
    assert closed(store) == late.paths.attempt


@pytest.mark.parametrize("status", ["published", "held"])
def test_a_manifest_is_rewritten_if_it_is_still_the_same(store: Memory, status: str) -> None:
    begin(store, "retracted" if status == "published" else "rejected")
    path = PATHS.manifest if status == "published" else PATHS.held_manifest
    found = read_manifest(path)
    review.rewrite(OUTPUT, found)
    assert read_manifest(path) == found
    assert found.status is Status(status)
    Run(store, replace=True, held=status == "held").run()
    with pytest.raises(ConflictError, match="replaced or reviewed"):
        review.rewrite(OUTPUT, found)
