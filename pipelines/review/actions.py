"""What each sub-command of `penguin-runs` does, from its flags to its exit code."""

from __future__ import annotations

import argparse
import datetime
import json
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence

import msgspec

from penguin_model import terminal
from pipelines import formatting, storage
from pipelines.errors import PenguinError
from pipelines.formatting import counted
from pipelines.publishing import review
from pipelines.report.data import card_of
from pipelines.review import catalogue, deciding, late_labels, prune, replay, show, table, verify
from pipelines.review.catalogue import Found
from pipelines.review.options import DAMAGED, PROGRAM, build_parser
from pipelines.review.verify import RunData
from pipelines.runs import commands
from pipelines.runs.layout import PREDICTIONS
from pipelines.runs.manifest import Manifest, Status, to_json
from pipelines.storage.flags import parse_with_filesystems

_CHECKABLE = (Status.PUBLISHED, Status.HELD)
# Without a run's name, `verify` checks these.
_CHECKED = (Status.PUBLISHED, DAMAGED)
_MOST_FAULTS = 20


def run(name: str, arguments: Sequence[str]) -> int:
    """Runs a sub-command.

    Args:
      name: one of `options.COMMANDS`.
      arguments: the command line after it.

    Returns:
      The exit code.

    Raises:
      PenguinError: it couldn't do its work.
    """
    values, filesystems = parse_with_filesystems(build_parser(name), arguments)
    values.output = storage.absolute(values.output)
    values.filesystems = filesystems
    return _ACTIONS[name](values)


def _list(values: argparse.Namespace) -> int:
    found = catalogue.find_all(values.output)
    for run in found:
        if run.status == DAMAGED:
            terminal.note(PROGRAM, run.error)
    if values.status:
        found = [run for run in found if run.status in values.status]
    if values.json:
        _print_json([table.as_json(run) for run in found])
    elif found:
        for line, colour in table.as_lines(found):
            terminal.print_coloured(line, colour, sys.stdout)
    else:
        kind = f" {' or '.join(values.status)}" if values.status else ""
        terminal.note(PROGRAM, f"{values.output} has no{kind} runs")
    return 0


def _show(values: argparse.Namespace) -> int:
    found = catalogue.find(values.output, values.run, to="show")
    if found.status == DAMAGED:
        catalogue.manifest_of(found, (), to="shown")
    if values.json:
        _print_json(
            to_json(found.manifest) if found.manifest else msgspec.to_builtins(found.record)
        )
        return 0
    outcome, _, text = show.as_text(found, values.output, values).partition("\n")
    terminal.print_coloured(outcome, table.COLOURS.get(found.status), sys.stdout)
    print(text)
    return 0


def _accept(values: argparse.Namespace) -> int:
    _choose(values, (Status.HELD,), to="accept", done="accepted")
    manifest = deciding.accept(
        values.output,
        values.run,
        by=values.by,
        why=values.why,
        as_baseline=values.as_baseline,
    )
    return _tell(values, manifest)


def _reject(values: argparse.Namespace) -> int:
    _choose(values, (Status.HELD,), to="reject", done="rejected")
    return _close(values, Status.REJECTED, files_done=not values.retry)


def _retract(values: argparse.Namespace) -> int:
    _choose(values, (Status.PUBLISHED,), to="retract", done="retracted")
    return _close(values, Status.RETRACTED, files_done=values.keep_done)


def _close(values: argparse.Namespace, status: Status, *, files_done: bool) -> int:
    manifest = deciding.close(
        values.output, values.run, status, by=values.by, why=values.why, files_done=files_done
    )
    return _tell(values, manifest)


def _choose(
    values: argparse.Namespace, statuses: Sequence[Status], *, to: str, done: str
) -> Manifest:
    """The run that a command is about, if it has one of some statuses."""
    found = catalogue.find(values.output, values.run, statuses, to=to)
    return catalogue.manifest_of(found, statuses, to=done)


def _tell(values: argparse.Namespace, manifest: Manifest) -> int:
    """Prints what is now true of a run, and the command that comes next."""
    reach = commands.reach_flags(values)
    following = commands.look_after("show", values.output, manifest.run_id, reach)
    if manifest.status is Status.PUBLISHED:
        following = commands.report(values.output, manifest.run_id, reach)
    with terminal.telling(PROGRAM, "outcome"):
        print(terminal.printable(deciding.outcome(manifest, values.output)))
        print(terminal.printable(f"next  {following}"))
    return 0


def _prune(values: argparse.Namespace) -> int:
    keep = datetime.timedelta(hours=values.keep)
    old = prune.find_old(catalogue.find_all(values.output), deciding.now() - keep)
    freed = failed = 0
    would = "would be " if values.dry_run else ""
    for each in old:
        run = each.found
        try:
            if not values.dry_run:
                prune.remove(values.output, each, f"older than {values.keep // 24} days")
        except PenguinError as error:
            failed += 1
            terminal.note(PROGRAM, f"run {run.run_id} isn't pruned: {error}")
            continue
        freed += each.frees
        what = "the record of failed run" if each.is_record else "the data of run"
        size = formatting.size(each.frees)
        ended = table.minute(run.end)
        print(f"{what} {run.run_id} (ended {ended} UTC) {would}removed: {size}")
    done = _some(len(old) - failed, "run")
    print(f"{done} {would}pruned, {formatting.size(freed)} {would}freed")
    if failed:
        raise PenguinError(f"{_some(failed, 'run')} couldn't be pruned; see above")
    return 0


