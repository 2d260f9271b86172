"""Everything that a person wants to know about a run before deciding about it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from penguin_model import terminal
from pipelines import formatting, storage
from pipelines.formatting import count, counted, cut, listed, listed_counts, number, percent, psi
from pipelines.job import worst_rejects
from pipelines.report import examples
from pipelines.review import table
from pipelines.review.catalogue import Found
from pipelines.runs import commands
from pipelines.runs.history import FailedRun
from pipelines.runs.layout import DATASETS, FILES, Layout
from pipelines.runs.manifest import Manifest, Review, Status

# How many files, and drifted distributions, are shown.
_MOST = 5
_HASH_DIGITS = 12

# The sub-commands that can follow, by status.
_FOLLOWING: Mapping[str, Sequence[Sequence[str]]] = {
    Status.HELD: (["accept"], ["reject"], ["reject", "--retry"]),
    Status.PUBLISHED: (["verify"], ["retract"]),
}

Line = tuple[str, str]


def as_text(found: Found, output: str, values: argparse.Namespace) -> str:
    """A run in lines of a name and a value.

    Args:
      found: the run.
      output: its output root.
      values: the command's flags, for the commands that can follow.
    """
    lines = [
        *(_describe(found.manifest, output) if found.manifest else _describe_record(found)),
        *(("next", command) for command in next_commands(found, output, values)),
    ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {terminal.printable(value)}" for name, value in lines)


def next_commands(found: Found, output: str, values: argparse.Namespace) -> Iterator[str]:
    """The commands that can follow, quoted for a shell."""
    reach = commands.reach_flags(values)
    if found.status in (Status.HELD, Status.PUBLISHED):
        yield commands.report(output, found.run_id, reach)
    for verb, *flags in _FOLLOWING.get(found.status, ()):
        yield " ".join([commands.look_after(verb, output, found.run_id, reach), *flags])


def places(manifest: Manifest, paths: Layout) -> Iterator[tuple[str, str]]:
    """Where a run's data are, by name of the data set."""
    for name in DATASETS:
        if name in manifest.shards and manifest.shards[name].files:
            if manifest.status is Status.PUBLISHED:
                yield name, paths.published(name)
            elif manifest.is_held:
                yield name, storage.join(paths.held, name)


def review_text(review: Review) -> str:
    """What a person decided, in one line."""
    what = "accepted" if review.status is Status.PUBLISHED else str(review.status)
    by = f" by {review.by}" if review.by else ""
    notes = ["a baseline for later nights"] if review.as_baseline else []
    if not review.files_done:
        notes.append("its files count as new")
    also = f" ({', '.join(notes)})" if notes else ""
    why = f": {review.why}" if review.why else ""
    return f"{what} {formatting.moment(review.at)}{by}{also}{why}"


def _describe(manifest: Manifest, output: str) -> Iterator[Line]:
    paths = Layout(output=output, run_id=manifest.run_id, attempt="")
    totals = manifest.totals
    yield "run", f"{manifest.run_id} ({manifest.status})"
    if manifest.held_because:
        yield "held", manifest.held_reason
    for review in manifest.reviews:
        yield "review", review_text(review)
    took = f"took {formatting.duration(manifest.start, manifest.end)}" if manifest.start else ""
    yield "ended", ", ".join(filter(None, [formatting.moment(manifest.end), took, manifest.runner]))
    model = manifest.model
    sha256 = f"sha256 {model.sha256[:_HASH_DIGITS]}…" if model.sha256 else None
    yield "model", ", ".join(filter(None, [model.name, model.path, sha256, model.engine]))
    for pattern in manifest.input:
        yield "input", pattern
    yield "files", f"{count(totals.files)}{_left_out(manifest)}"
    yield "rows read", count(totals.rows_read)
    yield "scored", f"{count(totals.rows_scored)}{listed_counts(manifest.species)}"
    share = f" ({percent(manifest.reject_fraction)})" if totals.files else ""
    yield (
        "rejected",
        f"{count(totals.rows_rejected)}{share}{listed_counts(manifest.rejects_by_reason)}",
    )
    for line in _worst(manifest, paths):
        yield "", line
    yield from _drift(manifest)
    yield from _accuracy(manifest)
    if trust := manifest.trust:
        yield (
            "trust",
            (
                f"{count(trust.out_of_distribution)} of {_counted(trust.rows, 'row')} unlike the "
                f"training data, {count(trust.ambiguous)} with more than one possible class"
            ),
        )
    yield from places(manifest, paths)
    for note in manifest.notes:
        yield "note", note


