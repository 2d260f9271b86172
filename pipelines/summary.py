"""The short table at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines import publish
from pipelines.layout import PREDICTIONS, REJECTS, Layout
from pipelines.submission import Metrics, Spread

_MEANING = {
    "unreadable": "",
    "skipped": " (scored by an earlier run)",
    "unsettled": " (may still be written; left for the next run)",
}


def as_text(manifest: Mapping[str, Any], paths: Layout, metrics: Metrics) -> str:
    """Formats a manifest for a person.

    Args:
      manifest: of a published or held run.
      paths: where the run lies.
      metrics: the job's own; empty where the runner gives none.
    """
    totals = manifest["totals"]
    held = manifest["status"] == publish.HELD
    lines = [
        ("run", f"{manifest['run_id']} ({'held back' if held else 'published'})"),
        ("files", _count(totals["files"])),
        ("rows read", _count(totals["rows_read"])),
        ("scored", f"{_count(totals['rows_scored'])}{_listed(manifest['species'])}"),
        ("rejected", f"{_count(totals['rows_rejected'])}{_listed(manifest['rejects_by_reason'])}"),
    ]
    lines += _quality(manifest)
    rows, predicted = metrics.get("batch_rows"), metrics.get("predict_milliseconds")
    if isinstance(rows, Spread) and isinstance(predicted, Spread):
        each = f"{_count(round(rows.mean))} rows, {predicted.mean:.1f} ms each"
        loads = metrics.get("model_loads", 0)
        lines.append(("batches", f"{_count(rows.values)}  ({each}; model loads {loads})"))
    for name in ("unreadable", "skipped", "unsettled"):
        if totals[f"files_{name}"]:
            lines.append((name, f"{_count(totals[f'files_{name}'])} files{_MEANING[name]}"))
    if held:
        lines.append(("kept in", paths.held))
    else:
        lines += [
            (name, paths.published(name))
            for name in (PREDICTIONS, REJECTS)
            if manifest["shards"][name]["files"]
        ]
        lines.append(("manifest", paths.manifest))
    return _table(lines)


def of_submitted(paths: Layout) -> str:
    """What can be said of a run whose end nobody here waits for.

    Args:
      paths: where the run will lie.
    """
    run = ("run", f"{paths.run_id} (submitted; published when the manifest is there)")
    return _table([run, ("manifest", paths.manifest)])


def _quality(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What drifted, and how the predictions compare with the labels, where there is either."""
    drift, labels = manifest["drift"], manifest["labels"]
    # Nothing is compared in a night without rows.
    if drift and drift["training"]:
        found = "none beyond chance"
        if drift["score"]:
            names = ", ".join(drift["drifted"]) or "too little to matter"
            found = f"PSI {drift['score']:.2f}  ({names})"
        yield "drift", found
    if labels:
        found = _count(labels["rows"])
        if labels["rows"]:
            found += (
                f"  (accuracy {labels['accuracy']:.1%}, log-loss {labels['log_loss']:.3f}, "
                f"calibration error {labels['calibration']['error']:.3f})"
            )
        yield "labelled", found


def _table(lines: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def _count(number: int) -> str:
    return f"{number:,}"


def _listed(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name} {_count(count)}" for name, count in counts.items())
    return f"  ({shown})" if shown else ""
