"""The gates: limits that hold a run, and the one place that says why a run is held.

A reason follows from the fields of the run's own manifest. It is found when the run ends, and
recorded there: exit code, error, summary, report and metrics file only repeat it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from penguin_model.measures import wilson
from pipelines.formatting import count, counted
from pipelines.monitoring import drift

if TYPE_CHECKING:
    from pipelines.runs.manifest import Manifest

# Fewer labelled rows don't judge a run: the estimate does.
MIN_LABELLED = 30


class HeldBecause(enum.StrEnum):
    """Why a run was held; if there are several reasons, the first of this list."""

    REJECTS = "rejects"
    UNREADABLE_FILES = "unreadable_files"
    MIN_ROWS = "min_rows"
    DRIFT = "drift"
    ACCURACY = "accuracy"


class Reason(NamedTuple):
    """Why a run is held.

    Attributes:
      because: for programs.
      sentence: for people, without a full stop; names the number and the flag.
    """

    because: HeldBecause
    sentence: str


def find_reason(run: Manifest) -> Reason | None:
    """Finds the first reason to hold a run, in the order of `HeldBecause`.

    Args:
      run: its manifest, whatever its status; an absent limit holds nothing.
    """
    found = ((because, _CHECKS[because](run)) for because in HeldBecause)
    return next((Reason(because, text) for because, text in found if text), None)


def describe(run: Manifest, because: HeldBecause) -> str:
    """Says why a run was held if its manifest gives only the reason's name."""
    return _CHECKS[because](run) or _IN_GENERAL[because]


def _rejects(run: Manifest) -> str:
    share, most = run.totals.reject_fraction, run.max_reject_fraction
    if most is None or share <= most:
        return ""
    shown = _percent(share, most)
    return f"{shown} of the rows were rejected, more than {_flag('max_reject_fraction', most)}"


def _unreadable_files(run: Manifest) -> str:
    most, torn, files = run.max_unreadable_files, run.totals.files_unreadable, run.totals.files
    if most is None or not torn or (torn if most >= 1 else torn / files) <= most:
        return ""
    return (
        f"{count(torn)} of {counted(files, 'file', ' ')} couldn't be read in full, more than "
        f"{_flag('max_unreadable_files', most)}"
    )


def _min_rows(run: Manifest) -> str:
    scored, least = run.totals.rows_scored, run.min_rows
    if scored >= least:
        return ""
    were = "was" if scored == 1 else "were"
    return f"{counted(scored, 'row', ' ')} {were} scored, fewer than {_flag('min_rows', least)}"


def _drift(run: Manifest) -> str:
    found = run.drift or {}
    score, most = found.get("score"), found.get("max_drift")
    if score is None or most is None or score <= most:
        return ""
    return (
        f"the data have drifted: PSI {drift.explain(found)}, more than {_flag('max_drift', most)}"
    )


def _accuracy(run: Manifest) -> str:
    """The whole 95 % interval must be below the limit: chance alone doesn't hold a run."""
    least, labels, estimate = run.min_accuracy, run.labels or {}, run.accuracy_estimate
    if least is None:
        return ""
    rows = labels.get("rows", 0)
    if rows >= MIN_LABELLED:
        share = sum(line[place] for place, line in enumerate(labels["confusion"])) / rows
        high, what = wilson(share, rows)[1], f"accuracy on {count(rows)} labelled rows"
    elif estimate is not None:
        share, high = estimate.accuracy, estimate.high
        what = f"estimated accuracy of {counted(estimate.rows, 'row', ' ')}"
    else:
        return ""
    if high >= least:
        return ""
    shown = f"{_percent(share, least)} (at most {_percent(high, least)} by its 95% interval)"
    return f"the {what} is {shown}, less than {_flag('min_accuracy', least)}"


_CHECKS: Mapping[HeldBecause, Callable[[Manifest], str]] = {
    HeldBecause.REJECTS: _rejects,
    HeldBecause.UNREADABLE_FILES: _unreadable_files,
    HeldBecause.MIN_ROWS: _min_rows,
    HeldBecause.DRIFT: _drift,
    HeldBecause.ACCURACY: _accuracy,
}
# An early release's manifest may lack the numbers.
_IN_GENERAL = {
    HeldBecause.REJECTS: "too many rows were rejected",
    HeldBecause.UNREADABLE_FILES: "too many files couldn't be read in full",
    HeldBecause.MIN_ROWS: "too few rows were scored",
    HeldBecause.DRIFT: "the data have drifted",
    HeldBecause.ACCURACY: "the accuracy is too low",
}


def _flag(name: str, value: float) -> str:
    return f"--{name} {value:.15g}"


def _percent(share: float, limit: float) -> str:
    """A percentage with as many digits as it takes to be on its own side of the limit."""
    shown = ""
    for digits in range(1, 16):
        shown = f"{share:.{digits}%}"
        rounded = float(shown[:-1]) / 100
        if rounded != limit and (rounded > limit) == (share > limit):
            break
    return shown
