"""Made-up runs for the report, published, held, closed or failed, without running the job."""

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penguin_model.card import Histogram, ModelCard, Reference, read_card
from penguin_model.labels import MISSING, UNKNOWN
from pipelines.datasets import schemas
from pipelines.monitoring import drift, labels
from pipelines.report import data, page
from tests.support.pages import Page
from tests.support.running import PROJECT, totals

MODEL = PROJECT / "models/penguin-classifier.keras"
FOLDER = "/data/observations/2026-11-23"
HOSTILE = (
    "<script>alert(1)</script>.csv",
    "quotes \"double\" 'single' & ampersand &lt;.csv",
    "turned \u202evsc.exe\u202c.csv",
    "עברית-שלום.csv",
    "]]><!-- --></style></title>.csv",
    "a\x00b\x1b[31m\ufeff.csv",
    "lone \udcff.csv",
)

SECTIONS = [
    "Drift", "Accuracy", "Single predictions", "Predictions", "Features", "Rejects", "Files",
    "Recent runs", "Model", "Run",
]  # fmt: skip


def card() -> ModelCard:
    return read_card(str(MODEL))


def manifest(run_id: str, *, night: int = 0, rows: int = 342, **known: Any) -> dict[str, Any]:
    """A manifest as the first release wrote it, with the fields in ``known`` replaced."""
    start = datetime.datetime(2026, 11, 1, 20, 37, 12, tzinfo=datetime.UTC)
    start += datetime.timedelta(days=night)
    species = dict(zip(("Adelie", "Gentoo", "Chinstrap"), split(rows, (44, 36, 20)), strict=True))
    rejected = sum(known.get("rejects_by_reason", {}).values())
    return {
        "status": "published",
        "run_id": run_id,
        "attempt": "0" * 32,
        "start": start.isoformat(timespec="milliseconds"),
        "runner": "DirectRunner",
        "versions": {"python": "3.11.7", "penguin-scoring": "0.1.0", "apache-beam": "2.77.0"},
        "model": {"path": str(MODEL), "name": card().name, "sha256": card().sha256},
        "input": [f"{FOLDER}/*"],
        "end": (start + datetime.timedelta(seconds=74.2)).isoformat(timespec="milliseconds"),
        "totals": totals(
            files=1, rows_read=rows + rejected, rows_scored=rows, rows_rejected=rejected
        ),
        "unsettled": [],
        "reject_fraction": round(rejected / max(rows + rejected, 1), 6),
        "max_reject_fraction": 0.1,
        "rejects_by_reason": {},
        "species": species,
        "shards": {name: {"files": 0, "rows": 0, "bytes": 0} for name in ("rejects", "files")},
    } | known


