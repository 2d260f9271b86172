"""A model's card as one self-contained HTML page: no scripts, no fonts, no network."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penguin_model import card_json
from penguin_model.card import Category, Feature, Histogram, Input, ModelCard
from penguin_model.errors import CardError
from penguin_model.formatting import DASH, count, listed, number, percent
from penguin_model.measures import wilson
from penguin_model.pages import charts, frame, markup
from penguin_model.pages.markup import Content, Markup, element
from penguin_model.pages.svg import Series

_SHADES = 8
_SEEN = "perhaps seen before"
_MEASURES = (
    "accuracy, {part}", "95% interval", "log-loss, {part}", "accuracy, cross-validated",
    "log-loss, cross-validated",
)  # fmt: skip
_MOST_CHARTS = 24


@dataclasses.dataclass(frozen=True)
class _Spread:
    mean: float
    deviation: float
    lowest: float
    highest: float

    def show(self, form: Any) -> str:
        return f"{form(self.mean)} ± {form(self.deviation)}"


@dataclasses.dataclass(frozen=True)
class _Reliability:
    error: float | None
    bins: tuple[Mapping[str, float | None], ...]


@dataclasses.dataclass(frozen=True)
class _Crossed:
    repeats: int
    folds: int
    rows: int
    accuracy: _Spread
    log_loss: _Spread
    calibration: _Reliability


@dataclasses.dataclass(frozen=True)
class _Scores:
    """The measures of one classifier; None for one that the card doesn't have."""

    name: str
    accuracy: float | None
    log_loss: float | None
    crossed: _Crossed | None


def render(card: ModelCard) -> str:
    """The whole page. What a card leaves out, or has in a form of its own, is left out.

    The sections are those of model cards (M. Mitchell et al., Model Cards for Model Reporting,
    2019).
    """
    sections: list[tuple[str, str, Content]] = [
        ("use", "Intended use and limits", list(_use(card))),
        ("accuracy", "Accuracy", list(_accuracy(card))),
        ("features", "Features", list(_features(card))),
        ("data", "Training data", list(_data(card))),
        ("training", "Training", list(_training(card))),
        ("run", "How to use it", list(_commands(card))),
    ]
    header = [
        element("h1", card.name, element("span", f"Model card · {card.model_file}")),
        _forced(card),
        markup.tiles(_glance(card)),
    ]
    shown = [section for section in sections if section[2]]
    return frame.page(f"Model card: {card.name}", header, shown)


def _read(kind: Any, values: Mapping[str, Any], name: str) -> Any:
    """A part of the card's free records, or None if it isn't there in our form."""
    if values.get(name) is None:
        return None
    try:
        return card_json.decode(kind, values[name], name)
    except CardError:
        return None


def _forced(card: ModelCard) -> Markup | None:
    reasons = _read(tuple[str, ...], card.training, "forced")
    if not reasons:
        return None
    sign = element("span", "\N{WARNING SIGN} ", aria_hidden="true")
    answer = element("strong", sign, "Look before you use it: installed in spite of the gate")
    return element("p", answer, element("span", "; ".join(reasons)), class_="verdict caution")


def _glance(card: ModelCard) -> Iterator[tuple[str, str]]:
    network, _ = _scores(card)
    if network.accuracy is not None:
        yield f"accuracy, {_part(card)}", percent(network.accuracy)
    if network.crossed:
        yield "accuracy, cross-validated", percent(network.crossed.accuracy.mean)
    if network.log_loss is not None:
        yield f"log-loss, {_part(card)}", f"{number(network.log_loss, 2)} nats"
    yield "features", count(len(card.features))
    yield "classes", count(len(card.classes))
    rows = card.metrics.get("train_rows")
    if rows is not None:
        yield "training rows", count(rows)


def _part(card: ModelCard) -> str:
    """The rows that the measures are from."""
    return "held out" if card.is_held_out else _SEEN


def _scores(card: ModelCard) -> tuple[_Scores, _Scores | None]:
    network = _Scores(
        "this network", card.metrics.get("accuracy"), card.metrics.get("log_loss"),
        _read(_Crossed, card.metrics, "cross_validation"),
    )  # fmt: skip
    found = card.metrics.get("baseline")
    if not isinstance(found, Mapping):
        return network, None
    return network, _Scores(
        _read(str, found, "name") or "baseline",
        _read(float, found, "accuracy"),
        _read(float, found, "log_loss"),
        _read(_Crossed, card.metrics, "baseline_cross_validation"),
    )


