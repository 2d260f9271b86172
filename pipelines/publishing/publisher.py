"""Publication: verifies what was staged, decides, and makes it visible, the manifest last.

A runner may retry the step: until the decision is recorded, everything is done again; after that,
`Commit` takes only the steps that are still missing.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Sequence

from pipelines.counts.figures import Figures
from pipelines.datasets.shard_writer import Shard
from pipelines.errors import ConflictError, DamagedError
from pipelines.monitoring import histograms
from pipelines.publishing import choose, verify_shards
from pipelines.publishing.commit import Commit, Decision
from pipelines.publishing.decide import Comparison, Publication, decide
from pipelines.runs import baseline, layout, ledger
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest


def publish(publication: Publication, shards: Iterable[Shard], figures: Figures) -> Manifest:
    """Publishes a run, or holds it; safe to call again after any interruption.

    Args:
      publication: what to publish and where.
      shards: the records of all staged shards.
      figures: counts by group and name: ``("totals", "rows_read")``, ``("classes", "Adelie")``;
        a histogram or a comparison with the labels is a tuple of counts.

    Returns:
      The manifest, which says whether the run is published or held.

    Raises:
      ReconcileError: the staged shards don't contain what was counted.
      RunExistsError: a run of this name was published meanwhile.
    """
    commit = choose.of(publication.layout)
    manifest = commit.read_outcome()
    if manifest is None:
        decision = commit.decide(lambda: verify_and_decide(publication, commit, shards, figures))
        manifest = decision.manifest
        if manifest.is_held:
            commit.hold(decision)
        else:
            refuse = functools.partial(_refuse_done, publication, manifest)
            check = refuse if publication.new_only else None
            commit.make_visible(decision, replace=publication.replace, check=check)
    if not publication.waits_for_end:
        commit.finish()
    return manifest


def read_outcome(paths: Layout) -> Manifest | None:
    """The manifest that this attempt published or held; None if it has done neither yet."""
    return choose.of(paths).read_outcome()


def verify_and_decide(
    publication: Publication, commit: Commit, shards: Iterable[Shard], figures: Figures
) -> Decision:
    """Verifies the staged shards and decides; publishes nothing.

    Raises:
      ReconcileError: the staged shards don't contain what was counted.
    """
    paths, recorded = publication.layout, list(shards)
    placed = {
        dataset: verify_shards.check(paths, commit, dataset, recorded)
        for dataset in layout.DATASETS
    }
    return decide(
        publication,
        placed,
        figures,
        comparison=_find_comparison(publication, figures),
        end=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
    )


def _find_comparison(publication: Publication, figures: Figures) -> Comparison | None:
    """Finds the training histograms and the baseline, among the runs that aren't damaged."""
    card, paths = publication.card, publication.layout
    this_run = histograms.of_run(figures, card)
    if this_run is None or card.reference is None:
        return None
    damaged: list[DamagedError] = []
    published = ledger.published_runs(paths.output, damaged.append)
    runs = (run for run in published if run.model.is_of(card))
    chosen = baseline.choose(
        runs,
        nights=publication.baseline_nights,
        model_sha256=card.sha256,
        run_id=paths.run_id,
        like=this_run,
        max_reject_fraction=publication.max_reject_fraction,
        max_drift=publication.max_drift,
    )
    return Comparison(
        this_run=this_run,
        training=card.reference,
        baseline={run.run_id: run.histograms for run in chosen if run.histograms},
        notes=tuple(f"not compared with: {error}" for error in damaged),
    )


def _refuse_done(publication: Publication, manifest: Manifest, shards: Sequence[str]) -> None:
    """Refuses files that another run has published since this run read the ledger."""
    paths = publication.layout
    mine = ledger.read_fingerprints(shards)
    sha256 = str(manifest.model.sha256)
    done = ledger.find_done(paths.output, sha256, mine, decided_after=ledger.since(manifest))
    if done:
        (path, _, _), run_id = min(done.items())
        raise ConflictError(
            f"{path} was published by run {run_id} while this run scored it ({len(done)} files in "
            "all); nothing is published, the next --new_only run leaves it out"
        )