def _describe_record(found: Found) -> Iterator[Line]:
    yield "run", f"{found.run_id} ({found.status})"
    if found.end:
        yield "ended", formatting.moment(found.end)
    if isinstance(found.record, FailedRun):
        yield "exit code", str(found.record.exit_code)
    yield "error", found.error or "not recorded"
    yield "record", found.path


def _left_out(manifest: Manifest) -> str:
    totals = manifest.totals
    counts = {
        "unreadable": totals.files_unreadable,
        "scored by earlier runs": totals.files_skipped,
        "waiting with held runs": totals.files_waiting,
        "may still be written": totals.files_unsettled,
        "ignored": totals.files_ignored,
        "not files": totals.not_files,
    }
    return listed_counts({name: n for name, n in counts.items() if n})


def _worst(manifest: Manifest, paths: Layout) -> Iterator[str]:
    """Examples of the rejects, and the files with most of them."""
    if not manifest.rejects_by_reason or manifest.status not in (Status.HELD, Status.PUBLISHED):
        return
    try:
        rejects = worst_rejects.find_worst(manifest, paths)
        files = examples.worst_files(examples.shards(paths, manifest, FILES), _MOST)
    except (*storage.ERRORS, pa.ArrowException, KeyError, ValueError) as error:
        yield f"examples not available: {storage.reason_of(error)}"
        return
    width = max((len(each["reason"]) for each in rejects), default=0)
    for each in rejects:
        row = "" if each["row"] is None else f", row {each['row']}"
        yield f"{each['reason']:<{width}}  {each['file']}{row}: {each['message']}"
    for file in files:
        if file["rows_rejected"]:
            rejected, read = count(file["rows_rejected"]), _counted(file["rows_read"], "row")
            yield f"{rejected} of {read} rejected: {cut(file['source_file'])}"


def _drift(manifest: Manifest) -> Iterator[Line]:
    """The score, and the distributions that differ most."""
    found, score = manifest.drift or {}, table.drift_score(manifest)
    if score is None:
        return
    most = table.number_in(found, "max_drift")
    limit = "no limit" if most is None else f"limit {number(most)}"
    yield "drift", f"PSI {psi(score)} ({limit})"
    shifts = [
        (value, f"{name} {psi(value)} against {against}{_drifted(shift)}")
        for against, several in found.items()
        if isinstance(several, dict)
        for name, shift in several.items()
        if isinstance(shift, dict) and (value := table.number_in(shift, "psi")) is not None
    ]
    for _, text in sorted(shifts, reverse=True)[:_MOST]:
        yield "", text


def _drifted(shift: Mapping[str, Any]) -> str:
    return ", drifted" if shift.get("drifted") else ""


def _accuracy(manifest: Manifest) -> Iterator[Line]:
    if manifest.labels:
        yield "labelled", labels_text(manifest.labels)
    for line in accuracy_lines(manifest):
        yield "accuracy", line


def labels_text(labels: Mapping[str, Any]) -> str:
    """How many rows have a label."""
    names = {"unlabelled": "without a label", "unknown": "with an unknown one"}
    rest = {text: int(table.number_in(labels, name) or 0) for name, text in names.items()}
    rows = _counted(int(table.number_in(labels, "rows") or 0), "row")
    return f"{rows}{listed_counts({text: n for text, n in rest.items() if n})}"


def accuracy_lines(manifest: Manifest) -> Iterator[str]:
    """A run's accuracy in words: measured, estimated, both or unknown."""
    labels, estimate = manifest.labels, _estimate_text(manifest)
    measured = table.number_in(labels, "accuracy")
    if measured is not None:
        recall = (labels or {}).get("recall")
        by_class = {
            name: percent(table.number_in(recall, name), 0)
            for name in (recall if isinstance(recall, dict) else {})
        }
        recalls = f", recall {listed([f'{n} {each}' for n, each in by_class.items()])}"
        loss = number(table.number_in(labels, "log_loss"))
        yield f"{percent(measured)} measured, log-loss {loss}{recalls if by_class else ''}"
    if estimate:
        yield estimate
    elif measured is None:
        yield "unknown: the rows have no labels"


def _estimate_text(manifest: Manifest) -> str:
    estimate = manifest.accuracy_estimate
    if estimate is None:
        return ""
    between = f"95% interval {percent(estimate.low)} to {percent(estimate.high)}"
    return f"{percent(estimate.accuracy)} estimated from the probabilities ({between})"


def _counted(amount: int, noun: str) -> str:
    return counted(amount, noun, " ")
