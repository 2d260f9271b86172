"""The manifest of a run: a typed record that only this module reads and writes.

A manifest is checked when it is read, so that a torn or foreign file is reported by name instead of
failing somewhere later. msgspec validates plain typed records and names the field at fault.
"""

from __future__ import annotations

import enum
import json
import os
import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from penguin_model.card import PREDICTION_COLUMN, ModelCard, Reference, set_column
from pipelines import storage
from pipelines.errors import DamagedError
from pipelines.monitoring import drift
from pipelines.monitoring.estimate import AccuracyEstimate
from pipelines.runs import gates, layout

# Increased when an older release could no longer read what this one writes; a manifest without a
# `format_version` has format 1.
FORMAT_VERSION = 1

_RunId = Annotated[str, msgspec.Meta(pattern=rf"\A{layout.RUN_ID}\Z")]
_ShardName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z")]
_FIELD = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)


HeldBecause = gates.HeldBecause


class Status(enum.StrEnum):
    """The outcome of a run, or what a person decided about it later."""

    PUBLISHED = "published"
    HELD = "held"
    REJECTED = "rejected"
    RETRACTED = "retracted"
    PRUNED = "pruned"


# What a run becomes when it is neither published nor waits for a decision any more.
CLOSED = (Status.REJECTED, Status.RETRACTED, Status.PRUNED)


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decided about a run (`penguin-runs`).

    Attributes:
      status: what the run became by it; published, if a held run was accepted.
      at: an ISO time, UTC.
      by: who decided, such as ``user@host``.
      why: in their own words; may be empty.
      as_baseline: whether later nights are compared with an accepted run.
      files_done: whether ``--new_only`` takes the run's files for done.
    """

    status: Status
    at: str
    by: str = ""
    why: str = ""
    as_baseline: bool = False
    files_done: bool = True


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a run's rows deserve a second look.

    Attributes:
      rows: rows scored.
      out_of_distribution: rows further from the training data than the card's limit.
      ambiguous: rows whose prediction set has more than one class.
      coverage: the share of rows whose prediction set should hold the true class.
    """

    rows: int
    out_of_distribution: int
    ambiguous: int
    coverage: float


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The model that scored a run.

    Attributes:
      path: the model file as the user named it.
      name: from the model card.
      sha256: the model file's.
      prediction_column: the predictions' column of the predicted classes.
      engine: what ran the network; early releases had Keras alone, and didn't record it.
      meaning_sha256: the card's, see `ModelCard.meaning_sha256`; early releases didn't record it.
    """

    path: str | None = None
    name: str | None = None
    sha256: str | None = None
    prediction_column: str = PREDICTION_COLUMN
    engine: str = "keras"
    meaning_sha256: str | None = None

    def is_of(self, card: ModelCard) -> bool:
        """Whether it's the model of a card, and the card still says the same of its numbers."""
        same = self.meaning_sha256 in {None, card.meaning_sha256}
        return self.sha256 == card.sha256 and same

    @property
    def set_column(self) -> str:
        """The predictions' column of the classes that can't be ruled out."""
        return set_column(self.prediction_column)


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How a run was started: what its manifest says besides the outcome.

    Attributes:
      start: an ISO time, UTC.
      runner: Beam's name for it.
      versions: those of Python and the libraries.
      model: the model that scores the run.
      input: patterns as the user gave them.
      new_only: whether files of earlier runs were left out; None in an early release's manifest.
      flags: the job's own flags that affect what is read and how, if they weren't the defaults.
    """

    start: str
    runner: str | None = None
    versions: dict[str, str] = {}
    model: Model
    input: tuple[str, ...] = ()
    new_only: bool | None = None
    flags: dict[str, Any] = {}


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a run's files and rows.

    Attributes:
      files: those that were read.
      files_unreadable: those among them with a reject for the whole file, or for its rest.
      files_skipped: those that earlier runs scored.
      files_waiting: those of held runs, until these are accepted or rejected.
      files_unsettled: those that may still be written.
      files_ignored: those that aren't data, and those matched under another name.
      not_files: pipes, sockets, devices and links to nothing.
      rows_read, rows_scored, rows_rejected: rows of the files that were read.
    """

    files: int = 0
    files_unreadable: int = 0
    files_skipped: int = 0
    files_waiting: int = 0
    files_unsettled: int = 0
    files_ignored: int = 0
    not_files: int = 0
    rows_read: int = 0
    rows_scored: int = 0
    rows_rejected: int = 0

    @property
    def reject_fraction(self) -> float:
        """The fraction of rows that were rejected.

        An unreadable file counts as one row: negligible among many, everything if it is alone.
        """
        rejected = self.rows_rejected + self.files_unreadable
        possible = self.rows_read + self.files_unreadable
        return rejected / possible if possible else 0.0


