"""The steps that find, divide, read and check the input.

Each step announces the units of work it plans, acknowledges those it completes, and writes the
rejects it finds.
"""

from __future__ import annotations

import errno
import functools
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.pvalue import PCollection

from pipelines import storage
from pipelines.counts.by_file import UNKNOWN, fingerprint
from pipelines.counts.counter import Counter
from pipelines.counts.emit import TALLIES, emit_counts
from pipelines.counts.figures import COUNTED, FOUND, MATCHED, figures
from pipelines.datasets.shard_writer import Shard
from pipelines.datasets.transforms import StagedDataSet
from pipelines.errors import PenguinError, ReconcileError
from pipelines.progress.reporter import ProgressReporter
from pipelines.reading import matching as files
from pipelines.reading import small_files
from pipelines.reading.csv_files.ranges import RangeScan, Survey, assign_rows, scan_quoted, survey
from pipelines.reading.dialect import Dialect
from pipelines.reading.formats import Part
from pipelines.reading.input_step import CountingFn, RejectingFn
from pipelines.reading.matching import Matching, check_unchanged
from pipelines.reading.planning import Span, check_cover, format_of, plan_ranges, plan_spans, whole
from pipelines.reading.rows import InputColumns, ParsedRows, reject_batches, validate_rows
from pipelines.reading.settings import Sizes
from pipelines.reading.small_files import SmallFiles
from pipelines.reading.unreadable import UnreadableFile, reason_of

RANGES = "ranges"


class Unsurveyed(NamedTuple):
    """Why a range has no survey.

    Attributes:
      reason: in one line.
      may_pass: whether it is a filesystem's error, which may pass.
    """

    reason: str
    may_pass: bool

    def as_error(self) -> Exception:
        """The error that refuses the file."""
        return OSError(errno.EIO, self.reason) if self.may_pass else UnreadableFile(self.reason)


class MatchedFiles(NamedTuple):
    """What `MatchFilesFn` emits: the files, and counts of them."""

    files: PCollection[SmallFiles]
    tallies: PCollection[tuple[int, Any]]
    counts: PCollection[Any]


class Planned(NamedTuple):
    """What `PlanSpansFn` emits: spans (or small files) to read, and ranges to survey first."""

    spans: PCollection[Any]
    ranges: PCollection[Any]
    shards: PCollection[Shard]
    tallies: PCollection[tuple[int, Any]]
    counts: PCollection[Any]


class Surveyed(NamedTuple):
    """What `SurveyRangeFn` emits: each range and its survey, keyed by file."""

    surveys: PCollection[tuple[str, Any]]
    tallies: PCollection[tuple[int, Any]]


class Numbered(NamedTuple):
    """What `NumberRowsFn` emits: spans to read."""

    spans: PCollection[Any]
    shards: PCollection[Shard]
    tallies: PCollection[tuple[int, Any]]
    counts: PCollection[Any]


class RowsRead(NamedTuple):
    """What `ReadSpanFn` emits: located chunks of good rows."""

    chunks: PCollection[pa.RecordBatch]
    shards: PCollection[Shard]
    tallies: PCollection[tuple[int, Any]]
    counts: PCollection[Any]


