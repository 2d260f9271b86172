"""Collects what a report shows from a run's manifest, its data sets and its model card.

Memory stays small however large the run: a few rows of each data set, and the manifests of recent
runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from penguin_model.card import ModelCard, Reference, card_path, read_card
from pipelines import storage
from pipelines.errors import CardError, DamagedError, UsageError
from pipelines.report import examples
from pipelines.report.doubts import Evidence
from pipelines.report.examples import Row
from pipelines.runs import commands, history, layout
from pipelines.runs.layout import Layout
from pipelines.runs.ledger import published_runs
from pipelines.runs.manifest import Manifest, Model, read_manifest

MOST_FILES = 20
MOST_EXAMPLES = 5
MOST_RUNS = 30

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that one report shows.

    Attributes:
      manifest: the run's.
      output: the output root.
      reach: the flags with which a command reaches it, see `commands.reach_flags`.
      card: the model's; None if it isn't available.
      examples: rejects by reason, at most MOST_EXAMPLES each.
      files: those with the most rejects, at most MOST_FILES.
      history: the manifests of the runs up to this one, of any status, oldest first, at most
        MOST_RUNS.
      replaced: for a held run, the end time of the published run with the same name.
      notes: why ``card``, ``rejects`` or ``files`` is missing.
    """

    manifest: Manifest
    output: str = "output"
    reach: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    card: ModelCard | None = None
    examples: Mapping[str, list[Row]] = dataclasses.field(default_factory=dict)
    files: list[Row] = dataclasses.field(default_factory=list)
    history: list[Manifest] = dataclasses.field(default_factory=list)
    replaced: str | None = None
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_held(self) -> bool:
        """Whether the run was held."""
        return self.manifest.is_held

    @property
    def evidence(self) -> Evidence:
        """What the run is judged by."""
        return Evidence(manifest=self.manifest, card=self.card, earlier=self.history[:-1])

    @property
    def measured(self) -> Reference | None:
        """The run's histograms; None if its manifest has none."""
        return self.manifest.histograms

    @property
    def training(self) -> Reference | None:
        """The training data's histograms; None if they aren't available."""
        return self.card.reference if self.card else None

    @property
    def vocabularies(self) -> dict[str, Sequence[str]]:
        """The texts of each category, by name; none if the card isn't available."""
        return self.evidence.vocabularies

    @property
    def classes(self) -> list[str]:
        """The classes, in the card's order if it is known."""
        known = self.card.classes if self.card else ()
        return list(dict.fromkeys([*known, *self.manifest.species]))


def gather(
    output: str,
    run_id: str | None = None,
    model: str | None = None,
    reach: Mapping[str, Any] = commands.NO_FLAGS,
) -> Report:
    """Reads everything that a report shows.

    Args:
      output: the output root.
      run_id: a run of any status except failed, the held one if there are several; None means the
        published run that ended last.
      model: the model whose card to read; None means the one that the manifest names, whose card
        may be missing.
      reach: the flags with which a command reaches the root, see `commands.reach_flags`.

    Raises:
      UsageError: there is no such run, or `model` has no card of the run's model.
    """
    manifest, earlier = _find(output, run_id)
    paths = Layout(output=output, run_id=manifest.run_id, attempt="")
    is_held = manifest.is_held
    notes: dict[str, str] = {}

    def trying(what: str, read: Callable[[], T], default: T) -> T:
        try:
            return read()
        except (*storage.ERRORS, pa.ArrowException, CardError) as error:
            notes[what] = storage.reason_of(error)
            return default

    wanted = {name: min(n, MOST_EXAMPLES) for name, n in manifest.rejects_by_reason.items()}
    shards = functools.partial(examples.shards, paths, manifest)
    find_card = functools.partial(card_of, manifest.model, model)
    return Report(
        manifest=manifest,
        output=output,
        reach=reach,
        card=find_card() if model else trying("card", find_card, None),
        examples=trying(
            "rejects", lambda: examples.first_rejects(shards(layout.REJECTS), wanted), {}
        ),
        files=trying("files", lambda: examples.worst_files(shards(layout.FILES), MOST_FILES), []),
        history=earlier,
        replaced=_replaced(paths) if is_held else None,
        notes=notes,
    )


def _find(output: str, run_id: str | None) -> tuple[Manifest, list[Manifest]]:
    """A run's manifest, and the history that ends with it."""
    damaged: list[DamagedError] = []
    try:
        found = _last_published(output) if run_id is None else _named(output, run_id)
        before = (
            each
            for each in history.read_runs(output, damaged.append)
            if isinstance(each, Manifest)
            and _end(each) <= _end(found)
            and (each.run_id, each.attempt) != (found.run_id, found.attempt)
        )
        return found, [*heapq.nlargest(MOST_RUNS - 1, before, key=_end)[::-1], found]
    except storage.ERRORS as error:
        raise UsageError(f"{output}: can't be read: {storage.reason_of(error)}") from error
    except DamagedError as error:
        raise UsageError(str(error)) from error


def _last_published(output: str) -> Manifest:
    damaged: list[DamagedError] = []
    found = max(published_runs(output, damaged.append), key=_end, default=None)
    if found is None:
        none = f"{output}: no published runs found; choose a held run with --run_id"
        raise UsageError(str(damaged[0]) if damaged else none)
    return found


def _named(output: str, run_id: str) -> Manifest:
    paths = Layout(output=output, run_id=layout.check_run_id(run_id), attempt="")
    # Publishing a run removes the held one of the same name: if there are both, the held is newer.
    for path in (paths.held_manifest, paths.manifest, paths.closed_manifest):
        if storage.exists(path):
            return read_manifest(path)
    raise UsageError(f"{output}: no run that was published or held is named {run_id}")


def _replaced(paths: Layout) -> str | None:
    """The end time of the published run with a held one's name; None if there isn't one."""
    with contextlib.suppress(DamagedError):
        return _end(read_manifest(paths.manifest)) if storage.exists(paths.manifest) else None
    return None


def _end(manifest: Manifest) -> str:
    return manifest.end


def card_of(about: Model, model: str | None) -> ModelCard:
    """Reads the card of the model that scored a run.

    Args:
      about: the model.
      model: the path of a model; None means the one that `about` names.

    Raises:
      CardError: there is none, or it belongs to another model or has changed.
    """
    path = model or about.path
    if not path:
        raise CardError("the manifest names no model")
    if not storage.exists(card_path(path)):
        raise CardError(f"model card {card_path(path)} doesn't exist")
    local = storage.local_path(path)
    if local is not None:
        card = read_card(local)
    else:
        try:
            card = ModelCard.from_json(storage.read_bytes(card_path(path)))
        except (*storage.ERRORS, CardError) as error:
            raise CardError(f"model card {card_path(path)}: {error}") from error
    if card.sha256 != about.sha256:
        raise CardError(f"model card {card_path(path)}: belongs to a different model than this run")
    if not about.is_of(card):
        raise CardError(
            f"model card {card_path(path)}: has other features or classes than when this run was "
            "scored"
        )
    return card
