"""A checked plan, made from the job's flags."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import datetime
import importlib.metadata
import platform
import re
import sys
import uuid
from collections.abc import Collection, Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from penguin_model import command_line
from penguin_model.card import ModelCard
from penguin_model.engines import ENGINES
from penguin_model.names import find_control, fold
from penguin_model.trust import DEFAULT_COVERAGE
from pipelines import publishing, storage
from pipelines.datasets import data_sets, schemas
from pipelines.errors import UsageError
from pipelines.formatting import escape_bytes
from pipelines.job import metrics_file
from pipelines.job.options import changed_flags
from pipelines.pipeline import ScoreObservations
from pipelines.reading import InputColumns
from pipelines.reading.dialect import Dialect
from pipelines.reading.matching import Matching, refuse
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.runners.choose import DEFAULT_RUNNER, choose_runner
from pipelines.runners.submission import Submission, Workers
from pipelines.runs.layout import Layout, check_run_id
from pipelines.runs.manifest import Model, RunInfo
from pipelines.scoring import Network, model_file

# The flags that affect what is read and how: what it takes to score a file again.
_RECORDED = (
    "format", "include_hidden", "delimiter", "decimal", "settle_seconds", "passthrough", "rename",
    "coverage", "engine",
)  # fmt: skip
_VERSIONED = ("apache-beam", "pyarrow", "numpy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """One execution of the job, checked and ready to run.

    Attributes:
      transform: the pipeline's one transform.
      submission: to Beam's runner.
      network: the network's file as the user named it.
    """

    transform: ScoreObservations
    submission: Submission
    network: Network


def prepare(values: argparse.Namespace, arguments: Sequence[str]) -> Plan:
    """Checks everything that can be refused before a row is read.

    It reads the model's card and the clock, and starts nothing.

    Raises:
      UsageError: an argument, the model or its card can't be used.
    """
    if not values.input:
        raise UsageError("--input is required: a file, a folder or a glob")
    if not values.output:
        raise UsageError("--output is required: the root below which runs are published")
    metrics_file.check_path(values.metrics_file)
    start = datetime.datetime.now(datetime.UTC)
    run_id = f"{start:%Y%m%dT%H%M%SZ}" if values.run_id is None else values.run_id
    paths = Layout(
        output=storage.absolute(values.output),
        run_id=check_run_id(run_id),
        attempt=uuid.uuid4().hex,
    )
    runner = choose_runner(values.runner)
    options = PipelineOptions(runner.complete(arguments, _job_name(paths)))
    storage.use_options(options)
    runner.check_reach([*values.input, values.output])
    runner.check(options)
    submission = runner.make_submission(options)
    card = model_file.read_card(values.model)
    network = model_file.find_network(values.model, card, values.engine)
    columns = _columns(values, card)
    matching = _matching(values, card, paths)
    if submission.workers is Workers.THREADS:
        refuse(matching)
    if values.max_drift is not None and card.reference is None:
        raise UsageError(
            f"--max_drift: the card of {values.model} has no reference to compare with; train the "
            "model again"
        )
    if values.coverage is not None and card.trust is None:
        raise UsageError(
            f"--coverage: the card of {values.model} has no trust to make prediction sets with; "
            "train the model again"
        )
    if values.min_accuracy is not None and card.calibration is None:
        raise UsageError(
            f"--min_accuracy: the card of {values.model} has no calibration, so a night without "
            "labels can't be judged; train the model again"
        )
    run_info = RunInfo(
        start=start.isoformat(timespec="milliseconds"),
        runner=values.runner or DEFAULT_RUNNER,
        versions=_versions(ENGINES[values.engine].packages),
        model=Model(
            path=values.model,
            name=card.name,
            sha256=card.sha256,
            prediction_column=card.prediction_column,
            engine=values.engine,
            meaning_sha256=card.meaning_sha256,
        ),
        input=tuple(map(escape_bytes, values.input)),
        new_only=values.new_only,
        flags=changed_flags(values, _RECORDED),
    )
    # One worker gains nothing from ranges, whose first pass reads a large CSV twice.
    divides = runner.count_workers(options) != 1
    sizes = dataclasses.replace(DEFAULT_SIZES, **({} if divides else {"range_bytes": sys.maxsize}))
    transform = ScoreObservations(
        matching=matching,
        card=card,
        network=network.copied(storage.join(paths.staging, "model")),
        columns=columns,
        publication=publishing.Publication(
            layout=paths,
            replace=values.replace,
            card=card,
            max_reject_fraction=values.max_reject_fraction,
            max_unreadable_files=_most_unreadable(values),
            min_rows=values.min_rows,
            max_drift=values.max_drift,
            baseline_nights=values.baseline_nights,
            coverage=DEFAULT_COVERAGE if values.coverage is None else values.coverage,
            min_accuracy=values.min_accuracy,
            new_only=values.new_only,
            waits_for_end=submission.waits_for_end,
            run_info=run_info,
        ),
        sizes=sizes,
        progress=paths.progress if values.progress and submission.waits_for_end else None,
    )
    return Plan(
        transform=transform,
        submission=submission,
        network=network,
    )


def prepare_check(
    values: argparse.Namespace, arguments: Sequence[str]
) -> tuple[Matching, InputColumns]:
    """Checks the flags of a run that only looks at its files.

    Returns:
      Which files to look at, and the columns to find in them.

    Raises:
      UsageError: an argument, the model or its card can't be used.
    """
    if not values.input:
        raise UsageError("--input is required: a file, a folder or a glob")
    if values.new_only and not values.output:
        raise UsageError("--new_only with --check needs --output, where earlier runs are")
    storage.use_options(PipelineOptions(list(arguments)))
    card = model_file.read_card(values.model)
    model_file.find_network(values.model, card, values.engine)
    wanted = _columns(values, card)
    paths = None
    if values.output:
        paths = Layout(output=storage.absolute(values.output), run_id="check", attempt="")
    return _matching(values, card, paths), wanted


def _columns(values: argparse.Namespace, card: ModelCard) -> InputColumns:
    passthrough = _passthrough(values.passthrough, card)
    return InputColumns.of_card(
        card,
        passthrough,
        renames=_renames(values.rename, passthrough, card),
        dialect=_dialect(values.delimiter, values.decimal),
    )


def _matching(values: argparse.Namespace, card: ModelCard, paths: Layout | None) -> Matching:
    return Matching(
        patterns={storage.absolute(pattern): pattern for pattern in values.input},
        format=values.format,
        include_hidden=values.include_hidden,
        fail_on_empty=values.fail_on_empty,
        settle_seconds=values.settle_seconds,
        new_only=values.new_only,
        output=paths.output if paths else "",
        own_folders=paths.own_folders if paths else (),
        model_sha256=card.sha256,
        run_id=paths.run_id if paths else "",
    )


def _most_unreadable(values: argparse.Namespace) -> float | None:
    """Half of the files by default, unless more is allowed of the rows."""
    if values.max_unreadable_files is not None:
        return float(values.max_unreadable_files)
    fraction: float = max(0.5, values.max_reject_fraction)
    return fraction if fraction < 1 else None


def _job_name(paths: Layout) -> str:
    """A unique job name in Dataflow's format: lower-case letters, digits and hyphens."""
    run_id = re.sub(r"[^a-z0-9]+", "-", paths.run_id.lower())
    return f"penguin-score-{run_id}-{paths.attempt[:8]}"


