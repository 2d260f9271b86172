"""One execution of the job: arguments checked, pipeline run, outcome told."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import importlib.metadata
import os
import platform
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from penguin_model import cli
from penguin_model.card import ModelCard
from pipelines import storage
from pipelines.counts import failures
from pipelines.datasets import schemas
from pipelines.errors import DriftError, PenguinError, RejectsError, UsageError
from pipelines.job import summary
from pipelines.job.options import parse_arguments
from pipelines.monitoring import drift
from pipelines.pipeline import ScoreObservations
from pipelines.progress import display
from pipelines.publishing import decide
from pipelines.publishing import door as commit
from pipelines.reading.matching import Matching
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.runners import beam_private, signals
from pipelines.runners.choose import choose_runner
from pipelines.runners.submission import Metrics, Submission, Workers, as_penguin_error
from pipelines.runs.layout import Layout, check_run_id
from pipelines.scoring import model_file

# A cluster frees the slots of a cancelled job within seconds.
_CANCEL_SECONDS = 30
_NOBODY: AbstractContextManager[None] = contextlib.nullcontext()
_VERSIONED = ("apache-beam", "keras", "pyarrow", "numpy")


Outcome = tuple[dict[str, Any], Metrics]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One execution of the job, all of it checked.

    Attributes:
      transform: the pipeline's one transform.
      submission: to Beam's runner.
      model_path: the model file as the user named it.
    """

    transform: ScoreObservations
    submission: Submission
    model_path: str


def run(program: str, arguments: Sequence[str], verbose: bool) -> int:
    """Runs the job from its arguments to its exit code.

    Raises:
      PenguinError: whatever keeps the run from being published.
    """
    quiet: AbstractContextManager[None] = _NOBODY if verbose else beam_private.quiet_workers()
    with quiet:
        return _run(program, arguments, verbose)


def _run(program: str, arguments: Sequence[str], verbose: bool) -> int:
    values = parse_arguments(program, arguments)
    job = prepare(values, arguments)
    paths = job.transform.publication.layout
    as_asked = summary.as_json if values.summary == "json" else summary.as_text
    if not job.submission.waits:
        submit(job)
        print(as_asked(summary.of_submitted(paths)))
        return 0
    watching = _NOBODY
    if job.transform.progress:
        watching = display.shown(program, job.transform.progress, verbose=verbose)
    manifest, metrics = execute(job, watching)
    page = _report(program, paths, values.model) if values.report else None
    print(as_asked(summary.of_run(manifest, paths, metrics, page)))
    totals = manifest["totals"]
    if not any(totals[name] for name in ("files", "files_skipped", "files_unsettled")):
        cli.note(program, f"no file matches {' '.join(values.input)}")
    if manifest["status"] == decide.HELD:
        raise _why_held(manifest, paths)
    return 0


def _why_held(manifest: Mapping[str, Any], paths: Layout) -> PenguinError:
    """The error that a held run ends with; too many rejects go first."""
    if decide.reject_fraction(manifest["totals"]) > manifest["max_reject_fraction"]:
        return RejectsError(
            f"{manifest['reject_fraction']:.1%} of the rows were rejected, more than "
            f"--max_reject_fraction {manifest['max_reject_fraction']:g}; nothing is published, "
            f"the rejects lie in {paths.held}"
        )
    found = manifest["drift"]
    return DriftError(
        f"the data have drifted: PSI {drift.explain(found)}, more than --max_drift "
        f"{found['max_drift']:g}; nothing is published, what was found lies in {paths.held}"
    )


def _report(program: str, paths: Layout, model: str) -> str | None:
    """Writes the run's page; the run's outcome stands whatever comes of it."""
    from pipelines.report import __main__ as report

    try:
        return report.write(paths.output, paths.run_id, model=model)
    except (PenguinError, *storage.ERRORS, pa.ArrowException) as error:
        cli.note(program, f"no report: {error}")
        return None


