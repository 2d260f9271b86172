"""What speaks against using a run's predictions without a look: one pure check for each reason.

A check compares what the manifest says with what the model card expects of held-out rows, or with
the nights before. It raises a doubt only beyond chance, at most once in `1 / CHANCE` good nights.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from penguin_model.card import Category, ModelCard
from penguin_model.measures import wilson
from pipelines.formatting import counted, cut, moment, percent
from pipelines.formatting import number as shown
from pipelines.monitoring.proportions import chance_of_fewer
from pipelines.report import comparisons
from pipelines.runs.gates import HeldBecause
from pipelines.runs.manifest import Manifest, Review, Status

CHANCE = 0.01
# With this many rows, a shift by one standard deviation rarely goes unnoticed; with a quarter of
# them, it mostly does (tests/report/test_doubts.py measures both).
ENOUGH_ROWS = 100
# How many of the nights before count: what drift is compared with, too.
NIGHTS = 7
# From this many on, what they vary by is known well enough.
ENOUGH_NIGHTS = 5
# A rise of the rejects that is worth a look: a row in a thousand.
_NOTABLE_RISE = 0.001
# Of held-out rows, 0.5% are beyond the card's limit. It comes from few of them, so twice that many
# rows may well be within it.
EXPECTED_OUTSIDE = 0.005
# What a wrong row typically costs, in nats, when the model was sure: its probability was 2%.
_LOSS_OF_ERROR = 4.0
_NOTABLE_GAP = 0.01
_SIGMAS_99, _SIGMAS_999 = 2.58, 3.29


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a run is judged by.

    Attributes:
      manifest: the run's.
      card: its model's; None if it isn't available.
      earlier: manifests of the runs before it, oldest first.
    """

    manifest: Manifest
    card: ModelCard | None = None
    earlier: Sequence[Manifest] = ()

    @property
    def labels(self) -> Mapping[str, Any] | None:
        """What was measured on labelled rows; None without any."""
        found = self.manifest.labels
        return found if found and found["rows"] else None

    @property
    def vocabularies(self) -> dict[str, Sequence[str]]:
        """The texts of each category, by name; none if the card isn't available."""
        features = self.card.features if self.card else ()
        return {each.name: each.categories for each in features if isinstance(each, Category)}

    @property
    def baseline(self) -> list[Manifest]:
        """The last nights with rows that this one is compared with, oldest first."""
        sha256 = self.manifest.model.sha256
        fitting = (
            each for each in self.earlier
            if each.model.sha256 == sha256 and each.totals.rows_read and _counts(each)
        )  # fmt: skip
        return list(fitting)[-NIGHTS:]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Doubt:
    """One reason for a look.

    Attributes:
      kind: the check's name; that of a reason for which runs are held, if it is one.
      section: the page's section on it.
      text: the reason, without a capital letter and a full stop.
    """

    kind: str
    section: str
    text: str


Check = Callable[[Evidence], Iterator[str]]


def find_doubts(evidence: Evidence) -> list[Doubt]:
    """Finds all doubts about a run, the most important first."""
    return [
        Doubt(kind=kind, section=section, text=text)
        for kind, section, check in CHECKS
        for text in check(evidence)
    ]


def reviewed(review: Review) -> str:
    """Who reviewed a run, when and why."""
    by = f" by {review.by}" if review.by else ""
    why = f": {cut(review.why).rstrip('.')}" if review.why else ""
    return f"{by} on {moment(review.at)}{why}"


def _accepted(evidence: Evidence) -> Iterator[str]:
    manifest = evidence.manifest
    if manifest.status is Status.PUBLISHED and manifest.held_because is not None:
        accepted = [each for each in manifest.reviews if each.status is Status.PUBLISHED]
        by = f", and accepted{reviewed(accepted[-1])}" if accepted else ", and accepted later"
        yield f"it was held ({manifest.held_reason}){by}"


def _no_rows(evidence: Evidence) -> Iterator[str]:
    if not evidence.manifest.totals.rows_scored:
        yield "no rows were scored"


def _accuracy(evidence: Evidence) -> Iterator[str]:
    """Accuracy, or the recall of a class, is worse than on the held-out rows."""
    found, metrics = evidence.labels, evidence.card.metrics if evidence.card else {}
    rows, accuracy = metrics.get("test_rows"), metrics.get("accuracy")
    if found is None or not rows or accuracy is None:
        return
    confusion = found["confusion"]
    hits = [row[place] for place, row in enumerate(confusion)]
    sums = [sum(row) for row in confusion]
    if chance_of_fewer(sum(hits), sum(sums), round(accuracy * rows), rows) < CHANCE:
        yield (
            f"accuracy is {percent(found['accuracy'])} on {counted(found['rows'], 'labelled row')},"
            f" against {percent(accuracy)} on {counted(rows, 'held-out row')}"
        )
        return
    expected = metrics.get("confusion") or ()
    if len(expected) == len(confusion):
        for place, name in enumerate(found["recall"]):
            theirs, whole = expected[place][place], sum(expected[place])
            ours = hits[place], sums[place]
            if whole and sums[place] and (
                chance_of_fewer(*ours, theirs, whole) < CHANCE / len(confusion)
            ):  # fmt: skip
                yield (
                    f"only {percent(ours[0] / ours[1])} of {counted(ours[1], f'labelled {name}')} "
                    f"were recognized, against {percent(theirs / whole)} of the held-out ones"
                )