def _passthrough(flags: Sequence[str], card: ModelCard) -> tuple[str, ...]:
    """The columns to carry, whose names leave the predictions readable for everyone.

    Some readers can't tell names that differ only in case apart, and take the run's id from the
    folder over a column of the same name.
    """
    columns = (*schemas.predictions((), card).names, data_sets.PARTITION)
    taken = {fold(name): name for name in columns}
    names: dict[str, str] = {}
    for name in [each.strip() for flag in flags for each in _fields(flag)]:
        flag, key = f"--passthrough {name!r}", fold(name)
        if not key:
            raise UsageError(f"{flag}: a column has no name")
        if find_control(name) is not None:
            raise UsageError(f"{flag}: write a space for a line break or another control character")
        if key in taken:
            raise UsageError(f"{flag}: the predictions have a column {taken[key]} already")
        if names.setdefault(key, name) != name:
            raise UsageError(f"{flag}: this is the same name as {names[key]!r}, but for its case")
    return tuple(names.values())


def _fields(flag: str) -> list[str]:
    """The names in a flag: one CSV record, so that a name with a comma can be quoted."""
    try:
        return next(csv.reader([flag], strict=True)) or [""]
    except csv.Error as error:
        raise UsageError(
            f"--passthrough {flag!r}: {error}; quote a name as in a CSV: '\"a, b\",c'"
        ) from error


def _dialect(delimiter: str, decimal: str) -> Dialect:
    try:
        return Dialect(delimiter, decimal)
    except ValueError as error:
        raise UsageError(f"--delimiter and --decimal: {error}") from error


def _renames(
    flags: Sequence[str], passthrough: Sequence[str], card: ModelCard
) -> tuple[tuple[str, str], ...]:
    """Pairs of a column in the files and the column it is read as."""
    known = dict.fromkeys((*card.feature_names, card.label, *passthrough))
    renames: dict[str, str] = {}
    for flag in flags:
        old, new = _divide(flag, known)
        if not (old and new):
            example = f"bill_len={card.feature_names[0]}"
            raise UsageError(f"--rename {flag!r} isn't OLD=NEW, such as {example}")
        if new not in known:
            meant = command_line.did_you_mean(new, known) or f"; it is one of {', '.join(known)}"
            raise UsageError(f"--rename {flag!r}: the job reads no column {new!r}{meant}")
        if fold(old) in map(fold, renames):
            raise UsageError(f"--rename {flag!r}: {old!r} is renamed twice")
        renames[old] = new
    return tuple(renames.items())


def _divide(flag: str, known: Collection[str]) -> tuple[str, str]:
    """Divides OLD=NEW at the last ``=`` before a known name: both names may have one themselves."""
    parts = flag.split("=")
    pairs = [
        ("=".join(parts[:place]).strip(), "=".join(parts[place:]).strip())
        for place in range(len(parts) - 1, 0, -1)
    ]
    return next((pair for pair in pairs if pair[1] in known), pairs[0] if pairs else ("", ""))


def _versions(engine: Sequence[str]) -> dict[str, str]:
    """The versions of what the predictions may depend on, with an engine's packages."""
    found = {"python": platform.python_version()}
    for name in ("penguin-scoring", *_VERSIONED, *engine):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
