"""Categories mean the same in every format, however a file spells or stores them."""

import csv
import dataclasses
import decimal
import gzip
import io
import unicodedata
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_model import validate
from penguin_model.card import Category
from pipelines.reading.dialect import Dialect
from pipelines.reading.rows import InputColumns
from tests.support.plain_reading import NOTHING, number
from tests.support.reading import (
    MASS,
    Outcome,
    csv_in_ranges,
    csv_whole,
    in_a_pack,
    in_spans,
)

WORDS = st.sampled_from(
    ["Biscoe", "biscoe", "Dream", "NA", "None", "null", "2007", "2007.0", "07", "1", "true", "a,b",
     "a\nb", 'a"b', "é", "e\u0301", "É", "ß", "İ", " Biscoe", "Torgersen Island", "x"]
)  # fmt: skip
TEXTS = WORDS | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=4
)
NAMES = TEXTS.filter(
    lambda text: bool(text.strip()) and not any(unicodedata.category(c) == "Cc" for c in text)
)
VALUES = TEXTS | st.none()


@st.composite
def categories(draw: Any) -> Category:
    vocabulary = draw(st.lists(NAMES, min_size=2, max_size=6, unique_by=str.strip))
    other = draw(st.none() | st.integers(0, len(vocabulary) - 1))
    return Category(
        name="place", categories=tuple(vocabulary), one_hot=draw(st.booleans()),
        out_of_vocabulary=other,
    )  # fmt: skip


def plain_code(text: str | None, feature: Category) -> float | str:
    """A text's code, or the reason why its row is rejected, one rule after the other."""

    def fold(word: str) -> str:
        return "".join(
            c.lower() if len(c.lower()) == 1 else c
            for c in unicodedata.normalize("NFKC", word.strip())
        )

    def whole(word: str) -> str:
        digits, mark, zeros = fold(word).partition(".")
        plain = digits.removeprefix("-").removeprefix("+")
        is_whole = bool(mark) and plain.isascii() and plain.isdigit() and not zeros.strip("0")
        return digits if is_whole else fold(word)

    if text is None:
        return "missing_value"
    for key in (str, str.strip, fold, whole):
        found = [n for n, word in enumerate(feature.categories) if key(word) == key(text)]
        if len(found) == 1:
            return float(found[0])
    if text.strip() in NOTHING:
        return "missing_value"
    other = feature.out_of_vocabulary
    return "unknown_category" if other is None else float(other)


def expected(rows: list[tuple[str | None, str]], feature: Category) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for place, (text, mass) in enumerate(rows):
        code, value = plain_code(text, feature), number(mass)
        if isinstance(code, str):
            found.append((place, code, "place"))
        elif value is None or not 100 <= value <= 9000:
            reason = "not_a_number" if value is None else "out_of_range"
            found.append((place, reason, "mass"))
        else:
            found.append((place, code, value))
    return found


def seen(outcome: Outcome) -> list[tuple[Any, ...]]:
    """Without what expected() leaves out: messages and raw text."""
    assert not isinstance(outcome, str)
    return [each[:3] for each in outcome]


def as_csv(rows: list[tuple[str | None, str]], delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["place", "mass"])
    writer.writerows(["" if text is None else text, mass] for text, mass in rows)
    return out.getvalue().encode()


def as_parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=3)
    return out.getvalue()


