"""Publishes runs without the job, from a few staged shards, and shows what readers then see."""

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import publishing
from pipelines.counts import figures
from pipelines.datasets.shard_writer import Shard, ShardWriter
from pipelines.publishing import Publication, disk, publish, review
from pipelines.publishing.recovery import Attempt
from pipelines.runs import layout
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, Model, Review, RunInfo, Status, Totals
from tests.support.toy import toy_card

SCHEMA = pa.schema([("source_file", pa.string()), ("source_row", pa.int64())])
FILES = pa.schema(
    [
        ("source_file", pa.string()),
        ("size", pa.int64()),
        ("modified", pa.timestamp("us", "UTC")),
        ("status", pa.string()),
    ]
)
PUBLISHED_LISTING = [
    "files/",
    "files/run_id=r/",
    "files/run_id=r/part-00000.parquet",
    "predictions/",
    "predictions/run_id=r/",
    "predictions/run_id=r/part-00000.parquet",
    "predictions/run_id=r/part-00001.parquet",
    "runs/",
    "runs/r.json",
]
# The functions in `publishing.disk` that change the disk while a run is published.
STEPS = (
    "sync_file", "sync_folder", "make_folder", "create", "rename", "exchange", "remove_file",
    "link",
)  # fmt: skip


START = "2026-11-25T00:00:00+00:00"


class Crash(BaseException):
    """Simulates the death of the process: no handler catches it."""


def new(output: Path, run_id: str = "r", **changes: Any) -> Publication:
    paths = Layout(output=str(output), run_id=run_id, attempt=uuid.uuid4().hex)
    return dataclasses.replace(
        Publication(
            layout=paths, replace=False, card=toy_card(), max_reject_fraction=0.1,
            run_info=RunInfo(
                start=START, model=Model(sha256="0" * 64), new_only=changes.get("new_only", False)
            ),
        ),
        **changes,
    )  # fmt: skip


def manifest_of(paths: Layout, **known: Any) -> Manifest:
    """A manifest with only the known fields."""
    fields: dict[str, Any] = {
        "status": Status.PUBLISHED, "run_id": paths.run_id, "attempt": paths.attempt, "end": START,
        "model": Model(sha256="0" * 64), "totals": Totals(), "reject_fraction": 0.0,
        "rejects_by_reason": {}, "species": {}, "shards": {},
    }  # fmt: skip
    return Manifest(**fields | known)


def stage(paths: Layout, dataset: str, rows: list[Any], schema: pa.Schema = SCHEMA) -> list[Shard]:
    metadata = {"run_id": paths.run_id, "attempt": paths.attempt}
    writer = ShardWriter(
        paths.staged(dataset), dataset, schema, metadata, max_shard_bytes=1, row_group_rows=1000
    )
    names = schema.names
    named = [dict(zip(names, row, strict=False)) for row in rows]
    writer.write(pa.RecordBatch.from_pylist(named, schema=schema))
    return writer.finish()


def figures_of(*, files: int, scored: int, rejected: int = 0) -> dict[Any, int]:
    """The figures that the steps of a flawless run count."""
    return {
        ("totals", "files"): files,
        ("totals", "rows_read"): scored + rejected,
        ("totals", "rows_scored"): scored,
        ("totals", "rows_rejected"): rejected,
        (figures.COUNTED, figures.MATCHED): files,
        (figures.COUNTED, figures.FOUND): files,
        (figures.COUNTED, figures.NORMALIZED): scored,
        (figures.COUNTED, figures.PREDICTED): scored,
        ("classes", "any"): scored,
        ("rejects", "any"): rejected,
    }


def staged(paths: Layout, rows: int = 5, rejects: int = 0) -> tuple[list[Shard], dict[Any, int]]:
    """Two shards of predictions, the second one first, and matching figures."""
    shards = stage(paths, layout.PREDICTIONS, [("b", n) for n in range(rows - 3)])
    shards += stage(paths, layout.PREDICTIONS, [("a", n) for n in range(3)])
    listed = [(name, 1, 0, "read") for name in ("a", "b")]
    shards += stage(paths, layout.FILES, listed, FILES)
    if rejects:
        shards += stage(paths, layout.REJECTS, [("a", n + 3) for n in range(rejects)])
    return shards, figures_of(files=2, scored=rows, rejected=rejects)


