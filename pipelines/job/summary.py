"""The summary of a run: a short table, or the same in JSON for scripts."""

from __future__ import annotations

import itertools
import json
import operator
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penguin_model import terminal
from pipelines.counts import Metrics, Spread
from pipelines.formatting import count, counted, cut, listed_counts
from pipelines.monitoring.drift import name_rule
from pipelines.runs.layout import DATASETS, PREDICTIONS, REJECTS, Layout
from pipelines.runs.manifest import Manifest, Status, to_json

Summary = Mapping[str, Any]

# The most characters of a path or message in a line for a person.
_MOST_TEXT = 200
_SUBMITTED = "submitted"
_COLOURS = {Status.HELD: terminal.Colour.YELLOW, Status.PUBLISHED: terminal.Colour.GREEN}
_MEANING = {
    "unreadable": "",
    "skipped": " (scored by an earlier run)",
    "waiting": " (of held runs, until these are accepted or rejected)",
    "unsettled": " (may still be written; left for the next run)",
}
_MOST_NAMED = 5
_IF_ANY = ("waiting", "ignored", "not_files", "unmatched", "notes")


def of_run(
    manifest: Manifest,
    paths: Layout,
    metrics: Metrics,
    report: str | None = None,
    *,
    worst: Sequence[Mapping[str, Any]] = (),
    next_commands: Sequence[str] = (),
) -> Summary:
    """Sums up a run that has ended.

    Args:
      manifest: that of the published or held run.
      paths: where the run is.
      metrics: the job's own; empty if the runner reports none.
      report: the page on the run.
      worst: as `worst_rejects.find_worst` returns them.
      next_commands: quoted for a shell.

    Returns:
      JSON values: the manifest's ``status``, ``held_because``, ``held_reason``, ``run_id``,
      ``start``, ``end``, ``totals``, ``rejects_by_reason`` and ``species``; ``worst_rejects``;
      ``drift``, ``labels``, ``trust``, ``accuracy_estimate`` and ``batches``, None if unknown;
      under ``paths`` those that exist, by name; the ``next`` commands; and if there are any, the
      manifest's ``waiting``, ``ignored``, ``not_files``, ``unmatched`` and ``notes``.
    """
    same = ("status", "held_because", "held_reason", "run_id", "start", "end", "totals")
    known = to_json(manifest)
    return {
        **{key: known[key] for key in (*same, "rejects_by_reason", "species")},
        "worst_rejects": list(worst),
        "drift": _drift(manifest.drift),
        "labels": _labels(manifest.labels),
        "trust": known["trust"],
        "accuracy_estimate": known["accuracy_estimate"],
        "batches": _batches(metrics),
        "paths": dict(_paths(manifest, paths, report)),
        "next": list(next_commands),
        **{key: known[key] for key in _IF_ANY if known[key]},
    }


def input_notes(manifest: Manifest) -> Iterator[str]:
    """Yields what an operator should know about the input though the run succeeded.

    Args:
      manifest: the run's.
    """
    for run_id, files in list(manifest.waiting.items())[:_MOST_NAMED]:
        yield (
            f"{counted(files, 'file', ' ')} left out until the held run {run_id} is accepted or "
            "rejected"
        )
    for pattern in manifest.unmatched:
        yield f"no file matches {pattern}"
    others = list(manifest.not_files.items())
    for path, kind in others[:_MOST_NAMED]:
        yield f"{path} is a {kind}, so it isn't read"
    if manifest.totals.not_files > _MOST_NAMED:
        more = manifest.totals.not_files - _MOST_NAMED
        yield f"{count(more)} more aren't files; the manifest lists them under not_files"


def of_submitted(paths: Layout) -> Summary:
    """Sums up what is known about a run that isn't waited for.

    Args:
      paths: where the run will be.
    """
    return {"status": _SUBMITTED, "run_id": paths.run_id, "paths": {"manifest": paths.manifest}}


def show(summary: Summary, form: str) -> None:
    """Prints a summary to standard output, with the outcome in colour if a person reads it there.

    Args:
      summary: what to print.
      form: ``text`` or ``json``.
    """
    if form == "json":
        print(as_json(summary))
        return
    outcome, _, table = as_text(summary).partition("\n")
    terminal.print_coloured(outcome, _COLOURS.get(summary["status"]), sys.stdout)
    print(table)


def as_json(summary: Summary) -> str:
    """A JSON object on several lines."""
    return json.dumps(summary, indent=2, allow_nan=False)


def as_text(summary: Summary) -> str:
    """A table for a person."""
    lines = list(_submitted(summary) if summary["status"] == _SUBMITTED else _ended(summary))
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {terminal.printable(value)}" for name, value in lines)


