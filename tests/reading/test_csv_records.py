"""Record boundaries agree with Python's csv module, wherever the bytes are cut."""

import csv
import io
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.reading.csv_files import records as csv_records
from pipelines.reading.csv_files.records import complete_length, find_records

FIELDS = st.text(alphabet='ab,"\n\r 1é', max_size=6)
TABLES = st.lists(st.lists(FIELDS, min_size=2, max_size=4), min_size=1, max_size=8)
# Bytes that no CSV writer produces: stray quotes, lone CRs, blank lines.
WILD = st.text(alphabet='a,"\n\r', max_size=40)


def written(
    table: list[list[str]], line_end: str = "\n", quoting: int = csv.QUOTE_MINIMAL
) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end, quoting=quoting).writerows(table)  # type: ignore[arg-type]
    return text.getvalue().encode()


def parsed(data: bytes) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(data.decode(), newline="")) if row]


@given(TABLES, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from([0, 1]))
def test_records_are_the_rows_that_were_written(
    table: list[list[str]], line_end: str, quoting: int
) -> None:
    # Python's writer doesn't quote a CR or LF that isn't part of its own line end.
    foreign = {"\n": "\r", "\r": "\n"}.get(line_end, "\0")
    table = [[field.replace(foreign, "") for field in row] for row in table]
    data = written(table, line_end, quoting)
    records = find_records(data)
    assert [parsed(records.raw(n)) for n in range(len(records))] == [[row] for row in table]


@given(WILD)
def test_records_of_wild_bytes_are_those_of_the_csv_module(text: str) -> None:
    data = text.encode()
    records = find_records(data)
    # An open quote at the end swallows the line end that the csv module would strip.
    assert [parsed(records.raw(n)) for n in range(len(records))] == [[row] for row in parsed(data)]


@given(WILD, st.sampled_from([2, 4]))
def test_runs_of_quotes_change_nothing(text: str, run: int) -> None:
    with mock.patch.object(csv_records, "_RUN", run):
        found = csv_records.scan(text.encode())
    expected = csv_records.scan(text.encode())
    assert found.ends.tolist() == expected.ends.tolist()
    assert found.inside == expected.inside


def test_a_stray_quote_leaves_most_in_place() -> None:
    lines = b'"a","b"\n' * 5_000
    for data in (lines + b"5'11\",x\n" + lines, b"x" + lines):
        found = csv_records.scan(data)
        assert found.regular
        assert found.ends.tolist() == np.flatnonzero(np.frombuffer(data, np.uint8) == 10).tolist()


@given(WILD, st.integers(0, 40))
def test_a_cut_changes_no_record(text: str, cut: int) -> None:
    data = text.encode()
    end = complete_length(data[:cut])
    assert end <= cut
    first, second = find_records(data[:end]), find_records(data[end:])
    pieces = [records.raw(n) for records in (first, second) for n in range(len(records))]
    whole = find_records(data)
    assert pieces == [whole.raw(n) for n in range(len(whole))]


@given(WILD, WILD)
def test_a_few_bytes_stand_for_the_beginning_of_a_record(begun: str, more: str) -> None:
    begun = begun[csv_records.complete_length(begun.encode()) :]
    state = csv_records.state_after(begun.encode())
    assert len(state) <= 4
    found = csv_records.scan(state + more.encode())
    expected = csv_records.scan((begun + more).encode())
    assert (found.ends - len(state)).tolist() == (expected.ends - len(begun)).tolist()
    assert found.inside == expected.inside


@given(WILD)
def test_the_shortest_and_the_longest_complete_bytes(text: str) -> None:
    data = text.encode()
    ends = [end + 1 for end in csv_records.line_ends(data)]
    ends = ends[:-1] if ends and data[-1:] == b"\r" and ends[-1] == len(data) else ends
    first, last = csv_records.complete_lengths(data)
    assert last == (ends[-1] if ends else 0)
    # Blank lines may be left for the next piece.
    assert find_records(data[: ends[0] if ends else 0]).data.strip(b"\r\n") == data[:first].strip(
        b"\r\n"
    )


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"", 0),
        (b"a,b", 0),
        (b"a,b\nc", 4),
        (b"a,b\r\nc", 5),
        (b"a,b\r", 0),
        (b"a,b\rc", 4),
        (b'a,"x\ny', 0),
        (b'a,"x\ny"\nb', 8),
        (b'a,5" wide\nb', 10),
        (b'a,""""\nb', 7),
        (b'1\n"a\r', 2),
    ],
)
def test_complete_length(data: bytes, length: int) -> None:
    assert complete_length(data) == length


def test_raw_is_the_record_without_its_line_end() -> None:
    records = find_records(b'x\r\n\r\n"a\r\nb",1\r\n\n  \nlast')
    assert [records.raw(n) for n in range(len(records))] == [b"x", b'"a\r\nb",1', b"  ", b"last"]
