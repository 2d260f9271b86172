"""Labelled tables: what their columns mean, and what is refused, whatever file they come from."""

import dataclasses
import gzip
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model.card import Category, Feature, read_card
from penguin_model.errors import UsageError
from penguin_model.features import normalize
from penguin_model.training import table
from tests.support.arrow_types import ARRAYS
from tests.support.running import PROJECT

CSV = "width,height,colour,kind\n1,2.5,red,a\n2,3.5,blue,b\n3,4.5, red ,a\n"


def read(tmp_path: Path, text: str, name: str = "data.csv") -> pa.Table:
    (tmp_path / name).write_text(text)
    return table.read(str(tmp_path / name))


def of(**columns: Any) -> pa.Table:
    return pa.table(columns)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_csv_with_any_usual_delimiter(delimiter: str, tmp_path: Path) -> None:
    found = read(tmp_path, CSV.replace(",", delimiter))
    assert found.column_names == ["width", "height", "colour", "kind"]
    assert table.choose_features(found, "kind") == ("width", "height")


@pytest.mark.parametrize(
    "content",
    [
        CSV.encode("utf-16"),
        CSV.replace(",", ";").encode("utf-16"),
        b"\xfe\xff" + CSV.encode("utf-16-be"),
        ("\ufeff" + CSV).encode(),
        b"sep=;\r\n" + CSV.replace(",", ";").encode(),
        "\ufeffSEP=\t\n\n".encode() + CSV.replace(",", "\t").encode(),
        b"\n\r\n" + CSV.replace(",", ";").encode(),
        CSV.replace(",", ";").replace("\n", "\r").encode(),
    ],
)
def test_a_csv_as_spreadsheets_save_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    assert table.read(str(tmp_path / "data.csv")).equals(read(tmp_path, CSV, "plain.csv"))


def test_the_same_table_in_every_kind_of_file(tmp_path: Path) -> None:
    text = read(tmp_path, CSV)
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(("\ufeff" + CSV).encode()))
    typed = of(
        width=pa.array([1, 2, 3], pa.int8()), height=[2.5, 3.5, 4.5],
        colour=pa.array(["red", "blue", " red "]).dictionary_encode(), kind=["a", "b", "a"],
    )  # fmt: skip
    pq.write_table(typed, tmp_path / "data.parquet")
    tsv = read(tmp_path, CSV.replace(",", "\t"), "data.tsv")
    others = [table.read(str(tmp_path / name)) for name in ("data.csv.gz", "data.parquet")]
    names = ("width", "height", "colour")
    wanted = table.learn_inputs(text, names, units={"width": "mm"})
    assert wanted == (
        Feature(name="width", unit="mm", scale=1, minimum=0, maximum=4),
        Feature(name="height", unit="", scale=1, minimum=1.5, maximum=5.5),
        Category(name="colour", categories=("blue", "red")),
    )
    for each in (text, tsv, *others):
        assert table.learn_inputs(each, names, units={"width": "mm"}) == wanted
        classes = table.learn_classes(each, "KIND")
        assert classes == ("a", "b")
        rows, dropped = table.complete(each, wanted, "kind", classes)
        assert rows.raw.tolist() == [[1, 2.5, 1], [2, 3.5, 0], [3, 4.5, 1]]
        assert (rows.labels.tolist(), dropped) == ([0, 1, 0], 0)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("data.csv", b"", "is not a CSV table: "),
        ("data.csv", b"a,b\n", "has no rows"),
        ("data.csv", b"a,b\n1\n", "is not a CSV table: "),
        ("data.csv", b'a,b\n"1,2\n', "is not a CSV table: "),
        ("data.csv", b"\xff\xfea", "is not a CSV table in UTF-8; save it as one, or as .parquet"),
        ("data.csv", "a,b\n1,2\n".encode("utf-32"), "is not a CSV table: it has NUL characters; "),
        ("data.csv", "a,b\n1,2\n".encode("utf-16-le"), "is not a CSV table: it has NUL char"),
        ("data.csv", b"a,b\n1,\xff\n", "is not a CSV table in UTF-8"),
        ("data.csv", gzip.compress(b"a,b\n1,2\n", mtime=0), "is not a CSV table in UTF-8"),
        ("data.csv", b"PK\x03\x04\x00\x00", "is not a CSV table: "),
        ("data.csv.gz", b"a,b\n1,2\n", "is not a CSV table: "),
        ("data.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9], "is not a CSV table: "),
        ("data.parquet", b"a,b\n1,2\n", "is not a Parquet file: "),
        ("data.parquet", b"", "is not a Parquet file: "),
    ],
)
def test_files_of_other_kinds(name: str, content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        table.read(str(path))
    assert str(caught.value).startswith(f"data {path}: {complaint}")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.csv: No such file or directory"):
        table.read("nowhere.csv")
    with pytest.raises(UsageError, match="Is a directory"):
        table.read(str(tmp_path))


def test_what_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    """The card records the SHA-256 of the same file."""
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match=r"pipe\.csv: is a pipe or a device; save its rows in a f"):
        table.read(str(tmp_path / "pipe.csv"))
    with pytest.raises(UsageError, match="/dev/null: is a pipe or a device"):
        table.read(os.devnull)


