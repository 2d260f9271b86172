"""What a run's report shows, read from its manifest, its data sets and its model's card.

However large a run is, little of it is held in memory: a few rows of each data set, and the
manifests of the last runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import heapq
import os
from collections.abc import Callable, Mapping
from typing import TypeVar

import pyarrow as pa

from penguin_model.card import ModelCard, Reference, card_path, read_card
from penguin_model.errors import CardError, DamagedError, UsageError
from pipelines import storage
from pipelines.report import examples as excerpts
from pipelines.report.examples import Row
from pipelines.runs import layout, ledger
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, Model, read_manifest

MOST_FILES = 20
MOST_EXAMPLES = 5
MOST_RUNS = 30

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The values of one report.

    Attributes:
      manifest: of the run.
      card: of its model; None where it cannot be had.
      examples: of rejects, by reason, at most MOST_EXAMPLES each.
      files: the worst, at most MOST_FILES.
      history: the manifests of the runs up to this one, the oldest first, at most MOST_RUNS.
      replaced: for a held run, the end of the published run that has its name.
      notes: why something is missing, by what it is: ``card``, ``rejects`` or ``files``.
    """

    manifest: Manifest
    card: ModelCard | None = None
    examples: Mapping[str, list[Row]] = dataclasses.field(default_factory=dict)
    files: list[Row] = dataclasses.field(default_factory=list)
    history: list[Manifest] = dataclasses.field(default_factory=list)
    replaced: str | None = None
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_held(self) -> bool:
        """Whether the run was held back."""
        return self.manifest.is_held

    @property
    def measured(self) -> Reference | None:
        """The run's histograms, None where its manifest has none."""
        return self.manifest.histograms

    @property
    def training(self) -> Reference | None:
        """The training's histograms, None where they cannot be had."""
        return self.card.reference if self.card else None

    @property
    def classes(self) -> list[str]:
        """The predicted classes, in the card's order where it is known."""
        known = self.card.classes if self.card else ()
        return list(dict.fromkeys([*known, *self.manifest.species]))


def gather(output: str, run_id: str | None = None, model: str | None = None) -> Report:
    """Reads what a report shows.

    Args:
      output: the output root.
      run_id: a published or held run, the held one if there are both; None takes the published
        run that ended last.
      model: the model whose card is taken; None takes the one that the manifest names, and does
        without where its card is gone.

    Raises:
      UsageError: there is no such run, or no fitting card beside `model`.
    """
    manifest, history = _find(output, run_id)
    paths = Layout(output=output, run_id=manifest.run_id, attempt="")
    is_held = manifest.is_held
    notes: dict[str, str] = {}

    def trying(what: str, read: Callable[[], T], default: T) -> T:
        try:
            return read()
        except (*storage.ERRORS, pa.ArrowException, CardError) as error:
            notes[what] = storage.reason_of(error)
            return default

    def shards(dataset: str) -> list[str]:
        folder = storage.join(paths.held, dataset) if is_held else paths.published(dataset)
        return excerpts.shards(folder, manifest, dataset)

    find_card = functools.partial(_find_card, manifest.model, model)
    return Report(
        manifest=manifest,
        card=find_card() if model else trying("card", find_card, None),
        examples=trying(
            "rejects",
            lambda: excerpts.examples(
                shards(layout.REJECTS), manifest.rejects_by_reason, MOST_EXAMPLES
            ),
            {},
        ),
        files=trying("files", lambda: excerpts.worst_files(shards(layout.FILES), MOST_FILES), []),
        history=history,
        replaced=_replaced(paths) if is_held else None,
        notes=notes,
    )


def _find(output: str, run_id: str | None) -> tuple[Manifest, list[Manifest]]:
    """A run's manifest, and those of the runs that ended before it with its own."""
    damaged: list[DamagedError] = []
    try:
        if run_id is None:
            runs = ledger.published_runs(output, damaged.append)
            recent: list[Manifest] = heapq.nlargest(MOST_RUNS, runs, key=_end)
            if not recent:
                raise UsageError(
                    str(damaged[0])
                    if damaged
                    else f"{output}: no run is published there; --run_id names a held one"
                )
            return recent[0], recent[::-1]
        found = _named(output, layout.check_run_id(run_id))
        before = (
            each
            for each in ledger.published_runs(output, damaged.append)
            if _end(each) <= _end(found) and each.run_id != run_id
        )
        return found, [*heapq.nlargest(MOST_RUNS - 1, before, key=_end)[::-1], found]
    except storage.ERRORS as error:
        raise UsageError(f"{output}: cannot be read: {storage.reason_of(error)}") from error
    except DamagedError as error:
        raise UsageError(str(error)) from error


def _named(output: str, run_id: str) -> Manifest:
    paths = Layout(output=output, run_id=run_id, attempt="")
    # Publishing a run removes the held one of its name: where there are both, that came later.
    for path in (paths.held_manifest, paths.manifest):
        if storage.exists(path):
            return read_manifest(path)
    raise UsageError(f"{output}: no run {run_id} is published or held there")


def _replaced(paths: Layout) -> str | None:
    """The end of the published run of a held one's name, None where that can't be told."""
    with contextlib.suppress(DamagedError):
        return _end(read_manifest(paths.manifest)) if storage.exists(paths.manifest) else None
    return None


def _end(manifest: Manifest) -> str:
    return manifest.end


def _find_card(about: Model, model: str | None) -> ModelCard:
    path = model or about.path
    if not path:
        raise CardError("the manifest names no model")
    if not storage.exists(card_path(path)):
        raise CardError(f"there is no model card {card_path(path)}")
    if storage.is_local(path):
        # A pipe by that name would never end.
        if not os.path.isfile(storage.absolute(card_path(path))):
            raise CardError(f"model card {card_path(path)} is not a file")
        card = read_card(storage.absolute(path))
    else:
        try:
            card = ModelCard.from_json(storage.read_bytes(card_path(path)).decode())
        except (*storage.ERRORS, UnicodeDecodeError) as error:
            raise CardError(f"model card {card_path(path)}: {error}") from error
    if card.sha256 != about.sha256:
        raise CardError(f"model card {card_path(path)}: is of another model than this run's")
    return card