def as_arrow(table: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return out.getvalue()


TYPED: list[tuple[str, str, Callable[[pa.Table], bytes]]] = [
    ("parquet", "parquet", as_parquet),
    ("arrow", "arrow", as_arrow),
]
STORED: list[Callable[[pa.Array], pa.Array]] = [
    lambda texts: texts,
    lambda texts: texts.cast(pa.large_string()),
    lambda texts: texts.cast(pa.binary()),
    lambda texts: texts.dictionary_encode(),
    lambda texts: texts.cast(pa.string_view()),
]


@settings(max_examples=60)
@given(
    categories(),
    st.lists(
        st.tuples(VALUES, st.sampled_from(["200", "300.5", "x", "-1"])), min_size=1, max_size=9
    ),
    st.integers(0, len(STORED) - 1),
    st.booleans(),
)
def test_every_format_agrees_with_the_plain_rules(
    feature: Category, rows: list[tuple[str | None, str]], stored: int, together: bool
) -> None:
    wanted = InputColumns(features=(feature, MASS))
    right = expected(rows, feature)
    texts = as_csv(rows)
    assert seen(csv_whole(io.BytesIO(texts), wanted, 1 << 20)) == right
    assert seen(csv_whole(io.BytesIO(texts), wanted, 7)) == right
    assert seen(csv_in_ranges(texts, wanted, 9, 16)) == right
    compressed = gzip.compress(texts)
    assert seen(csv_whole(io.BytesIO(compressed), wanted, 1 << 20)) == right
    table = pa.table(
        {
            "place": STORED[stored](pa.array([text for text, _ in rows], pa.string())),
            "mass": [mass for _, mass in rows],
        }
    )
    for name, suffix, write in TYPED:
        content = write(table)
        assert seen(in_spans(name, content, wanted, 100, 2)) == right
        if together:
            assert [seen(each) for each in in_a_pack([content] * 2, wanted, suffix)] == [right] * 2
    if together:
        assert [seen(each) for each in in_a_pack([texts] * 2, wanted)] == [right] * 2


YEARS = Category(name="place", categories=("2007", "2008", "True", "1.5"))


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        (pa.array([2007, 2008, None]), [0.0, 1.0, "missing_value"]),
        (pa.array([2007, 7], pa.uint16()), [0.0, "unknown_category"]),
        (pa.array([2007.0, 1.5, float("nan")]), [0.0, 3.0, "missing_value"]),
        (pa.array([2008.0], pa.float32()), [1.0]),
        (pa.array([decimal.Decimal("2007.00")]), [0.0]),
        (pa.array([True, False]), [2.0, "unknown_category"]),
        (pa.array(["2007.0", "2008", "2007.5"]), [0.0, 1.0, "unknown_category"]),
        (pa.array([b"2007", b"\xff"]), [0.0, "bad_encoding"]),
        (pa.array(["true", None]).dictionary_encode(), [2.0, "missing_value"]),
        (pa.nulls(1), ["missing_value"]),
        (pa.array([[2007]]), ["unknown_category"]),
    ],
)
def test_what_is_not_text_is_compared_as_text(values: pa.Array, codes: list[Any]) -> None:
    wanted = InputColumns(features=(YEARS, MASS))
    table = pa.table({"place": values, "mass": [200.0] * len(values)})
    right = [
        (row, each, "place") if isinstance(each, str) else (row, each, 200.0)
        for row, each in enumerate(codes)
    ]
    for name, suffix, write in TYPED:
        assert seen(in_spans(name, write(table), wanted, 100, 2)) == right
        (alone,) = in_a_pack([write(table)], wanted, suffix)
        assert seen(alone) == right


def test_numbers_with_a_decimal_comma_are_whole_too() -> None:
    wanted = InputColumns(features=(YEARS, MASS), dialect=Dialect(";", ","))
    data = b"place;mass\n2007,0;200,5\n1.5;300\n"
    right = [(0, 0.0, 200.5), (1, 3.0, 300.0)]
    assert seen(csv_whole(io.BytesIO(data), wanted, 1 << 20)) == right


def test_a_reject_shows_the_text_and_the_vocabulary() -> None:
    place = Category(name="place", categories=tuple(f"town {n}" for n in range(100)))
    wanted = InputColumns(features=(place, MASS))
    data = as_csv([("town 1", "200"), ("Paris\x1b[2J" + "s" * 50, "x")])
    outcome = csv_whole(io.BytesIO(data), wanted, 1 << 20)
    assert not isinstance(outcome, str)
    row, reason, column, message, raw = outcome[1]
    assert (row, reason, column) == (1, "unknown_category", "place")
    assert message.startswith(r"place is 'Paris\x1b[2Jsss")
    assert "…', which isn't one of town 0, town 1, town 2, " in message
    assert message.endswith("…; mass is 'x', which is not a number such as 39.1")
    assert len(message) < 250
    assert raw.startswith('"Paris\x1b[2J')


def test_a_reject_shows_the_same_text_however_it_is_stored() -> None:
    right = "place is '2009', which isn't one of 2007, 2008, True, 1.5"
    texts = pa.array(["2009"] * 3)
    stored = [store(texts) for store in STORED]
    stored += [texts.cast(pa.binary()).dictionary_encode(), texts.cast(pa.int16())]
    for column in stored:
        found = validate.to_codes(column, YEARS)
        assert validate.explain(2, [found], [YEARS]).message == right


def test_a_blank_row_of_categories_alone_is_a_blank_line() -> None:
    other = dataclasses.replace(YEARS, name="other")
    wanted = InputColumns(features=(YEARS, other))
    data = b"place,other\n2007,2008\n,\n2008,\n ,2007\n"
    right = [(0, 0.0, 1.0), (1, "missing_value", "other"), (2, "missing_value", "place")]
    assert seen(csv_whole(io.BytesIO(data), wanted, 1 << 20)) == right
    assert [seen(each) for each in in_a_pack([data] * 2, wanted)] == [right] * 2