class Shards(msgspec.Struct, frozen=True, kw_only=True):
    """The published shards of one data set.

    Attributes:
      files: how many shards there are.
      rows, bytes: the totals of all shards; None if an early release didn't record them.
      names: file names, in order; None if an early release numbered them.
      sha256: the files' hexadecimal hashes, in the same order; None if they weren't recorded.
    """

    files: int
    rows: int | None = None
    bytes: int | None = None
    names: tuple[_ShardName, ...] | None = None
    sha256: tuple[str, ...] | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the project records about a published or held run.

    Fields with a default may be missing from an early release's manifest.

    Attributes:
      format_version: the record's version.
      status: what the run is now.
      held_because: None for a run that was never held.
      held_reason: the same as a sentence without a full stop; error, summary and report show it as
        it is. Empty for a run that was never held.
      reviews: what people decided about it, oldest first.
      run_id, attempt: the run, and the execution that produced it.
      start, end: ISO times, UTC.
      runner, versions, model, input, new_only, flags: how the run was started; see `RunInfo`.
      totals: counts of files and rows.
      unsettled: the first of the files left for the next run.
      ignored: files that weren't read, by the rule for their names.
      not_files: the first of the things that aren't files, and what they are.
      unmatched: the inputs, as the user gave them, in which no file was found.
      waiting: the number of files left with each held run, by run id.
      reject_fraction: see `Totals.reject_fraction`.
      max_reject_fraction, max_unreadable_files, min_rows, min_accuracy: the limits as given; see
        `gates`. ``drift`` has its own.
      rejects_by_reason, species: rows by reason and by predicted class, whatever its column.
      histograms: of features and winning probability; None without rows or without a reference.
      drift: what `monitoring.drift` measured.
      labels: what `monitoring.labels` reports.
      trust: rows that deserve a second look; None if the card can't tell.
      accuracy_estimate: None without rows, or if the card has no calibration.
      shards: by data set.
      notes: what else its operator should know, such as damaged files that it could do without.
    """

    format_version: int = FORMAT_VERSION
    status: Status
    held_because: HeldBecause | None = None
    held_reason: str = ""
    reviews: tuple[Review, ...] = ()
    run_id: _RunId
    attempt: str = ""
    start: str | None = None
    runner: str | None = None
    versions: dict[str, str] = {}
    model: Model
    input: tuple[str, ...] = ()
    new_only: bool | None = None
    flags: dict[str, Any] = {}
    end: str
    totals: Totals
    unsettled: tuple[str, ...] = ()
    ignored: dict[str, int] = {}
    not_files: dict[str, str] = {}
    unmatched: tuple[str, ...] = ()
    waiting: dict[str, int] = {}
    reject_fraction: float
    max_reject_fraction: float | None = None
    max_unreadable_files: float | None = None
    min_rows: int = 0
    min_accuracy: float | None = None
    rejects_by_reason: dict[str, int]
    species: dict[str, int]
    histograms: Reference | None = None
    drift: dict[str, Any] | None = None
    labels: dict[str, Any] | None = None
    trust: Trust | None = None
    accuracy_estimate: AccuracyEstimate | None = None
    shards: dict[str, Shards]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # Early releases didn't record the reason, but it follows from the limits.
        if self.status is Status.HELD and self.held_because is None:
            found = gates.find_reason(self)
            because = found.because if found else HeldBecause.DRIFT
            msgspec.structs.force_setattr(self, "held_because", because)
        if self.held_because is not None and not self.held_reason:
            reason = gates.describe(self, self.held_because)
            msgspec.structs.force_setattr(self, "held_reason", reason)
        if self.drift is not None:
            msgspec.structs.force_setattr(self, "drift", drift.upgrade(self.drift))

    @property
    def decided(self) -> str:
        """The ISO time since when the run is what it is now: its end, or its last review."""
        return max(self.end, *(review.at for review in self.reviews), "")

    @property
    def files_done(self) -> bool:
        """Whether ``--new_only`` takes its files for done, unless it is held."""
        return self.status is Status.PUBLISHED or not self.reviews or self.reviews[-1].files_done

    @property
    def is_held(self) -> bool:
        """Whether the run was held instead of published."""
        return self.status is Status.HELD

    def shard_names(self, dataset: str) -> list[str]:
        """The published names of a data set's shards, in order.

        Raises:
          KeyError: the manifest doesn't list the data set.
        """
        shards = self.shards[dataset]
        return list(layout.numbered_names(shards.files) if shards.names is None else shards.names)


class _NewerFormatError(msgspec.ValidationError):
    """A newer release wrote the manifest."""


class _Header(msgspec.Struct, frozen=True):
    """The part of a manifest that is read first."""

    format_version: int = FORMAT_VERSION
    attempt: str = ""


def read_manifest(path: str) -> Manifest:
    """Reads the manifest of a published or held run.

    Raises:
      DamagedError: the file can't be read, or isn't a manifest of the run that it is named after.
    """
    try:
        content = storage.read_bytes(path)
    except storage.ERRORS as error:
        raise _damaged(path, f"cannot be read ({storage.reason_of(error)})") from error
    manifest = parse_manifest(path, content)
    name = path.replace(os.sep, "/").rsplit("/", 2)
    named = name[-2] if name[-1] == "manifest.json" else name[-1].removesuffix(".json")
    if named != manifest.run_id:
        raise _damaged(path, f"is the manifest of another run, {manifest.run_id}")
    return manifest


def parse_manifest(path: str, content: bytes) -> Manifest:
    """Parses a manifest's bytes.

    Args:
      path: names the file in an error.
      content: the file's content.

    Raises:
      DamagedError: the bytes aren't a manifest, or a newer release wrote them.
    """
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "is not JSON") from error
    try:
        return from_json(values)
    except _NewerFormatError as error:
        raise DamagedError(f"{path} {error}") from error
    except msgspec.ValidationError as error:
        raise _damaged(path, f"is not a manifest: {_explain(error)}") from error


def from_json(values: Any) -> Manifest:
    """Converts JSON values to a manifest.

    Raises:
      msgspec.ValidationError: they aren't a manifest that this release can read.
    """
    version = _read_header(values).format_version
    if version > FORMAT_VERSION:
        raise _NewerFormatError(
            f"has format_version {version}, but this release reads manifests up to "
            f"{FORMAT_VERSION}; upgrade to the release that wrote it"
        )
    return msgspec.convert(values, Manifest)


def to_json(manifest: Manifest) -> dict[str, Any]:
    """Converts a manifest to JSON values."""
    return dict(msgspec.to_builtins(manifest))


def manifest_bytes(manifest: Manifest) -> bytes:
    """A manifest as it is written: indented, so that people can read it too.

    Uses Python's own encoder, because a path may contain bytes that aren't UTF-8.
    """
    return (json.dumps(to_json(manifest), indent=2) + "\n").encode()


def manifest_owner(content: bytes) -> str:
    """The attempt that wrote a manifest; empty if the bytes don't say."""
    try:
        return _read_header(json.loads(content)).attempt
    except (ValueError, RecursionError):
        return ""


