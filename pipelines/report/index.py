"""The index: one HTML page over all runs below an output root, newest first."""

from __future__ import annotations

import collections
import dataclasses
import heapq
from collections.abc import Collection, Iterator, Sequence

from penguin_model.pages import frame
from penguin_model.pages.markup import Content, Markup, element
from pipelines import formatting, storage
from pipelines.errors import DamagedError, UsageError
from pipelines.formatting import DASH, count, counted, percent, psi
from pipelines.report.doubts import reviewed
from pipelines.runs import history
from pipelines.runs.history import FailedRun, Run
from pipelines.runs.manifest import Manifest, Status

MOST_RUNS = 500
_MOST_NAMED = 20
# A run id begins with a letter or digit, so this is no run's page.
_OF_RUN_INDEX = "_index.html"
_COLUMNS = ("run", "rows", "rejected", "drift", "accuracy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Index:
    """What the index shows.

    Attributes:
      output: the output root.
      runs: the newest ones, newest first.
      statuses: the number of all runs by status, those left out included.
      pages: the names of the files in ``reports/``.
      damaged: one line about each record that can't be read.
    """

    output: str
    runs: Sequence[Run]
    statuses: collections.Counter[str]
    pages: Collection[str] = ()
    damaged: Sequence[str] = ()


def page_name(run_id: str) -> str:
    """The file name of a run's page in ``reports/``; ``index.html`` is the index itself."""
    return _OF_RUN_INDEX if run_id.lower() == "index" else f"{run_id}.html"


def gather(output: str, *, most: int = MOST_RUNS) -> Index:
    """Reads what the index shows.

    Args:
      output: the output root.
      most: the number of runs to show.

    Raises:
      UsageError: the output root can't be read, or has no runs.
    """
    damaged: list[DamagedError] = []
    statuses: collections.Counter[str] = collections.Counter()

    def counted_runs() -> Iterator[Run]:
        for run in history.read_runs(output, damaged.append):
            statuses[str(run.status)] += 1
            yield run

    try:
        runs = history.newest(counted_runs(), most)
        pages = storage.list_files(storage.join(output, "reports"))
    except storage.ERRORS as error:
        raise UsageError(f"{output}: can't be read: {storage.reason_of(error)}") from error
    if not runs and not damaged:
        raise UsageError(f"{output}: no runs found")
    return Index(
        output=output,
        runs=runs,
        statuses=statuses,
        pages={path.replace("\\", "/").rpartition("/")[2] for path in pages},
        damaged=heapq.nsmallest(_MOST_NAMED, map(str, damaged)),
    )


def render(index: Index) -> str:
    """The whole page."""
    whole = sum(index.statuses.values())
    shown = [f"{count(n)} {status}" for status, n in sorted(index.statuses.items())]
    waiting = [run for run in index.runs if run.status == Status.HELD]
    header = [
        element("h1", "Runs", element("span", element("bdi", index.output))),
        _waiting(waiting, index.pages) if waiting else None,
        element("p", f"{counted(whole, 'run')}: {', '.join(shown)}. Newest first, by end time "
                     "(UTC). An accuracy with ~ is estimated without labels."),
    ]  # fmt: skip
    left_out = whole - len(index.runs)
    content = [
        _table(index),
        element("p", f"{counted(left_out, 'older run')} not shown.") if left_out else None,
    ]
    sections: list[frame.Section] = [("runs", "All runs", content)]
    if index.damaged:
        lines = [element("li", element("bdi", each)) for each in index.damaged]
        sections.insert(0, ("damaged", "Damaged records", element("ul", lines)))
    return frame.page(f"Runs in {index.output}", header, sections)


def _waiting(runs: Sequence[Run], pages: Collection[str]) -> Markup:
    """The runs that a person has to accept or reject."""
    names = [[_name(run, pages), " "] for run in runs[:_MOST_NAMED]]
    wait = "1 run waits" if len(runs) == 1 else f"{count(len(runs))} runs wait"
    more = "…" if len(runs) > len(names) else None
    return element(
        "div", element("strong", f"{wait} for a decision"), names, more, class_="verdict held"
    )


def _name(run: Run, pages: Collection[str]) -> Content:
    """A run's name, with a link to its page if there is one."""
    name = page_name(run.run_id)
    return element("a", run.run_id, href=name) if name in pages else run.run_id


def _table(index: Index) -> Markup:
    head = [element("th", name, scope="col", class_=_look(name)) for name in _COLUMNS]
    return element(
        "div",
        element(
            "table",
            element("caption", "All runs, newest first"),
            element("thead", element("tr", head)),
            element("tbody", [_rows(run, index.pages) for run in index.runs]),
            class_="runs",
        ),
        class_="scroll", tabindex=0, role="region", aria_label="All runs",
    )  # fmt: skip


def _look(name: str) -> str:
    return "words" if name == "run" else "number"


def _rows(run: Run, pages: Collection[str]) -> Iterator[Markup]:
    """A run's row, and a second one that says why it isn't simply published."""
    first = element(
        "th",
        element("strong", _name(run, pages)),
        element("small", element("span", str(run.status), class_=f"status {run.status}"),
                element("span", _minute(run.end))),
        scope="row",
    )  # fmt: skip
    note = _note(run)
    cells = [element("td", each, class_="number") for each in _numbers(run)]
    yield element("tr", first, cells, class_="noted" if note else None)
    if note:
        yield element("tr", element("td", note, colspan=len(_COLUMNS)), class_="note")


def _minute(iso: str) -> str:
    """An ISO time to the minute."""
    return iso[:16].replace("T", " ")


def _numbers(run: Run) -> tuple[str, ...]:
    """A run's cells after the first."""
    if isinstance(run, FailedRun):
        return (DASH,) * (len(_COLUMNS) - 1)
    return (
        count(run.totals.rows_read), percent(run.reject_fraction),
        psi(run.drift["score"]) if run.drift else DASH, _accuracy(run),
    )  # fmt: skip


def _accuracy(run: Manifest) -> str:
    if run.labels and run.labels["rows"]:
        return percent(run.labels["accuracy"])
    return f"~{percent(run.accuracy_estimate.accuracy)}" if run.accuracy_estimate else DASH


def _note(run: Run) -> str:
    if isinstance(run, FailedRun):
        return f"Exit code {run.exit_code}: {formatting.cut(run.error) or 'no reason recorded'}"
    held = run.held_reason
    note = f"Held: {held}." if held else ""
    if run.reviews and (run.status is not Status.PUBLISHED or held):
        verb = "Accepted" if run.status is Status.PUBLISHED else str(run.status).capitalize()
        note += f" {verb}{reviewed(run.reviews[-1])}."
    return note.strip()
