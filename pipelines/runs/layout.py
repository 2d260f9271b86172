"""The paths of a run below the output root; only this module names the contract's folders."""

from __future__ import annotations

import dataclasses
import re

from pipelines import storage
from pipelines.datasets import data_sets
from pipelines.errors import UsageError

DATASETS = tuple(each.name for each in data_sets.TABLE)
PREDICTIONS, REJECTS, FILES = DATASETS

# Characters that are safe in a path on every filesystem and in a Hive partition value.
RUN_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"


def is_run_id(name: object) -> bool:
    """Whether a name, for instance one in a manifest, is safe as a run id and a file name."""
    return isinstance(name, str) and re.fullmatch(RUN_ID, name) is not None


def check_run_id(run_id: str) -> str:
    """Refuses a run id that isn't safe to use as a path name.

    Raises:
      UsageError: it is empty, too long, or has characters other than letters, digits, ``._-``.
    """
    if not is_run_id(run_id):
        raise UsageError(
            f"--run_id {run_id!r}: use 1 to 128 letters, digits, '.', '_' or '-', "
            "a letter or digit first"
        )
    return run_id


def numbered_names(count: int, attempt: str = "") -> list[str]:
    """The names of a data set's shards, which sort as text in the order of their numbers.

    Args:
      count: how many.
      attempt: included in each name unless empty.
    """
    digits = max(5, len(str(count - 1)))
    prefix = f"part-{attempt}-" if attempt else "part-"
    return [f"{prefix}{number:0{digits}d}.parquet" for number in range(count)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The paths of one attempt at a run.

    Attributes:
      output: the output root, absolute.
      run_id: the run's name.
      attempt: a name unique to this execution, so that two attempts at a run never mix files.
    """

    output: str
    run_id: str
    attempt: str

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Every folder that runs or reports write below the output root."""
        others = (storage.join(self.output, name) for name in ("runs", "reports"))
        datasets = (storage.join(self.output, name) for name in DATASETS)
        internal = (self.all_staging, self.all_held, self.all_closed, self.all_failed)
        return (*datasets, *others, *internal)

    @property
    def all_staging(self) -> str:
        """The folder for the staging of all runs."""
        return storage.join(self.output, "_staging")

    @property
    def run_staging(self) -> str:
        """The folder for all active attempts at this run."""
        return storage.join(self.all_staging, self.run_id)

    @property
    def staging(self) -> str:
        """The folder for this attempt's files until they are published."""
        return storage.join(self.run_staging, self.attempt)

    @property
    def progress(self) -> str:
        """The folder where this attempt's workers report their progress."""
        return storage.join(self.staging, "progress")

    @property
    def failures(self) -> str:
        """The folder where this attempt's steps record why they failed."""
        return storage.join(self.staging, "failures")

    @property
    def model(self) -> str:
        """The folder for this attempt's copy of the model."""
        return storage.join(self.staging, "model")

    @property
    def staging_folders(self) -> tuple[str, ...]:
        """Every folder that this attempt's workers write into; they must exist beforehand."""
        return (
            *map(self.staged, DATASETS),
            self.progress,
            self.failures,
            self.model,
        )

    @property
    def all_held(self) -> str:
        """The folder for all held runs."""
        return storage.join(self.output, "_held")

    @property
    def held(self) -> str:
        """The folder for this run if it is held, for people to read."""
        return storage.join(self.all_held, self.run_id)

    @property
    def held_manifest(self) -> str:
        """The draft of a held run's manifest."""
        return storage.join(self.held, "manifest.json")

    @property
    def all_closed(self) -> str:
        """The folder for what is kept of all closed runs."""
        return storage.join(self.output, "_closed")

    @property
    def closed(self) -> str:
        """The folder for this run if it was rejected, retracted or pruned: no predictions."""
        return storage.join(self.all_closed, self.run_id)

    @property
    def closed_manifest(self) -> str:
        """The last manifest of a closed run."""
        return storage.join(self.closed, "manifest.json")

    @property
    def all_failed(self) -> str:
        """The folder for the records of failed runs."""
        return storage.join(self.output, "_failed")

    @property
    def failed(self) -> str:
        """The record of this run if it failed."""
        return storage.join(self.all_failed, f"{self.run_id}.json")

    @property
    def manifest(self) -> str:
        """The manifest: the run is published once it exists."""
        return storage.join(self.output, "runs", f"{self.run_id}.json")

    def staged(self, dataset: str) -> str:
        """The folder of a data set's shards before publication."""
        return storage.join(self.staging, dataset)

    def published(self, dataset: str) -> str:
        """The folder of a data set's shards after publication."""
        return storage.join(self.output, dataset, f"{data_sets.PARTITION}={self.run_id}")
