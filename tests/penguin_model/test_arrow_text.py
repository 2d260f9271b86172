"""Every Arrow type has a text that keeps its values, and legal JSON."""

import datetime
import decimal
import json
import math
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model.arrow_text import as_json, as_text, number_repeats
from tests.support.arrow_types import ARRAYS

D = decimal.Decimal


@pytest.mark.parametrize("name", ARRAYS)
def test_any_type_is_text_and_legal_json(name: str) -> None:
    array, expected = ARRAYS[name]
    assert as_text(array).to_pylist() == expected
    assert as_text(array.slice(1)).to_pylist() == expected[1:]
    assert as_text(array.slice(1, 1)).to_pylist() == expected[1:2]
    assert as_text(array.slice(0, 0)).to_pylist() == []
    values = as_json(array)
    json.loads(json.dumps(values), parse_constant=pytest.fail)
    assert as_json(array.slice(1)) == values[1:]
    # As an element of a list, too.
    offsets = pa.array(range(len(array) + 1), pa.int32())
    assert as_json(pa.ListArray.from_arrays(offsets, array)) == [[each] for each in values]


@given(st.lists(st.floats() | st.none()))
def test_floats_are_read_back_as_they_were(values: list[float | None]) -> None:
    for kind, read in ((pa.float64(), float), (pa.float32(), np.float32)):
        with np.errstate(over="ignore"):
            array = pa.array(
                [None if v is None else float(np.float64(v).astype(read)) for v in values], kind
            )
        nested = pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), array)
        for texts in (as_text(array).to_pylist(), json.loads(as_text(nested)[0].as_py())):
            for value, text in zip(array.to_pylist(), texts, strict=True):
                if value is None:
                    assert text is None
                elif math.isnan(value):
                    assert text == "nan"
                else:
                    assert read(text) == value


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.none()))
def test_integers_and_durations_are_exact(values: list[int | None]) -> None:
    array = pa.array(values, pa.int64())
    assert as_text(array).to_pylist() == [None if v is None else str(v) for v in values]
    for text, value in zip(as_text(array.cast(pa.duration("ns"))).to_pylist(), values, strict=True):
        if value is not None:
            assert int(D(text.replace("PT", "").rstrip("S")).scaleb(9)) == value


# Python reads no offset with seconds, such as those of local mean times.
TIMES = st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(9998, 1, 1))


@given(st.lists(TIMES, min_size=1), st.sampled_from(["UTC", "Asia/Kolkata", "-03:30"]))
def test_times_in_a_zone_are_read_back_as_they_were(
    times: list[datetime.datetime], zone: str
) -> None:
    array = pa.array(times, pa.timestamp("us")).cast(pa.timestamp("us", zone))
    found = map(datetime.datetime.fromisoformat, as_text(array).to_pylist())
    assert [each.astimezone(datetime.UTC).replace(tzinfo=None) for each in found] == times


@given(st.lists(st.binary(max_size=6) | st.none()))
def test_bytes_are_text_or_hexadecimal(values: list[bytes | None]) -> None:
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
        for text, value in zip(as_text(pa.array(values, kind)).to_pylist(), values, strict=True):
            if value is None:
                assert text is None
            elif text.encode() != value:
                assert bytes.fromhex(json.loads(text)) == value


@given(st.lists(st.lists(st.text() | st.none()) | st.none()))
def test_nested_text_is_read_back_as_it_was(values: list[Any]) -> None:
    for kind in (pa.list_(pa.string()), pa.large_list_view(pa.string_view())):
        texts = as_text(pa.array(values, kind)).to_pylist()
        assert [None if text is None else json.loads(text) for text in texts] == values


def test_a_uuid_is_spelled_as_usual() -> None:
    assert as_text(ARRAYS["uuid"][0])[0].as_py() == str(uuid.UUID(int=5))


@given(st.lists(st.sampled_from(["a", "b", "a (2)", "a (3)", "", " (2)"])))
def test_repeated_names_are_numbered(names: list[str]) -> None:
    found = number_repeats(names)
    assert len(set(found)) == len(found)
    for place, name in enumerate(names):
        assert found[place].startswith(name)
        assert found[place] == name or name in names[:place]
