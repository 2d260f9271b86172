"""A run's figures for Prometheus: a file for the node exporter's textfile collector.

It is written whatever becomes of the run, and replaces that of the run before: all figures are
gauges. Nothing that differs from night to night is a label, such as a run id or a file name, since
Prometheus keeps a series for each value that a label ever had.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from penguin_model import cli, command_line, terminal
from pipelines import storage
from pipelines.errors import UsageError
from pipelines.runs.gates import HeldBecause
from pipelines.runs.manifest import Manifest, Totals

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

FLAG = "--metrics_file"
_PREFIX = "penguin_score_"
_LAST_SUCCESS = "last_success_timestamp_seconds"
# A date in seconds, as the library writes it.
_OLD_SUCCESS = re.compile(rf"^{_PREFIX}{_LAST_SUCCESS} ([0-9.]+(?:e\+?[0-9]+)?)$".encode(), re.M)


@dataclasses.dataclass(kw_only=True)
class Ending:
    """How a run ended; set while it runs.

    Attributes:
      start, end: in seconds since 1970, of the command.
      exit_code: the command's.
      manifest: that of the published or held run; None if there is neither.
      last_success: when a run was last published; None if that isn't known.
    """

    start: float
    end: float = 0.0
    exit_code: int = 0
    manifest: Manifest | None = None
    last_success: float | None = None


def find_path(parser: command_line.ArgumentParser, arguments: Sequence[str]) -> str | None:
    """Finds the flag's value in a command line that may not be parsed after all.

    Args:
      parser: knows the flags' spellings.
      arguments: the command line.

    Returns:
      A local path; None if there is none, or if the command does no run.
    """
    given = parser.normalize(arguments)
    given = given[: given.index("--")] if "--" in given else given
    path = None
    for place, argument in enumerate(given):
        name, equals, value = argument.partition("=")
        if name == FLAG:
            path = value if equals else "".join(given[place + 1 : place + 2])
        elif name == "--check":
            return None
    usable = path and "\0" not in path and not path.isspace()
    return storage.local_path(path) if path and usable else None


def check_path(path: str | None) -> None:
    """Refuses a path that the collector can't see.

    Raises:
      UsageError: it isn't local.
    """
    if path is not None and storage.local_path(path) is None:
        raise UsageError(
            f"{FLAG} {path}: the node exporter reads files on its own machine; name a local path"
        )


@contextlib.contextmanager
def written(program: str, path: str | None) -> Iterator[Ending]:
    """Writes the metrics of what the body comes to, without affecting it.

    Args:
      program: the command's name, for a note.
      path: the local file; None writes none.

    Yields:
      What the body knows of its end.
    """
    ending = Ending(start=time.time())
    try:
        yield ending
    except BaseException as error:
        ending.exit_code = cli.exit_code_of(error)
        if ending.exit_code:  # otherwise it was asked for help
            _write(program, path, ending)
        raise
    _write(program, path, ending)


def collect(ending: Ending) -> Iterator[GaugeMetricFamily]:
    """Yields the metrics of a run; what isn't known is left out."""
    yield _one("exit_code", "Exit code of the last run", ending.exit_code)
    yield _one("start_timestamp_seconds", "When the last run started", ending.start)
    yield _one("end_timestamp_seconds", "When the last run ended", ending.end)
    yield _one("duration_seconds", "How long the last run took", ending.end - ending.start)
    if ending.last_success is not None:
        yield _one(_LAST_SUCCESS, "When a run was last published", ending.last_success)
    manifest = ending.manifest
    because = manifest.held_because if manifest and manifest.is_held else None
    yield _many(
        "held",
        "Whether the last run is held, by its reason",
        ("reason",),
        {each: int(each is because) for each in HeldBecause},
    )
    if manifest is not None:
        yield from _counts(manifest)
        yield from _quality(manifest)


