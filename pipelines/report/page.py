"""A run's report as one HTML page that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines import formatting
from pipelines.formatting import count, percent, psi
from pipelines.report import distributions, tables, trends
from pipelines.report.data import Report
from pipelines.report.markup import Markup, element, tiles
from pipelines.report.style import STYLE, policy
from pipelines.report.verdict import judge

_SIGNS = {"yes": "\N{CHECK MARK}", "care": "\N{WARNING SIGN}", "no": "\N{MULTIPLICATION X}"}


def page(report: Report) -> str:
    """The whole page."""
    run_id = report.manifest.run_id
    model = report.manifest.model.name
    sections = [
        ("drift", "Drift", distributions.drift(report)),
        ("labels", "How many are right", trends.labels(report)),
        ("predictions", "Predictions", distributions.predictions(report)),
        ("features", "Features", distributions.features(report)),
        ("rejects", "Rejects", tables.rejects(report)),
        ("files", "Files", tables.files(report)),
        ("history", "The last runs", trends.history(report)),
        ("model", "Model", tables.model(report)),
        ("run", "Run", tables.run(report)),
    ]
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in sections]
    body = element(
        "body",
        element(
            "header",
            element("h1", f"Run {run_id}", element("span", model, " · ", _when(report))),
            _verdict(report),
            tiles(list(_glance(report))),
            element("nav", element("ul", links), aria_label="Sections"),
        ),
        element(
            "main",
            [
                element("section", element("h2", title, id=f"{name}-title"), content, id=name,
                        aria_labelledby=f"{name}-title")
                for name, title, content in sections
            ],
        ),
    )  # fmt: skip
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy()),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"Run {run_id}: {judge(report).answer}"),
        element("style", Markup(STYLE)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _verdict(report: Report) -> Markup:
    found = judge(report)
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
    yield "took", formatting.duration(str(manifest.start), manifest.end)


def _when(report: Report) -> str:
    ended = formatting.moment(report.manifest.end)
    return f"{'held back' if report.is_held else 'published'} {ended}"
