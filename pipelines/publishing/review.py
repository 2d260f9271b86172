"""What becomes of a run that has ended: a held one is accepted, a held or published one is closed.

A review goes on with the attempt that scored the run: its name is in the shards' footers and, on a
store, in their names, so recovery and readers need no new rule. It works in that attempt's staging,
so there is one review of a run at a time, and an interrupted one is finished or undone by the next
run or command, like an interrupted publication.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence

import msgspec

from pipelines import storage
from pipelines.errors import ConflictError, DamagedError, UsageError
from pipelines.publishing import choose, commit
from pipelines.publishing.commit import Commit, Decision, PlacedShard
from pipelines.runs import layout, ledger
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import CLOSED, Manifest, Review, Status, read_manifest


def accept(output: str, run_id: str, review: Review) -> Manifest:
    """Publishes a held run exactly as it was scored.

    It stays held, and complete, until it is published. A published run of the same id is replaced.

    Args:
      output: the output root.
      run_id: the run.
      review: who decided, when and why; its status is ``published``.

    Returns:
      The published manifest.

    Raises:
      UsageError: the run isn't held.
      ConflictError: another run has meanwhile published one of its files, or has replaced it.
      DamagedError: the held run isn't complete.
      OutputError: the output can't be written.
    """
    if review.status is not Status.PUBLISHED:
        raise ValueError(f"accepting a run doesn't make it {review.status}")
    with _opened(output, run_id, review) as (paths, ways, held):
        accepted = _reviewed(held, review)

        def check(shards: Sequence[str]) -> None:
            _refuse_changed(paths, held)
            if held.new_only is not False:
                _refuse_done(paths, held, shards)

        ways.refuse_others()
        decision = ways.decide(lambda: _adopt(ways, paths, accepted, held, layout.DATASETS))
        ways.make_visible(decision, replace=True, check=check)
        return decision.manifest


def close(output: str, run_id: str, review: Review) -> Manifest:
    """Rejects a held run, or retracts or prunes a published one.

    Its record appears first, so that `--new_only` never forgets its files; then the run goes.

    Args:
      output: the output root.
      run_id: the run.
      review: who decided, when and why; its status says what the run becomes.

    Returns:
      The manifest of its record in ``_closed/``.

    Raises:
      UsageError: the run isn't what the status needs: held, or published.
      ConflictError: it was replaced meanwhile.
      DamagedError: its list of files isn't complete.
      OutputError: the output can't be written.
    """
    if review.status not in CLOSED:
        raise ValueError(f"closing a run doesn't make it {review.status}")
    with _opened(output, run_id, review) as (paths, ways, found):
        closed = _reviewed(found, review)
        ways.refuse_others()
        decision = ways.decide(lambda: _adopt(ways, paths, closed, found, (layout.FILES,)))
        ways.close(decision, lambda: _refuse_changed(paths, found))
        return decision.manifest


def rewrite(output: str, manifest: Manifest) -> None:
    """Replaces the manifest of a published or held run, in one step.

    Args:
      output: the output root.
      manifest: as it was read, with other figures; status, run id and attempt are the same.

    Raises:
      ConflictError: another attempt has replaced the run, or a review has changed it.
      OutputError: the output can't be written.
    """
    paths = _paths(output, manifest)
    _recover(output, paths.run_id)
    ways = choose.of(paths)
    with ways.attempt():
        ways.rewrite(manifest, lambda: _refuse_changed(paths, manifest))


@contextlib.contextmanager
def _opened(output: str, run_id: str, review: Review) -> Iterator[tuple[Layout, Commit, Manifest]]:
    """Opens the attempt that scored the run which a review is about; nobody else is at work on it.

    Raises:
      UsageError: there is no such run, or the review doesn't apply to it.
    """
    layout.check_run_id(run_id)
    _recover(output, run_id)
    found = _find(output, run_id, review)
    paths = _paths(output, found)
    ways = choose.of(paths)
    with ways.attempt():
        # Another review may have ended since.
        yield paths, ways, _find(output, run_id, review)


def _recover(output: str, run_id: str) -> None:
    """Finishes or undoes what dead runs and reviews left; any attempt begins with that."""
    paths = Layout(output=output, run_id=run_id, attempt=uuid.uuid4().hex)
    if storage.list_files(paths.all_staging):
        with choose.of(paths).attempt():
            pass


def _find(output: str, run_id: str, review: Review) -> Manifest:
    """Finds the run that a review is about.

    Raises:
      UsageError: there is none, or the review doesn't apply to it.
    """
    paths = Layout(output=output, run_id=run_id, attempt="")
    published, held = _read(paths.manifest), _read(paths.held_manifest)
    if published and held and published.attempt == held.attempt:
        # It was accepted, but its held folder couldn't be removed.
        held = None
    takes_held = review.status in (Status.PUBLISHED, Status.REJECTED)
    found = held if takes_held else published
    if found is not None:
        return found
    needed = "held" if takes_held else "published"
    if published:
        raise UsageError(
            f"run {run_id} is published, not held; only a held run can be accepted or rejected"
        )
    if held:
        raise UsageError(f"run {run_id} is held, not published; accept or reject it")
    closed = _read(paths.closed_manifest)
    if closed is not None:
        raise UsageError(f"run {run_id} isn't {needed}: it {commit.describe_end(closed)}")
    raise UsageError(f"there is no run {run_id} in {output}")


def _read(path: str) -> Manifest | None:
    return read_manifest(path) if storage.exists(path) else None


def _paths(output: str, found: Manifest) -> Layout:
    if not found.attempt:
        raise UsageError(
            f"run {found.run_id} comes from an early release, which didn't record what a review "
            "needs; score it again with --replace"
        )
    return Layout(output=output, run_id=found.run_id, attempt=found.attempt)


def _reviewed(found: Manifest, review: Review) -> Manifest:
    return msgspec.structs.replace(found, status=review.status, reviews=(*found.reviews, review))


def _adopt(
    ways: Commit, paths: Layout, manifest: Manifest, found: Manifest, datasets: Sequence[str]
) -> Decision:
    """Takes some data sets of a run, as they are, into a decision."""
    return Decision(
        manifest=manifest,
        shards={name: _adopt_shards(ways, paths, found, name) for name in datasets},
    )


def _adopt_shards(
    ways: Commit, paths: Layout, found: Manifest, dataset: str
) -> tuple[PlacedShard, ...]:
    folder = storage.join(paths.held, dataset) if found.is_held else paths.published(dataset)
    expected = found.shards[dataset]
    names = found.shard_names(dataset)
    there = {path.rpartition("/")[2] for path in storage.list_files(folder)}
    if missing := sorted(set(names) - there):
        raise _damaged(found, storage.join(folder, missing[0]), "is missing")
    shards = ways.adopt(dataset, folder, names)
    size = sum(shard.bytes for shard in shards)
    if expected.bytes is not None and size != expected.bytes:
        raise _damaged(found, folder, f"has {size} bytes instead of {expected.bytes}")
    return shards


def _damaged(found: Manifest, path: str, fault: str) -> DamagedError:
    return DamagedError(
        f"{path} {fault}, so run {found.run_id} isn't as it was scored; restore it, or score the "
        f"run again: --run_id {found.run_id} --replace"
    )


def _refuse_changed(paths: Layout, found: Manifest) -> None:
    """Refuses to go on if the run isn't the one that the review began with any more."""
    now = _read(paths.held_manifest if found.is_held else paths.manifest)
    if now is None or (now.attempt, now.status) != (found.attempt, found.status):
        raise commit.replaced_meanwhile(paths)


def _refuse_done(paths: Layout, held: Manifest, shards: Sequence[str]) -> None:
    """Refuses a held run if one of its files has been published since it read the ledger."""
    done = ledger.find_published(
        paths.output,
        str(held.model.sha256),
        ledger.read_fingerprints(shards),
        decided_after=ledger.since(held),
        besides=paths.run_id,
    )
    if done:
        (path, _, _), run_id = min(done.items())
        raise ConflictError(
            f"{path} of run {paths.run_id} has meanwhile been published by run {run_id} "
            f"({len(done)} files in all); nothing is published: reject run {paths.run_id}, or "
            f"retract run {run_id} first"
        )
