"""CSV input: every row comes out once, with its row number, scored or rejected with a reason."""

import csv
import gzip
import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model import validate
from pipelines.reading.csv_files import pieces, reader
from pipelines.reading.csv_files.compressed import find_codec
from pipelines.reading.csv_files.text import open_text
from pipelines.reading.formats import Part
from pipelines.reading.rows import InputColumns
from pipelines.reading.unreadable import UnreadableFile
from tests.support.reading import LENGTH, MASS, WANTED, read_csv

HEADER = b"id,length,mass\n"

NUMBERS = st.floats(1, 200).map(lambda value: f"{value:.6g}")
IDS = st.text(alphabet='ab,"\n é', max_size=5)
GOOD_ROWS = st.tuples(IDS, NUMBERS, st.integers(100, 9000).map(str))
BAD_NUMBERS = st.sampled_from(["", "NA", "39,1", "x", "-1", "inf", "1e9", "nan"])
ANY_ROWS = st.one_of(
    GOOD_ROWS,
    st.tuples(IDS, BAD_NUMBERS, NUMBERS),
    st.tuples(IDS, NUMBERS),
    st.tuples(IDS, NUMBERS, st.just("500"), st.just("extra")),
)


def written(rows: Sequence[tuple[str, ...]], line_end: str = "\r\n") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end).writerows(rows)
    return text.getvalue().encode()


@given(st.lists(GOOD_ROWS, min_size=1, max_size=20), st.integers(1, 64))
def test_good_rows_come_whole_at_any_block_size(
    rows: list[tuple[str, str, str]], block_bytes: int
) -> None:
    got, rejects, read = read_csv(HEADER + written(rows), block_bytes=block_bytes)
    assert rejects == []
    assert read == len(rows)
    assert got == [
        (place, name, float(length), float(mass)) for place, (name, length, mass) in enumerate(rows)
    ]


@given(st.lists(ANY_ROWS, max_size=20), st.integers(1, 64), st.integers(65, 4096))
def test_every_row_is_scored_or_rejected_and_the_block_size_changes_nothing(
    rows: list[tuple[str, ...]], small: int, large: int
) -> None:
    data = HEADER + written(rows)
    good, rejects, read = read_csv(data, block_bytes=small)
    assert read == len(rows) == len(good) + len(rejects)
    assert sorted([row[0] for row in good] + [r.source_row for r in rejects]) == list(
        range(len(rows))
    )
    assert (good, rejects, read) == read_csv(data, block_bytes=large)


@given(st.lists(ANY_ROWS, min_size=1, max_size=20))
def test_a_reject_shows_its_record_as_it_stood(rows: list[tuple[str, ...]]) -> None:
    _, rejects, _ = read_csv(HEADER + written(rows))
    for reject in rejects:
        assert reject.raw is not None
        assert [tuple(row) for row in csv.reader(io.StringIO(reject.raw, newline=""))] == [
            rows[reject.source_row]
        ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("39.1", 39.1),
        (" 39.1 ", 39.1),
        ("3.91e1", 39.1),
        ("39", 39.0),
        ("+39.1", 39.1),
        (".5", 0.5),
        ("39.", 39.0),
        ('"39.1"', 39.1),
        ("\t39.1", 39.1),
    ],
)
@pytest.mark.parametrize("neighbour", [b"", b"n,x,1\n"])
def test_common_spellings_score_on_both_paths(field: str, value: float, neighbour: bytes) -> None:
    data = HEADER + f"a,{field},500\n".encode() + neighbour
    good, _, _ = read_csv(data)
    assert good == [(0, "a", value, 500.0)]


@pytest.mark.parametrize(
    ("row", "reason", "column", "message"),
    [
        ("a,,500", "missing_value", "length", "length is missing"),
        ("a,NA,500", "missing_value", "length", "length is missing"),
        ("a, NaN ,500", "missing_value", "length", "length is missing"),
        ("a,null,", "missing_value", "length", "length is missing; mass is missing"),
        ('a,"39,1",500', "not_a_number", "length", "length is '39,1', which is not a number"),
        ("a,1_000,500", "not_a_number", "length", "'1_000'"),
        ("a,39.1 mm,500", "not_a_number", "length", "'39.1 mm'"),
        ("a,inf,500", "out_of_range", "length", "length is inf mm"),
        ("a,-Infinity,500", "out_of_range", "length", "length is -inf mm"),
        ("a,-3,500", "out_of_range", "length", "outside the plausible 0.5 to 300 mm"),
        ("a,39.1,3.75", "out_of_range", "mass", "mass is 3.75 g, outside"),
        ("a,39.1", "wrong_field_count", None, "the row has 2 fields, the header has 3"),
        ("a,39.1,500,", "wrong_field_count", None, "the row has 4 fields, the header has 3"),
    ],
)
def test_reasons(row: str, reason: str, column: str | None, message: str) -> None:
    good, rejects, read = read_csv(HEADER + f"x,1,500\n{row}\ny,2,600\n".encode())
    assert [place for place, *_ in good] == [0, 2]
    assert read == 3
    (reject,) = rejects
    assert (reject.source_row, reject.reason, reject.column) == (1, reason, column)
    assert message in reject.message
    assert reject.raw == row


