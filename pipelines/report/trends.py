"""The report's section on recent runs."""

from __future__ import annotations

from penguin_model.pages import charts, markup, svg
from penguin_model.pages.markup import Content, element
from pipelines import formatting
from pipelines.formatting import number, percent, psi
from pipelines.report.data import Report
from pipelines.runs.manifest import Manifest, Status

# More charts would only fill the page.
_MOST_CLASSES = 8

# Title, unit of the axis, values, and how to format a value and a tick.
_Spark = tuple[str, str, list[float | None], svg.Show, svg.Show | None]


def history(report: Report) -> Content:
    """How the main numbers developed over the last runs."""
    runs = report.history
    if len(runs) < 2:
        return "There are no earlier runs here."
    ends = (_day(runs[0]), _day(runs[-1]))
    published = [each.status is Status.PUBLISHED for each in runs]
    others = sum(each.model.sha256 != report.manifest.model.sha256 for each in runs)
    intro = f"The last {len(runs)} runs by end time. The rightmost point is this run."
    if not all(published):
        intro += " A hollow point is a run that isn't published."
    if others:
        intro += f" {formatting.count(others)} of them used a different model."
    wanted = report.classes
    sparks: list[_Spark] = [
        ("Rows read", "rows", [each.totals.rows_read for each in runs], _count, None),
        ("Rows rejected", "share", [each.reject_fraction for each in runs], percent, _whole),
        ("Drift score", "PSI", [_score(each) for each in runs], psi, number),
        ("Accuracy", "share", [_accuracy(each) for each in runs], percent, _whole),
    ]
    for name in wanted[:_MOST_CLASSES]:
        shares = [_share(each, name) for each in runs]
        sparks.append((f"Predicted as {name}", "share", shares, percent, _whole))
    pictures = [
        element(
            "figure",
            element("figcaption", element("strong", title)),
            charts.course(
                f"{title} in the last {len(runs)} runs", unit, values, published, ends, show, tick
            ),
        )
        for title, unit, values, show, tick in sparks
        if any(value is not None for value in values)
    ]
    header = ("run", "status", "end", "rows", "rejected", "drift", "accuracy", *wanted)
    rows = [
        (
            each.run_id, str(each.status), formatting.moment(each.end),
            formatting.count(each.totals.rows_read), percent(each.reject_fraction),
            psi(_score(each)), percent(_accuracy(each)),
            *(percent(_share(each, name)) for name in wanted),
        )
        for each in reversed(runs)
    ]  # fmt: skip
    table = markup.table("Recent runs, newest first", header, rows, words=3)
    return [
        element("p", intro),
        element("div", pictures, class_="grid small"),
        element("details", element("summary", "Numbers"), table),
    ]


def _whole(share: float) -> str:
    return f"{number(100 * share)}%"


def _score(manifest: Manifest) -> float | None:
    found = manifest.drift
    return found["score"] if found else None


def _accuracy(manifest: Manifest) -> float | None:
    found = manifest.labels
    return found["accuracy"] if found else None


def _share(manifest: Manifest, name: str) -> float | None:
    rows = sum(manifest.species.values())
    return manifest.species.get(name, 0) / rows if rows else None


def _day(manifest: Manifest) -> str:
    return manifest.end[:10]


def _count(rows: float) -> str:
    return formatting.count(round(rows))
