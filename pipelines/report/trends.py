"""The report's sections on accuracy and on recent runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penguin_model.pages import charts, markup, svg
from penguin_model.pages.markup import Content, Markup, element, figure, tiles
from pipelines import formatting
from pipelines.formatting import number, percent, psi
from pipelines.report.data import Report
from pipelines.report.verdict import interval
from pipelines.runs.manifest import Manifest

# More charts would only fill the page.
_MOST_CLASSES = 8
_SHADES = 8

# Title, values, and how to format a value and a tick of the axis.
_Spark = tuple[str, list[float | None], svg.Show, svg.Show | None]


def labels(report: Report) -> Content:
    """How the predictions compare with the labels."""
    found = report.manifest.labels
    if not found or not found["rows"]:
        return element("p", "Accuracy unknown: no row of this run has a label.")
    asides = "Every scored row has a label."
    if found["unlabelled"]:
        asides = f"{formatting.counted(found['unlabelled'], 'scored row')} had no usable label"
        asides += (
            f"; {formatting.count(found['unknown'])} of the labels aren't a class of the model."
        )
    facts = [
        ("labelled rows", formatting.count(found["rows"])),
        ("accuracy", percent(found["accuracy"])),
        ("log-loss (nats)", number(found["log_loss"])),
        ("calibration error", percent(found["calibration"]["error"])),
    ]
    return [
        tiles(facts),
        element("p", asides),
        element("div", _confusion(report, found), _calibration(found), class_="grid"),
    ]


def _confusion(report: Report, found: Mapping[str, Any]) -> Markup:
    names, matrix = list(found["recall"]), found["confusion"]
    title = "Confusion matrix: true class by row, prediction by column"
    precision = [percent(found["precision"][name]) for name in names]
    rows: list[list[Content]] = [
        [name, *map(_shaded, row, [sum(row)] * len(row)), percent(found["recall"][name])]
        for name, row in zip(names, matrix, strict=True)
    ]
    rows.append(["precision", *precision, ""])
    header = ["true", *names, "recall"]
    return element(
        "figure",
        markup.heading(title, _recall(found)),
        markup.table(title, header, rows),
        class_="confusion",
    )


def _shaded(count: int, whole: int) -> Markup:
    shade = round(_SHADES * count / whole) if whole else 0
    return element("span", formatting.count(count), class_=f"shade shade{shade}")


def _recall(found: Mapping[str, Any]) -> str:
    known = {name: value for name, value in found["recall"].items() if value is not None}
    if not known:
        return ""
    worst = min(known, key=lambda name: known[name])
    if known[worst] == 1:
        return "every labelled row was predicted correctly"
    return f"lowest recall: {worst}, {percent(known[worst])}"


def _calibration(found: Mapping[str, Any]) -> Markup:
    bins = [each for each in found["calibration"]["bins"] if each["rows"]]
    title = "Calibration: accuracy by predicted probability"
    error = percent(found["calibration"]["error"])
    finding = f"the dashed line is perfect calibration; the mean gap is {error}"
    points = [
        (
            each["probability"], each["accuracy"],
            *interval(round(each["accuracy"] * each["rows"]), each["rows"]),
        )
        for each in bins
    ]  # fmt: skip
    rows = [
        (
            f"{percent(each['from'], 0)} to {percent(each['to'], 0)}",
            formatting.count(each["rows"]),
            percent(each["probability"]), percent(each["accuracy"]),
        )
        for each in bins
    ]  # fmt: skip
    header = ("probability", "rows", "mean probability", "accuracy")
    chart = charts.calibration(f"{title}: {finding}", points)
    return figure(title, finding, chart, numbers=markup.table(title, header, rows))


def history(report: Report) -> Content:
    """How the main numbers developed over the last runs."""
    runs = report.history
    if len(runs) < 2:
        return element("p", "There are no earlier published runs here.")
    ends = (_day(runs[0]), _day(runs[-1]))
    sha256 = report.manifest.model.sha256
    others = sum(each.model.sha256 != sha256 for each in runs)
    intro = f"The last {len(runs)} runs by end time. The rightmost point is this run."
    if others:
        intro += f" {formatting.count(others)} of them used a different model."
    wanted = report.classes
    sparks: list[_Spark] = [
        ("Rows read", [each.totals.rows_read for each in runs], _count, None),
        ("Share of rows rejected", [each.reject_fraction for each in runs], percent, _whole),
        ("Drift score (PSI)", [_score(each) for each in runs], psi, number),
    ]
    for name in wanted[:_MOST_CLASSES]:
        shares = [_share(each, name) for each in runs]
        sparks.append((f"{name}, share of predictions", shares, percent, _whole))
    pictures = [
        element(
            "figure",
            element("figcaption", element("strong", title)),
            charts.course(f"{title} in the last {len(runs)} runs", values, ends, show, tick),
        )
        for title, values, show, tick in sparks
        if any(value is not None for value in values)
    ]
    header = ("run", "end", "rows", "rejected", "drift", *wanted)
    rows = [
        (
            each.run_id, formatting.moment(each.end),
            formatting.count(each.totals.rows_read),
            percent(each.reject_fraction), psi(_score(each)),
            *(percent(_share(each, name)) for name in wanted),
        )
        for each in reversed(runs)
    ]  # fmt: skip
    table = markup.table("Recent runs, newest first", header, rows, words=2)
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


def _share(manifest: Manifest, name: str) -> float | None:
    rows = sum(manifest.species.values())
    return manifest.species.get(name, 0) / rows if rows else None


def _day(manifest: Manifest) -> str:
    return manifest.end[:10]


def _count(rows: float) -> str:
    return formatting.count(round(rows))