def _counts(manifest: Manifest) -> Iterator[GaugeMetricFamily]:
    totals = manifest.totals
    yield _many("files", "Files by what became of them", ("kind",), _files(totals))
    yield _one("rows_read", "Rows of the files that were read", totals.rows_read)
    yield _one("rows_scored", "Rows with a prediction", totals.rows_scored)
    yield _one("rows_rejected", "Rows that were rejected", totals.rows_rejected)
    yield _one(
        "reject_ratio",
        "Rejected among all rows; an unreadable file counts as one",
        totals.reject_fraction,
    )
    rejects = manifest.rejects_by_reason
    yield _many("rejects", "Rejected rows, and whole files", ("reason",), rejects)
    yield _many("predictions", "Rows by predicted class", ("class",), manifest.species)


def _files(totals: Totals) -> dict[str, int]:
    """Each file once, so that their sum is the number of files found."""
    others = ("skipped", "waiting", "unsettled", "ignored")
    return {
        "read": totals.files - totals.files_unreadable,
        "unreadable": totals.files_unreadable,
        **{name: getattr(totals, f"files_{name}") for name in others},
        "not_files": totals.not_files,
    }


def _quality(manifest: Manifest) -> Iterator[GaugeMetricFamily]:
    found = manifest.drift
    if found and found["training"]:
        yield _one("drift_score", "Largest PSI that is beyond chance", found["score"])
        about = "PSI of each distribution against each reference"
        shifts = _many("drift_psi", about, ("distribution", "reference"), {})
        # A reference is whatever has shifts by distribution.
        for reference, by_name in found.items():
            for name, shift in by_name.items() if isinstance(by_name, Mapping) else ():
                if isinstance(shift, Mapping) and "psi" in shift:
                    shifts.add_metric((_text(name), reference), shift["psi"])
        yield shifts
    if (estimate := manifest.accuracy_estimate) is not None:
        about = "accuracy estimated from the probabilities"
        yield _one("estimated_accuracy_ratio", f"The {about}", estimate.accuracy)
        yield _one("estimated_accuracy_low_ratio", f"95% interval of the {about}", estimate.low)
        yield _one("estimated_accuracy_high_ratio", f"95% interval of the {about}", estimate.high)
    if labels := manifest.labels:
        yield _one("labelled_rows", "Rows with a label", labels["rows"])
        if labels["accuracy"] is not None:
            yield _one("measured_accuracy_ratio", "Accuracy by the labels", labels["accuracy"])
    if (trust := manifest.trust) is not None:
        about = "Rows unlike the training data"
        yield _one("out_of_distribution_rows", about, trust.out_of_distribution)
        yield _one("ambiguous_rows", "Rows with more than one possible class", trust.ambiguous)


def _one(name: str, about: str, value: float) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(_PREFIX + name, about, value=value)


def _many(
    name: str, about: str, labels: Sequence[str], values: Mapping[str, float]
) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    found = GaugeMetricFamily(_PREFIX + name, about, labels=labels)
    for key, value in values.items():
        found.add_metric((_text(key),), value)
    return found


def _text(name: str) -> str:
    """A label's value; the file is UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


class _Collector:
    """The metrics of one run, for a registry."""

    def __init__(self, ending: Ending) -> None:
        self._ending = ending

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return collect(self._ending)


def _write(program: str, path: str | None, ending: Ending) -> None:
    if path is None:
        return
    from prometheus_client import CollectorRegistry, write_to_textfile

    ending.end = time.time()
    try:
        if os.path.lexists(path) and not os.path.isfile(path):
            raise OSError(f"{path} isn't a file")  # noqa: TRY301 - reported like all that follow
        published = ending.manifest is not None and not ending.manifest.is_held
        ending.last_success = ending.end if published else _read_last_success(path)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(ending))
        # Under a name that the collector doesn't read, then renamed.
        write_to_textfile(path, registry)
    except OSError as error:
        terminal.note(program, f"no metrics: {storage.reason_of(error)}")


def _read_last_success(path: str) -> float | None:
    """Keeps what the file of the run before says."""
    try:
        with open(path, "rb") as file:
            found = _OLD_SUCCESS.search(file.read())
    except FileNotFoundError:
        return None
    return float(found[1]) if found else None
