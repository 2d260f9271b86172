"""Which values are numbers, which rows are good, and why the others are not."""

import dataclasses
import datetime
import decimal
import io
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penguin_model import validate
from penguin_model.arrow_text import as_text, is_text
from penguin_model.card import Feature

LENGTH = Feature(name="Length", unit="mm", scale=1, minimum=10, maximum=80)
MASS = Feature(name="Mass", unit="g", scale=100, minimum=-5, maximum=9000)

NUMBERS = {
    "39.1": 39.1, "39": 39, "39.": 39, ".5": 0.5, "-1.5": -1.5, "+2": 2, "1e3": 1000, "1E-2": 0.01,
    "1.5e+2": 150, "007": 7, " 39.1": 39.1, "39.1\t ": 39.1, "inf": math.inf, "-inf": -math.inf,
    "Infinity": math.inf, "+INF": math.inf, "1e400": math.inf, "0": 0,
}  # fmt: skip
NOT_NUMBERS = [
    "abc", "39,1", "1_000", "0x10", "1e", "e1", ".", "+", "-", "--1", "1 2", "39.1mm", "1.2.3",
    "None", "missing", "TRUE", "\u00a039.1", "٣٩", "3\n", "?",
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_spellings_of_numbers(text: str, value: float) -> None:
    column = validate.to_numbers(pa.array([text]))
    assert column.values.tolist() == [value]
    assert column.unparsed is None or not column.unparsed.any()


@pytest.mark.parametrize(
    "text", [None, *validate.NULL_SPELLINGS, "  ", " NA ", "\tnull", "NAN", "+nAn", "-NaN(char_1)"]
)
def test_spellings_of_nothing(text: str | None) -> None:
    column = validate.to_numbers(pa.array([text], pa.string()))
    assert np.isnan(column.values).all()
    assert column.unparsed is None or not column.unparsed.any()
    assert validate.explain(0, [column], [LENGTH]).reason == validate.MISSING_VALUE


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_spellings_that_are_no_numbers(text: str) -> None:
    column = validate.to_numbers(pa.array([text]))
    assert np.isnan(column.values).all()
    assert column.unparsed is not None
    assert column.unparsed.all()
    problem = validate.explain(0, [column], [LENGTH])
    assert (problem.reason, problem.column) == (validate.NOT_A_NUMBER, "Length")
    assert repr(text) in problem.message


D = decimal.Decimal
NUMERIC: list[tuple[pa.DataType, Any]] = [
    *((kind, 39) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
    *((kind, 39) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())),
    (pa.float16(), np.float16(39.5)), (pa.float32(), 39.5), (pa.float64(), 39.5),
    (pa.decimal32(5, 1), D("39.5")), (pa.decimal64(5, 1), D("39.5")),
    (pa.decimal128(20, 1), D("39.5")), (pa.decimal256(50, 1), D("39.5")),
    (pa.string(), "39.5"), (pa.large_string(), "39.5"), (pa.string_view(), "39.5"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), NUMERIC, ids=[str(kind) for kind, _ in NUMERIC])
def test_types_that_hold_numbers(kind: pa.DataType, value: Any) -> None:
    column = validate.to_numbers(pa.array([value, None, value], kind))
    assert column.values.dtype == np.float64
    np.testing.assert_array_equal(column.values, [float(value), np.nan, float(value)])
    assert validate.explain(1, [column], [LENGTH]).reason == validate.MISSING_VALUE


def test_dictionaries_are_what_they_hold() -> None:
    texts = validate.to_numbers(pa.array(["39.5", "x", None, "39.5"]).dictionary_encode())
    np.testing.assert_array_equal(texts.values, [39.5, np.nan, np.nan, 39.5])
    assert texts.unparsed is not None
    assert texts.unparsed.tolist() == [False, True, False, False]
    numbers = validate.to_numbers(pa.array([1.5, None, 1.5]).dictionary_encode())
    np.testing.assert_array_equal(numbers.values, [1.5, np.nan, 1.5])


WITHOUT_NUMBERS = [
    pa.array([True, None]),
    pa.array([datetime.datetime(2007, 11, 11), None]),
    pa.array([datetime.date(2007, 11, 11), None]),
    pa.array([datetime.timedelta(1), None]),
    pa.array([[39.5], None]),
    pa.array([{"mm": 39.5}, None]),
    pa.array([b"39.5", None]),
]


@pytest.mark.parametrize("array", WITHOUT_NUMBERS, ids=lambda array: str(array.type))
def test_types_that_hold_no_numbers(array: pa.Array) -> None:
    column = validate.to_numbers(array)
    assert np.isnan(column.values).all()
    reasons = [validate.explain(row, [column], [LENGTH]).reason for row in (0, 1)]
    assert reasons == [validate.NOT_A_NUMBER, validate.MISSING_VALUE]


@given(st.integers(1, 76), st.integers(0, 76), st.data())
def test_a_decimal_is_the_number_that_its_text_is(
    precision: int, scale: int, data: st.DataObject
) -> None:
    scale = min(scale, precision)
    most = 10**precision - 1
    context = decimal.Context(prec=80)
    values = [
        D(number).scaleb(-scale, context)
        for number in data.draw(st.lists(st.integers(-most, most), min_size=1, max_size=20))
    ]
    for kind, limit in (
        (pa.decimal32, 9), (pa.decimal64, 18), (pa.decimal128, 38), (pa.decimal256, 76),
    ):  # fmt: skip
        if precision <= limit:
            array = pa.array(values, kind(precision, scale))
            assert validate.to_numbers(array).values.tolist() == [float(str(v)) for v in values]
            assert as_text(array).to_pylist() == [f"{value:f}" for value in values]


def test_a_decimal_at_a_limit_is_in_range() -> None:
    column = validate.to_numbers(pa.array([D("9000.00000"), D("9000.00001")], pa.decimal128(12, 5)))
    good = validate.good_rows([column], [MASS])
    assert good is not None
    assert good.tolist() == [True, False]


UNUSUAL: list[tuple[pa.Array, str]] = [
    (pa.array([2**60], pa.timestamp("ns")), "2006-07-14 23:58:24.606846976"),
    (pa.array([0], pa.timestamp("s", "Europe/Berlin")), "1970-01-01 01:00:00+0100"),
    (pa.array([0], pa.timestamp("s", "No/Where")), "1970-01-01 00:00:00Z"),
    (pa.array([2**62], pa.timestamp("us")), "<value out of range: 4611686018427387904>"),
    (
        pa.array([[2**62]], pa.list_(pa.timestamp("us"))),
        '["<value out of range: 4611686018427387904>"]',
    ),
    (pa.array([b"ab"], pa.binary(2)), "ab"),
    (pa.array([{"mm": [39.5, None]}]), '{"mm": [39.5, null]}'),
    (pa.array([[D("1.50")]]), '["1.50"]'),
    (pa.array(["a"], pa.string_view()), "a"),
    (pa.array([True]).dictionary_encode(), "true"),
]


@pytest.mark.parametrize(("array", "text"), UNUSUAL, ids=[str(each.type) for each, _ in UNUSUAL])
def test_any_type_has_a_text(array: pa.Array, text: str) -> None:
    (found,) = as_text(array).to_pylist()
    assert found.startswith(text)
    if not (is_text(array.type) or pa.types.is_timestamp(array.type)):
        problem = validate.explain(0, [validate.to_numbers(array)], [LENGTH])
        assert problem.reason == validate.NOT_A_NUMBER


def test_null_type_and_large_integers() -> None:
    column = validate.to_numbers(pa.nulls(2))
    assert validate.explain(1, [column], [LENGTH]).reason == validate.MISSING_VALUE
    assert validate.to_numbers(pa.array([2**64 - 1], pa.uint64())).values[0] == 2.0**64


FIELDS = st.text("0123456789+-.eE", max_size=8) | st.text("0159+-.eEnaNifyIF/#ULul \t", max_size=9)


@settings(max_examples=500)
@given(
    FIELDS
    | st.sampled_from(validate.NULL_SPELLINGS)
    | st.floats().map(repr)
    | st.integers().map(str)
)
@example("1e400")
@example(" 1.5 ")
@example("-nan")
def test_text_is_read_as_pyarrow_reads_a_csv(field: str) -> None:
    data = io.BytesIO(f"x,y\n{field},1\n".encode())
    options = pa_csv.ConvertOptions(column_types={"x": pa.float64()})
    column = validate.to_numbers(pa.array([field]))
    try:
        expected = pa_csv.read_csv(data, convert_options=options).column("x")[0].as_py()
    except pa.ArrowInvalid:
        assert np.isnan(column.values[0])
        return
    assert column.unparsed is None or not column.unparsed[0]
    if expected is None or math.isnan(expected):
        assert np.isnan(column.values[0])
    else:
        assert column.values[0] == expected


def columns(*texts: list[str]) -> list[validate.Column]:
    return [validate.to_numbers(pa.array(column)) for column in texts]


def test_good_rows_is_none_when_all_are_good() -> None:
    assert validate.good_rows(columns(["10", "80"], ["-5", "9000"]), [LENGTH, MASS]) is None


def test_good_rows_and_reasons() -> None:
    table = columns(
        ["39.1", "", "abc", "9.99", "80.1", "inf", "", "39.1"],
        ["3750", "3750", "3750", "3750", "3750", "3750", "x", "-5.1"],
    )
    good = validate.good_rows(table, [LENGTH, MASS])
    assert good is not None
    assert good.tolist() == [True] + [False] * 7
    found = [validate.explain(row, table, [LENGTH, MASS]) for row in range(1, 8)]
    assert [(each.reason, each.column) for each in found] == [
        ("missing_value", "Length"),
        ("not_a_number", "Length"),
        ("out_of_range", "Length"),
        ("out_of_range", "Length"),
        ("out_of_range", "Length"),
        ("missing_value", "Length"),
        ("out_of_range", "Mass"),
    ]
    assert found[0].message == "Length is missing"
    assert found[2].message == "Length is 9.99 mm, outside the plausible 10 to 80 mm"
    # The first problem decides, the message names them all.
    assert found[5].message == (
        "Length is missing; Mass is 'x', which is not a number such as 39.1"
    )


def test_a_value_barely_outside_is_shown_with_all_its_digits() -> None:
    message = validate.explain(0, [validate.to_numbers(pa.array(["80.0000001"]))], [LENGTH]).message
    assert message == "Length is 80.0000001 mm, outside the plausible 10 to 80 mm"


def test_a_feature_without_a_unit_has_no_space_for_one() -> None:
    bare = dataclasses.replace(LENGTH, unit="")
    message = validate.explain(0, [validate.to_numbers(pa.array([9.5]))], [bare]).message
    assert message == "Length is 9.5, outside the plausible 10 to 80"


def test_a_good_row_has_nothing_to_explain() -> None:
    with pytest.raises(ValueError, match="row 0 has no problem"):
        validate.explain(0, columns(["39.1"]), [LENGTH])


def test_long_values_are_shortened_in_messages() -> None:
    message = validate.explain(0, columns(["y" * 500]), [LENGTH]).message
    assert len(message) < 120
    assert "…" in message
