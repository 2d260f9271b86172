"""Which column of a file is read as which: every way of finding one, in order, and refusals."""

import csv
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model.card import Feature
from pipelines.reading.column_names import find_columns
from pipelines.reading.rows import InputColumns
from pipelines.reading.unreadable import UnreadableFile
from tests.support.reading import csv_in_ranges, csv_whole, in_a_pack, in_spans

LENGTH = Feature(
    name="length", unit="mm", scale=10, minimum=0.5, maximum=300,
    aliases=("size", "Length (mm)"),
)  # fmt: skip
MASS = Feature(
    name="mass", unit="g", scale=100, minimum=100, maximum=9000, aliases=("weight_g",)
)  # fmt: skip
WANTED = InputColumns(
    features=(LENGTH, MASS), passthrough=("id",), label="kind", label_aliases=("sort",),
    classes=("Ash", "Birch"), class_aliases={"Birch": ("White Birch",)},
)  # fmt: skip


def wanted(*passthrough: str, **renames: str) -> InputColumns:
    return InputColumns(
        features=(LENGTH, MASS), passthrough=passthrough, label="kind", label_aliases=("sort",),
        renames=tuple((old.replace("_", " "), new) for old, new in renames.items()),
    )  # fmt: skip


# The header, flags, and which columns of the file are read as which.
FOUND: dict[str, tuple[list[str], InputColumns, dict[str, str]]] = {
    "exact": (["mass", "length"], wanted(), {"length": "length", "mass": "mass"}),
    "another case": (["MASS", "Length"], wanted(), {"length": "Length", "mass": "MASS"}),
    "spaces": ([" mass ", "length\t"], wanted(), {"length": "length\t", "mass": " mass "}),
    "a byte-order mark": (["\ufeffmass", "length"], wanted(), {"mass": "\ufeffmass"}),
    "a non-breaking space": (["mass\xa0", "length"], wanted(), {"mass": "mass\xa0"}),
    "aliases": (["weight_g", "size"], wanted(), {"length": "size", "mass": "weight_g"}),
    "aliases in another case": (
        ["WEIGHT_G", "LENGTH  (MM)"], wanted(), {"length": "LENGTH  (MM)", "mass": "WEIGHT_G"},
    ),
    "exact before another case": (["Mass", "mass", "length"], wanted(), {"mass": "mass"}),
    "another case before an alias": (["weight_g", "Mass", "length"], wanted(), {"mass": "Mass"}),
    "two of another case beside the exact one": (
        ["Mass", "MASS", "mass", "length"], wanted(), {"mass": "mass"},
    ),
    "a rename before the exact name": (
        ["mass", "heft", "length"], wanted(heft="mass"), {"mass": "heft"},
    ),
    "a rename of a column that this file lacks": (
        ["mass", "length"], wanted(heft="mass"), {"mass": "mass"},
    ),
    "a rename in another case": (["Heft", "length"], wanted(heft="mass"), {"mass": "Heft"}),
    "two renames, for two kinds of files": (
        ["heft", "length"], wanted(heft="mass", bulk="mass"), {"mass": "heft"},
    ),
    "two columns swapped": (
        ["mass", "length"], wanted(mass="length", length="mass"),
        {"length": "mass", "mass": "length"},
    ),
    "a label": (["mass", "length", "kind"], wanted(), {"kind": "kind"}),
    "a label in another case": (["mass", "length", "KIND"], wanted(), {"kind": "KIND"}),
    "a label's alias": (["mass", "length", "Sort"], wanted(), {"kind": "Sort"}),
    "a renamed label": (["mass", "length", "tree"], wanted(tree="kind"), {"kind": "tree"}),
    "passthrough": (["mass", "length", "id"], wanted("id"), {"id": "id"}),
    "passthrough in another case": (["mass", "length", "ID"], wanted("id"), {"id": "ID"}),
    "renamed passthrough": (["mass", "length", "bird"], wanted("id", bird="id"), {"id": "bird"}),
    "a feature by the file's name": (
        ["weight_g", "length"], wanted("weight_g"), {"mass": "weight_g", "weight_g": "weight_g"},
    ),
    "a feature by its own name": (["weight_g", "length"], wanted("mass"), {"mass": "weight_g"}),
    "the label passed through": (["mass", "length", "sort"], wanted("kind"), {"kind": "sort"}),
    "what was renamed, passed through": (
        ["heft", "length"], wanted("heft", heft="mass"), {"heft": "heft", "mass": "heft"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("names", "wanted", "sources"), FOUND.values(), ids=FOUND.keys())
def test_columns_are_found(names: list[str], wanted: InputColumns, sources: dict[str, str]) -> None:
    found = find_columns(names, wanted)
    assert {name: found.sources[name] for name in sources} == sources
    assert set(found.sources) - {"kind"} == set(wanted.columns) - {"kind"}
    assert found.names == tuple(names)


# The header, flags, the column of the reject, and what the message says.
REFUSED: dict[str, tuple[list[str], InputColumns, str, str]] = {
    "missing": (
        ["length", "note"], wanted(), "mass", "column mass is missing; the file has: length, note",
    ),
    "several missing": (["note"], wanted("id"), "id", "columns id, length, mass are missing"),
    "misspelt": (
        ["lenght", "mass"], wanted(), "length",
        "length is missing; did you mean lenght (--rename lenght=length)? The file has: lenght, m",
    ),
    "two misspelt": (
        ["mas", "lenght"], wanted(), "length",
        "did you mean lenght, mas (--rename lenght=length --rename mas=mass)? The file has: mas",
    ),
    "an alias misspelt": (
        ["length", "Weigth (g)"], wanted(), "mass", "--rename 'Weigth (g)=mass'",
    ),
    "another unit": (
        ["length", "weight_kg"], wanted(), "mass", "weight_kg is in another unit: mass must be",
    ),
    "passthrough": (
        ["mass", "length", "idd"], wanted("id"), "id", "did you mean idd (--rename idd=id)?",
    ),
    "twice": (["mass", "length", "mass"], wanted(), "mass", "column mass appears twice"),
    "twice in another case": (["Mass", "length", "Mass"], wanted(), "mass", "Mass appears twice"),
    "two cases": (
        ["MASS", "Mass", "length"], wanted(), "mass",
        "columns MASS and Mass could both be mass: choose with --rename MASS=mass",
    ),
    "two aliases": (
        ["Length (mm)", "size", "mass"], wanted(), "length",
        "columns size and Length (mm) could both be length: choose with --rename size=length",
    ),
    "two renames": (
        ["heft", "bulk", "length"], wanted(heft="mass", bulk="mass"), "mass",
        "columns heft and bulk could both be mass",
    ),
    "a renamed column has lost its name": (
        ["mass", "note"], wanted(mass="length"), "mass", "column mass is missing",
    ),
    "no header": (
        ["39.1", "-18"], wanted(), "length",
        "length, mass are missing; its first line holds no names: add a header; the file has: 39.1",
    ),
    "fields in one": (["length;mass"], wanted(), "length", "missing; the file has: length;mass"),
    "passthrough has no alias": (["mass", "size"], wanted("length (mm)"), "length (mm)", ""),
}  # fmt: skip


@pytest.mark.parametrize(
    ("names", "wanted", "column", "message"), REFUSED.values(), ids=REFUSED.keys()
)
def test_a_column_that_is_not_clear_refuses_the_file(
    names: list[str], wanted: InputColumns, column: str, message: str
) -> None:
    with pytest.raises(UnreadableFile) as caught:
        find_columns(names, wanted)
    assert (caught.value.reason, caught.value.column) == ("missing_column", column)
    assert message in str(caught.value)


@pytest.mark.parametrize("extra", [["kind", "kind"], ["Kind", "KIND"], ["sort", "Sort"]])
def test_a_label_that_is_not_clear_is_not_read(extra: list[str]) -> None:
    assert "kind" not in find_columns(["mass", "length", *extra], wanted()).sources


@given(
    st.lists(st.text() | st.sampled_from(["Mass", "mass\x1e", "\nmass", "x" * 999]), max_size=300)
)
def test_a_message_is_one_short_line(names: list[str]) -> None:
    try:
        found = find_columns(names, wanted("id"))
    except UnreadableFile as error:
        text = str(error)
        assert len(text) < 2000
        assert len(text.splitlines()) == 1
    else:
        assert set(found.sources.values()) <= set(names)


def test_features_and_the_label_never_share_a_column() -> None:
    twins = (LENGTH, Feature(name="Mass", unit="g", scale=1, minimum=0, maximum=9), MASS)
    two = InputColumns(features=twins, label="MASS")
    with pytest.raises(UnreadableFile, match="column Mass is missing"):
        find_columns(["length", "mass"], two)
    found = find_columns(["length", "mass", "Mass"], two)
    assert found.sources == {"length": "length", "Mass": "Mass", "mass": "mass"}


# The same rows under the names of five stations; the last passes a feature's column through.
SPELLINGS: list[tuple[list[str], InputColumns]] = [
    (["id", "length", "mass", "kind"], WANTED),
    (["ID", "Length ", "MASS", "Kind"], WANTED),
    (["Id", "size", "Weight_g", "SORT"], WANTED),
    (["bird", "a=b", "note", "tree"], InputColumns(
        features=(LENGTH, MASS), passthrough=("id",), label="kind", classes=("Ash", "Birch"),
        class_aliases={"Birch": ("White Birch",)},
        renames=(("bird", "id"), ("a=b", "length"), ("note", "mass"), ("tree", "kind")),
    )),
]  # fmt: skip
ROWS: list[list[Any]] = [
    ["x", 1.5, 500, "Ash"], ["y", None, 500, "ash"], ["z", 7, 600, "WHITE birch"],
    ["é", 9000, 1, None], ["w", 8, 700, "Elm"],
]  # fmt: skip
GOOD = [(0, "x", 1.5, 500.0, 0), (2, "z", 7.0, 600.0, 1), (4, "w", 8.0, 700.0, -2)]
BAD = [(1, "missing_value", "length"), (3, "out_of_range", "length")]


def as_csv(names: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *ROWS])
    return text.getvalue().encode()


def as_table(names: list[str]) -> pa.Table:
    columns = [pa.array(each) for each in zip(*ROWS, strict=True)]
    return pa.Table.from_arrays([*columns[::-1]], names=names[::-1])


def as_parquet(names: list[str]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(as_table(names), sink, row_group_size=2)
    return sink.getvalue().to_pybytes()


def as_arrow(names: list[str]) -> bytes:
    sink, table = pa.BufferOutputStream(), as_table(names)
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue().to_pybytes()


def without_text(rows: Any) -> Any:
    return [row[:3] if isinstance(row[2], str) else row for row in rows]


@pytest.mark.parametrize(("names", "wanted"), SPELLINGS, ids=["own", "case", "aliases", "renamed"])
def test_every_reader_finds_the_same_columns(names: list[str], wanted: InputColumns) -> None:
    expected = sorted([*GOOD, *BAD])
    text = as_csv(names)
    ways = {
        "whole": csv_whole(io.BytesIO(text), wanted, 1 << 20),
        "blocks": csv_whole(io.BytesIO(text), wanted, 30),
        "ranges": csv_in_ranges(text, wanted, 40, 30),
        "parquet": in_spans("parquet", as_parquet(names), wanted, 1, 2),
        "arrow": in_spans("arrow", as_arrow(names), wanted, 1, 2),
        "pack": in_a_pack([text], wanted)[0],
    }
    for way, outcome in ways.items():
        assert without_text(outcome) == expected, way


@pytest.mark.parametrize("write", [as_csv, as_parquet, as_arrow])
def test_files_of_several_spellings_are_read_together(write: Any) -> None:
    suffix = {as_csv: "csv", as_parquet: "parquet", as_arrow: "arrow"}[write]
    contents = [write(names) for names, wanted in SPELLINGS if wanted is WANTED] * 2
    for outcome in in_a_pack(contents, WANTED, suffix):
        assert without_text(outcome) == sorted([*GOOD, *BAD])


def test_one_column_of_a_file_may_be_two_of_the_job() -> None:
    both = InputColumns(features=(LENGTH, MASS), passthrough=("Weight_g", "mass"))
    names, rows = ["id", "length", "Weight_g", "kind"], [(0, "500", "500", 1.5, 500.0)]
    text = as_csv(names)[: as_csv(names).index(b"\ny") + 1]
    assert csv_whole(io.BytesIO(text), both, 1 << 20) == rows
    assert in_a_pack([text], both)[0] == rows
    for name, data in {"parquet": as_parquet(names), "arrow": as_arrow(names)}.items():
        assert in_spans(name, data, both, 1, 2)[:1] == rows
