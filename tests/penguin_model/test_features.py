"""Normalization: one division, one rounding, row by row."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penguin_model.card import Feature
from penguin_model.features import normalize
from tests.support.strategies import features


def columns(count: int) -> st.SearchStrategy[list[npt.NDArray[np.float64]]]:
    values = hnp.arrays(np.float64, (count, 12), elements=st.floats(-1e9, 1e9))
    return values.map(list)


FEATURES = st.lists(features(), min_size=1, max_size=5)
INPUTS = FEATURES.flatmap(lambda named: st.tuples(st.just(named), columns(len(named))))


@given(INPUTS)
def test_is_the_float64_quotient_rounded_once(
    inputs: tuple[list[Feature], list[npt.NDArray[np.float64]]],
) -> None:
    named, raw = inputs
    matrix = normalize(raw, named)
    assert matrix.dtype == np.float32
    assert matrix.shape == (12, len(named))
    assert matrix.flags.f_contiguous
    for position, feature in enumerate(named):
        expected = [np.float32(float(value) / feature.scale) for value in raw[position]]
        np.testing.assert_array_equal(matrix[:, position], expected)


@given(INPUTS, st.integers(0, 12))
def test_in_pieces_equals_whole(
    inputs: tuple[list[Feature], list[npt.NDArray[np.float64]]], cut: int
) -> None:
    named, raw = inputs
    pieces = [normalize([c[part] for c in raw], named) for part in (slice(cut), slice(cut, None))]
    np.testing.assert_array_equal(np.concatenate(pieces), normalize(raw, named))


def test_how_a_file_stored_its_numbers_makes_no_difference() -> None:
    mass = Feature(name="BodyMass", unit="g", scale=100, minimum=0, maximum=9999)
    stored = [np.array([3750, 4675], kind) for kind in (np.int16, np.int64, np.float32, np.float64)]
    for column in stored:
        matrix = normalize([column], [mass])  # type: ignore[list-item]
        np.testing.assert_array_equal(matrix, np.array([[37.5], [46.75]], np.float32))


def test_no_rows_and_a_wrong_number_of_columns() -> None:
    mass = Feature(name="BodyMass", unit="g", scale=100, minimum=0, maximum=9999)
    assert normalize([np.array([])], [mass]).shape == (0, 1)
    with pytest.raises(ValueError, match="2 columns for 1 features"):
        normalize([np.array([1.0]), np.array([1.0])], [mass])