def test_a_field_of_any_length_costs_its_row_only() -> None:
    data = b"id,length,mass\n" + b"y" * 300_000 + b",39,3700,more\n2,40,3800\n"
    good, (reject,), _ = read_csv(data)
    assert [place for place, *_ in good] == [1]
    assert reject.message == "the row has 4 fields, the header has 3"


def test_bytes_that_are_no_utf8_cost_their_row_only() -> None:
    data = HEADER + b"x,1,500\n\xb0C,2,500\ny,3\xff,500\nz,4,500\n"
    good, rejects, _ = read_csv(data)
    assert [row[1] for row in good] == ["x", "z"]
    assert [(r.source_row, r.reason, r.column, r.raw) for r in rejects] == [
        (1, "bad_encoding", "id", "\\xb0C,2,500"),
        (2, "bad_encoding", "length", "y,3\\xff,500"),
    ]


def test_columns_nobody_wants_may_hold_anything() -> None:
    data = b"note,id,note,length,mass\n\xff,a,x,1,500\n,b,,2,600\n"
    good, rejects, _ = read_csv(data)
    assert (len(good), rejects) == (2, [])


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfid,length,mass\na,1,500\n",
        b"mass,id,length\r\n500,a,1\r\n",
        b'"id", length ,"mass"\na,1,500',
        b"id,length,mass\r\ra,1,500\r",
        b"\n\r\nid,length,mass\n\n\na,1,500\n\n\r\n",
    ],
    ids=["bom", "order", "quoted header", "cr", "blank lines"],
)
def test_headers_and_line_ends(data: bytes) -> None:
    assert read_csv(data) == ([(0, "a", 1.0, 500.0)], [], 1)


@pytest.mark.parametrize("length", [1, 65_536, 300_000])
def test_a_span_finds_a_header_of_any_length(length: int) -> None:
    note = "x" * length + "\n"
    data = f'id,{LENGTH.name},"{note}",{MASS.name}\n1,39,x,3700\n2,40,x,3800\n'.encode()
    start = len(data) - len("2,40,x,3800\n")
    span = Part(start, len(data), 1, 1)
    (block,) = reader.read_csv(io.BytesIO(data), WANTED, block_bytes=100, span=span)
    assert block.columns[MASS.name].to_pylist() == [3800]
    assert block.rows.tolist() == [1]


def test_a_header_alone_has_no_rows() -> None:
    assert read_csv(HEADER) == ([], [], 0)
    assert read_csv(HEADER.strip() + b"\n\n\n") == ([], [], 0)


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        (b"", validate.UNREADABLE_FILE, "empty"),
        (b"\n\n", validate.UNREADABLE_FILE, "empty"),
        (b"<html>\n<body>", validate.MISSING_COLUMN, "id, length, mass are missing"),
        (b"id;length;mass\na;1;2\n", validate.MISSING_COLUMN, "not separated by commas"),
        (b"id,length\na,1\n", validate.MISSING_COLUMN, "mass is missing"),
        (b"id,length,mass,mass\na,1,2,3\n", validate.MISSING_COLUMN, "appears twice"),
        (b",,\n , \n", validate.UNREADABLE_FILE, "empty"),
        (b"PAR1\x15\x04\x15\x00\x80", validate.UNREADABLE_FILE, "--format parquet"),
        (b"PAR1\x00\x00\n", validate.UNREADABLE_FILE, "is this a CSV file"),
    ],
)
def test_files_that_are_no_csv_are_refused_whole(data: bytes, reason: str, message: str) -> None:
    with pytest.raises(UnreadableFile, match=message) as refused:
        read_csv(data)
    assert refused.value.reason == reason


def test_an_endless_record_is_refused_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "MAX_RECORD_BYTES", 1000)
    data = HEADER + b"a,1,500\n" + b'"open,' + b"1,500\n" * 1000
    blocks = reader.read_csv(io.BytesIO(data), WANTED, block_bytes=100)
    assert next(blocks).rows.tolist() == [0]
    with pytest.raises(UnreadableFile, match="longer than"):
        next(blocks)


def test_a_stray_quote_costs_its_row_only() -> None:
    good, rejects, read = read_csv(HEADER + b'a,5" wide,500\nb,2,600\nc"d,3,700\n"e"f,4,800\n')
    assert [row[1] for row in good] == ["b", 'c"d', "ef"]
    assert [(r.source_row, r.reason) for r in rejects] == [(0, "not_a_number")]
    assert read == 4


def test_the_same_column_may_be_feature_and_passthrough() -> None:
    wanted = InputColumns(features=(LENGTH, MASS), passthrough=("mass",))
    good, _, _ = read_csv(HEADER + b"a,1,500\n", wanted)
    assert good == [(0, "500", 1.0, 500.0)]


def test_gzip_is_checked_to_its_end() -> None:
    whole = gzip.compress(HEADER + b"a,1,500\n" * 50_000)
    codec = find_codec(whole)
    open_text(io.BytesIO(whole), WANTED.dialect, codec)
    for torn in (whole[: len(whole) // 2], whole[:-1], whole[:-6] + b"123456", b"id,length"):
        with pytest.raises(UnreadableFile, match="gzip"):
            open_text(io.BytesIO(torn), WANTED.dialect, codec)