class MatchFilesFn(beam.DoFn):
    """Matches all patterns at once, so that a file matching several is emitted only once."""

    def __init__(self, sizes: Sizes, progress: str | None) -> None:
        self._progress = progress
        self._sizes = sizes

    def process(self, matching: Matching) -> Iterator[Any]:
        """Emits the matching files: small ones in packs, others alone."""
        teller = ProgressReporter(self._progress)
        counter = Counter(teller)
        matched = files.choose(matching, time.time())
        for file in matched.chosen:
            counter.add(file.path, matched=1, size=file.size, modified=file.modified)
        teller.tell()
        yield from small_files.gather(
            matched.chosen,
            max_file_bytes=self._sizes.small_file_bytes,
            max_files=self._sizes.pack_files,
        )
        for bucket in counter.take():
            yield pvalue.TaggedOutput(TALLIES, bucket)
        left_out = {
            "files_skipped": matched.skipped,
            "files_waiting": matched.waiting.total(),
            "files_unsettled": len(matched.unsettled),
            "files_ignored": matched.ignored.total(),
            "not_files": len(matched.not_files),
        }
        not_files = {f"{kind}: {path}": 1 for path, kind in matched.not_files.items()}
        yield emit_counts(
            figures(COUNTED, {MATCHED: len(matched.chosen), FOUND: matched.found}),
            figures("totals", left_out),
            figures("unsettled", {file.path: 1 for file in matched.unsettled}),
            figures("waiting", matched.waiting),
            figures("ignored", matched.ignored),
            figures("not_files", not_files),
            figures("unmatched", dict.fromkeys(matched.unmatched, 1)),
            figures("notes", dict.fromkeys(matched.notes, 1)),
        )


class PlanSpansFn(RejectingFn):
    """Divides a file into spans; a file that can't be planned becomes a reject."""

    def __init__(
        self, wanted: InputColumns, sizes: Sizes, progress: str | None, rejects: StagedDataSet
    ) -> None:
        super().__init__(progress, rejects)
        self._wanted = wanted
        self._sizes = sizes

    def process(self, pack: SmallFiles) -> Iterator[Any]:
        """Emits a file's spans and ranges; a pack of several small files passes unchanged."""
        for file in pack.files:
            self._counter.add(file.path, planned=1)
        if len(pack.files) > 1:
            for file in pack.files:
                self._announce(whole(file))
            yield pack
            return
        (file,) = pack.files
        ranges: list[Span] = []
        spans: list[Span] = []
        with self._costs_only(functools.partial(self._refuse, file)):
            ranges = plan_ranges(file, self._wanted, self._sizes)
            if not ranges:
                spans = plan_spans(file, self._wanted, self._sizes)
        for span in ranges:
            part = fingerprint(file.path, span.start, span.stop)
            self._counter.add(file.path, bytes_ranged=span.size, ranges=part)
            yield pvalue.TaggedOutput(RANGES, span)
        yield from map(self._announce, spans)


class SurveyRangeFn(CountingFn):
    """Finds records and quotes in one range of a large CSV."""

    def __init__(self, dialect: Dialect, progress: str | None) -> None:
        super().__init__(progress)
        self._delimiter = dialect.delimiter_byte

    def process(self, span: Span) -> Iterator[tuple[str, tuple[Span, Survey | Unsurveyed]]]:
        """Emits a range's survey, or why there is none, keyed by the file's path."""
        file = span.file
        found: Survey | Unsurveyed
        try:
            with storage.open_input(file.path) as source:
                found = survey(source, span.start, span.stop, file.size, self._delimiter)
            check_unchanged(file)
        except PenguinError:
            raise
        except Exception as error:
            found = Unsurveyed(reason_of(error), storage.may_pass(error))
        part = fingerprint(file.path, span.start, span.stop)
        self._counter.add(file.path, bytes_surveyed=span.size, ranges=-part)
        yield file.path, (span, found)


class NumberRowsFn(RejectingFn):
    """Combines the surveys of a file into spans of whole records, each with its first row."""

    def __init__(self, dialect: Dialect, progress: str | None, rejects: StagedDataSet) -> None:
        super().__init__(progress, rejects)
        self._delimiter = dialect.delimiter_byte

    def process(
        self, element: tuple[str, Iterable[tuple[Span, Survey | Unsurveyed]]]
    ) -> Iterator[Any]:
        """Emits a file's spans from all of its surveys."""
        surveyed = sorted(element[1], key=lambda each: each[0].start)
        file = surveyed[0][0].file
        check_cover([(range_.start, range_.stop) for range_, _ in surveyed], file)

        def look(start: int, stop: int) -> RangeScan:
            with storage.open_input(file.path) as source:
                return scan_quoted(source, start, stop, self._delimiter)

        spans: list[Part] = []
        with self._costs_only(functools.partial(self._refuse, file)):
            surveys = []
            for _, found in surveyed:
                if isinstance(found, Unsurveyed):
                    raise found.as_error()
                surveys.append(found)
            spans = list(assign_rows(surveys, file.size, look))
            check_unchanged(file)
            check_cover([(span.start, span.stop) for span in spans], file)
        for span in spans:
            yield self._announce(
                Span(file, span.start, span.stop, span.first_row, span.stop - span.start, span.rows)
            )


