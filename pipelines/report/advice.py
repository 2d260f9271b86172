"""The report's advice: the commands with which a person decides what becomes of a run."""

from __future__ import annotations

from collections.abc import Iterator

from penguin_model.pages import markup
from penguin_model.pages.markup import Content, element
from pipelines.report.data import Report
from pipelines.runs import commands
from pipelines.runs.manifest import Status

# What each command of `penguin-runs` does to a run of a status.
_CHOICES = {
    Status.HELD: (
        ("accept", "Publish it as it was scored; nothing is scored again:"),
        ("reject", "Never publish it; its files stay done:"),
    ),
    Status.PUBLISHED: (("retract", "Take it back, if its predictions shouldn't be used:"),),
}


def next_steps(report: Report) -> Content:
    """What can be done about a run, as commands to copy."""
    return element("dl", [_step(*each) for each in _steps(report)], class_="steps")


def _steps(report: Report) -> Iterator[tuple[str, str]]:
    manifest = report.manifest
    run_id, root, reach = manifest.run_id, report.output, report.reach
    for verb, what in _CHOICES.get(manifest.status, ()):
        yield what, commands.look_after(verb, root, run_id, reach)
    yield "See its record:", commands.look_after("show", root, run_id, reach)
    yield "Write this page again:", commands.report(root, run_id, reach)


def _step(what: str, command: str) -> Content:
    return element("dt", what), element("dd", markup.command(command))
