"""Publication: verify what was staged, decide, make it visible, the manifest last.

The step may run more than once, since a runner retries it: until the decision is recorded all of
it is done again, afterwards `publishing` takes only the steps that have not been taken.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Iterable, Sequence

import msgspec

from penguin_model.card import ModelCard, Reference
from pipelines import publishing
from pipelines.datasets.shard_writer import Shard
from pipelines.errors import ConflictError, DamagedError
from pipelines.monitoring import drift, histograms, labels
from pipelines.monitoring.histograms import Figures
from pipelines.publishing import Decision, proof, verify_shards
from pipelines.publishing.commit import describe
from pipelines.runs import layout, ledger
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import HeldBecause, Manifest, RunInfo, Status, Totals

# The manifest does not grow with the input.
_MOST_UNSETTLED = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Publication:
    """What to publish, and when to hold it back.

    Attributes:
      layout: where.
      replace: whether a published run of this name may be replaced.
      card: the model's, with the histograms that the night is compared with.
      max_reject_fraction: the run is held back over this part of rejected rows.
      max_drift: the run is held back over this score of `drift.Drift`; None means never.
      new_only: whether a file that another run published meanwhile fails this one.
      is_last: whether nothing comes after the pipeline that could remove the staging.
      run_info: how the run was started, for the manifest.
    """

    layout: Layout
    replace: bool
    card: ModelCard
    max_reject_fraction: float
    max_drift: float | None = None
    new_only: bool = False
    is_last: bool = False
    run_info: RunInfo


def publish(publication: Publication, shards: Iterable[Shard], figures: Figures) -> Manifest:
    """Publishes a run, or holds it back; safe to call again after any interruption.

    Args:
      publication: what and where.
      shards: the records of all staged shards.
      figures: counts by group and name: ``("totals", "rows_read")``, ``("species", "Adelie")``;
        a tuple of them for a histogram and for what the labels say.

    Returns:
      The manifest, with ``status`` ``published`` or ``held``.

    Raises:
      ReconcileError: the shards on disk do not hold what was counted.
      RunExistsError: a run of this name was published meanwhile.
    """
    commit = publishing.of(publication.layout)
    manifest = commit.read_outcome()
    if manifest is None:
        decision = commit.decide(lambda: _decide(publication, list(shards), figures))
        manifest = decision.manifest
        if manifest.is_held:
            commit.hold(decision)
        else:
            refuse = functools.partial(_refuse_done, publication, manifest)
            check = refuse if publication.new_only else None
            commit.make_visible(decision, replace=publication.replace, check=check)
    if publication.is_last:
        commit.finish()
    return manifest


def read_outcome(paths: Layout) -> Manifest | None:
    """The manifest that this attempt published or held, None while it has done neither."""
    return publishing.of(paths).read_outcome()


def _refuse_done(publication: Publication, manifest: Manifest, shards: Sequence[str]) -> None:
    """Refuses files that another run has published since this one looked at the ledger."""
    paths = publication.layout
    # Clocks of two machines may differ; a day is more than they do.
    start = datetime.datetime.fromisoformat(str(manifest.start)) - datetime.timedelta(days=1)
    mine = ledger.read_fingerprints(shards)
    sha256 = str(manifest.model.sha256)
    done = ledger.find_done(paths.output, sha256, mine, ended_after=start.isoformat())
    if done:
        (path, _, _), run_id = min(done.items())
        raise ConflictError(
            f"{path} was published by run {run_id} while this run scored it ({len(done)} files in "
            "all); nothing is published, the next --new_only run leaves it out"
        )


def _decide(publication: Publication, shards: Sequence[Shard], figures: Figures) -> Decision:
    """Verifies the shards, names them, and writes up the run."""
    totals = Totals(**_group(figures, "totals"))
    placed = {
        dataset: verify_shards.check(publication.layout, dataset, shards)
        for dataset in layout.DATASETS
    }
    described = describe(placed)
    proof.check(figures, totals, {name: each.rows or 0 for name, each in described.items()})
    tonight = histograms.of_run(figures, publication.card)
    damaged: list[DamagedError] = []
    drifted = _measure_drift(publication, tonight, damaged)
    held_because = _why_held(publication, totals, drifted)
    manifest = Manifest(
        status=Status.HELD if held_because else Status.PUBLISHED,
        held_because=held_because,
        run_id=publication.layout.run_id,
        attempt=publication.layout.attempt,
        **msgspec.structs.asdict(publication.run_info),
        end=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        totals=totals,
        unsettled=tuple(_group(figures, "unsettled"))[:_MOST_UNSETTLED],
        reject_fraction=totals.reject_fraction,
        max_reject_fraction=publication.max_reject_fraction,
        rejects_by_reason=_group(figures, "rejects"),
        species=_group(figures, histograms.SPECIES),
        histograms=tonight,
        drift=drifted.to_json() if drifted else None,
        labels=labels.report(figures, publication.card.classes, totals.rows_scored),
        shards=described,
        notes=tuple(f"not compared with: {error}" for error in damaged),
    )
    return Decision(manifest=manifest, shards=placed)


def _why_held(
    publication: Publication, totals: Totals, drifted: drift.Drift | None
) -> HeldBecause | None:
    """Why a run is held, None if it is published; too many rejects go before drift."""
    if totals.reject_fraction > publication.max_reject_fraction:
        return HeldBecause.REJECTS
    return HeldBecause.DRIFT if drifted is not None and drifted.is_over else None


def _measure_drift(
    publication: Publication, tonight: Reference | None, damaged: list[DamagedError]
) -> drift.Drift | None:
    """Compares the night with the training and the last published run that isn't damaged."""
    card, paths = publication.card, publication.layout
    if tonight is None or card.reference is None:
        return None
    runs = ledger.published_runs(paths.output, damaged.append)
    last = ledger.find_previous(runs, card.sha256, paths.run_id)
    return drift.measure(
        tonight,
        card.reference,
        previous=(last.run_id, last.histograms) if last and last.histograms else None,
        max_drift=publication.max_drift,
    )


def _group(figures: Figures, group: str) -> dict[str, int]:
    """The plain counts of a group, by name."""
    return {
        name: count
        for (kind, name), count in sorted(figures.items())
        if kind == group and isinstance(count, int)
    }
