"""The record of a failed run: ``_failed/RUN.json``, for people who look for it later.

The submitter writes it, as well as it can: a run whose output can't be written, or whose process is
killed, leaves none.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Iterator

import msgspec

from penguin_model import cli
from pipelines import storage
from pipelines.errors import PenguinError, UsageError
from pipelines.publishing import disk
from pipelines.runs.history import FailedRun
from pipelines.runs.layout import Layout
from pipelines.storage import objects


@contextlib.contextmanager
def recorded(paths: Layout, start: str) -> Iterator[None]:
    """Records the failure of the body, and removes an older record if it succeeds.

    Bad arguments, a bad model and a taken run id aren't recorded: no run has begun.

    Args:
      paths: the run's.
      start: when it started, an ISO time.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, UsageError):
            with contextlib.suppress(PenguinError, *storage.ERRORS):
                _record(paths, start, error)
        raise
    with contextlib.suppress(*storage.ERRORS):
        _forget(paths)


def _record(paths: Layout, start: str, error: BaseException) -> None:
    if _is_local(paths) and not os.path.isdir(paths.output):
        return  # the root itself couldn't be made
    record = FailedRun(
        run_id=paths.run_id,
        start=start,
        end=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        exit_code=cli.exit_code_of(error),
        error=cli.message_of(error),
    )
    storage.make_folder(paths.all_failed)
    # Python's own encoder, because a path in the error may contain bytes that aren't UTF-8.
    text = json.dumps(msgspec.to_builtins(record), indent=2)
    storage.put_bytes(paths.failed, f"{text}\n".encode())


def _forget(paths: Layout) -> None:
    if _is_local(paths):
        disk.remove_file(paths.failed)
        disk.remove_empty(paths.all_failed)
    else:
        objects.of(paths.failed).delete([paths.failed])


def _is_local(paths: Layout) -> bool:
    return storage.of(paths.output).has_locks
