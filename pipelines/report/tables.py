"""The report's sections on rejects, files, the model and the run itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from penguin_model.card import Category, Feature
from penguin_model.formatting import listed
from penguin_model.pages import markup
from penguin_model.pages.markup import Content, Markup, element, facts
from pipelines import formatting
from pipelines.formatting import count, number, percent
from pipelines.report.data import Report
from pipelines.report.examples import Row


def rejects(report: Report) -> Content:
    """Rejects by reason, with a few examples."""
    reasons = report.manifest.rejects_by_reason
    if not any(reasons.values()):
        return "No rows were rejected."
    whole = sum(reasons.values())
    worst = sorted(reasons, key=lambda reason: (-reasons[reason], reason))
    rows = [(reason, count(reasons[reason]), percent(reasons[reason] / whole)) for reason in worst]
    pieces: list[Content] = [
        markup.table("Rejects by reason", ("reason", "rejects", "share of rejects"), rows)
    ]
    if "rejects" in report.notes:
        pieces.append(element("p", f"Examples not available: {report.notes['rejects']}."))
    lists = []
    for reason in worst:
        examples = report.examples.get(reason, [])
        if examples:
            shown = count(len(examples))
            title = f"{reason}: {shown} of {count(reasons[reason])}"
            same = itertools.groupby(examples, lambda row: str(row["message"]))
            found = element("ul", [_example(*each) for each in same], class_="examples")
            lists.append(element("div", element("h3", title), found))
    return [*pieces, element("div", lists, class_="grid")]


def _example(message: str, rows: Iterable[Row]) -> Markup:
    """Rows that were rejected with the same message."""
    return element("li", element("bdi", formatting.cut(message)), map(_row, rows))


def _row(row: Row) -> Content:
    place = "the whole file" if row["source_row"] is None else f"row {count(row['source_row'])}"
    return [
        None if row["raw"] is None else element("pre", formatting.cut(row["raw"])),
        element("small", element("bdi", row["source_file"]), f", {place}"),
    ]


def files(report: Report) -> Content:
    """The files with the most rejects."""
    totals = report.manifest.totals
    words = {
        "files_unreadable": "couldn't be read in full",
        "files_skipped": "skipped because an earlier run scored them",
        "files_waiting": "left with a held run until it is accepted or rejected",
        "files_unsettled": "left for the next run because they may still be growing",
        "files_ignored": "ignored (markers, temporary and hidden files, the job's own output, "
        "other names of the same file)",
        "not_files": "not read because they are pipes, sockets, devices or broken links",
    }
    counts = [f"{count(n)} {text}" for name, text in words.items() if (n := getattr(totals, name))]
    intro = f"{formatting.counted(totals.files, 'file')} in total"
    pieces: list[Content] = [element("p", "; ".join([intro, *counts]), ".")]
    for pattern in report.manifest.unmatched:
        found = element("bdi", formatting.cut(pattern))
        pieces.append(element("p", "No file matches ", found, "."))
    if "files" in report.notes:
        pieces.append(element("p", f"List not available: {report.notes['files']}."))
    shown = report.files
    if totals.files > len(shown):
        # Of many files, only those with problems are worth listing.
        shown = [row for row in shown if row["rows_rejected"] or not row["rows_read"]]
    if shown:
        folder = _common_folder([row["source_file"] for row in shown])
        whole = len(shown) == totals.files
        caption = "All files" if whole else "The files with the most rejects"
        rows = [
            (
                element("bdi", row["source_file"].removeprefix(folder)), count(row["rows_read"]),
                count(row["rows_rejected"]), _part(row["rows_rejected"], row["rows_read"]),
            )
            for row in shown
        ]  # fmt: skip
        below = [", in ", element("bdi", folder)] if folder else None
        pieces.append(element("p", f"{caption}, worst first", below, "."))
        pieces.append(markup.table(caption, ("file", "rows", "rejected", "share"), rows))
    return pieces


def _common_folder(paths: Sequence[str]) -> str:
    first, last = min(paths), max(paths)
    pairs = zip(first, last, strict=False)
    same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
    return first[: first.rfind("/", 0, same) + 1]


def _part(part: int, whole: int) -> str:
    return percent(part / whole) if whole else "no rows"


def model(report: Report) -> Content:
    """The model, and its card if there is one."""
    about, card = report.manifest.model, report.card
    known = [
        ("name", about.name),
        ("file", about.path),
        ("SHA-256", about.sha256),
        ("engine", about.engine),
    ]
    if card is None:
        why = report.notes.get("card", "unknown")
        return [facts(known), element("p", f"Model card not available: {why}.")]
    metrics = card.metrics
    known += [
        ("classes", ", ".join(card.classes)),
        (
            f"accuracy on {card.measured_on}",
            _of(percent(metrics.get("accuracy")), metrics.get("test_rows")),
        ),
        (f"log-loss on {card.measured_on}", number(metrics.get("log_loss"))),
        ("trained on", _of(None, card.data.get("train_rows"))),
        ("data", card.data.get("citation")),
    ]
    header = ("feature", "the network sees", "unit", "plausible from", "to")
    rows = [
        (each.name, each.meaning, each.unit, number(each.minimum), number(each.maximum))
        for each in card.features
        if isinstance(each, Feature)
    ]
    of_categories = ("category", "vocabulary", "the network sees")
    categories = [
        (each.name, listed(each.categories), each.meaning)
        for each in card.features
        if isinstance(each, Category)
    ]
    tables = [
        rows and markup.table("Features of the model", header, rows, words=3),
        categories and markup.table("Its categories", of_categories, categories, words=3),
    ]
    return [facts(known), *filter(None, tables)]


def _of(value: str | None, rows: int | None) -> str | None:
    shown = None if rows is None else formatting.counted(rows, "row")
    return " of ".join(each for each in (value, shown) if each) or None


def run(report: Report) -> Markup:
    """The run's times, input, settings and versions."""
    manifest = report.manifest
    versions = manifest.versions
    return facts(
        [
            ("run", manifest.run_id),
            ("status", str(manifest.status)),
            ("start", formatting.moment(str(manifest.start or ""))),
            ("end", formatting.moment(manifest.end)),
            ("duration", formatting.duration(str(manifest.start), manifest.end)),
            ("runner", manifest.runner),
            ("input", "\n".join(manifest.input)),
            ("reject limit", percent(manifest.max_reject_fraction)),
            ("versions", ", ".join(f"{name} {value}" for name, value in versions.items())),
        ]
    )