def measured(
    found: Mapping[str, Any], *, shift: float = 0, seed: int = 0,
    baseline: Mapping[str, Reference] | None = None,
    max_drift: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Adds histograms and drift to a manifest; `shift` moves the first feature."""
    reference = card().reference
    assert reference is not None
    rows, random = found["totals"]["rows_scored"], np.random.default_rng(seed)

    def drawn(histogram: Histogram, shift: float = 0) -> Histogram:
        slope = np.exp(shift * np.linspace(-1, 1, len(histogram.counts)))
        shares = slope * histogram.counts / np.dot(slope, histogram.counts)
        counts = random.multinomial(rows, shares)
        return Histogram(edges=histogram.edges, counts=tuple(counts.tolist()))

    this_run = Reference(
        features={
            name: drawn(histogram, shift if place == 0 else 0)
            for place, (name, histogram) in enumerate(reference.features.items())
        },
        classes=found["species"],
        probability=drawn(reference.probability),
    )
    verdict = drift.measure(this_run, reference, baseline=baseline or {}, max_drift=max_drift)
    return dict(found) | {
        "histograms": dataclasses.asdict(this_run),
        "drift": verdict.to_json(),
        "labels": None,
    }


def labelled(found: Mapping[str, Any], *, wrong: int, seed: int = 0) -> dict[str, Any]:
    """Adds labels for all but 20 rows to a manifest; about `wrong` contradict the model."""
    random, rows = np.random.default_rng(seed), found["totals"]["rows_scored"]
    classes = card().classes
    winners = np.repeat(np.arange(3, dtype=np.int32), [found["species"][name] for name in classes])
    best = random.beta(14, 1, rows).clip(0.4).astype(np.float32)
    spread = (1 - best[:, None]) / 2
    chances = np.where(np.arange(3) == winners[:, None], best[:, None], spread).astype(np.float32)
    codes = winners.copy()
    unsure = np.argsort(best)[: 2 * wrong : 2]
    codes[unsure] = (codes[unsure] + 1 + unsure % 2) % 3
    codes[random.permutation(rows)[:20]] = MISSING
    codes[random.permutation(rows)[:3]] = UNKNOWN
    sums = labels.count_hits(codes, winners, best, chances)
    figures = {(labels.GROUP, name): counts for name, counts in sums.items()}
    return dict(found) | {"labels": labels.summarize(figures, classes, rows)}


def read_page(root: Path, run_id: str | None = None) -> Page:
    """Returns the page for a run below an output root, without writing it."""
    return Page(page.render(data.gather(str(root), run_id)))


def publish(
    root: Path,
    found: Mapping[str, Any],
    *,
    rejects: Sequence[Mapping[str, Any]] = (),
    files: Sequence[Mapping[str, Any]] = (),
    row_group_rows: int = 1000,
) -> dict[str, Any]:
    """Writes a published, held or closed run below an output root, and returns its manifest."""
    run_id, status = found["run_id"], found["status"]
    place = {"published": "runs", "held": "_held"}.get(status, "_closed")
    own = root / place / run_id
    shards = {}
    for dataset, schema, rows in (
        ("rejects", schemas.REJECTS, rejects),
        ("files", schemas.FILES, files),
    ):
        folder = root / dataset / f"run_id={run_id}" if place == "runs" else own / dataset
        half = (len(rows) + 1) // 2
        parts = [part for part in (rows[:half], rows[half:]) if part]
        for number, part in enumerate(parts):
            folder.mkdir(parents=True, exist_ok=True)
            table = pa.Table.from_pylist(list(part), schema)
            path = folder / f"part-{number:05d}.parquet"
            pq.write_table(table, path, row_group_size=row_group_rows)
        shards[dataset] = {"files": len(parts), "rows": len(rows), "bytes": 0}
    path = root / f"runs/{run_id}.json" if place == "runs" else own / "manifest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    written = dict(found) | {"shards": shards}
    path.write_text(json.dumps(written))
    return written


def fail(root: Path, run_id: str, *, night: int = 0, exit_code: int = 1, error: str = "") -> None:
    """Writes the record of a failed run below an output root."""
    times = {name: manifest(run_id, night=night)[name] for name in ("start", "end")}
    path = root / "_failed" / f"{run_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"run_id": run_id, **times, "exit_code": exit_code, "error": error}))


def reject(
    reason: str, row: int | None, file: str, raw: str | None, message: str
) -> dict[str, Any]:
    return {
        "source_file": file, "source_row": row, "reason": reason, "column": None,
        "message": message, "raw": raw,
    }  # fmt: skip


def file(path: str, read: int, rejected: int) -> dict[str, Any]:
    return {
        "source_file": path, "size": 100 * read, "modified": 0, "model_sha256": card().sha256,
        "status": "read",
        "rows_read": read, "rows_scored": read - rejected, "rows_rejected": rejected,
    }  # fmt: skip


def split(rows: int, parts: Sequence[float]) -> list[int]:
    """Integers that add up to ``rows``, roughly in the proportions of ``parts``."""
    ends = np.rint(np.cumsum(parts) / sum(parts) * rows).astype(int)
    return [int(n) for n in np.diff(ends, prepend=0)]


def make_nights(root: Path, nights: int = 24) -> str:
    """Writes many nights, the last one with drift, rejects and labels; returns the last run id."""
    random = np.random.default_rng(2)
    baseline: dict[str, Reference] = {}
    for night in range(nights):
        is_last = night == nights - 1
        rows = int(1180 + 260 * np.sin(night / 3) + 90 * random.standard_normal())
        reasons = dict(zip(REASONS, random.poisson((14, 7, 5, 3, 1, 1)).tolist(), strict=True))
        parts = (40 + 4 * np.sin(night / 4), 36, 20 + 2 * random.standard_normal())
        species = dict(zip(("Adelie", "Gentoo", "Chinstrap"), split(rows, parts), strict=True))
        found = manifest(
            f"2026-11-{night + 1:02d}-nightly", night=night, rows=rows, species=species,
            rejects_by_reason={reason: n for reason, n in reasons.items() if n},
        )  # fmt: skip
        if night > 3:  # earlier manifests have none
            found = measured(found, shift=0.9 if is_last else 0.02, seed=night, baseline=baseline)
            baseline = {**baseline, found["run_id"]: drift_reference(found)}
            baseline = dict(list(baseline.items())[-7:])
        if is_last:
            found = labelled(found, wrong=24, seed=night)
        found["totals"] |= {
            "files": 31,
            "files_unreadable": reasons["unreadable_file"],
            "files_skipped": 4,
        }
        rejects = [
            each for reason, n in found["rejects_by_reason"].items() for each in made_up(reason, n)
        ]
        files = [file(f"{FOLDER}/station-{n:02d}.csv.gz", 40 + n, max(0, 7 - n)) for n in range(30)]
        publish(root, found, rejects=rejects, files=[*files, file(f"{FOLDER}/torn.parquet", 0, 0)])
    return str(found["run_id"])


REASONS = (
    "missing_value", "not_a_number", "out_of_range", "wrong_field_count", "bad_encoding",
    "unreadable_file",
)  # fmt: skip
_EXAMPLES = {
    "missing_value": ("CulmenLength is missing", "b{n},NA,18.7,181,3750"),
    "not_a_number": (
        "CulmenLength is '39,1', which is not a number such as 39.1", 'b{n},"39,1",18.7,181,3750',
    ),
    "out_of_range": (
        "BodyMass is 3.75 g, outside the plausible 900 to 8100 g", "b{n},39.1,18.7,181,3.75",
    ),
    "wrong_field_count": ("the row has 4 fields, the header has 5", "b{n},39.1,18.7,181"),
    "bad_encoding": ("CulmenDepth is no UTF-8", "b{n},39.1,18\\xff7,181,3750"),
    "unreadable_file": ("the file ends early: no Parquet footer", None),
}  # fmt: skip


def made_up(reason: str, count: int) -> list[dict[str, Any]]:
    message, raw = _EXAMPLES[reason]
    whole = reason == "unreadable_file"
    return [
        reject(
            reason, None if whole else 17 * n + 3,
            f"{FOLDER}/" + ("torn.parquet" if whole else f"station-{n % 7:02d}.csv.gz"),
            raw and raw.format(n=n), message,
        )
        for n in range(count)
    ]  # fmt: skip


def drift_reference(found: Mapping[str, Any]) -> Reference:
    from pipelines.monitoring import histograms

    return histograms.from_json(found["histograms"])
