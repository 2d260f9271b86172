"""The runs below an output root, whatever became of them, and the one that a user means."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Callable, Sequence

from penguin_model import command_line
from pipelines import storage
from pipelines.errors import DamagedError, UsageError
from pipelines.review.options import DAMAGED
from pipelines.runs import history, layout
from pipelines.runs.history import FailedRun, Run
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, Status, read_manifest

# How many runs a message names.
_SHOWN = 5
_LONG_AGO = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A run, or what is left of it.

    Attributes:
      run_id: from the path of its record.
      path: its record: a manifest, or that of a failed run.
      record: what it says, or what is wrong with it.
    """

    run_id: str
    path: str
    record: Run | DamagedError

    @property
    def status(self) -> str:
        """The manifest's, FAILED or DAMAGED."""
        return DAMAGED if isinstance(self.record, DamagedError) else str(self.record.status)

    @property
    def end(self) -> str:
        """The ISO time at which it ended, as recorded; empty if unknown."""
        return "" if isinstance(self.record, DamagedError) else self.record.end

    @property
    def manifest(self) -> Manifest | None:
        """None if it failed or is damaged."""
        return self.record if isinstance(self.record, Manifest) else None

    @property
    def error(self) -> str:
        """Why it failed, or what is damaged."""
        if isinstance(self.record, Manifest):
            return ""
        return self.record.error if isinstance(self.record, FailedRun) else str(self.record)

    @property
    def ended(self) -> datetime.datetime:
        """When it ended; the first of all times if unknown."""
        return read_time(self.end) or _LONG_AGO


def read_time(text: str) -> datetime.datetime | None:
    """Reads an ISO time; UTC if it doesn't say. None if it isn't one."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def find_all(output: str) -> list[Found]:
    """Reads what there is on each run, newest first; damaged records last.

    Raises:
      UsageError: the output root doesn't exist, or can't be read.
    """
    try:
        found = [
            Found(run_id=_name(path), path=path, record=record)
            for path, record in history.read_records(output)
        ]
    except storage.ERRORS as error:
        raise _unreadable(output, error) from error
    if not found:
        _check_exists(output)
    return sorted(_without_leftovers(found), key=lambda run: (run.ended, run.run_id), reverse=True)


def find(output: str, run_id: str | None, statuses: Sequence[str] = (), *, to: str) -> Found:
    """Finds one run by its name; the held one if two have it, because it is newer.

    Args:
      output: the output root.
      run_id: None means that the user gave none.
      statuses: those that it may have; none means any. A run with another status is only taken if
        no run of its name has one of them.
      to: what is to be done with it, for an error: ``accept``.

    Raises:
      UsageError: there is no such run; the message names one that could be meant.
    """
    if run_id is None:
        raise UsageError(f"which run do you want to {to}? {_suggest(output, statuses)}")
    _check_name(run_id)
    paths = Layout(output=output, run_id=run_id, attempt="")
    places: list[tuple[str, Callable[[str], Run]]] = [
        (paths.held_manifest, read_manifest),
        (paths.manifest, read_manifest),
        (paths.closed_manifest, read_manifest),
        (paths.failed, history.read_failed),
    ]
    try:
        found = _without_leftovers(
            [_read(run_id, path, read) for path, read in places if storage.exists(path)]
        )
    except storage.ERRORS as error:
        raise _unreadable(output, error) from error
    if not found:
        meant = command_line.did_you_mean(run_id, [run.run_id for run in find_all(output)])
        raise UsageError(
            f"{output}: no run is named {run_id}{meant or f'; {_suggest(output, statuses)}'}"
        )
    fitting = [run for run in found if not statuses or run.status in statuses]
    return (fitting or found)[0]


def manifest_of(found: Found, statuses: Sequence[str], *, to: str) -> Manifest:
    """A run's manifest, if it has one of these statuses.

    Raises:
      UsageError: it hasn't, or its manifest is damaged.
    """
    if found.manifest is not None and found.status in statuses:
        return found.manifest
    if found.status == DAMAGED:
        raise UsageError(found.error)
    expected = " or ".join(statuses)
    raise UsageError(f"run {found.run_id} is {found.status}: only a {expected} run can be {to}")


def _read(run_id: str, path: str, read: Callable[[str], Run]) -> Found:
    try:
        return Found(run_id=run_id, path=path, record=read(path))
    except DamagedError as error:
        return Found(run_id=run_id, path=path, record=error)


def _name(path: str) -> str:
    """The run that a record is about, by its path."""
    folder, _, name = path.replace(os.sep, "/").rpartition("/")
    return folder.rpartition("/")[2] if name == "manifest.json" else name.removesuffix(".json")


def _check_name(run_id: str) -> None:
    if not layout.is_run_id(run_id):
        raise UsageError(
            f"no run is named {run_id!r}: a name has letters, digits, '.', '_' and '-'"
        )


def _without_leftovers(runs: Sequence[Found]) -> list[Found]:
    """Leaves out a held folder that accepting its run couldn't remove."""
    published = {
        (run.run_id, run.manifest.attempt)
        for run in runs
        if run.manifest is not None and run.status == Status.PUBLISHED
    }
    return [
        run
        for run in runs
        if run.status != Status.HELD
        or run.manifest is None
        or not run.manifest.attempt
        or (run.run_id, run.manifest.attempt) not in published
    ]


def _suggest(output: str, statuses: Sequence[str]) -> str:
    """Names the runs that could be meant."""
    kind = statuses[0] if statuses else Status.HELD
    names = [run.run_id for run in find_all(output) if run.status == kind]
    if not names:
        return f"no run is {kind}"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{kind}: {', '.join(names[:_SHOWN])}{more}"


def _check_exists(output: str) -> None:
    store = storage.of(output)
    if store.local_path(output) is not None and not store.exists(output):
        raise UsageError(f"{output} doesn't exist: give the --output of the runs")


def _unreadable(output: str, error: Exception) -> UsageError:
    return UsageError(f"{output}: can't be read: {storage.reason_of(error)}")