def _use(card: ModelCard) -> Iterator[Content]:
    if card.intended_use:
        yield element("p", card.intended_use)
    if card.limits:
        yield element("h3", "Limits")
        yield element("ul", [element("li", limit) for limit in card.limits])
    if card.license:
        yield markup.facts([("licence", card.license)])


def _accuracy(card: ModelCard) -> Iterator[Content]:
    rows = card.metrics.get("test_rows")
    network, baseline = _scores(card)
    known = [each for each in (network, baseline) if each]
    if network.accuracy is not None:
        yield element("p", _about(rows, _part(card), network.crossed))
        header = ("", *(each.name for each in known))
        columns = [_measures(each, rows) for each in known]
        measures = [each.format(part=_part(card)) for each in _MEASURES]
        shown = list(zip(measures, *columns, strict=True))
        yield markup.table("Accuracy and log-loss", header, shown)
    figures = list(_figures(card, network.crossed))
    if figures:
        yield element("h3", "By class and by probability")
        yield element("div", figures, class_="grid")


def _about(rows: int | None, part: str, crossed: _Crossed | None) -> str:
    held_out = f"{count(rows)} rows were" if rows else "Some rows were"
    text = f"{held_out} held out: not trained on, and nothing was chosen by them."
    if part == _SEEN:
        text = "The network may have been trained on the rows that it was measured on, so new rows "
        text += "may be right less often."
    if rows:
        text += " The interval is Wilson's."
    if crossed:
        text += (
            f" Cross-validated: {crossed.repeats} × {crossed.folds} folds of {count(crossed.rows)} "
            "rows; mean ± standard deviation between folds. Log-loss is in nats, lower is better."
        )
    return text


def _measures(scores: _Scores, rows: int | None) -> list[Content]:
    crossed = scores.crossed
    return [
        percent(scores.accuracy),
        _range(scores.accuracy, rows),
        DASH if scores.log_loss is None else f"{scores.log_loss:.4f}",
        crossed.accuracy.show(percent) if crossed else DASH,
        crossed.log_loss.show("{:.4f}".format) if crossed else DASH,
    ]


def _range(share: float | None, rows: int | None) -> str:
    """The 95% interval of a share of so many rows."""
    if share is None or not rows:
        return DASH
    low, high = wilson(share, rows)
    return f"{percent(low)} to {percent(high)}"


def _figures(card: ModelCard, crossed: _Crossed | None) -> Iterator[Markup]:
    matrix = _read(tuple[tuple[int, ...], ...], card.metrics, "confusion")
    size = len(card.classes)
    if matrix and len(matrix) == size and all(len(row) == size for row in matrix):
        yield _confusion(card.classes, matrix)
    found = crossed.calibration if crossed else _read(_Reliability, card.metrics, "calibration")
    points = list(_points(found)) if found else []
    if found and points:
        yield _calibration(found, points, "cross-validated" if crossed else _part(card))


