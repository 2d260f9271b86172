"""The speed of a run and how much is left, from what its workers report."""

from __future__ import annotations

import collections
from typing import NamedTuple

from pipelines import formatting
from pipelines.progress.reporter import ProgressCounts

STARTING, PLANNING, SCORING, PUBLISHING = "starting", "planning", "scoring", "publishing"

# The rate and the time left are based on this many last seconds.
_WINDOW_SECONDS = 30.0


class ProgressSnapshot(NamedTuple):
    """What is shown at one moment.

    Attributes:
      phase: ``starting``, ``planning``, ``scoring`` or ``publishing``.
      done, total: bytes of the input files; 0, 0 while unknown.
      rows: rows read so far.
      rejected: how many of them were rejected.
      rate: recent rows per second; None while unknown.
      seconds_left: until everything is read; None while unknown.
    """

    phase: str
    done: int
    total: int
    rows: int
    rejected: int
    rate: float | None
    seconds_left: float | None

    @property
    def fraction(self) -> float | None:
        """The fraction that is done; None while the total is unknown."""
        return self.done / self.total if self.total else None


class RateEstimator:
    """Turns the counts of several moments into facts to show."""

    def __init__(self) -> None:
        self._seen: collections.deque[tuple[float, ProgressCounts]] = collections.deque()

    def see(self, found: ProgressCounts, now: float) -> ProgressSnapshot:
        """Takes the counts of a moment.

        Args:
          found: the counts.
          now: seconds of any monotonic clock.
        """
        phase, done, total = _phase(found)
        rate = seconds_left = None
        if found.rows or found.read:
            self._seen.append((now, found))
            while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW_SECONDS:
                self._seen.popleft()
            since, first = self._seen[0]
            if now > since:
                rate = max(0.0, (found.rows - first.rows) / (now - since))
                speed = (found.read - first.read) / (now - since)
                if phase == SCORING and speed > 0:
                    seconds_left = (total - done) / speed
        return ProgressSnapshot(phase, done, total, found.rows, found.rejected, rate, seconds_left)


def _phase(found: ProgressCounts) -> tuple[str, int, int]:
    """The phase with its done and total bytes; failed attempts may be counted twice."""
    if not found.files:
        return STARTING, 0, 0
    if found.surveyed < found.ranged:
        return PLANNING, found.surveyed, found.ranged
    phase = SCORING if found.read < found.bytes else PUBLISHING
    return phase, min(found.read, found.bytes), found.bytes


def describe(facts: ProgressSnapshot) -> list[str]:
    """The facts next to the bar, the most important first."""
    if facts.phase in (STARTING, PLANNING):
        return []
    said = [short(facts.rows, " rows")]
    if facts.seconds_left is not None:
        said.append(f"{clock(facts.seconds_left)} left")
    if facts.rate is not None:
        said.append(short(facts.rate, " rows/s"))
    return [*said, f"{formatting.count(facts.rejected)} rejected"]


def as_line(facts: ProgressSnapshot) -> str:
    """All facts in one line: ``scoring 42 % of 2.91 GB, 151 M rows, 0:42 left, …``."""
    if facts.fraction is None:
        return facts.phase
    whole = f"{facts.phase} {100 * facts.fraction:.0f} % of {short(facts.total, 'B')}"
    return ", ".join([whole, *describe(facts)])


def clock(seconds: float) -> str:
    """``0:42``, ``1:05:00``: minutes and seconds, with hours if there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def short(number: float, unit: str) -> str:
    """Three digits with the SI prefix: ``4.92 M rows``, ``512 rows``, ``323 MB``."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 999.5 or prefix == "T":
            break
        number /= 1000
    digits = 0 if not prefix or number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{digits}f} {prefix}{unit}".replace("  ", " ")


def outcome(facts: ProgressSnapshot, seconds: float) -> str:
    """What a run did in a number of seconds."""
    said = f"{formatting.count(facts.rows)} rows, {formatting.count(facts.rejected)} rejected"
    return f"{said}, in {clock(seconds)}"
