"""What both ways of publishing share: the decision, and the `Commit` protocol."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from pipelines import storage
from pipelines.errors import DamagedError, RunExistsError
from pipelines.runs import manifest as manifests
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, Shards


class PlacedShard(NamedTuple):
    """A staged shard and its place in the published data set.

    Attributes:
      path: where it is staged.
      name: its published file name.
      rows: rows in it.
      bytes: its size.
    """

    path: str
    name: str
    rows: int
    bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision:
    """What becomes of a run: made once, recorded in staging, and carried out as recorded.

    Attributes:
      manifest: of the run, with its ``status``; its ``shards`` agree with the list here.
      shards: of each data set, in published order.
    """

    manifest: Manifest
    shards: Mapping[str, Sequence[PlacedShard]]

    def names(self, dataset: str) -> list[str]:
        """The published names of a data set's shards, in order."""
        return [shard.name for shard in self.shards[dataset]]

    def to_json(self) -> str:
        """The decision as text; `from_json` reads it."""
        return json.dumps({"manifest": manifests.to_json(self.manifest), "shards": self.shards})

    @classmethod
    def from_json(cls, text: str | bytes) -> Decision:
        """Reads what `to_json` wrote."""
        fields = json.loads(text)
        shards = {
            dataset: tuple(PlacedShard(*shard) for shard in placed)
            for dataset, placed in fields["shards"].items()
        }
        return cls(manifest=manifests.from_json(fields["manifest"]), shards=shards)


def describe(shards: Mapping[str, Sequence[PlacedShard]]) -> dict[str, Shards]:
    """What the manifest says of the shards of each data set."""
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
    """Publication of one attempt at one run.

    The submitter enters `attempt` around the pipeline. The publishing step may run more than once,
    even at the same time: `read_outcome`, `decide` and what carries the decision out all take that.
    """

    def attempt(self, *, waits_for_end: bool = True) -> AbstractContextManager[None]:
        """Opens the attempt's staging, and ends it: nothing of it stays.

        Before, what dead runs left is finished or removed.

        Args:
          waits_for_end: whether the body lasts until the pipeline ends; if not, the pipeline
            calls `finish` itself.

        Raises:
          OutputError: the output cannot be written.
        """

    def finish(self) -> None:
        """Ends the attempt: finishes what has passed its point of no return, removes the rest."""

    def refuse_published(self) -> None:
        """Refuses a run id that is published already.

        Raises:
          RunExistsError: its manifest exists.
        """

    def read_outcome(self) -> Manifest | None:
        """The manifest that this attempt published or held, None while it has done neither."""

    def published_names(self, count: int) -> list[str]:
        """The published file names of a data set's shards, in order; their text sorts as they do.

        Args:
          count: how many shards there are.
        """

    def decide(self, make: Callable[[], Decision]) -> Decision:
        """Records this attempt's decision, or reads the one that is recorded.

        Args:
          make: makes it; not called if there is one.
        """

    def make_visible(
        self, decision: Decision, *, replace: bool, check: Callable[[Sequence[str]], None] | None
    ) -> None:
        """Publishes the run, the manifest last; safe to repeat.

        Args:
          decision: the recorded one.
          replace: whether a published run of this name may be replaced.
          check: a last check, if any, called as late as it can still refuse, with the paths that
            the shards of the `files` data set have at that moment.

        Raises:
          RunExistsError: a run of this name was published meanwhile.
          OutputError: the output cannot be written.
        """

    def hold(self, decision: Decision) -> None:
        """Keeps a run that may not be published where a person can read it; safe to repeat.

        Raises:
          OutputError: the output cannot be written.
        """


@contextlib.contextmanager
def finishing(commit: Commit, *, waits_for_end: bool) -> Iterator[None]:
    """Finishes an attempt when the body fails, or ends together with the pipeline."""
    try:
        yield
    except BaseException:
        commit.finish()
        raise
    if waits_for_end:
        commit.finish()


def read_outcome(paths: Layout) -> Manifest | None:
    """The manifest that an attempt published or held, None while it has done neither."""
    for path in (paths.manifest, paths.held_manifest):
        manifest = read_manifest(path)
        if manifest is not None and manifest.attempt == paths.attempt:
            return manifest
    return None


def read_manifest(path: str) -> Manifest | None:
    """A manifest; None if there is none, or it can't be read."""
    if not storage.exists(path):
        return None
    try:
        return manifests.parse_manifest(path, storage.read_bytes(path))
    except DamagedError:
        return None
    except OSError:
        # A store that doesn't answer now may have it; a local path that can't be read is none.
        if storage.of(path).failures_pass:
            raise
        return None


def refuse_published(paths: Layout) -> None:
    """Refuses a run id that is published already.

    Raises:
      RunExistsError: its manifest exists.
    """
    if storage.exists(paths.manifest):
        raise RunExistsError(
            f"run {paths.run_id} is published already ({paths.manifest}); "
            "choose another --run_id, or give --replace"
        )
