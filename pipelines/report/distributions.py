"""The report's sections on drift, predictions and features: distributions side by side."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from penguin_model.card import Histogram
from penguin_model.pages import charts, markup
from penguin_model.pages.markup import Content, Markup, element, figure
from penguin_model.pages.svg import Series
from pipelines import formatting
from pipelines.formatting import number, percent, psi
from pipelines.monitoring.drift import name_rule
from pipelines.monitoring.histograms import PROBABILITY
from pipelines.report import comparisons
from pipelines.report.data import Report

NOW, TRAINING = "this run", "training"
# A card has the predictions for held-out rows, or, from an early release, for those trained on.
CARD = "the model card"


def drift(report: Report) -> Content:
    """Drift from the training data and from the nights before."""
    found = report.manifest.drift
    if not found or not found["training"]:
        return "Not measured in this run."
    sides = dict(comparisons.sides(found))
    intro = (
        "Each distribution is compared with a reference by its population stability index (PSI). "
        "Two samples of the same population never agree exactly: the mark on each bar is the "
        f"largest PSI that is likely by {name_rule(found)} alone. "
    )
    most, flag = found.get("max_drift"), element("code", "--max_drift")
    rule: Content = (
        "A PSI above ",
        number(most),
        " that is beyond chance holds a run back (",
        flag,
        ").",
    )
    if most is None:
        rule = ("Without ", flag, ", a run isn't held for drift.")
    return [
        element("p", intro, rule),
        element("div", [_side(*each) for each in sides.items()], class_="grid"),
    ]


def _side(label: str, shifts: Mapping[str, Mapping[str, Any]]) -> Markup:
    worst = dict(
        sorted(shifts.items(), key=lambda each: (-comparisons.is_large(each[1]), -each[1]["psi"]))
    )
    names = [name for name, shift in worst.items() if comparisons.is_large(shift)]
    title = f"Drift: {NOW} vs. {label}"
    finding = f"{len(names)} of {len(worst)} drifted" if names else "nothing drifted"
    rows = [
        (name, shift["psi"], shift["threshold"], meaning(shift), comparisons.is_large(shift))
        for name, shift in worst.items()
    ]
    numbers = markup.table(
        title,
        ("quantity", "verdict", "PSI", "threshold", "JS distance", "rows", "reference rows"),
        [
            (
                name, meaning(shift), psi(shift["psi"]), psi(shift["threshold"]), psi(shift["js"]),
                formatting.count(shift["rows"]), formatting.count(shift["reference_rows"]),
            )
            for name, shift in worst.items()
        ],
        words=2,
    )  # fmt: skip
    return figure(title, finding, charts.thresholds(f"{title}: {finding}", rows), numbers=numbers)


def meaning(shift: Mapping[str, Any]) -> str:
    """A shift's verdict in a word or two."""
    if comparisons.is_large(shift):
        return "drifted"
    return "as expected" if shift["psi"] <= shift["threshold"] else "small"


def features(report: Report) -> Content:
    """Each feature's histogram beside that of the training data."""
    this_run, training = report.measured, report.training
    if this_run is None:
        return "This run's manifest has no histograms."
    units = {each.name: each.unit for each in report.card.features} if report.card else {}
    intro = "Each bin holds about the same number of training rows and is drawn equally wide."
    if report.vocabularies:
        intro += " A category has a bar for each text."
    return [
        element("p", intro if training else _without_training(report)),
        element(
            "div",
            [
                _compared(
                    report, name, f"{name} ({units[name]})" if units.get(name) else name,
                    histogram, training.features.get(name) if training else None,
                )
                for name, histogram in this_run.features.items()
            ],
            class_="grid",
        ),
    ]  # fmt: skip


def predictions(report: Report) -> Content:
    """The predicted classes, and the probability of each prediction."""
    return element("div", _classes(report), _confidence(report), class_="grid")


def _confidence(report: Report) -> Markup | None:
    this_run, training = report.measured, report.training
    if this_run is None:
        return None
    theirs = training.probability if training else None
    quantity = "Probability of the predicted class"
    return _compared(report, PROBABILITY, quantity, this_run.probability, theirs)


def _classes(report: Report) -> Markup:
    names = report.classes
    counts = report.manifest.species
    series = [Series(label=NOW, look="now", counts=[counts.get(name, 0) for name in names])]
    if report.training:
        known = report.training.classes
        theirs = [known.get(name, 0) for name in names]
        series.insert(0, Series(label=CARD, look="then", counts=theirs))
    title = "Predicted classes" + (f": {NOW} vs. {CARD}" if report.training else "")
    finding = _finding(report, report.manifest.model.prediction_column)
    chart = charts.bars(f"{title}. {finding}", *charts.most_frequent(names, series))
    numbers = _share_table(title, "class", names, series)
    return figure(title, finding, chart, numbers=numbers)


def _compared(
    report: Report, name: str, quantity: str, ours: Histogram, theirs: Histogram | None
) -> Markup:
    reference = CARD if name == PROBABILITY else TRAINING
    series = [Series(label=NOW, look="now", counts=ours.counts)]
    if theirs is not None and theirs.edges == ours.edges:
        series.insert(0, Series(label=reference, look="then", counts=theirs.counts))
    title = f"{quantity}: {NOW} vs. {reference}" if len(series) > 1 else f"{quantity}: {NOW}"
    finding = _finding(report, name)
    texts = report.vocabularies.get(name, ())
    if len(texts) == len(ours.counts):
        names, series = charts.most_frequent(texts, series)
        chart = charts.bars(f"{title}. {finding}", names, series)
        return figure(title, finding, chart, numbers=_share_table(title, name, names, series))
    chart = charts.histogram(f"{title}. {finding}", quantity, ours.edges, series)
    numbers = _share_table(title, "range", _bins(ours.edges), series)
    return figure(title, finding, chart, numbers=numbers)


def _bins(edges: Sequence[float]) -> list[str]:
    shown = [number(edge, 6) for edge in edges]
    inner = [f"{a} to {b}" for a, b in itertools.pairwise(shown)]
    return [f"below {shown[0]}", *inner, f"{shown[-1]} or more"] if shown else ["all"]


def _share_table(title: str, what: str, names: Sequence[str], series: Sequence[Series]) -> Markup:
    header = [what]
    for each in series:
        header += [f"{each.label}, rows", "share"]
    columns = [[formatting.count(n) for n in each.counts] for each in series]
    shares = [[percent(share) for share in each.shares] for each in series]
    rows = []
    for place, name in enumerate(names):
        cells = [name]
        for column, share in zip(columns, shares, strict=True):
            cells += [column[place], share[place]]
        rows.append(cells)
    return markup.table(title, header, rows)


def _finding(report: Report, name: str) -> str:
    shift = ((report.manifest.drift or {}).get("training") or {}).get(name)
    if shift is None:
        return ""
    return f"PSI {psi(shift['psi'])}, {meaning(shift)} (threshold {psi(shift['threshold'])})"


def _without_training(report: Report) -> str:
    why = report.notes.get("card", "the card has no histograms")
    return f"Training data not shown: {why}."
