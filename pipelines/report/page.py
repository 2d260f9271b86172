"""A run's report as one self-contained HTML page: no scripts, no fonts, no network."""

from __future__ import annotations

from collections.abc import Iterator

from penguin_model.pages import frame
from penguin_model.pages.markup import Markup, element, tiles
from pipelines import formatting
from pipelines.formatting import count, percent, psi
from pipelines.report import distributions, tables, trends
from pipelines.report.data import Report
from pipelines.report.verdict import CAUTION, NO, YES, Verdict, judge

_SIGNS = {YES: "\N{CHECK MARK}", CAUTION: "\N{WARNING SIGN}", NO: "\N{MULTIPLICATION X}"}


def render(report: Report) -> str:
    """The whole page."""
    found = judge(report)
    run_id = report.manifest.run_id
    model = report.manifest.model.name
    sections = [
        ("drift", "Drift", distributions.drift(report)),
        ("labels", "Accuracy", trends.labels(report)),
        ("predictions", "Predictions", distributions.predictions(report)),
        ("features", "Features", distributions.features(report)),
        ("rejects", "Rejects", tables.rejects(report)),
        ("files", "Files", tables.files(report)),
        ("history", "Recent runs", trends.history(report)),
        ("model", "Model", tables.model(report)),
        ("run", "Run", tables.run(report)),
    ]
    header = [
        element("h1", f"Run {run_id}", element("span", model, " · ", _when(report))),
        _verdict(found),
        tiles(list(_glance(report))),
    ]
    return frame.page(f"Run {run_id}: {found.answer}", header, sections)


def _verdict(found: Verdict) -> Markup:
    sign = element("span", f"{_SIGNS[found.level]} ", aria_hidden="true")
    return element(
        "p", element("strong", sign, found.answer), element("span", " ".join(found.reasons)),
        class_=f"verdict {found.level}",
    )  # fmt: skip


def _glance(report: Report) -> Iterator[tuple[str, str]]:
    manifest, totals = report.manifest, report.manifest.totals
    yield "files", count(totals.files)
    yield "rows read", count(totals.rows_read)
    yield "scored", count(totals.rows_scored)
    yield "rejected", f"{count(totals.rows_rejected)} ({percent(manifest.reject_fraction)})"
    drift, labels = manifest.drift, manifest.labels
    if drift and drift["training"]:
        yield "drift beyond chance", f"PSI {psi(drift['score'])}" if drift["score"] else "none"
    if labels and labels["rows"]:
        yield "accuracy", percent(labels["accuracy"])
    yield "duration", formatting.duration(str(manifest.start), manifest.end)


def _when(report: Report) -> str:
    return f"{report.manifest.status} {formatting.moment(report.manifest.end)}"
