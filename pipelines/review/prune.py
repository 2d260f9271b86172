"""Which runs are old, and what removing their data frees."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable

from pipelines import storage
from pipelines.review import deciding
from pipelines.review.catalogue import Found, read_time
from pipelines.runs.history import FAILED
from pipelines.runs.layout import FILES
from pipelines.runs.manifest import Status


@dataclasses.dataclass(frozen=True, kw_only=True)
class Old:
    """A run to prune, or the record of a failed one.

    Attributes:
      found: the run.
      frees: how many bytes.
    """

    found: Found
    frees: int

    @property
    def is_record(self) -> bool:
        """Whether it is the record of a failed run, which has no data."""
        return self.found.status == FAILED


def find_old(runs: Iterable[Found], before: datetime.datetime) -> list[Old]:
    """Finds what is older than a time, oldest first.

    The published run that ended last is never among it: a station that delivers once a year keeps
    its last predictions, and readers always find a run. Neither are runs whose end isn't a time.

    Args:
      runs: all runs.
      before: the time.
    """
    dated = [run for run in runs if read_time(run.end) is not None]
    published = [run for run in dated if run.status == Status.PUBLISHED]
    last = max(published, key=lambda run: (run.ended, run.run_id), default=None)
    old = [
        run
        for run in dated
        if run.ended < before and run is not last and run.status in (Status.PUBLISHED, FAILED)
    ]
    return [Old(found=run, frees=_size(run)) for run in sorted(old, key=lambda run: run.ended)]


def remove(output: str, old: Old, why: str) -> None:
    """Removes the data of an old run, or the record of a failed one.

    Raises:
      PenguinError: it can't be removed.
    """
    if old.is_record:
        with storage.writing(old.found.path):
            storage.of(old.found.path).delete([old.found.path])
    else:
        deciding.close(output, old.found.run_id, Status.PRUNED, why=why)


def _size(run: Found) -> int:
    if run.manifest is None:
        return storage.read_version(run.path).size
    # The list of its files is kept, for `--new_only`.
    return sum(each.bytes or 0 for name, each in run.manifest.shards.items() if name != FILES)
