"""Drops or duplicates the elements that pass between steps, one at a time."""

import collections
import contextlib
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam import pvalue

from penguin_model.card import read_card
from pipelines import job
from pipelines.counts import failures
from pipelines.reading.settings import Sizes
from tests.support.running import ONE_WORKER, PLAIN, prepare_sized, totals
from tests.support.toy import toy_bundle

SIZES = Sizes(
    small_file_bytes=300,
    pack_files=3,
    span_bytes=1000,
    range_bytes=1000,
    block_bytes=500,
    batch_rows=20,
    row_group_rows=25,
    shard_bytes=1,
)
# The edges of a step: its name, the output (or `input`), and the number of elements.
Edge = tuple[str, str]
INPUT, MAIN = "input", "main"
# The last step's own output: nothing consumes it, and the step may run again.
HARMLESS = {("PublishFn", MAIN): ("drop", "double"), ("PublishFn", INPUT): ("double",)}
EDGES = [
    *((name, MAIN) for name in ("MatchFilesFn", "PlanSpansFn", "SurveyRangeFn", "NumberRowsFn")),
    *((name, MAIN) for name in ("ReadSpanFn", "NormalizeFn", "PredictFn", "ReconcileFn")),
    ("WriteShardsFn", MAIN),
    *((name, "tallies") for name in ("MatchFilesFn", "PlanSpansFn", "SurveyRangeFn")),
    *((name, "tallies") for name in ("NumberRowsFn", "ReadSpanFn", "WriteShardsFn")),
    *((name, "counts") for name in ("MatchFilesFn", "PlanSpansFn", "ReadSpanFn")),
    *((name, "counts") for name in ("NormalizeFn", "PredictFn", "ReconcileFn")),
    ("PlanSpansFn", "ranges"),
    *((name, "shards") for name in ("PlanSpansFn", "ReadSpanFn")),
    *((name, INPUT) for name in ("MatchFilesFn", "NumberRowsFn", "ReconcileFn", "PublishFn")),
]


class Night(NamedTuple):
    """Input files, and the model that scores them."""

    folder: Path
    model: Path


class Meddler:
    """Drops or duplicates one element between two steps.

    Args:
      edge: the step and its output; None only counts.
      place: the element's position there.
      how: ``drop`` or ``double``.
    """

    def __init__(self, edge: Edge | None = None, place: int = 0, how: str = "drop") -> None:
        self.seen: collections.Counter[Edge] = collections.Counter()
        self._edge, self._place, self._how = edge, place, how

    def times(self, edge: Edge) -> int:
        """Returns how often the next element of an edge is delivered."""
        place = self.seen[edge]
        self.seen[edge] += 1
        if edge != self._edge or place != self._place:
            return 1
        return 0 if self._how == "drop" else 2

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Meddles with all steps."""
        process, finish = failures.Recorded.process, failures.Recorded.finish_bundle

        def outputs(name: str, elements: Iterator[Any]) -> Iterator[Any]:
            for each in elements:
                tag = each.tag if isinstance(each, pvalue.TaggedOutput) else MAIN
                for _ in range(self.times((name, tag))):
                    yield each

        def meddle(step: Any, element: Any, *others: Any) -> Iterator[Any]:
            name = type(step._step).__name__
            for _ in range(self.times((name, INPUT))):
                yield from outputs(name, process(step, element, *others))

        def meddle_at_end(step: Any) -> Iterator[Any]:
            yield from outputs(type(step._step).__name__, finish(step))

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(failures.Recorded, "process", meddle)
            patched.setattr(failures.Recorded, "finish_bundle", meddle_at_end)
            yield


def make_night(place: Path) -> Night:
    """Files that take every path through the steps, and a model for them."""
    folder = place / "night"
    folder.mkdir()
    model = Path(toy_bundle(place))
    card = read_card(str(model))
    values = [(feature.minimum + feature.maximum) / 2 for feature in card.features]
    header = ",".join(card.feature_names) + "\n"
    good, bad = ",".join(map(str, values)) + "\n", "x" + ",1" * (len(values) - 1) + "\n"
    for number in range(7):
        (folder / f"small{number}.csv").write_text(header + good * 3)
    (folder / "small7.csv").write_text(header + good + bad)
    (folder / "large.csv").write_text(header + good * 60 + bad + good * 60)
    (folder / "large2.csv").write_text(header + good * 60)
    table = pa.table({f.name: [v] * 200 for f, v in zip(card.features, values, strict=True)})
    pq.write_table(table, folder / "rows.parquet", row_group_size=50)
    with pa.ipc.new_file(str(folder / "rows.arrow"), table.schema) as writer:
        writer.write_table(table.slice(0, 40), max_chunksize=20)
    (folder / "zipped.csv.gz").write_bytes(gzip.compress((header + good * 30 + bad).encode()))
    (folder / "large3.csv").write_text("nothing\n" + "of use\n" * 300)
    return Night(folder, model)


def run(night: Night, output: Path, meddler: Meddler) -> None:
    """Runs the job on a night while elements are dropped or duplicated."""
    folder, model = night
    flags = ("--input", folder, "--model", model, *PLAIN, *ONE_WORKER)
    prepared = prepare_sized(SIZES, output, *flags, "--max_reject_fraction=1")
    with meddler.at_work():
        job.execute(prepared)


EXPECTED = totals(
    files=14,
    files_unreadable=1,
    rows_read=7 * 3 + 2 + 121 + 60 + 200 + 40 + 31,
    rows_scored=7 * 3 + 1 + 120 + 60 + 200 + 40 + 30,
    rows_rejected=3,
)