def publish_new(
    publication: Publication,
    rows: int = 5,
    rejects: int = 0,
    change: Callable[[list[Shard], dict[Any, int]], Any] = lambda *made: made,
) -> Manifest:
    with publishing.of(publication.layout).attempt():
        made = change(*staged(publication.layout, rows, rejects))
        return publish(publication, *made)


def rows_seen(output: Path, run_id: str = "*", dataset: str = layout.PREDICTIONS) -> int:
    """The row count seen by a reader who globs the shards."""
    files = (output / dataset).glob(f"run_id={run_id}/*.parquet")
    return sum(len(pq.ParquetFile(path).read()) for path in files)


def check_whole(output: Path, run_id: str = "r") -> int:
    """Checks that a run is published completely or not at all, and returns its row count."""
    path = output / f"runs/{run_id}.json"
    seen = rows_seen(output, run_id)
    if not path.exists():
        assert seen == 0
        assert [*output.glob(f"*/run_id={run_id}")] == []
        return 0
    shards = json.loads(path.read_text())["shards"]
    for dataset in layout.DATASETS:
        assert rows_seen(output, run_id, dataset) == shards[dataset]["rows"]
        folder = output / dataset / f"run_id={run_id}"
        found = {each.name for each in folder.iterdir()} if folder.exists() else set()
        assert found == set(shards[dataset]["names"])
    return seen


def at_step(
    patched: pytest.MonkeyPatch, stop: int, act: Callable[[], Any], *, after: bool = False
) -> Callable[[], int]:
    """Acts before or after the stop-th change of the disk, and counts the changes."""
    count = 0

    def wrap(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            mine = count
            if mine == stop and not after:
                act()
            result = change(*arguments)
            if mine == stop and after:
                act()
            return result

        return changed

    for name in STEPS:
        patched.setattr(disk, name, wrap(getattr(disk, name)))
    return lambda: count


def crash() -> None:
    raise Crash


@contextmanager
def dying() -> Iterator[None]:
    """Leaves files as they are if the body dies, but frees its locks afterwards."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Attempt, "end", lambda _: None)
        with suppress(Crash):
            yield


def die_at(
    publication: Publication, stop: int, *, after: bool = False, rows: int = 5, rejects: int = 0
) -> bool:
    """Publishes a run whose process dies at a given step; returns False if it has fewer steps."""
    commit = publishing.of(publication.layout)
    with pytest.MonkeyPatch.context() as patched, dying(), commit.attempt():
        made = staged(publication.layout, rows, rejects)
        steps = at_step(patched, stop, crash, after=after)
        publish(publication, *made)
    return steps() >= stop


def reviewed(status: str, **known: Any) -> Review:
    """A person's decision."""
    return Review(**{"status": Status(status), "at": START, "by": "somebody@here", **known})


def hold_new(output: Path, run_id: str = "r", rows: int = 9, **changes: Any) -> Manifest:
    """A run that is held for its rejects."""
    return publish_new(new(output, run_id, max_reject_fraction=0.0, **changes), rows, rejects=1)


def decide_on(output: Path, status: str, run_id: str = "r", **known: Any) -> Manifest:
    """Accepts, rejects, retracts or prunes a run."""
    work = review.accept if status == Status.PUBLISHED else review.close
    return work(str(output), run_id, reviewed(status, **known))


def die_deciding(output: Path, status: str, stop: int, *, after: bool = False) -> bool:
    """Reviews a run in a process that dies at a given step; returns False if it has fewer."""
    with pytest.MonkeyPatch.context() as patched, dying():
        steps = at_step(patched, stop, crash, after=after)
        decide_on(output, status)
    return steps() >= stop
