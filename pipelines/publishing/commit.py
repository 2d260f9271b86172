"""What both publication methods share: the decision and the `Commit` protocol."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from pipelines import storage
from pipelines.errors import ConflictError, DamagedError, RunExistsError
from pipelines.runs import manifest as manifests
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, Shards


class PlacedShard(NamedTuple):
    """A staged shard and its place in the published data set.

    Attributes:
      path: where it is staged.
      name: its published file name.
      rows: how many rows it has; 0 if it was adopted from an earlier attempt, whose manifest says.
      bytes: its size.
    """

    path: str
    name: str
    rows: int
    bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision:
    """The outcome of a run: decided once, recorded in staging, and carried out as recorded.

    Attributes:
      manifest: the run's, with its ``status``; its ``shards`` agree with the list here.
      shards: those of each data set, in published order.
    """

    manifest: Manifest
    shards: Mapping[str, Sequence[PlacedShard]]

    def names(self, dataset: str) -> list[str]:
        """The published names of a data set's shards, in order."""
        return [shard.name for shard in self.shards[dataset]]

    def to_json(self) -> str:
        """The decision as text that `from_json` reads."""
        return json.dumps({"manifest": manifests.to_json(self.manifest), "shards": self.shards})

    @classmethod
    def from_json(cls, text: str | bytes) -> Decision:
        """Reads the output of `to_json`."""
        fields = json.loads(text)
        shards = {
            dataset: tuple(PlacedShard(*shard) for shard in placed)
            for dataset, placed in fields["shards"].items()
        }
        return cls(manifest=manifests.from_json(fields["manifest"]), shards=shards)


def describe(shards: Mapping[str, Sequence[PlacedShard]]) -> dict[str, Shards]:
    """What the manifest says about each data set's shards."""
    return {
        dataset: Shards(
            files=len(placed),
            rows=sum(shard.rows for shard in placed),
            bytes=sum(shard.bytes for shard in placed),
            names=tuple(shard.name for shard in placed),
        )
        for dataset, placed in shards.items()
    }


class Commit(Protocol):
    """Publication of one attempt at a run.

    The submitter enters `attempt` around the pipeline. The publishing step may run several times,
    even concurrently: `read_outcome`, `decide` and what carries out the decision allow for that.
    """

    def attempt(self, *, waits_for_end: bool = True) -> AbstractContextManager[None]:
        """Opens the attempt's staging, and removes all of it at the end.

        First, anything that dead runs left is finished or removed.

        Args:
          waits_for_end: whether the body lasts until the pipeline ends; if not, the pipeline
            calls `finish` itself.

        Raises:
          OutputError: the output can't be written.
        """

    def finish(self) -> None:
        """Ends the attempt: finishes it if it is past its point of no return, removes the rest."""

    def refuse_published(self) -> None:
        """Refuses a run id that is already published.

        Raises:
          RunExistsError: its manifest exists.
        """

    def read_outcome(self) -> Manifest | None:
        """The manifest that this attempt published or held; None if it has done neither yet."""

    def published_names(self, count: int) -> list[str]:
        """The published file names of a data set's shards, which sort as text in shard order.

        Args:
          count: how many shards there are.
        """

    def decide(self, make: Callable[[], Decision]) -> Decision:
        """Records this attempt's decision, or reads it if it is already recorded.

        Args:
          make: makes the decision; not called if one is recorded.
        """

    def make_visible(
        self, decision: Decision, *, replace: bool, check: Callable[[Sequence[str]], None] | None
    ) -> None:
        """Publishes the run, the manifest last; safe to repeat.

        Args:
          decision: the recorded decision.
          replace: whether a published run of this name may be replaced.
          check: an optional last check, called as late as it can still refuse, with the paths that
            the shards of the `files` data set have at that moment.

        Raises:
          RunExistsError: a run of this name was published meanwhile.
          OutputError: the output can't be written.
        """

    def hold(self, decision: Decision) -> None:
        """Keeps a run that may not be published where people can read it; safe to repeat.

        Raises:
          OutputError: the output can't be written.
        """

    def adopt(self, dataset: str, folder: str, names: Sequence[str]) -> tuple[PlacedShard, ...]:
        """Takes shards of a held or published run into this attempt; they stay where they are.

        Args:
          dataset: the data set that they belong to.
          folder: where they are.
          names: their names, which are those of this attempt's shards too.
        """

    def close(self, decision: Decision, check: Callable[[], None]) -> None:
        """Keeps a closed run's record, then removes the run; safe to repeat.

        Args:
          decision: the recorded decision; its shards are those of the record.
          check: a last check, called as late as it can still refuse.

        Raises:
          OutputError: the output can't be written.
        """

    def rewrite(self, manifest: Manifest, check: Callable[[], None]) -> None:
        """Replaces the manifest of this attempt's run, in one step.

        Args:
          manifest: the new one, with the status of the old one.
          check: see `close`.

        Raises:
          ConflictError: another attempt has replaced the run.
          OutputError: the output can't be written.
        """

    def refuse_others(self) -> None:
        """Refuses to go on while another attempt at the run is alive, if they don't take turns.

        Raises:
          ConflictError: there is one.
        """


