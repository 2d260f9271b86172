"""The steps that find, divide and read the input; what they read is checked at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.metrics import Metrics

from penguin_model import validate
from pipelines import csv_spans, files, gzipped, packs, parquet_spans, storage
from pipelines.blocks import Block, Reject, Wanted, reject_batches, rejects_batch, split
from pipelines.csv_ranges import ByteSpan, Found, Survey, look_inside, number, survey
from pipelines.files import InputFile, Matching
from pipelines.outputs import RANGES, REJECTS, figure, tallies, tally
from pipelines.packs import Pack
from pipelines.sizes import Sizes
from pipelines.spans import UnreadableFile
from pipelines.submission import NAMESPACE
from pipelines.tallies import FileTally
from pipelines.work import Teller


class Span(NamedTuple):
    """A range of one file that one worker reads on its own.

    Attributes:
      file: the file.
      start, stop: row groups of a Parquet file, bytes of a CSV; 0, 0 for the whole of a CSV.
      first_row: the 0-based row in the file that the span begins with.
      size: its part of the file's bytes.
    """

    file: InputFile
    start: int
    stop: int
    first_row: int
    size: int


class InputFn(beam.DoFn):
    """A step on the input, which tells how far it is.

    Args:
      progress: the folder to tell it in; None tells nobody.
    """

    def __init__(self, progress: str | None) -> None:
        self._progress = progress

    def setup(self) -> None:
        self._teller = Teller(self._progress)

    def finish_bundle(self) -> None:
        self._teller.tell()


class MatchFilesFn(InputFn):
    """Matches all patterns at once, so that a file which several of them match comes once."""

    def __init__(self, sizes: Sizes, progress: str | None) -> None:
        super().__init__(progress)
        self._sizes = sizes

    def process(self, matching: Matching) -> Iterator[Pack]:
        """Which files are wanted, to the files: small ones many at a time, others alone."""
        matched = files.choose(matching, time.time())
        size = sum(file.size for file in matched.chosen)
        self._teller.add(files=len(matched.chosen), bytes=size)
        yield from packs.gather(
            matched.chosen,
            max_file_bytes=self._sizes.small_file_bytes,
            max_files=self._sizes.pack_files,
        )
        yield figure("totals", "files_skipped", matched.skipped)
        yield figure("totals", "files_unsettled", len(matched.unsettled))
        for file in matched.unsettled:
            yield figure("unsettled", file.path, 1)


class PlanSpansFn(InputFn):
    """Divides a file into spans; a file that cannot be planned becomes a reject."""

    def __init__(self, wanted: Wanted, sizes: Sizes, progress: str | None = None) -> None:
        super().__init__(progress)
        self._wanted = wanted
        self._sizes = sizes

    def process(self, pack: Pack) -> Iterator[Any]:
        """A file to its spans; several small ones are read as they are."""
        yield from tallies(
            {file.path: FileTally(size=file.size, modified=file.modified) for file in pack.files}
        )
        if len(pack.files) > 1:
            yield pack
        else:
            yield from _plan(pack.files[0], self._wanted, self._sizes, self._teller)


def _plan(file: InputFile, wanted: Wanted, sizes: Sizes, teller: Teller) -> Iterator[Any]:
    """The spans of a file, or the ranges of a large CSV, and what its footer counts."""
    left = file.size
    try:
        if not file.format:
            known = ", ".join(files.FORMATS)
            raise UnreadableFile(f"the name ends in none of {known}; give --format")
        if file.format == files.NO_NAME:
            raise UnreadableFile("the file's name is not UTF-8; rename it")
        if file.format == "csv" and file.size > sizes.range_bytes:
            yield from _ranges(file, wanted, sizes)
            teller.add(ranged=file.size)
            return
        if file.format != "parquet":
            yield Span(file, 0, 0, 0, file.size)
            return
        with storage.open_input(file.path) as source:
            opened = parquet_spans.open_file(source, wanted)
            yield tally(file.path, expected=opened.metadata.num_rows)
            for start, stop, first_row in parquet_spans.plan(opened, sizes.span_bytes):
                # As if all row groups were alike: only the bar goes by it.
                size = file.size * stop // opened.num_row_groups + left - file.size
                yield Span(file, start, stop, first_row, size)
                left -= size
    except (UnreadableFile, *storage.ERRORS) as error:
        yield from _reject_file(file.path, error)
    # What no span stands for: a file that is refused, or has no rows.
    teller.add(read=left)


def _ranges(file: InputFile, wanted: Wanted, sizes: Sizes) -> Iterator[pvalue.TaggedOutput]:
    with storage.open_input(file.path) as source:
        csv_spans.find_header(source, wanted)
    for start in range(0, file.size, sizes.range_bytes):
        stop = min(start + sizes.range_bytes, file.size)
        yield pvalue.TaggedOutput(RANGES, Span(file, start, stop, 0, stop - start))


class SurveyRangeFn(InputFn):
    """Looks for records and quotes in one range of a large CSV."""

    def process(self, span: Span) -> Iterator[tuple[str, tuple[InputFile, Survey | str]]]:
        """One range to its survey, or to why there is none; the file's path is the key."""
        found: Survey | str
        try:
            with storage.open_input(span.file.path) as source:
                found = survey(source, span.start, span.stop, span.file.size)
        except storage.ERRORS as error:
            found = storage.reason_of(error)
        self._teller.add(surveyed=span.size)
        yield span.file.path, (span.file, found)


