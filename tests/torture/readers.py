"""A reader who polls while runs are published and replaced: one whole set of rows, or none."""

import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import publishing
from pipelines.datasets.shard_writer import ShardWriter
from pipelines.publishing import Publication, publish
from pipelines.runs import layout
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Model, RunInfo
from tests.support.publication import figures_of
from tests.support.toy import toy_card
from tests.torture.cases import Case
from tests.torture.jobs import check_nothing_left, finish, kill_group, make_night, started, wait_for

SCHEMA = pa.schema([("source_file", pa.string()), ("source_row", pa.int64())])


def count_rows(folder: Path) -> int | None:
    """The rows of one run by its shards' footers; None if it was exchanged meanwhile."""
    try:
        before = folder.stat().st_ino
    except FileNotFoundError:
        return 0
    try:
        shards = sorted(folder.glob("*.parquet"))
        rows = sum(pq.read_metadata(shard).num_rows for shard in shards)
        # Shards are opened by path, one by one: some may have been the old run's.
        return rows if folder.stat().st_ino == before else None
    except FileNotFoundError:
        return None


class Reader(threading.Thread):
    """Counts a run's rows again and again until it is stopped."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._stopped = threading.Event()
        self.seen: Counter[int] = Counter()
        self.retries = 0
        self.vanished = False
        self.errors: list[str] = []

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                rows = count_rows(self._folder)
            except (pa.ArrowException, OSError) as error:
                self.errors.append(f"a reader met {type(error).__name__}: {error}")
                continue
            if rows is None:
                self.retries += 1
                continue
            self.vanished |= rows == 0 and any(self.seen - Counter({0: self.seen[0]}))
            self.seen[rows] += 1
            time.sleep(0.0005)

    def report(self, case: Case, whole: set[int]) -> None:
        """Stops, and tells what was seen; the sizes are those of the complete runs."""
        self._stopped.set()
        self.join()
        case.faults += sorted(set(self.errors))
        case.check(not self.vanished, "a published run was gone for a moment")
        case.rows += sum(whole)
        for rows in self.seen:
            if rows and rows not in whole:
                case.faults.append(f"a reader saw {rows} rows, the runs have {sorted(whole)}")
                case.lost += min(abs(rows - size) for size in whole)
        case.seen["looks"] = case.seen.get("looks", 0) + sum(self.seen.values())
        case.seen["looks again"] = case.seen.get("looks again", 0) + self.retries


def read_while_jobs_replace(folder: Path, replaces: int, rows: int) -> Case:
    """The real command publishes and replaces, and is killed once in between."""
    case = Case("a reader, jobs that replace")
    night, output = make_night(folder / "night", rows), folder / "out"
    flags = ["--output", output, "--run_id", "run"]
    reader = Reader(output / "predictions/run_id=run")
    reader.start()
    for number in range(replaces):
        some = night if number % 2 else night / "b.csv"
        more = ["--replace"] if number else []
        if number == replaces - 1:
            with started(*flags, "--input", some, *more) as job:
                wait_for(job, output, "_staging/*/*/journal.json")
                kill_group(job)
        code, err = finish(*flags, "--input", some, *more)
        case.check(code == 0, f"exit code {code}: {err}")
        case.tries += 1
    reader.report(case, {rows // 2, rows + rows // 2})
    check_nothing_left(case, output)
    return case


def read_while_exchanged(folder: Path, replaces: int) -> Case:
    """Publication alone, some hundred times: many looks at just the moment of the exchange."""
    case = Case("a reader, quick exchanges")
    reader = Reader(folder / "predictions/run_id=run")
    reader.start()
    sizes = (7, 12)
    for number in range(replaces):
        _publish(folder, sizes[number % 2])
        case.tries += 1
    reader.report(case, set(sizes))
    check_nothing_left(case, folder)
    return case


def _publish(output: Path, rows: int) -> None:
    """One run of some rows in two shards."""
    paths = Layout(output=str(output), run_id="run", attempt=uuid.uuid4().hex)
    publication = Publication(
        layout=paths, replace=True, card=toy_card(), max_reject_fraction=0.1,
        run_info=RunInfo(start="now", model=Model()),
    )  # fmt: skip
    with publishing.of(paths).attempt():
        shards = []
        metadata = {"run_id": paths.run_id, "attempt": paths.attempt}
        for dataset, counts in ((layout.PREDICTIONS, (rows - 3, 3)), (layout.FILES, (1,))):
            for number, count in enumerate(counts):
                writer = ShardWriter(
                    paths.staged(dataset), dataset, SCHEMA, metadata, max_shard_bytes=1,
                    row_group_rows=1000,
                )  # fmt: skip
                made = [{"source_file": f"f{number}", "source_row": n} for n in range(count)]
                writer.write(pa.RecordBatch.from_pylist(made, schema=SCHEMA))
                shards += writer.finish()
        publish(publication, shards, figures_of(files=1, scored=rows))