def _labels(values: argparse.Namespace) -> int:
    manifest = _choose(values, _CHECKABLE, to="label", done="labelled")
    run, path = RunData.of(values.output, manifest), storage.absolute(values.labels)
    card = card_of(manifest.model, values.model)
    found = late_labels.measure(
        run.shards(PREDICTIONS),
        path,
        card,
        rows_scored=manifest.totals.rows_scored,
        prediction_column=manifest.model.prediction_column,
        key=values.key,
        label_column=values.label_column,
    )
    at = deciding.now().isoformat(timespec="seconds")
    note = f"labels from {formatting.escape_bytes(path)}, {at} by {deciding.whoever()}"
    changed = msgspec.structs.replace(manifest, labels=found.labels, notes=(*manifest.notes, note))
    review.rewrite(values.output, changed)
    with terminal.telling(PROGRAM, "outcome"):
        print(terminal.printable(f"run {manifest.run_id}: {show.labels_text(found.labels)}"))
        if found.unmatched:
            print(f"{_some(found.unmatched, 'label')} of the file without a prediction")
        for line in show.accuracy_lines(changed):
            print(terminal.printable(f"accuracy {line}"))
        reach = commands.reach_flags(values)
        print(f"next  {commands.report(values.output, manifest.run_id, reach)}")
    return 0


def _verify(values: argparse.Namespace) -> int:
    if values.run is None:
        runs = [run for run in catalogue.find_all(values.output) if run.status in _CHECKED]
    else:
        runs = [catalogue.find(values.output, values.run, _CHECKABLE, to="verify")]
        catalogue.manifest_of(runs[0], _CHECKABLE, to="verified")
    seed = secrets.randbelow(1 << 31) if values.seed is None else values.seed
    faulty = 0
    for run in runs:
        checked, faults = _check(values, run, seed)
        faulty += bool(faults)
        outcome = _some(len(faults), "fault") if faults else "good"
        colour = terminal.Colour.RED if faults else terminal.Colour.GREEN
        line = "; ".join([f"{run.run_id}: {outcome}", *checked])
        terminal.print_coloured(terminal.printable(line), colour, sys.stdout)
        for fault in faults[:_MOST_FAULTS]:
            print(f"{run.run_id}: {terminal.printable(fault)}")
        if len(faults) > _MOST_FAULTS:
            print(f"{run.run_id}: and {len(faults) - _MOST_FAULTS:,} more")
    if not runs:
        terminal.note(PROGRAM, f"{values.output} has no published runs")
    if faulty:
        have = "has faults" if faulty == 1 else "have faults"
        raise PenguinError(f"{faulty} of {_some(len(runs), 'run')} {have}; see above")
    return 0


def _check(values: argparse.Namespace, found: Found, seed: int) -> tuple[list[str], list[str]]:
    """What was checked of a run, in words, and what is wrong."""
    manifest = found.manifest
    if manifest is None:
        return [], [found.error]
    run = RunData.of(values.output, manifest)
    faults = list(verify.find_faults(run))
    if faults and (now := _replaced(values, found)) is not None:
        return _check(values, now, seed)
    totals = manifest.totals
    amounts = {
        "prediction": totals.rows_scored, "reject": totals.rows_rejected, "file": totals.files
    }  # fmt: skip
    parts = [
        ", ".join(_some(amount, noun) for noun, amount in amounts.items()),
        "hashes compared" if verify.has_hashes(manifest) else "no hashes recorded",
    ]
    if values.replay and not faults:
        again = replay.replay(
            run, values.replay, seed=seed, model=values.model, filesystems=values.filesystems
        )
        faults += again.faults
        rows, files = _some(again.rows, "row"), _some(again.files, "file")
        parts.append(f"{rows} of {files} scored again (--seed {seed})")
    return parts, faults


def _replaced(values: argparse.Namespace, found: Found) -> Found | None:
    """The run that has taken the place of one while it was checked; None if none has."""
    now = catalogue.find(values.output, found.run_id, [found.status], to="verify")
    if now.manifest is None or found.manifest is None or now.status != found.status:
        return None
    return now if now.manifest.attempt != found.manifest.attempt else None


def _some(amount: int, noun: str) -> str:
    return counted(amount, noun, " ")


def _print_json(values: object) -> None:
    # A damaged manifest may have NaN; a lone surrogate in a path stays readable as an escape.
    print(json.dumps(values, indent=2))


_ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "accept": _accept,
    "reject": _reject,
    "retract": _retract,
    "verify": _verify,
    "prune": _prune,
    "labels": _labels,
}