def _drift(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    # Nothing is compared if the run has no rows.
    if not found or not found["training"]:
        return None
    return {key: found[key] for key in ("score", "drifted", "max_drift", "rule", "baseline_runs")}


def _labels(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not found:
        return None
    known = {key: found[key] for key in ("rows", "accuracy", "log_loss", "recall")}
    return {**known, "calibration_error": found["calibration"]["error"]}


def _batches(metrics: Metrics) -> dict[str, Any] | None:
    rows, predicted = metrics.get("batch_rows"), metrics.get("predict_milliseconds")
    if not isinstance(rows, Spread) or not isinstance(predicted, Spread):
        return None
    return {
        "count": rows.values,
        "mean_rows": rows.mean,
        "mean_milliseconds": predicted.mean,
        "model_loads": metrics.get("model_loads", 0),
    }


def _paths(manifest: Manifest, paths: Layout, report: str | None) -> Iterator[tuple[str, str]]:
    if manifest.is_held:
        yield "held", paths.held
        yield "manifest", paths.held_manifest
    else:
        for name in DATASETS:
            if manifest.shards[name].files:
                yield name, paths.published(name)
        yield "manifest", paths.manifest
    if report is not None:
        yield "report", report


def _submitted(summary: Summary) -> Iterator[tuple[str, str]]:
    yield "run", f"{summary['run_id']} (submitted; published when the manifest is there)"
    yield "manifest", summary["paths"]["manifest"]


def _ended(summary: Summary) -> Iterator[tuple[str, str]]:
    totals, paths = summary["totals"], summary["paths"]
    held = summary["status"] == Status.HELD
    yield "run", f"{summary['run_id']} ({'held' if held else 'published'})"
    if held:
        yield "held", summary["held_reason"]
    yield "files", count(totals["files"])
    yield "rows read", count(totals["rows_read"])
    yield "scored", f"{count(totals['rows_scored'])}{listed_counts(summary['species'])}"
    yield (
        "rejected",
        f"{count(totals['rows_rejected'])}{listed_counts(summary['rejects_by_reason'])}",
    )
    for line in _worst(summary):
        yield "", line
    yield from _quality(summary)
    if batches := summary["batches"]:
        each = (
            f"{_counted(round(batches['mean_rows']), 'row')}, {batches['mean_milliseconds']:.1f} ms"
        )
        loads = f"model loads {batches['model_loads']}"
        yield "batches", f"{count(batches['count'])}  ({each} each; {loads})"
    yield from _left_out(summary)
    shown: Sequence[str] = (PREDICTIONS, REJECTS, "manifest", "report")
    if held:
        yield "kept in", paths["held"]
        shown = ("report",)
    for name in shown:
        if name in paths:
            yield name, paths[name]
    for note in summary.get("notes", ()):
        yield "note", note
    for command in summary["next"]:
        yield "next", command


def _worst(summary: Summary) -> Iterator[str]:
    """Lines of examples; of files that were rejected as a whole, also how many aren't shown."""
    worst = summary["worst_rejects"]
    width = max((len(each["reason"]) for each in worst), default=0)
    for reason, group in itertools.groupby(worst, operator.itemgetter("reason")):
        same = list(group)
        for each in same:
            row = "" if each["row"] is None else f", row {each['row']}"
            message = cut(each["message"], _MOST_TEXT)
            yield f"{reason:<{width}}  {_end_of(each['file'])}{row}: {message}"
        more = summary["rejects_by_reason"][reason] - len(same)
        if same[0]["row"] is None and more:
            yield f"{reason:<{width}}  and {count(more)} more"


def _end_of(path: str) -> str:
    """A path, or the end of a long one, which has the file's name."""
    return path if len(path) <= _MOST_TEXT else f"…{path[1 - _MOST_TEXT :]}"


def _left_out(summary: Summary) -> Iterator[tuple[str, str]]:
    """The files that weren't read, or not in full, and the inputs without files."""
    totals = summary["totals"]
    for name, meaning in _MEANING.items():
        if totals[f"files_{name}"]:
            yield name, f"{_counted(totals[f'files_{name}'], 'file')}{meaning}"
    if ignored := summary.get("ignored"):
        yield "ignored", f"{_counted(totals['files_ignored'], 'file')}{listed_counts(ignored)}"
    if totals["not_files"]:
        yield "not files", f"{count(totals['not_files'])} pipes, sockets, devices or broken links"
    for pattern in summary.get("unmatched", ()):
        yield "unmatched", f"no file matches {pattern}"


def _quality(summary: Summary) -> Iterator[tuple[str, str]]:
    """What drifted, and how many predictions are right, by the labels and without them."""
    drift, labels = summary["drift"], summary["labels"]
    if drift:
        found, rule = "none", name_rule(drift)
        if drift["score"]:
            found = f"PSI {drift['score']:.2f}"
            rule += f"  ({', '.join(drift['drifted']) or 'too little to matter'})"
        found += f" beyond {rule}"
        yield "drift", found
    if labels:
        found = count(labels["rows"])
        if labels["rows"]:
            found += (
                f"  (accuracy {labels['accuracy']:.1%}, log-loss {labels['log_loss']:.3f}, "
                f"calibration error {labels['calibration_error']:.3f})"
            )
        yield "labelled", found
    if estimate := summary["accuracy_estimate"]:
        ends = f"{estimate['low']:.1%} to {estimate['high']:.1%}"
        yield "estimated", f"accuracy {estimate['accuracy']:.1%}  ({ends}; without labels)"
    trust = summary["trust"]
    if trust and trust["rows"]:
        yield (
            "trust",
            f"{count(trust['out_of_distribution'])} out of distribution, "
            f"{count(trust['ambiguous'])} ambiguous  (coverage {trust['coverage']})",
        )


def _counted(number: int, noun: str) -> str:
    return counted(number, noun, " ")