def test_find_column() -> None:
    found = of(Kind=["a"], kind=["b"], **{" Bill  length ": ["1"], "x": ["1"]})
    assert table.find_column(found, "kind") == "kind"
    assert table.find_column(found, "bill length") == " Bill  length "
    assert table.find_column(found, "Culmen", ("nothing", "Bill Length")) == " Bill  length "
    with pytest.raises(UsageError, match="columns Kind and kind could both be KIND"):
        table.find_column(found, "KIND")
    with pytest.raises(
        UsageError, match=r"has no column kinds; did you mean kind.*its columns are"
    ):
        table.find_column(found, "kinds")
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(UsageError, match="column a appears twice"):
        table.find_column(twice, "a")


TELLING = {
    "id": [1, 2, 3, 4],
    "text": ["1.5", " 2 ", "NA", ""],
    "constant": [7, 7, 7, None],
    "nothing": [None, None, None, None],
    "nan": [math.nan, math.inf, 1.0, 1.0],
    "endless": [math.inf, 2.0, 1.0, 1.0],
    "truth": [True, False, True, None],
    "words": ["a", "b", "c", "1"],
    "label": ["x", "y", "x", "y"],
    "": [1, 2, 3, 4],
}


def test_the_numbers_that_differ_are_chosen() -> None:
    found = of(**TELLING)
    assert table.choose_features(found, "label") == ("id", "text", "endless")
    assert table.choose_features(found, "Label", ["WORDS", "text"]) == ("words", "text")
    assert table.left_out(found, "label", ["id", "text", "endless"]) == (
        "constant", "nothing", "nan", "truth", "words", "(no name)",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["id", "nowhere"], "has no column nowhere; its columns are id, text"),
        (["id", "LABEL"], "column label can't be a feature: label is the label"),
        (["id", "text", "ID"], "column id is a feature twice"),
        ([], "no column besides label has numbers that differ"),
    ],
)
def test_features_that_cannot_be_chosen(names: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        table.choose_features(of(**TELLING), "label", names)


def test_nothing_to_choose() -> None:
    with pytest.raises(UsageError, match="no column besides label has numbers"):
        table.choose_features(of(label=["a", "b"], words=["a", "b"]), "label")
    with pytest.raises(UsageError, match="has no column label"):
        table.choose_features(of(words=["a", "b"]), "label")
    same = of(Size=[1, 2], size=[2, 3], label=["a", "b"])
    with pytest.raises(UsageError, match="columns Size and size have the same name"):
        table.choose_features(same, "label")
    assert table.choose_features(same, "label", ["size"]) == ("size",)


def test_a_likely_mistake_among_numbers_is_not_taken_for_text() -> None:
    found = of(a=["1", "2", "?", "4"], b=[1, 2, 3, 4], label=["x", "y", "x", "y"])
    with pytest.raises(UsageError, match=r"a is '\?' in data row 2, which is not a number; corr"):
        table.choose_features(found, "label")
    assert table.choose_features(found, "label", ["b"]) == ("b",)


def test_numbers_with_decimal_commas_are_not_taken_for_text() -> None:
    found = of(a=["39", None, "39,5", "40,1"], b=["39.5", "1", "2", "2"], label=["x", "y"] * 2)
    message = "a is '39,5' in data row 2, which is a number with a comma instead of a decimal point"
    with pytest.raises(UsageError, match=message):
        table.choose_features(found, "label")
    with pytest.raises(UsageError, match=message):
        table.learn_inputs(found, ["b", "a"])
    texts = ("39", "39,5", "40,1")
    (feature,) = table.learn_inputs(found, ["a"], vocabularies={"a": texts})
    assert feature == Category(name="a", categories=texts)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", "b"], ("a", "b")),
        (["Setosa", "setosa ", "Virginica", "Setosa", ""], ("Setosa", "Virginica")),
        ([2, 0, 1, None], ("0", "1", "2")),
        ([1.0, 0.0, math.nan], ("0", "1")),
        (["1.0", "0.0", "NaN"], ("0", "1")),
        ([9, 3, 10], ("3", "9", "10")),
        (["10", "9", "nine"], ("10", "9", "nine")),
        ([True, False], ("false", "true")),
        ([b"x", b"y"], ("x", "y")),
        (pa.array(["x", "y"]).dictionary_encode(), ("x", "y")),
        ([f"{n:02}" for n in range(30)], tuple(map(str, range(30)))),
    ],
)
def test_classes_are_learned_and_read_again(values: Any, classes: tuple[str, ...]) -> None:
    found = of(x=range(len(values)), label=values)
    assert table.learn_classes(found, "label") == classes
    features = table.learn_inputs(found, ["x"])
    rows, dropped = table.complete(found, features, "label", classes)
    assert len(rows) + dropped == len(values)
    assert set(rows.labels.tolist()) == set(range(len(classes)))


