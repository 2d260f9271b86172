"""Scores some rows of a run again, from its input files and with its model, and compares."""

from __future__ import annotations

import dataclasses
import heapq
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penguin_model.card import default_model
from pipelines import job, storage
from pipelines.errors import PenguinError
from pipelines.review.options import PROGRAM
from pipelines.review.verify import UNREADABLE, RunData, opened, read_batches
from pipelines.runners import beam_private
from pipelines.runs.layout import FILES, PREDICTIONS
from pipelines.runs.manifest import Manifest
from pipelines.scoring import model_file

# At most so many input files are read again, whole.
MOST_FILES = 5
# The last bit of a float32 depends on how many rows are scored together.
RELATIVE, ABSOLUTE = 1e-5, 1e-7
# What affects how a file is read and what is written about a row; recorded as flags are given.
_FLAGS = (
    "format", "include_hidden", "delimiter", "decimal", "passthrough", "rename", "coverage",
    "engine",
)  # fmt: skip
_LOCATION = ("source_file", "source_row")
# A name that no column has.
_KEY = "\0key"


class InputFile(NamedTuple):
    """An input file as the run read it.

    Attributes:
      path: its `source_file`.
      size: in bytes.
      modified: microseconds since the epoch.
    """

    path: str
    size: int
    modified: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay:
    """What came of scoring rows again.

    Attributes:
      rows: how many were compared.
      files: how many input files were read.
      faults: what differs, or why nothing could be compared.
    """

    rows: int = 0
    files: int = 0
    faults: tuple[str, ...] = ()


def replay(
    run: RunData, most: int, *, seed: int, model: str | None, filesystems: Sequence[str]
) -> Replay:
    """Scores rows of a run again, chosen at random from a few of its files.

    Args:
      run: a published or held run.
      most: how many rows.
      seed: of the choice.
      model: the model file; None means the one that the run names.
      filesystems: the flags of Beam's filesystems.
    """
    chance = random.Random(seed)
    try:
        files = choose_files(run.shards(FILES), MOST_FILES, chance)
        gone = list(_find_changed(files))
        same = [file.path for file in files if file.path not in {path for path, _ in gone}]
        rows = choose_rows(run.shards(PREDICTIONS), same, most, chance)
        faults = [fault for _, fault in gone]
        path, fault = _find_model(run.manifest, model)
        if fault or rows is None:
            return Replay(faults=(*faults, *filter(None, [fault])))
        with tempfile.TemporaryDirectory(prefix="penguin-replay-") as folder:
            flags = make_flags(run.manifest, rows.column_names, same, model=path, output=folder)
            again = _score([*flags, *filesystems])
            found = again.shards(PREDICTIONS)
            faults += compare(rows, _find_rows(found, rows))
    except PenguinError as error:
        return Replay(faults=(f"its rows can't be scored again: {error}",))
    except UNREADABLE as error:
        return Replay(faults=(f"can't be read ({storage.reason_of(error)}); restore it",))
    return Replay(rows=rows.num_rows, files=len(same), faults=tuple(faults))


def choose_files(shards: Sequence[str], most: int, chance: random.Random) -> list[InputFile]:
    """Chooses input files at random, those with many scored rows more often.

    Weighted sampling without replacement in one pass (P. Efraimidis and P. Spirakis, Weighted
    Random Sampling with a Reservoir, 2006).

    Args:
      shards: of the `files` data set.
      most: how many.
      chance: where the randomness comes from.
    """
    columns = ["source_file", "size", "modified", "rows_scored"]

    def drawn() -> Iterator[tuple[float, InputFile]]:
        for batch in read_batches(shards, columns):
            modified = batch.column("modified").cast(pa.int64()).to_pylist()
            for file, time in zip(batch.to_pylist(), modified, strict=True):
                if file["rows_scored"]:
                    key = chance.random() ** (1 / file["rows_scored"])
                    yield key, InputFile(file["source_file"], file["size"], time)

    return sorted(file for _, file in heapq.nlargest(most, drawn()))


def choose_rows(
    shards: Sequence[str], files: Sequence[str], most: int, chance: random.Random
) -> pa.Table | None:
    """Chooses rows of some files at random, each as likely as any other.

    Args:
      shards: of the predictions.
      files: paths of input files.
      most: how many rows.
      chance: where the randomness comes from.

    Returns:
      The predictions; None if there are none.
    """
    numbers = np.random.default_rng(chance.getrandbits(64))
    wanted = pa.array(files, pa.string())
    kept: pa.Table | None = None
    for path in shards:
        with opened(path) as shard:
            for batch in shard.iter_batches(use_threads=False):
                found = batch.filter(pc.is_in(batch.column("source_file"), value_set=wanted))
                if not found.num_rows:
                    continue
                table = pa.Table.from_batches([found])
                table = table.append_column(_KEY, pa.array(numbers.random(found.num_rows)))
                both = table if kept is None else pa.concat_tables([kept, table])
                kept = both.take(pc.select_k_unstable(both, most, [(_KEY, "ascending")]))
    if kept is None:
        return None
    places = [(name, "ascending") for name in _LOCATION]
    return kept.drop_columns([_KEY]).sort_by(places)