def _log_loss(evidence: Evidence) -> Iterator[str]:
    """The log-loss is worse than on the held-out rows.

    It is a mean of rare large losses, so its variance grows with it, and that of its square root
    doesn't (a compound Poisson sum; M. Bartlett, The use of transformations, 1947).
    """
    found, metrics = evidence.labels, evidence.card.metrics if evidence.card else {}
    rows, expected = metrics.get("test_rows"), metrics.get("log_loss")
    if found is None or not rows or expected is None:
        return
    spread = math.sqrt(_LOSS_OF_ERROR * (1 / found["rows"] + 1 / rows))
    if 2 * (math.sqrt(found["log_loss"]) - math.sqrt(expected)) > _SIGMAS_99 * spread:
        yield (
            f"the log-loss is {shown(found['log_loss'])} nats on "
            f"{counted(found['rows'], 'labelled row')}, against {shown(expected)} on "
            f"{counted(rows, 'held-out row')}"
        )


def _calibration(evidence: Evidence) -> Iterator[str]:
    """Predictions are right less often than their probabilities say.

    The sum of all hits is compared with its expectation (D. Spiegelhalter, Probabilistic prediction
    in patient management and clinical trials, 1986), bin by bin.
    """
    if evidence.labels is None:
        return
    bins = [each for each in evidence.labels["calibration"]["bins"] if each["rows"]]
    rows = sum(each["rows"] for each in bins)
    hits = sum(each["rows"] * each["accuracy"] for each in bins)
    expected = sum(each["rows"] * each["probability"] for each in bins)
    # At most so much: the probabilities in a bin differ.
    variance = sum(each["rows"] * each["probability"] * (1 - each["probability"]) for each in bins)
    gap = expected - hits
    if gap > _SIGMAS_999 * math.sqrt(variance) and gap > _NOTABLE_GAP * rows:
        yield (
            f"predictions are right in {percent(hits / rows)} of {counted(rows, 'labelled row')}, "
            f"but their mean probability is {percent(expected / rows)}"
        )


def _foreign_labels(evidence: Evidence) -> Iterator[str]:
    found = evidence.manifest.labels
    if found and not found["rows"] and found["unknown"]:
        yield f"none of {counted(found['unknown'], 'label')} is a class of the model"


def _estimate(evidence: Evidence) -> Iterator[str]:
    found = evidence.manifest.accuracy_estimate
    metrics = evidence.card.metrics if evidence.card else {}
    rows, accuracy = metrics.get("test_rows"), metrics.get("accuracy")
    if found is None or not rows or accuracy is None:
        return
    if found.high < wilson(accuracy, rows, sigmas=_SIGMAS_99)[0]:
        yield (
            f"accuracy is estimated at {percent(found.accuracy)} from the probabilities alone, "
            f"against {percent(accuracy)} on {counted(rows, 'held-out row')}"
        )


def _drift(evidence: Evidence) -> Iterator[str]:
    names = comparisons.name_large(evidence.manifest.drift or {}, _name_shares(evidence))
    if names:
        yield f"the data have drifted in {names}"


def _name_shares(evidence: Evidence) -> dict[str, str]:
    """The text of each category whose share differs most from training, with both shares."""
    ours = evidence.manifest.histograms
    theirs = evidence.card.reference if evidence.card else None
    found: dict[str, str] = {}
    for name, texts in evidence.vocabularies.items() if ours and theirs else ():
        pair = [side.features.get(name) for side in (ours, theirs) if side]
        counts = [np.array(each.counts) for each in pair if each and sum(each.counts)]
        if len(counts) == len(pair) and all(len(each) == len(texts) for each in counts):
            now, then = (each / each.sum() for each in counts)
            place = int(np.abs(now - then).argmax())
            found[name] = (
                f"{cut(texts[place])}: {percent(now[place])} of rows, "
                f"{percent(then[place])} in training"
            )
    return found