# Bytes that aren't UTF-8 aren't names.
@pytest.mark.parametrize("kind", [kind for kind in ARRAYS if not kind.endswith("_bad")])
def test_labels_of_any_type_are_read_as_they_were_learned(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    try:
        pq.write_table(of(x=[1, 2, 3], label=ARRAYS[kind][0]), path)
        found = table.read(str(path))
        classes = table.learn_classes(found, "label")
    except (pa.ArrowException, OSError, UsageError):
        # Parquet has no such type, or all labels are the same.
        return
    rows, dropped = table.complete(found, table.learn_inputs(found, ["x"]), "label", classes)
    assert set(rows.labels.tolist()) == set(range(len(classes)))
    assert dropped == ARRAYS[kind][1].count(None)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (["a", "a ", "A", None], "label has a single class, a; there must be at least two"),
        ([1, 1], "label has a single class, 1"),
        ([None, None], "label has no values"),
        (["", "NA"], "label has no values"),
        ([0.5, 1.0], r"label has the value 0\.5; classes are texts or whole numbers"),
        ([1e300, 1.0], r"label has the value 1e\+300"),
        ([math.inf, 1.0], "label has the value inf"),
    ],
)
def test_labels_that_are_no_classes(values: list[Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        table.learn_classes(of(label=values), "label")


def test_given_classes_are_the_networks_order() -> None:
    found = of(x=[1, 2, 3], label=["no", "YES", "no"])
    assert table.learn_classes(found, "label", ["yes", "no"]) == ("yes", "no")
    rows, _ = table.complete(found, table.learn_inputs(found, ["x"]), "label", ("yes", "no"))
    assert rows.labels.tolist() == [1, 0, 1]
    with pytest.raises(UsageError, match="have a name twice"):
        table.learn_classes(found, "label", ["yes", "Yes"])
    with pytest.raises(UsageError, match="label is YES in data row 1; it must be one of no, other"):
        table.complete(found, table.learn_inputs(found, ["x"]), "label", ("no", "other"))
    # Where classes are numbers, 0 isn't the first of them.
    found = of(x=[1, 2, 3], label=[1, 2, 0])
    with pytest.raises(UsageError, match=r"label is 0 in data row 2; it must be one of 1, 2$"):
        table.complete(found, table.learn_inputs(found, ["x"]), "label", ("1", "2"))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([3.0, 3.0, None], "column x can't be a feature: all its values are 3"),
        ([None, None], "column x can't be a feature: it has no values"),
        ([math.nan, math.inf], "column x can't be a feature: it has no numbers"),
        ([-1e308, 1e308], "column x can't be a feature: .*isn't a plausible range"),
        (["same", " same", "Same"], "column x can't be a feature: all its values are same"),
        ([f"note {n}" for n in range(101)], "101 different texts, more than 100"),
    ],
)
def test_columns_that_cannot_be_features(values: list[Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        table.learn_inputs(of(x=values), ["x"])


def test_a_column_with_a_unit_or_scale_is_one_of_numbers() -> None:
    found = of(x=["long", "short", "1"])
    with pytest.raises(UsageError, match="x is 'long' in data row 0, which is not a number"):
        table.learn_inputs(found, ["x"], scales={"x": 10})


def test_a_vocabulary_may_be_given() -> None:
    found = of(x=[1, 2, 1], label=[0, 1, 0])
    (feature,) = table.learn_inputs(found, ["x"], vocabularies={"x": ("2", "1")}, one_hot=False)
    assert feature == Category(name="x", categories=("2", "1"), one_hot=False)
    rows, _ = table.complete(found, [feature], "label", ("0", "1"))
    assert rows.raw.tolist() == [[1], [0], [1]]
    other = Category(name="x", categories=("1", "3"))
    with pytest.raises(UsageError, match="x is '2' in data row 1, which isn't one of 1, 3"):
        table.complete(found, [other], "label", ("0", "1"))


def test_a_range_may_be_given_to_what_does_not_vary() -> None:
    found = of(x=[3, 3, None])
    (feature,) = table.learn_inputs(found, ["x"], ranges={"x": (0.0, 10.0)})
    assert feature == Feature(name="x", unit="", scale=1, minimum=0, maximum=10)


def test_incomplete_rows_are_dropped_and_counted() -> None:
    found = of(
        x=[1.0, 2.0, math.nan, math.inf, 5.0, None], y=["a", "", "b", "a", "b", "b"],
        label=["p", "q", "p", "q", None, "p"],
    )  # fmt: skip
    features = table.learn_inputs(found, ["x", "y"])
    rows, dropped = table.complete(found, features, "label", ("p", "q"))
    assert (rows.raw.tolist(), rows.labels.tolist(), dropped) == ([[1, 0]], [0], 5)


def test_standard_scale() -> None:
    found = of(x=[1, 2, 3, 4], y=["1", "1", "1.5", None], z=["a", "b", "a", "b"])
    x, y, z = table.learn_inputs(found, ["x", "y", "z"], scales={"y": 10})
    assert [(each.offset, each.scale) for each in (x, y, z)] == [(0, 1), (0, 10), (0, 1)]
    rows = table.Rows(
        raw=np.array([[0.1, 5, 0], [0.1, 7, 1]]), labels=np.array([0, 1]), numbers=np.arange(2)
    )
    x, y, again = table.standardize((x, y, z), rows)
    # Equal values aren't blown up.
    assert (x.offset, x.scale) == (0.1, 1)
    assert (y.offset, y.scale, again) == (6, 1, z)
    assert normalize(list(rows.raw.T), (x, y, z))[:, 1].tolist() == [-1, 1]


@given(
    st.lists(st.floats(-1e30, 1e30), min_size=2, max_size=30).filter(
        lambda x: max(x) - min(x) > 1e-200
    )
)
def test_ranges_hold_the_margin_and_not_much_more(values: list[float]) -> None:
    (feature,) = table.learn_inputs(of(x=values), ["x"])
    low, high = min(values), max(values)
    margin = table.MARGIN * (high - low)
    slack = 1e-9 * (abs(low) + abs(high)) + 1e-6 * margin + 1e-300
    least = low - margin if low < 0 else max(low - margin, 0.0)
    assert feature.minimum <= least + slack
    assert feature.maximum >= high + margin - slack
    most = min(1.0, 0.2 * (high - low)) + slack
    assert feature.minimum >= least - most
    assert feature.minimum >= 0 or low < 0
    assert feature.maximum <= high + margin + most


def test_ranges_by_hand() -> None:
    found = of(a=[4.3, 7.9], b=[0.001, 0.0051], c=[-300, 3_000_000])
    ranges = [(each.minimum, each.maximum) for each in table.learn_inputs(found, ["a", "b", "c"])]
    assert ranges == [(2.5, 9.7), (0, 0.0072), (-1_500_450, 4_500_150)]


def test_the_penguins_as_the_shipped_card_has_them(shipped_model: Path) -> None:
    shipped_card = read_card(str(shipped_model))
    found = table.read(str(PROJECT / "data/penguins.csv"))
    learned = table.learn_inputs(
        found, shipped_card.feature_names,
        units={each.name: each.unit for each in shipped_card.features},
        scales={each.name: each.scale for each in shipped_card.features},
    )  # fmt: skip
    wanted = [dataclasses.replace(each, aliases=()) for each in shipped_card.features]
    assert list(learned) == wanted
    rows, dropped = table.complete(found, wanted, "species", shipped_card.classes)
    assert (len(rows), dropped) == (342, 2)


def test_many_columns() -> None:
    random = np.random.default_rng(0)
    found = pa.table({f"x{n}": random.normal(size=1000) for n in range(200)} | {"k": [0, 1] * 500})
    names = table.choose_features(found, "k")
    assert len(names) == 200
    rows, dropped = table.complete(found, table.learn_inputs(found, names), "k", ("0", "1"))
    assert (rows.raw.shape, dropped) == ((1000, 200), 0)


def test_a_message_names_the_data() -> None:
    with (
        pytest.raises(UsageError, match=r"^data x\.csv: has no column a"),
        table.naming("data x.csv"),
    ):
        table.find_column(of(b=[1]), "a")