class ReadSpanFn(RejectingFn):
    """Reads a span into located chunks of good rows; the other rows become rejects."""

    def __init__(
        self, wanted: InputColumns, sizes: Sizes, progress: str | None, rejects: StagedDataSet
    ) -> None:
        super().__init__(progress, rejects)
        self._wanted = wanted
        self._sizes = sizes

    def process(self, span: Span | SmallFiles) -> Iterator[pa.RecordBatch]:
        """Emits the chunks of a span or of some small files."""
        yield from self._pack(span) if isinstance(span, SmallFiles) else self._span(span)

    def _pack(self, pack: SmallFiles) -> Iterator[pa.RecordBatch]:
        for packed in small_files.read_together(pack, self._wanted):
            read_alone = list(packed.read_alone)
            if packed.block is not None:
                chunk = None
                together = packed.rows
                try:
                    chunk, _ = validate_rows(packed.block, "", self._wanted)
                except PenguinError:
                    raise
                except Exception:
                    read_alone, together = [*together, *read_alone], {}
                storage.for_each(pack.files[0].path, check_unchanged, together)
                if chunk is not None:
                    yield chunk
                for file, rows in together.items():
                    self._counter.add(file.path, rows_read=rows)
                    self._acknowledge(whole(file), file.size)
            for file in read_alone:
                spans: list[Span] = []
                with self._costs_only(functools.partial(self._reject_file, file)):
                    spans = plan_spans(file, self._wanted, self._sizes)
                for span in spans:
                    yield from self._read(span)
                self._acknowledge(whole(file), file.size - sum(span.size for span in spans))

    def _span(self, span: Span) -> Iterator[pa.RecordBatch]:
        yield from self._read(span)
        self._acknowledge(span, 0)

    def _read(self, span: Span) -> Iterator[pa.RecordBatch]:
        """Yields the chunks of a span, counting its bytes and rows but not the unit."""
        path = span.file.path
        rows_read = bytes_read = rejected = 0

        def refuse(error: Exception) -> None:
            # The last block may have failed after some of its rejects.
            self._counter.add(path, rows_read=rejected)
            self._reject_file(span.file, error, after=span.first_row + rows_read)

        with self._costs_only(refuse):
            for block, done in self._blocks(span):
                chunk, rejects = validate_rows(block, path, self._wanted)
                for batch in reject_batches(rejects, path):
                    self._reject(batch)
                    rejected += batch.num_rows
                if chunk is not None:
                    yield chunk
                # The yield returns only after every step up to the shards has processed the chunk.
                size = max(0, min(done, span.size) - bytes_read)
                bytes_read += size
                rows_read += block.rows_read
                rejected = 0
                self._counter.add(path, bytes_read=size, rows_read=block.rows_read)
            check_unchanged(span.file)
            if span.rows not in (UNKNOWN, rows_read):
                raise ReconcileError(
                    f"{path}: {span.rows} rows were counted from row {span.first_row} on, but "
                    f"{rows_read} were read; nothing is published"
                )
        self._counter.add(path, bytes_read=span.size - bytes_read)

    def _blocks(self, span: Span) -> Iterator[tuple[ParsedRows, int]]:
        """Yields the rows of a span, each block with the number of the span's bytes read so far."""
        rows_read = 0
        wanted = self._wanted.of_file(span.file.path)
        with storage.open_input(span.file.path) as source:
            for block in format_of(span.file).read(source, span.part, wanted, self._sizes):
                rows_read += block.rows_read
                if span.rows > 0:
                    yield block, span.size * rows_read // span.rows
                else:
                    yield block, source.tell()
