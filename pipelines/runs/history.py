"""Every run below an output root, with what became of it: published, held, closed or failed."""

from __future__ import annotations

import functools
import heapq
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated

import msgspec

from pipelines import storage
from pipelines.errors import DamagedError
from pipelines.runs import layout
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import (
    Manifest,
    list_kept,
    list_published,
    list_records,
    read_manifest,
)

FAILED = "failed"
# Manifests that are in memory at a time, read together if the store's calls are slow.
_TOGETHER = 64

_RunId = Annotated[str, msgspec.Meta(pattern=rf"\A{layout.RUN_ID}\Z")]


class FailedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a run that failed, in ``_failed/RUN.json``.

    Attributes:
      run_id: the run.
      start, end: ISO times, UTC.
      exit_code: the command's.
      error: its one line on standard error.
    """

    run_id: _RunId
    start: str = ""
    end: str
    exit_code: int
    error: str = ""

    @property
    def status(self) -> str:
        """What became of the run, as in a `Manifest`."""
        return FAILED


Run = Manifest | FailedRun


def read_runs(
    output: str, damaged: Callable[[DamagedError], object] | None = None
) -> Iterator[Run]:
    """Reads the records of all runs, in no particular order, a few at a time.

    A name may appear several times: for instance, published, and held when it was run again.

    Args:
      output: the output root.
      damaged: called with the error for each damaged record, which is left out. None raises the
        first error.

    Raises:
      DamagedError: a record is damaged.
    """
    for _, found in read_records(output):
        if not isinstance(found, DamagedError):
            yield found
        elif damaged is None:
            raise found
        else:
            damaged(found)


def read_records(output: str) -> Iterator[tuple[str, Run | DamagedError]]:
    """Reads the records of all runs, damaged ones too, in no particular order, a few at a time.

    Args:
      output: the output root.

    Yields:
      A record's path, and what it says or what is wrong with it.
    """
    for read, paths in _list_records(Layout(output=output, run_id="", attempt="")):
        while batch := list(itertools.islice(paths, _TOGETHER)):
            records = storage.for_each(output, functools.partial(_try, read), batch)
            for path, found in zip(batch, records, strict=True):
                if found is not None:
                    yield path, found


def newest(runs: Iterable[Run], most: int) -> list[Run]:
    """The runs that ended last, newest first.

    Args:
      runs: in any order; only `most` of them are held in memory.
      most: how many.
    """
    return heapq.nlargest(most, runs, key=lambda run: (run.end, run.run_id))


def read_failed(path: str) -> FailedRun:
    """Reads the record of a failed run.

    Raises:
      DamagedError: the file can't be read, or isn't such a record.
    """
    try:
        return msgspec.convert(json.loads(storage.read_bytes(path)), FailedRun)
    except storage.ERRORS as error:
        reason = f"cannot be read ({storage.reason_of(error)})"
    except (ValueError, RecursionError):
        reason = "is not the record of a failed run"
    raise DamagedError(f"{path} {reason}; move it away or delete it, then run again")


def _list_records(root: Layout) -> Iterator[tuple[Callable[[str], Run], Iterator[str]]]:
    """The paths of all records with their reader.

    Each folder is listed when the one before has been read, in the order in which a run moves:
    one that moves meanwhile isn't missed.
    """
    yield read_failed, list_records(root.all_failed)
    yield read_manifest, list_kept(root.all_held)
    yield read_manifest, list_published(root.output)
    yield read_manifest, list_kept(root.all_closed)


def _try(read: Callable[[str], Run], path: str) -> Run | DamagedError | None:
    """Reads one record; None if its run has moved since it was listed."""
    try:
        return read(path)
    except DamagedError as error:
        return error if storage.exists(path) else None