def prepare(values: argparse.Namespace, arguments: Sequence[str]) -> Job:
    """Checks everything that can be refused before a row is read.

    Raises:
      UsageError: an argument, the model or its card cannot be used.
    """
    if not values.input:
        raise UsageError("--input is required: a file, a folder or a glob")
    if not values.output:
        raise UsageError("--output is required: the root below which runs are published")
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
    if values.max_drift is not None and card.reference is None:
        raise UsageError(
            f"--max_drift: the card of {values.model} has no reference to compare with; train the "
            "model again"
        )
    passthrough = _passthrough(values.passthrough, card)
    about = {
        "start": start.isoformat(timespec="milliseconds"),
        "runner": values.runner or "DirectRunner",
        "versions": _versions(),
        "model": {"path": values.model, "name": card.name, "sha256": card.sha256},
        "input": list(values.input),
    }
    # One worker gains nothing from ranges, whose first pass reads a large CSV twice.
    divides = runner.count_workers(options) != 1
    sizes = dataclasses.replace(DEFAULT_SIZES, **({} if divides else {"range_bytes": sys.maxsize}))
    transform = ScoreObservations(
        matching=Matching(
            patterns=tuple(storage.absolute(pattern) for pattern in values.input),
            format=values.format,
            settle_seconds=values.settle_seconds,
            new_only=values.new_only,
            output=paths.output,
            model_sha256=card.sha256,
        ),
        card=card,
        model_path=storage.join(paths.staging, "model", os.path.basename(values.model)),
        passthrough=passthrough,
        publication=decide.Publication(
            layout=paths,
            replace=values.replace,
            card=card,
            max_reject_fraction=values.max_reject_fraction,
            max_drift=values.max_drift,
            new_only=values.new_only,
            is_last=not submission.waits,
            about=about,
        ),
        sizes=sizes,
        progress=paths.progress if values.progress and submission.waits else None,
    )
    return Job(
        transform=transform,
        submission=submission,
        model_path=values.model,
    )


def execute(job: Job, watching: AbstractContextManager[None] = _NOBODY) -> Outcome:
    """Runs the job to its end; a failed run leaves no staging.

    Args:
      job: what to run.
      watching: entered while it runs.

    Returns:
      The manifest of its outcome, and the job's metrics.

    Raises:
      PenguinError: the run failed.
    """
    paths = job.transform.publication.layout
    metrics: Metrics = {}
    try:
        metrics = submit(job, watching)
    except PenguinError:
        # Past its point of no return a run is finished, whatever became of its job.
        if decide.read_outcome(paths) is None:
            raise
    manifest = decide.read_outcome(paths)
    if manifest is None:
        raise PenguinError("the job ended without an outcome; nothing is published")
    return manifest, metrics


def submit(job: Job, watching: AbstractContextManager[None] = _NOBODY) -> Metrics:
    """Hands the pipeline to its runner, and waits for its end where the submission does.

    Args:
      job: what to run.
      watching: entered once the run has its staging.

    Returns:
      The job's metrics.

    Raises:
      PenguinError: the run failed.
    """
    paths = job.transform.publication.layout
    workers = job.submission.workers
    metrics: Metrics = {}
    with (
        signals.caught(),
        commit.attempt(paths, hands_over=not job.submission.waits),
        contextlib.closing(job.submission),
        watching,
    ):
        # After leftovers of an interrupted run of this name were finished or removed.
        if not job.transform.publication.replace:
            commit.refuse_published(paths)
        signals.run_in_thread(
            lambda: metrics.update(_run_pipeline(job)),
            cancel=job.submission.cancel,
            grace_seconds=_CANCEL_SECONDS if workers is Workers.ELSEWHERE else 0,
        )
    return metrics


def _run_pipeline(job: Job) -> Metrics:
    model_path, card = job.transform.model_path, job.transform.card
    # Workers elsewhere cannot see this machine's files: the model travels through the output root.
    storage.write_bytes(model_path, storage.read_bytes(job.model_path))
    if job.submission.workers is Workers.THREADS:
        # Before the pipeline starts, so that a model that cannot be used is refused as such.
        model_file.load_shared(model_path, card)
    try:
        return job.submission.run("Score", job.transform)
    except Exception as error:
        recorded = failures.read(job.transform.publication.layout.failures)
        raise recorded or as_penguin_error(error) from error


def _job_name(paths: Layout) -> str:
    """Unique, and as Dataflow wants it: lower-case letters, digits and hyphens."""
    run_id = re.sub(r"[^a-z0-9]+", "-", paths.run_id.lower())
    return f"penguin-score-{run_id}-{paths.attempt[:8]}"


def _passthrough(flags: Sequence[str], card: ModelCard) -> tuple[str, ...]:
    names = [name.strip() for flag in flags for name in flag.split(",")]
    taken = set(schemas.predictions((), card).names)
    for name in names:
        if not name or name in taken:
            raise UsageError(f"--passthrough {name!r}: the predictions have a column of this name")
    return tuple(dict.fromkeys(names))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("penguin-scoring", *_VERSIONED):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
