"""The commands that are worth running after a run, for a person or a script to run as they are."""

from __future__ import annotations

import argparse

from pipelines import storage
from pipelines.job.options import changed_flags
from pipelines.runs import commands
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest

# What decides how a file is read.
_INPUT_FLAGS = (
    "input", "format", "include_hidden", "delimiter", "decimal", "passthrough", "rename", "model",
    "engine",
)  # fmt: skip
_REVIEWS = ("show", "accept", "reject")
_MOST_REVIEWS = 3


def after_run(
    manifest: Manifest, paths: Layout, values: argparse.Namespace, *, has_page: bool
) -> list[str]:
    """The commands to run after a run that was published or held.

    Args:
      manifest: the run's.
      paths: where it is.
      values: its flags.
      has_page: whether the report on it is written already.
    """
    found = []
    reach = commands.reach_flags(values)
    if manifest.totals.files_unreadable or manifest.unmatched:
        found.append(_check(values))
    if manifest.totals.files and not has_page:
        found.append(commands.report(paths.output, paths.run_id, reach))
    # Once these are decided on, the next run names others.
    held = [paths.run_id] if manifest.is_held else []
    for run_id in [*held, *manifest.waiting][:_MOST_REVIEWS]:
        found += [commands.look_after(verb, paths.output, run_id, reach) for verb in _REVIEWS]
    return found


def _check(values: argparse.Namespace) -> str:
    """The command that says how each of the input files would be read."""
    changed = changed_flags(values, _INPUT_FLAGS)
    if any(storage.local_path(path) is None for path in (*values.input, values.model)):
        changed |= commands.reach_flags(values)
    return commands.spell("penguin-score", "pipelines.score", flags={"check": True, **changed})