def list_kept(folder: str) -> Iterator[str]:
    """The paths of the manifests of all held or closed runs.

    Args:
      folder: `Layout.all_held` or `Layout.all_closed`.
    """
    for path in storage.list_files(folder):
        run_id, _, rest = path.removeprefix(folder).lstrip("/").partition("/")
        if rest == "manifest.json" and layout.is_run_id(run_id):
            yield path


def list_published(output: str) -> Iterator[str]:
    """The paths of all published runs' manifests, whatever else is below ``runs/``."""
    return list_records(storage.join(output, "runs"))


def list_records(folder: str) -> Iterator[str]:
    """The paths of a folder's records that are files named after their runs.

    Args:
      folder: that of the manifests, or `Layout.all_failed`.
    """
    for path in storage.list_files(folder):
        name = path.removeprefix(folder).lstrip("/")
        # Skips temporary files, editors' backups and anything in subfolders.
        if name.endswith(".json") and layout.is_run_id(name.removesuffix(".json")):
            yield path


def _read_header(values: Any) -> _Header:
    try:
        return msgspec.convert(values, _Header)
    except msgspec.ValidationError:
        return _Header()


def _explain(error: msgspec.ValidationError) -> str:
    """Msgspec's message, with the field first."""
    text = str(error).replace("Object", "the object").replace("Expected", "expected")
    text = re.sub(r"`str` matching regex '.*'", "a plain file name", text, flags=re.DOTALL)
    found = _FIELD.fullmatch(text)
    return f"{found[2]}: {found[1]}" if found else text


def _damaged(path: str, fault: str) -> DamagedError:
    return DamagedError(f"{path} {fault}; move it away or delete it, then run again")