def _confusion(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> Markup:
    title = "Confusion matrix: true class by row, prediction by column"
    rows: list[list[Content]] = []
    for place, (name, counts) in enumerate(zip(classes, matrix, strict=True)):
        whole = sum(counts)
        cells = [
            element(
                "span", count(each),
                class_=f"shade shade{round(_SHADES * each / whole) if whole else 0}",
            )
            for each in counts
        ]  # fmt: skip
        recall = counts[place] / whole if whole else None
        rows.append([name, *cells, percent(recall), _range(recall, whole)])
    right = sum(row[place] for place, row in enumerate(matrix))
    finding = f"{count(right)} of {count(sum(map(sum, matrix)))} rows are right"
    return element(
        "figure",
        markup.heading(title, finding),
        markup.table(title, ["true", *classes, "recall", "95% interval"], rows),
        class_="confusion",
    )


def _points(found: _Reliability) -> Iterator[tuple[float, float, int]]:
    for each in found.bins:
        probability, share, rows = each.get("probability"), each.get("accuracy"), each.get("rows")
        if probability is None or share is None or not rows:
            continue
        if 0 <= probability <= 1 and 0 <= share <= 1 and rows >= 1:
            yield probability, share, round(rows)


def _calibration(
    found: _Reliability, points: Sequence[tuple[float, float, int]], part: str
) -> Markup:
    title = f"Calibration, {part}: accuracy by predicted probability"
    finding = (
        f"the dashed line is perfect calibration; the mean gap (expected calibration error) is "
        f"{percent(found.error)}"
    )
    drawn = [(each, share, *wilson(share, n)) for each, share, n in points]
    rows = [
        (percent(each), percent(share), _range(share, n), count(n)) for each, share, n in points
    ]
    numbers = markup.table(
        title, ("mean probability", "accuracy", "95% interval", "rows"), rows, words=0
    )
    return markup.figure(title, finding, charts.calibration(title, drawn), numbers=numbers)


def _features(card: ModelCard) -> Iterator[Content]:
    yield element("p", "In files, by these names or aliases. Rows outside the plausible range are "
                  "rejected.")  # fmt: skip
    rows = [
        [each.name, each.unit, f"{number(each.minimum)} to {number(each.maximum)}",
         each.meaning, ", ".join(each.aliases) or DASH]
        for each in card.features
        if isinstance(each, Feature)
    ]  # fmt: skip
    header = ("feature", "unit", "plausible range", "the network sees", "aliases")
    if rows:
        yield markup.table("Features", header, rows, words=5)
    categories = [
        [each.name, listed(each.categories), each.meaning, ", ".join(each.aliases) or DASH]
        for each in card.features
        if isinstance(each, Category)
    ]
    if categories:
        yield element("p", "Texts; rows with a text that isn't in the vocabulary are rejected, "
                      "unless the card has a code for them.")  # fmt: skip
        titles = ("category", "vocabulary", "the network sees", "aliases")
        yield markup.table("Categories", titles, categories, words=4)
    if card.reference is None:
        return
    yield element("h3", "Values trained on")
    drawn = [
        _histogram(each, card.reference.features[each.name])
        for each in card.features[:_MOST_CHARTS]
    ]
    yield element("div", drawn, class_="grid")


def _histogram(feature: Input, found: Histogram) -> Markup:
    title = f"{feature.name} ({feature.unit})" if feature.unit else feature.name
    series = [Series(label="training", look="now", counts=found.counts)]
    if isinstance(feature, Category):
        names, series = charts.most_frequent(feature.categories, series)
        rows = list(zip(names, map(count, series[0].counts), strict=True))
        numbers = markup.table(title, (title, "rows"), rows)
        chart = charts.bars(title, names, series)
        return markup.figure(title, "rows trained on", chart, numbers=numbers)
    edges = [number(edge) for edge in found.edges]
    bins = [
        f"below {edges[0]}" if place == 0
        else f"{edges[place - 1]} or more" if place == len(edges)
        else f"{edges[place - 1]} to {edges[place]}"
        for place in range(len(found.counts))
    ] if edges else ["all"]  # fmt: skip
    rows = list(zip(bins, map(count, found.counts), strict=True))
    numbers = markup.table(title, (title, "rows"), rows)
    chart = charts.histogram(title, title, found.edges, series)
    return markup.figure(title, "rows trained on, between deciles", chart, numbers=numbers)


def _data(card: ModelCard) -> Iterator[Content]:
    known = {name.replace("_", " "): _text(value) for name, value in card.data.items()}
    if "sha256" in known:
        known["SHA-256"] = known.pop("sha256")
    if "license" in known:
        known["licence"] = known.pop("license")
    if known:
        yield markup.facts(known.items())


def _training(card: ModelCard) -> Iterator[Content]:
    known = {**card.training}
    known.pop("forced", None)
    shown = [(name.replace("_", " "), _text(value)) for name, value in known.items()]
    if shown:
        yield markup.facts(shown)
    if card.versions:
        yield element("h3", "Versions")
        yield markup.facts((name, _text(value)) for name, value in card.versions.items())


def _text(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)


def _commands(card: ModelCard) -> Iterator[Content]:
    path = shlex.quote(card.model_file)
    yield element("p", "In the folder of the model and its card:")
    yield element("pre", f"penguin-score --model {path} --input 'observations/*' --output scored\n"
                  f"penguin-describe --model {path} --weights")  # fmt: skip
    yield element("p", f"The classes are {', '.join(card.classes)}, in the order of the network's "
                  f"outputs; labels are in the column {card.label}, predictions in "
                  f"{card.prediction_column}.")  # fmt: skip
    yield markup.facts([("model file", card.model_file), ("SHA-256", card.sha256)])
