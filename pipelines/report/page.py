"""A run's report as one self-contained HTML page: no scripts, no fonts, no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penguin_model.pages import frame
from penguin_model.pages.markup import Content, Markup, element, prose, tiles
from pipelines import formatting
from pipelines.formatting import count, counted, percent, psi
from pipelines.monitoring.drift import name_rule
from pipelines.report import accuracy, advice, comparisons, distributions, tables, trends
from pipelines.report.data import Report
from pipelines.report.verdict import CLOSED, FINE, HELD, LOOK, Verdict, judge
from pipelines.runs.manifest import Manifest, Status

_SIGNS = {
    FINE: "\N{CHECK MARK}", LOOK: "\N{WARNING SIGN}", HELD: "\N{DOUBLE VERTICAL LINE}",
    CLOSED: "\N{MULTIPLICATION X}",
}  # fmt: skip


def render(report: Report) -> str:
    """The whole page."""
    manifest, found = report.manifest, judge(report.evidence)
    sections = [
        ("next", "What to do", advice.next_steps(report)) if report.is_held else None,
        ("drift", "Drift", distributions.drift(report)),
        ("labels", "Accuracy", accuracy.labels(report)),
        ("trust", "Single predictions", accuracy.trust(report)),
        ("predictions", "Predictions", distributions.predictions(report)),
        ("features", "Features", distributions.features(report)),
        ("rejects", "Rejects", tables.rejects(report)),
        ("files", "Files", tables.files(report)),
        ("history", "Recent runs", trends.history(report)),
        ("model", "Model", tables.model(report)),
        ("run", "Run", tables.run(report)),
    ]
    status = f"{manifest.status} {formatting.moment(manifest.end)}"
    header = [
        element(
            "h1", f"Run {manifest.run_id}", element("span", manifest.model.name, " · ", status)
        ),
        _verdict(found, report),
        tiles(list(_glance(report))),
    ]
    title = f"Run {manifest.run_id}: {found.answer}"
    return frame.page(title, header, [each for each in sections if each])


def _verdict(found: Verdict, report: Report) -> Markup:
    sign = element("span", f"{_SIGNS[found.level]} ", aria_hidden="true")
    doubts = [
        element("li", element("a", prose(_sentence(each.text)), href=f"#{each.section}"))
        for each in found.doubts
    ]
    return element(
        "div",
        element("strong", sign, prose(found.answer)),
        element("ul", doubts) if doubts else None,
        element("span", found.accuracy, " ", _visible(report)),
        class_=f"verdict {found.level}",
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _visible(report: Report) -> str | None:
    """What readers of the published data see of a run that isn't published."""
    if report.manifest.status is Status.PUBLISHED:
        return None
    if report.replaced:
        return "Readers still see the earlier run of the same name."
    return "Readers don't see any of it."


def _glance(report: Report) -> Iterator[tuple[str, Content]]:
    """The numbers that matter most."""
    manifest, totals = report.manifest, report.manifest.totals
    yield "rows read", _tile(count(totals.rows_read), f"in {counted(totals.files, 'file')}")
    share = percent(manifest.reject_fraction)
    yield "rejected", _tile(share, counted(totals.rows_rejected, "row"))
    yield "drift", _tile(*_drift(manifest.drift))
    yield "accuracy", _tile(*_accuracy(manifest))
    trust = manifest.trust
    if trust and trust.rows:
        outside = trust.out_of_distribution
        yield "out of distribution", _tile(percent(outside / trust.rows), counted(outside, "row"))
        unsure = trust.ambiguous
        yield (
            "ambiguous",
            _tile(percent(unsure / trust.rows), counted(unsure, "row")),
        )


def _tile(value: str, aside: str) -> Content:
    return value, element("small", aside)


def _drift(found: Mapping[str, Any] | None) -> tuple[str, str]:
    if not found or not found["training"]:
        return "unknown", "not measured"
    if not found["score"]:
        return "none", f"beyond {name_rule(found)}"
    return psi(found["score"]), f"PSI, {'large' if comparisons.name_large(found) else 'small'}"


def _accuracy(manifest: Manifest) -> tuple[str, str]:
    labels, estimate = manifest.labels, manifest.accuracy_estimate
    estimated = f"estimated {percent(estimate.accuracy)}" if estimate else ""
    if not labels or not labels["rows"]:
        return "unknown", estimated or "no labels"
    return percent(labels["accuracy"]), estimated or counted(labels["rows"], "labelled row")
