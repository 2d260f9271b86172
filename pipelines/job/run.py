"""Runs a plan to its outcome: an exit code, a summary and a page."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa

from penguin_model import terminal
from penguin_model.command_line import ArgumentParser
from pipelines import publishing, storage
from pipelines.counts import Metrics, failures
from pipelines.errors import PenguinError, of_code
from pipelines.job import check, metrics_file, next_commands, summary, worst_rejects
from pipelines.job.options import build_parser
from pipelines.job.plan import Plan, prepare
from pipelines.progress import display
from pipelines.runners import beam_private, signals
from pipelines.runners.submission import Workers, as_penguin_error
from pipelines.runs import commands
from pipelines.runs.gates import HeldBecause
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest
from pipelines.scoring import model_file

# A cluster frees the slots of a cancelled job within seconds.
_CANCEL_SECONDS = 30
_NO_DISPLAY: AbstractContextManager[None] = contextlib.nullcontext()


Outcome = tuple[Manifest, Metrics]


def run_command(program: str, arguments: Sequence[str], verbose: bool) -> int:
    """Runs the job from its arguments to its exit code.

    Raises:
      PenguinError: anything that keeps the run from being published.
    """
    parser = build_parser(program)
    path = metrics_file.find_path(parser, arguments)
    beam_private.pickle_quickly()
    with contextlib.ExitStack() as around:
        ending = around.enter_context(metrics_file.written(program, path))
        if not verbose:
            around.enter_context(beam_private.quiet_workers())
        return _run(parser, arguments, verbose, ending)


def _run(
    parser: ArgumentParser, arguments: Sequence[str], verbose: bool, ending: metrics_file.Ending
) -> int:
    program = parser.prog
    values, normalized = parser.parse_args(arguments), parser.normalize(arguments)
    if values.check:
        check.run_check(program, values, normalized)
        return 0
    plan = prepare(values, normalized)
    paths = plan.transform.publication.layout
    if not plan.submission.waits_for_end:
        with _recorded(plan):
            submit(plan)
        with terminal.telling(program, "summary"):
            summary.show(summary.of_submitted(paths), values.summary)
        return 0
    progress_display = _NO_DISPLAY
    if plan.transform.progress:
        progress_display = display.shown(program, plan.transform.progress, verbose=verbose)
    manifest, metrics = execute(plan, progress_display)
    ending.manifest = manifest
    page = _report(program, paths, values) if values.report else None
    worst = _worst_rejects(program, manifest, paths)
    following = next_commands.after_run(manifest, paths, values, has_page=page is not None)
    ended = summary.of_run(manifest, paths, metrics, page, worst=worst, next_commands=following)
    with terminal.telling(program, "summary"):
        summary.show(ended, values.summary)
    for note in summary.input_notes(manifest):
        terminal.note(program, note)
    if manifest.is_held:
        raise _held_error(manifest, paths)
    return 0


def _held_error(manifest: Manifest, paths: Layout) -> PenguinError:
    """The error that a held run ends with; its class follows from the reason's name."""
    because = manifest.held_because
    about_rejects = because in (HeldBecause.REJECTS, HeldBecause.UNREADABLE_FILES)
    what = "rejects" if about_rejects else "details"
    message = f"{manifest.held_reason}; nothing is published, the {what} are in {paths.held}"
    return of_code(str(because))(message)


def _worst_rejects(program: str, manifest: Manifest, paths: Layout) -> list[dict[str, Any]]:
    """Reads examples of the run's rejects, without affecting the run's outcome."""
    try:
        return worst_rejects.find_worst(manifest, paths)
    except (*storage.ERRORS, pa.ArrowException) as error:
        terminal.note(program, f"no examples of the rejects: {storage.reason_of(error)}")
        return []


def _report(program: str, paths: Layout, values: argparse.Namespace) -> str | None:
    """Writes the run's page, without affecting the run's outcome."""
    from pipelines import report

    try:
        reach = commands.reach_flags(values)
        return report.write(paths.output, paths.run_id, model=values.model, reach=reach)
    except (PenguinError, *storage.ERRORS, pa.ArrowException) as error:
        terminal.note(program, f"no report: {error}")
        return None


def execute(plan: Plan, progress_display: AbstractContextManager[None] = _NO_DISPLAY) -> Outcome:
    """Runs the job to its end; a failed run leaves no staging.

    Args:
      plan: what to run.
      progress_display: entered while the run is in progress.

    Returns:
      The manifest of its outcome, and the job's metrics.

    Raises:
      PenguinError: the run failed.
    """
    paths = plan.transform.publication.layout
    metrics: Metrics = {}
    with _recorded(plan):
        try:
            metrics = submit(plan, progress_display)
        except PenguinError:
            # A run past its point of no return is finished, whatever happened to its job.
            if publishing.read_outcome(paths) is None:
                raise
        manifest = publishing.read_outcome(paths)
        if manifest is None:
            raise PenguinError("the job ended without an outcome; nothing is published, run again")
    return manifest, metrics


def _recorded(plan: Plan) -> AbstractContextManager[None]:
    publication = plan.transform.publication
    return publishing.recorded(publication.layout, publication.run_info.start)


def submit(plan: Plan, progress_display: AbstractContextManager[None] = _NO_DISPLAY) -> Metrics:
    """Submits the pipeline to its runner, and waits for its end if the submission does.

    Args:
      plan: what to run.
      progress_display: entered once the run has its staging.

    Returns:
      The job's metrics.

    Raises:
      PenguinError: the run failed.
    """
    paths = plan.transform.publication.layout
    workers = plan.submission.workers
    metrics: Metrics = {}
    with (
        signals.caught(),
        publishing.of(paths).attempt(waits_for_end=plan.submission.waits_for_end),
        contextlib.closing(plan.submission),
        progress_display,
    ):
        # After anything left by an interrupted run of this name was finished or removed.
        if not plan.transform.publication.replace:
            publishing.of(paths).refuse_published()
        signals.run_in_thread(
            lambda: metrics.update(_run_pipeline(plan)),
            cancel=plan.submission.cancel,
            grace_seconds=_CANCEL_SECONDS if workers is Workers.ELSEWHERE else 0,
        )
    return metrics


def _run_pipeline(plan: Plan) -> Metrics:
    # Workers elsewhere can't see this machine's files: the model travels through the output root.
    content = model_file.read_network(plan.network, plan.transform.card)
    storage.write_bytes(plan.transform.network.path, content)
    if plan.submission.workers is Workers.THREADS:
        # Before the pipeline starts, so that an unusable model is reported as such.
        model_file.load_shared(plan.network, plan.transform.card)
    try:
        return plan.submission.run("Score", plan.transform)
    except Exception as error:
        recorded = failures.read_failure(plan.transform.publication.layout.failures)
        raise recorded or as_penguin_error(error) from error
