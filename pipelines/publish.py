"""Publication: verify what was staged, decide, make it visible, the manifest last.

The step may run more than once, since a runner retries it: until the decision is written all of
it is done again, afterwards `commit` takes only the steps that have not been taken.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from penguin_model.errors import ConflictError, ReconcileError
from pipelines import commit, layout, ledger, storage
from pipelines.layout import Layout
from pipelines.shards import Shard

PUBLISHED = "published"
HELD = "held"
_DECISION = "decision.json"
_TOTALS = (
    "files",
    "files_unreadable",
    "files_skipped",
    "files_unsettled",
    "rows_read",
    "rows_scored",
    "rows_rejected",
)
# The manifest does not grow with the input.
_MOST_UNSETTLED = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Publication:
    """What to publish, and when to hold it back.

    Attributes:
      layout: where.
      replace: whether a published run of this name may be replaced.
      max_reject_fraction: the run is held back over this part of rejected rows.
      new_only: whether a file that another run published meanwhile fails this one.
      is_last: whether nothing comes after the pipeline that could remove the staging.
      about: what the manifest says of the run beside its figures: start, versions, model.
    """

    layout: Layout
    replace: bool
    max_reject_fraction: float
    new_only: bool = False
    is_last: bool = False
    about: Mapping[str, Any]


def publish(
    publication: Publication, shards: Iterable[Shard], figures: Mapping[tuple[str, str], int]
) -> dict[str, Any]:
    """Publishes a run, or holds it back; safe to call again after any interruption.

    Args:
      publication: what and where.
      shards: the records of all staged shards.
      figures: counts by group and name: ``("totals", "rows_read")``, ``("species", "Adelie")``.

    Returns:
      The manifest, with ``status`` ``published`` or ``held``.

    Raises:
      ReconcileError: the shards on disk do not hold what was counted.
      RunExistsError: a run of this name was published meanwhile.
    """
    paths = publication.layout
    manifest = read_outcome(paths) or _publish(publication, shards, figures)
    if publication.is_last:
        commit.finish(paths)
    return manifest


def _publish(
    publication: Publication, shards: Iterable[Shard], figures: Mapping[tuple[str, str], int]
) -> dict[str, Any]:
    paths = publication.layout
    decision_path = storage.join(paths.staging, _DECISION)
    if storage.exists(decision_path):
        manifest = json.loads(storage.read_bytes(decision_path))
    else:
        manifest = _decide(publication, list(shards), figures)
        storage.write_json(decision_path, manifest)
    if manifest["status"] == HELD:
        _hold(paths, manifest)
    else:
        commit.make_visible(
            paths,
            manifest,
            replace=publication.replace,
            check=functools.partial(_refuse_done, publication, manifest),
        )
    return dict(manifest)


def read_outcome(paths: Layout) -> dict[str, Any] | None:
    """The manifest that this attempt published or held, None while it has done neither."""
    for path in (paths.manifest, paths.held_manifest):
        if storage.exists(path):
            manifest: dict[str, Any] = json.loads(storage.read_bytes(path))
            if manifest.get("attempt") == paths.attempt:
                return manifest
    return None


def _refuse_done(publication: Publication, manifest: Mapping[str, Any]) -> None:
    """Refuses files that another run has published since this one looked at the ledger."""
    if not publication.new_only:
        return
    paths = publication.layout
    # Clocks of two machines may differ; a day is more than they do.
    start = datetime.datetime.fromisoformat(manifest["start"]) - datetime.timedelta(days=1)
    mine = ledger.read_fingerprints(commit.ready_folder(paths, layout.FILES))
    sha256 = manifest["model"]["sha256"]
    done = ledger.find_done(paths.output, sha256, mine, ended_after=start.isoformat())
    if done:
        (path, _, _), run_id = min(done.items())
        raise ConflictError(
            f"{path} was published by run {run_id} while this run scored it ({len(done)} files in "
            "all); nothing is published, the next --new_only run leaves it out"
        )


def _decide(
    publication: Publication, shards: Sequence[Shard], figures: Mapping[tuple[str, str], int]
) -> dict[str, Any]:
    """Verifies the shards, gives them their published names, and writes up the run."""
    totals = {name: figures.get(("totals", name), 0) for name in _TOTALS}
    described = {
        dataset: _make_ready(publication.layout, dataset, shards) for dataset in layout.DATASETS
    }
    _verify(described, totals)
    # A file that cannot be read counts as one row: among many it costs nothing, alone it is all.
    rejected = totals["rows_rejected"] + totals["files_unreadable"]
    possible = totals["rows_read"] + totals["files_unreadable"]
    fraction = rejected / possible if possible else 0.0
    return {
        "status": HELD if fraction > publication.max_reject_fraction else PUBLISHED,
        "run_id": publication.layout.run_id,
        "attempt": publication.layout.attempt,
        **publication.about,
        "end": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "totals": totals,
        "unsettled": list(_group(figures, "unsettled"))[:_MOST_UNSETTLED],
        "reject_fraction": round(fraction, 6),
        "max_reject_fraction": publication.max_reject_fraction,
        "rejects_by_reason": _group(figures, "rejects"),
        "species": _group(figures, "species"),
        "shards": described,
    }


def _make_ready(paths: Layout, dataset: str, shards: Iterable[Shard]) -> dict[str, int]:
    """Checks a data set's shards by their footers and gives them their published names."""
    files = rows = size = 0
    mine = sorted((shard for shard in shards if shard.dataset == dataset), key=_by_place)
    for number, shard in enumerate(mine):
        target = storage.join(commit.ready_folder(paths, dataset), layout.shard_name(number))
        # An interrupted try may have moved it already.
        if storage.exists(shard.path):
            storage.move_file(shard.path, target)
        with storage.open_input(target) as source:
            found = pq.ParquetFile(source).metadata.num_rows
            size += source.size()
        if found != shard.rows:
            raise ReconcileError(
                f"{dataset}: a shard that begins with {shard.first[0]} holds {found} rows, "
                f"{shard.rows} were written; nothing is published"
            )
        files, rows = files + 1, rows + found
    return {"files": files, "rows": rows, "bytes": size}


def _verify(described: Mapping[str, Mapping[str, int]], totals: Mapping[str, int]) -> None:
    expected = {
        layout.PREDICTIONS: totals["rows_scored"],
        layout.REJECTS: totals["rows_rejected"] + totals["files_unreadable"],
        layout.FILES: totals["files"],
    }
    for dataset, rows in expected.items():
        if described[dataset]["rows"] != rows:
            raise ReconcileError(
                f"{dataset}: the shards hold {described[dataset]['rows']} rows, "
                f"{rows} were counted; nothing is published"
            )


def _hold(paths: Layout, manifest: Mapping[str, Any]) -> None:
    """Keeps a run that may not be published where a person can read it, the manifest last."""
    storage.delete_tree(paths.held)
    for dataset in layout.DATASETS:
        ready = commit.ready_folder(paths, dataset)
        names = layout.shard_names(manifest, dataset)
        if storage.list_files(ready):
            storage.put_folder(ready, storage.join(paths.held, dataset), names)
    storage.write_json(paths.held_manifest, manifest)


def _by_place(shard: Shard) -> tuple[tuple[str, int], str]:
    return shard.first, shard.path


def _group(figures: Mapping[tuple[str, str], int], group: str) -> dict[str, int]:
    return {name: figures[kind, name] for kind, name in sorted(figures) if kind == group}
