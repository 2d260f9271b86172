"""A run's report as one self-contained HTML page: no scripts, no fonts, no network."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterator
from importlib import resources

from penguin_model.pages.markup import Markup, element, fill, tiles
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
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in sections]
    style = _read_file("style.css")
    return fill(
        _read_file("page.html"),
        policy=_policy(style),
        title=f"Run {run_id}: {found.answer}",
        style=Markup(style),
        header=[
            element("h1", f"Run {run_id}", element("span", model, " · ", _when(report))),
            _verdict(found),
            tiles(list(_glance(report))),
            element("nav", element("ul", links), aria_label="Sections"),
        ],
        sections=[
            element("section", element("h2", title, id=f"{name}-title"), content, id=name,
                    aria_labelledby=f"{name}-title")
            for name, title, content in sections
        ],
    )  # fmt: skip


@functools.cache
def _read_file(name: str) -> str:
    """The text of a file of the pages' package, wherever it is installed."""
    return (resources.files("penguin_model.pages") / name).read_text(encoding="utf-8")


def _policy(style: str) -> str:
    """A Content-Security-Policy that allows this style sheet and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


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
