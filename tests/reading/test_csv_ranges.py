"""A CSV divided into ranges of any size yields the same records and row numbers as the whole."""

import csv
import io
import itertools
from unittest import mock

from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.reading.csv_files import ranges
from pipelines.reading.csv_files.ranges import survey
from pipelines.reading.csv_files.records import drop_blank, find_records
from tests.support.reading import divide

FIELDS = st.text(alphabet='ab,"\n\r 1é', max_size=6)
TABLES = st.lists(st.lists(FIELDS, min_size=2, max_size=4), min_size=1, max_size=12)
WILD = st.text(alphabet='a,"\n\r', max_size=60)


def check(data: bytes, step: int) -> None:
    whole = find_records(drop_blank(data))
    expected = [whole.raw(n) for n in range(len(whole))]
    found: list[bytes] = []
    for span in divide(data, step):
        records = find_records(drop_blank(data[span.start : span.stop]))
        # The first span has the header, which doesn't count as a row.
        assert span.first_row == max(len(found) - 1, 0)
        found += [records.raw(n) for n in range(len(records))]
    assert found == expected


@given(TABLES, st.sampled_from(["\n", "\r\n"]), st.sampled_from([0, 1]), st.integers(1, 80))
def test_what_a_writer_writes(
    table: list[list[str]], line_end: str, quoting: int, step: int
) -> None:
    text = io.StringIO(newline="")
    rows = [[field.replace("\r", "") for field in row] for row in table]
    csv.writer(text, lineterminator=line_end, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    check(text.getvalue().encode(), step)


@given(WILD, st.integers(1, 40))
@example('a\n""""\nb', 3)
@example("\n\n\n\na\nb\nc", 2)
@example('"a\n"\r\n\r\nb', 4)
@example(",,\na,b\n,,\n,,,\nc", 5)
@example(',""\na,b\n"",""\n,"",\nc', 6)
def test_what_nobody_should_write(text: str, step: int) -> None:
    check(text.encode(), step)


@given(st.text(alphabet="a\n", max_size=60), st.integers(1, 40), st.integers(1, 7))
def test_lines_in_small_pieces(text: str, step: int, piece: int) -> None:
    with mock.patch.object(ranges, "_PIECE", piece):
        check(text.encode(), step)


def test_where_a_range_only_looks_as_if_it_began_outside() -> None:
    """From its second line on the text of this field could be a line of two empty fields."""
    data = b'id,text\n1,"x\n"",""\ny"\n2,z\n'
    with mock.patch.object(ranges, "scan_quoted", wraps=ranges.scan_quoted) as looked:
        for step in range(1, len(data)):
            check(data, step)
    assert looked.call_count > 3


def test_what_a_writer_quotes_is_looked_at_once() -> None:
    rows = b'1,"plain",123456789123456789\n2,"a ""b"", c",12345678901\n3,"two\nlines",1234567890\n'
    data = b'"id","text","number"\n' + rows * 50
    with mock.patch.object(ranges, "scan_quoted") as looked:
        check(data, 97)
    assert not looked.called
    surveys = [
        survey(io.BytesIO(data), at, at + 97, len(data)) for at in range(0, len(data) - 97, 97)
    ]
    # Three of four bytes are outside quotes.
    assert sum(each.inside is None for each in surveys) > len(surveys) / 2


def test_spans_are_many_and_cover_the_file() -> None:
    data = b"id,note\n" + b"".join(b'%d,"x\n""y"""\n' % n for n in range(1000))
    spans = divide(data, 500)
    assert len(spans) > 20
    assert spans[0].start == 0
    assert spans[-1].stop == len(data)
    assert all(one.stop == two.start for one, two in itertools.pairwise(spans))
    assert all(span.stop - span.start < 1100 for span in spans)
