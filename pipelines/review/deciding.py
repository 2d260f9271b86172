"""What a person decides about a run: who, when, why, and what follows from it."""

from __future__ import annotations

import datetime
import getpass
import socket

from pipelines.formatting import counted
from pipelines.publishing import review
from pipelines.runs.layout import PREDICTIONS, Layout
from pipelines.runs.manifest import Manifest, Review, Status


def now() -> datetime.datetime:
    """The time, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def whoever() -> str:
    """Who runs this command: ``user@host``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def accept(
    output: str, run_id: str, *, by: str | None = None, why: str = "", as_baseline: bool = False
) -> Manifest:
    """Publishes a held run as it was scored; see `publishing.review.accept`."""
    made = _review(Status.PUBLISHED, by, why, as_baseline=as_baseline)
    return review.accept(output, run_id, made)


def close(
    output: str,
    run_id: str,
    status: Status,
    *,
    by: str | None = None,
    why: str = "",
    files_done: bool = True,
) -> Manifest:
    """Rejects, retracts or prunes a run; see `publishing.review.close`."""
    return review.close(output, run_id, _review(status, by, why, files_done=files_done))


def outcome(manifest: Manifest, output: str) -> str:
    """What is true of a run after a decision, in one line."""
    decided = manifest.reviews[-1]
    rows = counted(manifest.totals.rows_scored, "prediction", " ")
    if decided.status is Status.PUBLISHED:
        folder = Layout(output=output, run_id=manifest.run_id, attempt="").published(PREDICTIONS)
        place = f": {rows} in {folder}" if manifest.totals.rows_scored else ", without a row"
        compared = "are" if decided.as_baseline else "aren't"
        return (
            f"run {manifest.run_id} is published as it was scored{place}; later nights {compared} "
            "compared with it"
        )
    files = "the next --new_only run scores its files again"
    if decided.files_done:
        files = "its files stay done"
    gone = "nothing of it was published" if decided.status is Status.REJECTED else f"{rows} gone"
    return f"run {manifest.run_id} is {decided.status}: {gone}; {files}"


def _review(
    status: Status,
    by: str | None,
    why: str,
    *,
    as_baseline: bool = False,
    files_done: bool = True,
) -> Review:
    return Review(
        status=status,
        at=now().isoformat(timespec="milliseconds"),
        by=by or whoever(),
        why=why,
        as_baseline=as_baseline,
        files_done=files_done,
    )
