"""How categories are encoded follows from the width of the network's input, if one way fits."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model.card import Category, Feature, Input
from penguin_model.errors import UsageError
from penguin_model.training import encodings


def make(sizes: list[int]) -> tuple[Input, ...]:
    """A number for a size of 1, otherwise a category of so many texts."""
    return tuple(
        Feature(name=f"f{place}", unit="", scale=1.0, minimum=0.0, maximum=1.0)
        if size == 1
        else Category(name=f"f{place}", categories=tuple(f"t{n}" for n in range(size)))
        for place, size in enumerate(sizes)
    )


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(1, 25))
def test_the_only_encodings_that_fit_are_found(sizes: list[int], width: int) -> None:
    features = make(sizes)
    choices = [(size,) if size == 1 else (size, 1) for size in sizes]
    fits = [each for each in itertools.product(*choices) if sum(each) == width]
    if len(fits) == 1:
        found = encodings.fit(features, width, {})
        assert tuple(each.width for each in found) == fits[0]
        assert [each.name for each in found] == [each.name for each in features]
    else:
        message = "several encodings" if fits else f"takes {width} numbers for each row, but"
        with pytest.raises(UsageError, match=message):
            encodings.fit(features, width, {})


def test_a_flag_decides() -> None:
    features = make([1, 3, 3])
    with pytest.raises(UsageError, match="such as --encoding f1=one_hot,f2=one_hot"):
        encodings.fit(features, 5, {})
    found = encodings.fit(features, 5, {"f2": True})
    assert [each.width for each in found] == [1, 1, 3]


def test_many_categories_take_no_time() -> None:
    """2**300 ways, if each were tried."""
    with pytest.raises(UsageError, match="several encodings"):
        encodings.fit(make([3] * 300), 500, {})


def test_what_is_there_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        encodings.fit(make([1, 1]), 4, {})
    assert str(caught.value) == (
        "takes 4 numbers for each row, but the features make 2: f0, f1; name the features that "
        "it was trained on with --features, in its order"
    )
    with pytest.raises(UsageError, match=r"features make 2 to 4: .* with --vocabulary, and its "):
        encodings.fit(make([1, 3]), 9, {})