def make_flags(
    manifest: Manifest, columns: Sequence[str], files: Sequence[str], *, model: str, output: str
) -> list[str]:
    """The job's flags for scoring a run's files again.

    Args:
      manifest: the run's.
      columns: of its predictions.
      files: paths of input files.
      model: the model file.
      output: a root for the rows scored again.
    """
    flags = [f"--input={path}" for path in files]
    flags += [f"--output={output}", f"--model={model}", "--run_id=replay", "--no-progress"]
    # Whatever was rejected then is rejected again.
    flags.append("--max_reject_fraction=1")
    known: dict[str, Any] = {
        name: manifest.flags[name] for name in _FLAGS if name in manifest.flags
    }
    # The columns say what was carried, also where an early release didn't record the flags.
    carried = columns[2 : list(columns).index(manifest.model.prediction_column)]
    known["passthrough"] = [_quote(name) for name in carried]
    for name, value in known.items():
        for each in value if isinstance(value, list) else [value]:
            flags.append(f"--{name}" if each is True else f"--{name}={each}")
    return flags


def compare(published: pa.Table, again: Mapping[tuple[str, int], Mapping[str, Any]]) -> list[str]:
    """What differs between published predictions and the same rows scored again.

    Args:
      published: predictions.
      again: predictions by file and row.
    """
    faults = []
    for row in published.to_pylist():
        place = (row["source_file"], row["source_row"])
        where = f"{place[0]}, row {place[1]}"
        found = again.get(place)
        if found is None:
            faults.append(f"{where}: it was scored, but isn't any more")
            continue
        for name, value in row.items():
            if name not in found:
                faults.append(f"{where}: {name} isn't predicted any more")
            elif not _is_same(value, found[name]):
                faults.append(f"{where}: {name} was {value!r}, and is now {found[name]!r}")
    return faults


def _is_same(first: Any, second: Any) -> bool:
    if isinstance(first, float) and isinstance(second, float):
        return bool(np.isclose(first, second, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True))
    return bool(first == second)


def _quote(name: str) -> str:
    """A name as ``--passthrough`` takes it."""
    return '"' + name.replace('"', '""') + '"'


def _find_changed(files: Sequence[InputFile]) -> Iterator[tuple[str, str]]:
    """Yields the files that aren't as the run read them, and what to do."""
    for file in files:
        try:
            now = storage.read_version(file.path)
        except storage.ERRORS as error:
            yield (
                file.path,
                f"{file.path} can't be scored again ({storage.reason_of(error)}): restore it",
            )
            continue
        if now.size != file.size:
            change = f"it has {now.size:,} bytes, not {file.size:,}"
        elif now.modified != file.modified:
            change = "it was modified"
        else:
            continue
        yield (
            file.path,
            f"{file.path} has changed since it was scored ({change}): restore it, with its time",
        )


def _find_model(manifest: Manifest, model: str | None) -> tuple[str, str]:
    """The path of a run's model, and what is wrong with it if anything is."""
    # A relative path may have been relative to another folder.
    paths = [model] if model else [*filter(None, [manifest.model.path]), default_model()]
    reasons = []
    for path in paths:
        try:
            card = model_file.read_card(path)
        except PenguinError as error:
            reasons.append(str(error))
            continue
        if manifest.model.is_of(card):
            return path, ""
        if card.sha256 == manifest.model.sha256:
            reasons.append(f"the card of {path} has other features or classes than the run")
        else:
            reasons.append(f"the SHA-256 of {path} begins with {card.sha256[:12]}")
    wanted = str(manifest.model.sha256)[:12]
    return paths[0], (
        f"needs the run's model, whose SHA-256 begins with {wanted}: name it with --model "
        f"({'; '.join(dict.fromkeys(reasons))})"
    )


def _score(flags: Sequence[str]) -> RunData:
    """Runs the job; its files are below the output root in the flags."""
    with beam_private.quiet_workers():
        plan = job.prepare(job.parse_arguments(PROGRAM, flags), list(flags))
        manifest, _ = job.execute(plan)
    return RunData.of(plan.transform.publication.layout.output, manifest)


def _find_rows(shards: Sequence[str], rows: pa.Table) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Finds the predictions of some rows, by file and row."""
    wanted = set(zip(*(rows.column(name).to_pylist() for name in _LOCATION), strict=True))
    numbers = pc.unique(rows.column("source_row"))
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for path in shards:
        with opened(path) as shard:
            for batch in shard.iter_batches(use_threads=False):
                near = batch.filter(pc.is_in(batch.column("source_row"), value_set=numbers))
                for row in near.to_pylist():
                    place = (row["source_file"], row["source_row"])
                    if place in wanted:
                        found[place] = row
    return found
