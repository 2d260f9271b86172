"""The runs below an output root, whatever became of them."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from penguin_model import command_line
from pipelines import storage
from pipelines.errors import DamagedError, UsageError
from pipelines.review.options import DAMAGED, FAILED
from pipelines.runs import layout
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, Status, list_published, read_manifest

# How many runs a message names.
_SHOWN = 5
_LONG_AGO = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A run, or what is left of it.

    Attributes:
      run_id: from the path.
      path: the manifest, or the record of a failed run.
      status: the manifest's, FAILED or DAMAGED.
      end: an ISO time as recorded; empty if unknown.
      manifest: None if it failed or is damaged.
      record: the record of a failed run.
      error: why it failed, or what is damaged.
    """

    run_id: str
    path: str
    status: str
    end: str = ""
    manifest: Manifest | None = None
    record: dict[str, Any] = dataclasses.field(default_factory=dict)
    error: str = ""

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
    """Reads what there is on each run, newest first; damaged manifests last.

    Raises:
      UsageError: the output root doesn't exist, or can't be read.
    """
    try:
        found = [read(run_id, path) for run_id, path, read in _list(output)]
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
        it is the only one of its name.
      to: what is to be done with it, for an error: ``accept``.

    Raises:
      UsageError: there is no such run; the message names one that could be meant.
    """
    try:
        if run_id is None:
            raise UsageError(f"which run do you want to {to}? {_suggest(output, statuses)}")
        layout.check_run_id(run_id)
        paths = Layout(output=output, run_id=run_id, attempt="")
        manifests = (paths.held_manifest, paths.manifest, paths.closed_manifest)
        places = [*((path, _read_manifest) for path in manifests), (paths.failed, _read_failed)]
        found = [read(run_id, path) for path, read in places if storage.exists(path)]
        if not found:
            known = [name for name, _, _ in _list(output)]
            meant = command_line.did_you_mean(run_id, known)
            raise UsageError(
                f"{output}: no run is named {run_id}{meant or f'; {_suggest(output, statuses)}'}"
            )
    except storage.ERRORS as error:
        raise _unreadable(output, error) from error
    found = _without_leftovers(found)
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


def _list(output: str) -> Iterator[tuple[str, str, Callable[[str, str], Found]]]:
    """The name of each run, the file that says what became of it, and what reads that file."""
    paths = Layout(output=output, run_id="any", attempt="")
    for path in list_published(output):
        yield path.rpartition("/")[2].removesuffix(".json"), path, _read_manifest
    for folder in (paths.all_held, paths.all_closed):
        for path in storage.list_files(folder):
            name, _, rest = path.removeprefix(folder).lstrip("/").partition("/")
            if rest == "manifest.json" and layout.is_run_id(name):
                yield name, path, _read_manifest
    for path in storage.list_files(paths.all_failed):
        name = path.removeprefix(paths.all_failed).lstrip("/")
        if name.endswith(".json") and layout.is_run_id(name.removesuffix(".json")):
            yield name.removesuffix(".json"), path, _read_failed


def _read_manifest(run_id: str, path: str) -> Found:
    try:
        manifest = read_manifest(path)
    except DamagedError as error:
        return Found(run_id=run_id, path=path, status=DAMAGED, error=str(error))
    return Found(
        run_id=run_id, path=path, status=manifest.status, end=manifest.end, manifest=manifest
    )


def _read_failed(run_id: str, path: str) -> Found:
    try:
        record = json.loads(storage.read_bytes(path))
    except (*storage.ERRORS, ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        text = f"{path} is not the record of a failed run; delete it"
        return Found(run_id=run_id, path=path, status=DAMAGED, error=text)
    end, error = (str(record.get(name) or "") for name in ("end", "error"))
    return Found(run_id=run_id, path=path, status=FAILED, end=end, record=record, error=error)


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