@contextlib.contextmanager
def finishing(commit: Commit, *, waits_for_end: bool) -> Iterator[None]:
    """Finishes an attempt when the body fails, or when it ends together with the pipeline."""
    try:
        yield
    except BaseException:
        commit.finish()
        raise
    if waits_for_end:
        commit.finish()


def read_outcome(paths: Layout) -> Manifest | None:
    """The manifest that an attempt published or held; None if it has done neither yet."""
    for path in (paths.manifest, paths.held_manifest):
        manifest = read_manifest(path)
        if manifest is not None and manifest.attempt == paths.attempt:
            return manifest
    return None


def read_manifest(path: str) -> Manifest | None:
    """Reads a manifest; None if there is none or it can't be read."""
    if not storage.exists(path):
        return None
    try:
        return manifests.parse_manifest(path, storage.read_bytes(path))
    except DamagedError:
        return None
    except OSError:
        # A store that doesn't answer may have it; an unreadable local path counts as missing.
        if storage.of(path).failures_pass:
            raise
        return None


def refuse_published(paths: Layout) -> None:
    """Refuses a run id that is already published, or was closed.

    Raises:
      RunExistsError: its manifest or its closed record exists.
    """
    if storage.exists(paths.manifest):
        raise exists_already(paths)
    if storage.exists(paths.closed_manifest):
        raise was_closed(paths, read_manifest(paths.closed_manifest))


def exists_already(paths: Layout) -> RunExistsError:
    """The error for a run whose id is taken."""
    return RunExistsError(
        f"run {paths.run_id} is published already ({paths.manifest}); "
        "choose another --run_id, or give --replace"
    )


def was_closed(paths: Layout, closed: Manifest | None) -> RunExistsError:
    """The error for a run id that was taken by a run that a person closed.

    Args:
      paths: of the run.
      closed: the manifest of its record; None if that is damaged.
    """
    what = f"was closed ({paths.closed_manifest} is damaged)"
    return RunExistsError(
        f"run {paths.run_id} {describe_end(closed) if closed else what}; "
        "choose another --run_id, or give --replace"
    )


def describe_end(closed: Manifest) -> str:
    """Says what became of a closed run, and when: ``was retracted on 2026-11-25``."""
    day = closed.reviews[-1].at[:10] if closed.reviews else closed.end[:10]
    return f"was {closed.status} on {day}"


def at_work(paths: Layout) -> ConflictError:
    """The error for a run whose attempt is at work."""
    return ConflictError(
        f"run {paths.run_id} hasn't ended yet, or another command is at work on it; try again later"
    )


def replaced_meanwhile(paths: Layout) -> ConflictError:
    """The error for a review of a run that isn't the one it began with any more."""
    return ConflictError(
        f"run {paths.run_id} was replaced or reviewed by another command meanwhile; that one stands"
    )