class NumberRowsFn(InputFn):
    """Puts the surveys of a file in order: spans of whole records, each with its first row."""

    def process(
        self, element: tuple[str, Iterable[tuple[InputFile, Survey | str]]]
    ) -> Iterator[Any]:
        """All surveys of a file to its spans."""
        surveyed = list(element[1])
        file = surveyed[0][0]

        def look(start: int, stop: int) -> Found:
            with storage.open_input(file.path) as source:
                return look_inside(source, start, stop)

        try:
            spans = list(number(_in_order(found for _, found in surveyed), file.size, look))
        except (UnreadableFile, *storage.ERRORS) as error:
            yield from _reject_file(file.path, error)
            self._teller.add(read=file.size)
            return
        for span in spans:
            yield Span(file, *span, size=span.stop - span.start)


def _in_order(found: Iterable[Survey | str]) -> list[Survey]:
    """The surveys of a file in its order; refuses one of which a range could not be read."""
    surveys = []
    for each in found:
        if isinstance(each, str):
            raise UnreadableFile(each)
        surveys.append(each)
    return sorted(surveys, key=lambda each: each.start)


class ReadSpanFn(InputFn):
    """Reads a span into located chunks of good rows; the other rows become rejects."""

    def __init__(self, wanted: Wanted, sizes: Sizes, progress: str | None = None) -> None:
        super().__init__(progress)
        self._wanted = wanted
        self._sizes = sizes
        self._read = Metrics.counter(NAMESPACE, "rows_read")
        self._rejected = Metrics.counter(NAMESPACE, "rows_rejected")

    def process(self, span: Span | Pack) -> Iterator[pa.RecordBatch]:
        """One span, or some small files, to chunks."""
        yield from self._pack(span) if isinstance(span, Pack) else self._span(span)

    def _pack(self, pack: Pack) -> Iterator[Any]:
        for packed in packs.read(pack, self._wanted):
            if packed.block is not None:
                self._read.inc(packed.block.rows_read)
                chunk, _ = split(packed.block, "", self._wanted)
                if chunk is not None:
                    yield chunk
                counted = {file.path: FileTally(read=n) for file, n in packed.rows.items()}
                yield from tallies(counted)
                size = sum(file.size for file in packed.rows)
                self._teller.add(read=size, rows=packed.block.rows_read)
            for file in packed.others:
                for each in _plan(file, self._wanted, self._sizes, self._teller):
                    yield from self._span(each) if isinstance(each, Span) else [each]

    def _span(self, span: Span) -> Iterator[Any]:
        path = span.file.path
        rows_read = told = 0
        try:
            for block, done in self._blocks(span):
                rows_read += block.rows_read
                chunk, rejects = split(block, path, self._wanted)
                rejected = 0
                for batch in reject_batches(rejects, path):
                    yield from self._reject(batch)
                    rejected += batch.num_rows
                if chunk is not None:
                    yield chunk
                # All steps up to the shards have had the block, or it could not be yielded.
                size = max(0, min(done, span.size) - told)
                told += size
                self._teller.add(read=size, rows=block.rows_read, rejected=rejected)
        except (UnreadableFile, *storage.ERRORS) as error:
            yield from _reject_file(path, error, after=span.first_row + rows_read)
        finally:
            self._read.inc(rows_read)
            self._teller.add(read=span.size - told)
        yield tally(path, read=rows_read)

    def _blocks(self, span: Span) -> Iterator[tuple[Block, int]]:
        """The rows of a span, and how many of its bytes are read with each block."""
        path = span.file.path
        if span.file.format == "csv.gz":
            with storage.open_input(path) as source:
                gzipped.check(source)
        with storage.open_input(path) as source:
            if span.file.format == "parquet":
                opened = parquet_spans.open_file(source, self._wanted)
                groups = (span.start, span.stop)
                rows = sum(opened.metadata.row_group(group).num_rows for group in range(*groups))
                done = 0
                for block in parquet_spans.read(
                    opened, groups, span.first_row, self._wanted, batch_rows=self._sizes.batch_rows
                ):
                    done += block.rows_read
                    yield block, span.size * done // rows
            else:
                stream = gzipped.unzipped(source) if span.file.format == "csv.gz" else source
                part = ByteSpan(span.start, span.stop, span.first_row) if span.stop else None
                for block in csv_spans.read(
                    stream, self._wanted, block_bytes=self._sizes.block_bytes, span=part
                ):
                    yield block, source.tell() - span.start

    def _reject(self, rejects: pa.RecordBatch) -> Iterator[Any]:
        self._rejected.inc(rejects.num_rows)
        yield pvalue.TaggedOutput(REJECTS, rejects)
        for counted in rejects.column("reason").value_counts():
            reason, count = counted["values"].as_py(), counted["counts"].as_py()
            Metrics.counter(NAMESPACE, f"rows_rejected_{reason}").inc(count)
            yield figure("rejects", reason, count)


def _reject_file(path: str, error: Exception, after: int = 0) -> Iterator[Any]:
    """One reject for a whole file, or for the rest of it after some rows."""
    reason, column = validate.UNREADABLE_FILE, None
    if isinstance(error, UnreadableFile):
        reason, column = error.reason, error.column
    message = str(error) if isinstance(error, UnreadableFile) else storage.reason_of(error)
    reject = Reject(
        source_row=None,
        reason=reason,
        column=column,
        message=f"after row {after - 1}: {message}" if after else message,
    )
    Metrics.counter(NAMESPACE, "files_unreadable").inc()
    yield pvalue.TaggedOutput(REJECTS, rejects_batch([reject], path))
    yield figure("rejects", reject.reason, 1)
    yield tally(path, unreadable=1)
