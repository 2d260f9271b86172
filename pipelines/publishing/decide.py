"""The decision: turns the counts into a manifest that publishes or holds the run.

Pure: nothing is read or written here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import msgspec

from penguin_model.card import ModelCard, Reference
from penguin_model.trust import DEFAULT_COVERAGE
from pipelines.counts.figures import Figures
from pipelines.monitoring import drift, estimate, histograms, labels, trust
from pipelines.publishing import proof
from pipelines.publishing.commit import Decision, PlacedShard, describe
from pipelines.runs import gates
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, RunInfo, Status, Totals, Trust

DEFAULT_BASELINE_NIGHTS = 7
# Keeps the manifest from growing with the input.
_MOST_LISTED = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Publication:
    """What to publish, and when to hold it.

    Attributes:
      layout: where to publish.
      replace: whether a published run of this name may be replaced.
      card: the model's card, with the histograms that the run is compared with.
      max_reject_fraction: the run is held above this fraction of rejected rows.
      max_unreadable_files: the run is held above this number of files that couldn't be read in
        full, or, below 1, above this fraction of the files; None means never.
      min_rows: the run is held below this number of scored rows.
      max_drift: the run is held above this score of `drift.Drift`; None means never.
      baseline_nights: the most published runs that the run is compared with.
      coverage: of the prediction sets, if the card has `trust`.
      min_accuracy: the run is held below this accuracy (see `gates`); None means never.
      new_only: whether the run fails if another run has meanwhile published one of its files.
      waits_for_end: whether the submitter waits for the pipeline and then removes the staging.
      run_info: how the run was started, for the manifest.
    """

    layout: Layout
    replace: bool
    card: ModelCard
    max_reject_fraction: float
    max_unreadable_files: float | None = None
    min_rows: int = 0
    max_drift: float | None = None
    baseline_nights: int = DEFAULT_BASELINE_NIGHTS
    coverage: float = DEFAULT_COVERAGE
    min_accuracy: float | None = None
    new_only: bool = False
    waits_for_end: bool = True
    run_info: RunInfo


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a run is compared with to measure its drift.

    Attributes:
      this_run: its histograms.
      training: the model's.
      baseline: those of the nights before, by run id, oldest first; see `runs.baseline`.
      notes: why an earlier run was left out.
    """

    this_run: Reference
    training: Reference
    baseline: Mapping[str, Reference]
    notes: tuple[str, ...] = ()

    def measure(self, max_drift: float | None, prediction_column: str) -> drift.Drift:
        """Measures the run's drift."""
        return drift.measure(
            self.this_run,
            self.training,
            baseline=self.baseline,
            max_drift=max_drift,
            prediction_column=prediction_column,
        )


def decide(
    publication: Publication,
    shards: Mapping[str, Sequence[PlacedShard]],
    figures: Figures,
    *,
    comparison: Comparison | None,
    end: str,
) -> Decision:
    """Decides whether a run is published or held.

    Args:
      publication: the run and its limits.
      shards: those of each data set, verified and in published order.
      figures: see `publisher.publish`.
      comparison: None if the run has nothing to compare, or nothing to compare with.
      end: when the run ended, an ISO time.

    Raises:
      ReconcileError: the shards and the figures don't agree.
    """
    totals = Totals(**_group(figures, "totals"))
    described = describe(shards)
    proof.check(figures, totals, {name: each.rows or 0 for name, each in described.items()})
    column = publication.card.prediction_column
    drifted = comparison.measure(publication.max_drift, column) if comparison else None
    second_looks = trust.summarize(figures, totals.rows_scored, publication.coverage)
    manifest = Manifest(
        status=Status.PUBLISHED,
        run_id=publication.layout.run_id,
        attempt=publication.layout.attempt,
        **msgspec.structs.asdict(publication.run_info),
        end=end,
        totals=totals,
        unsettled=tuple(_group(figures, "unsettled"))[:_MOST_LISTED],
        ignored=_group(figures, "ignored"),
        not_files=dict(map(_kind_by_path, list(_group(figures, "not_files"))[:_MOST_LISTED])),
        unmatched=tuple(_group(figures, "unmatched")),
        waiting=_group(figures, "waiting"),
        reject_fraction=totals.reject_fraction,
        max_reject_fraction=publication.max_reject_fraction,
        max_unreadable_files=publication.max_unreadable_files,
        min_rows=publication.min_rows,
        min_accuracy=publication.min_accuracy,
        rejects_by_reason=_group(figures, "rejects"),
        species=_group(figures, histograms.CLASSES),
        histograms=histograms.of_run(figures, publication.card),
        drift=drifted.to_json() if drifted else None,
        labels=labels.summarize(figures, publication.card.classes, totals.rows_scored),
        trust=Trust(**second_looks) if publication.card.trust else None,
        accuracy_estimate=_estimate(figures, publication.card),
        shards=described,
        notes=(*_group(figures, "notes"), *(comparison.notes if comparison else ())),
    )
    if (reason := gates.find_reason(manifest)) is not None:
        manifest = msgspec.structs.replace(
            manifest,
            status=Status.HELD,
            held_because=reason.because,
            held_reason=reason.sentence,
        )
    return Decision(manifest=manifest, shards=shards)


def _estimate(figures: Figures, card: ModelCard) -> estimate.AccuracyEstimate | None:
    if card.calibration is None:
        return None
    held_out = card.reference.probability if card.reference else None
    return estimate.estimate(figures, card.calibration, held_out)


def _kind_by_path(name: str) -> tuple[str, str]:
    """Divides the name of a figure of the group ``not_files``."""
    kind, _, path = name.partition(": ")
    return path, kind


def _group(figures: Figures, group: str) -> dict[str, int]:
    """The plain counts of a group, by name."""
    return {
        name: count
        for (kind, name), count in sorted(figures.items())
        if kind == group and isinstance(count, int)
    }