def _outside(evidence: Evidence) -> Iterator[str]:
    found = evidence.manifest.trust
    if found is None or not found.rows:
        return
    share = found.out_of_distribution / found.rows
    if wilson(share, found.rows, sigmas=_SIGMAS_99)[0] > 2 * EXPECTED_OUTSIDE:
        yield (
            f"{percent(share)} of {counted(found.rows, 'row')} are out of distribution, unlike "
            f"anything in training ({percent(EXPECTED_OUTSIDE)} are expected)"
        )


def _unreadable(evidence: Evidence) -> Iterator[str]:
    totals = evidence.manifest.totals
    if totals.files_unreadable:
        files = counted(totals.files, "file")
        yield f"{shown(totals.files_unreadable)} of {files} couldn't be read in full"


def _unmatched(evidence: Evidence) -> Iterator[str]:
    patterns = evidence.manifest.unmatched
    if patterns:
        more = f" and {shown(len(patterns) - 1)} other patterns" if len(patterns) > 1 else ""
        yield f"no file matches {cut(patterns[0])}{more}"


def _rejects(evidence: Evidence) -> Iterator[str]:
    """More rows were rejected than on the nights before.

    By more than chance explains; once there are `ENOUGH_NIGHTS`, also by more than nights vary. The
    median and its absolute deviation measure that, so that one bad night before doesn't hide this
    one (F. Hampel, The influence curve and its role in robust estimation, 1974), of the arcsine of
    the shares' roots, whose variance doesn't depend on them.
    """
    totals, nights = evidence.manifest.totals, [each.totals for each in evidence.baseline]
    if not nights or not totals.rows_read:
        return
    read = sum(each.rows_read for each in nights)
    scored = sum(each.rows_scored for each in nights)
    rejected, before = totals.rows_rejected / totals.rows_read, 1 - scored / read
    if rejected < before + _NOTABLE_RISE or (
        chance_of_fewer(totals.rows_scored, totals.rows_read, scored, read) >= CHANCE
    ):
        return
    if len(nights) >= ENOUGH_NIGHTS:
        angles = [math.asin(math.sqrt(each.rows_rejected / each.rows_read)) for each in nights]
        middle = statistics.median(angles)
        deviation = 1.4826 * statistics.median(abs(each - middle) for each in angles)
        if math.asin(math.sqrt(rejected)) <= middle + 4 * deviation:
            return
    yield (
        f"{percent(rejected)} of the rows were rejected, against {percent(before)} "
        f"{_before(len(nights))}"
    )


def _volume(evidence: Evidence) -> Iterator[str]:
    rows = [each.totals.rows_read for each in evidence.baseline]
    read = evidence.manifest.totals.rows_read
    if len(rows) >= ENOUGH_NIGHTS and 5 * read < min(rows):
        yield f"only {counted(read, 'row')} arrived, against at least {shown(min(rows))} " + (
            _before(len(rows))
        )


def _too_few(evidence: Evidence) -> Iterator[str]:
    rows = evidence.manifest.totals.rows_scored
    if 0 < rows < ENOUGH_ROWS:
        verb = "is" if rows == 1 else "are"
        yield (
            f"{counted(rows, 'row')} {verb} too few to tell whether the data have changed; "
            f"it takes at least {ENOUGH_ROWS}"
        )


def _not_measured(evidence: Evidence) -> Iterator[str]:
    found = evidence.manifest.drift
    if evidence.manifest.totals.rows_scored and not (found and found["training"]):
        yield "drift wasn't measured"


def _not_compared(evidence: Evidence) -> Iterator[str]:
    if evidence.card is None and evidence.labels:
        yield "without the model card, accuracy can't be compared with the held-out rows"


CHECKS: tuple[tuple[str, str, Check], ...] = (
    ("accepted", "run", _accepted),
    ("no_rows", "files", _no_rows),
    (HeldBecause.ACCURACY, "labels", _accuracy),
    ("log_loss", "labels", _log_loss),
    ("calibration", "labels", _calibration),
    (HeldBecause.ACCURACY, "labels", _estimate),
    (HeldBecause.DRIFT, "drift", _drift),
    ("trust", "trust", _outside),
    (HeldBecause.UNREADABLE_FILES, "files", _unreadable),
    ("unmatched", "files", _unmatched),
    (HeldBecause.REJECTS, "rejects", _rejects),
    ("volume", "history", _volume),
    (HeldBecause.MIN_ROWS, "files", _too_few),
    ("labels", "labels", _foreign_labels),
    ("not_measured", "drift", _not_measured),
    ("not_compared", "labels", _not_compared),
)


def _counts(manifest: Manifest) -> bool:
    """Whether later nights may be compared with a run."""
    accepted = manifest.held_because is not None
    return manifest.status is Status.PUBLISHED and (
        not accepted or any(each.as_baseline for each in manifest.reviews)
    )


def _before(nights: int) -> str:
    return "the night before" if nights == 1 else f"on the {nights} nights before"
