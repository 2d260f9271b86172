"""The report's sections on accuracy and on how far single predictions can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penguin_model.measures import wilson
from penguin_model.pages import charts, markup
from penguin_model.pages.markup import Content, Markup, element, figure
from pipelines import formatting
from pipelines.formatting import DASH, number, percent
from pipelines.report.data import Report
from pipelines.report.doubts import EXPECTED_OUTSIDE

_SHADES = 8


def labels(report: Report) -> Content:
    """How the predictions compare with the labels."""
    found, estimate = report.manifest.labels, report.manifest.accuracy_estimate
    if not found or not found["rows"]:
        unknown = "Unknown: no row of this run has a label."
        if estimate is None:
            return unknown
        return (
            f"{unknown} {percent(estimate.accuracy)} is estimated from the probabilities alone "
            f"({_range(estimate.low, estimate.high)}). The estimate can't see a change in what "
            "the features say about the class."
        )
    asides = "Every scored row has a label."
    if found["unlabelled"]:
        asides = f"{formatting.counted(found['unlabelled'], 'scored row')} had no usable label"
        asides += (
            f"; {formatting.count(found['unknown'])} of the labels aren't a class of the model."
        )
    return [
        markup.table("Accuracy", _HEADER, _accuracies(report, found)),
        element("p", asides),
        element("div", _confusion(report, found), _calibration(found), class_="grid"),
    ]


_HEADER = ("", "accuracy", "95% interval", "log-loss (nats)", "calibration error", "rows")


def _accuracies(report: Report, found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The measured accuracy, with what was estimated without labels and expected beforehand."""
    hits, rows = sum(row[place] for place, row in enumerate(found["confusion"])), found["rows"]
    yield (
        "measured on labels", percent(found["accuracy"]), _range(*wilson(hits / rows, rows)),
        number(found["log_loss"]), percent(found["calibration"]["error"]), formatting.count(rows),
    )  # fmt: skip
    estimate = report.manifest.accuracy_estimate
    if estimate:
        ends = _range(estimate.low, estimate.high)
        rows = formatting.count(estimate.rows)
        yield "estimated without labels", percent(estimate.accuracy), ends, DASH, DASH, rows
    if report.card is None:
        return
    metrics = report.card.metrics
    rows, accuracy = metrics.get("test_rows"), metrics.get("accuracy")
    if rows and accuracy is not None:
        yield (
            f"in the model card, on {report.card.measured_on}", percent(accuracy),
            _range(*wilson(accuracy, rows)), number(metrics.get("log_loss")), DASH,
            formatting.count(rows),
        )  # fmt: skip


def _range(low: float, high: float) -> str:
    return f"{percent(low)} to {percent(high)}"


def trust(report: Report) -> Content:
    """How many predictions deserve a second look."""
    found = report.manifest.trust
    if found is None:
        return "Not measured: the model card lacks what it takes."
    if not found.rows:
        return "No rows were scored."
    outside, unsure = found.out_of_distribution, found.ambiguous
    coverage = percent(found.coverage, 0)
    return (
        f"{formatting.count(outside)} of {formatting.counted(found.rows, 'row')} "
        f"({percent(outside / found.rows)}) are further from the training data than "
        f"{percent(1 - EXPECTED_OUTSIDE)} of held-out rows (column out_of_distribution). In "
        f"{formatting.count(unsure)} ({percent(unsure / found.rows)}), more than one class can't "
        f"be ruled out with {coverage} coverage (column {report.manifest.model.set_column})."
    )


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
            *wilson(each["accuracy"], each["rows"]),
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
