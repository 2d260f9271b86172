"""Counting into bins, adding up chunks, and rebuilding a run's histograms."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model.card import Category, Histogram, ModelCard, Reference
from penguin_model.training import evaluation
from pipelines.counts.figures import Counts, add_up
from pipelines.monitoring import histograms
from tests.support.strategies import NUMBERS, cards
from tests.support.toy import toy_card

EDGES = st.lists(NUMBERS, unique=True, max_size=12).map(sorted)
NARROW = st.floats(-1e6, 1e6, width=32)


@st.composite
def values_and_edges(
    draw: Any, numbers: st.SearchStrategy[float]
) -> tuple[list[float], list[float]]:
    """Values that often lie right at an edge, or the next number from it."""
    edges = draw(EDGES)
    near = [
        edge for each in edges for edge in (each, np.nextafter(each, 1e30), np.nextafter(each, 0))
    ]
    values = st.lists(numbers | st.sampled_from(near) if near else numbers, max_size=60)
    return draw(values), edges


@given(values_and_edges(NUMBERS))
def test_counts_are_those_of_the_card(drawn: tuple[list[float], list[float]]) -> None:
    values, edges = drawn
    found = histograms.count_values(np.array(values, np.float64), edges)
    assert Histogram(edges=tuple(edges), counts=found) == evaluation.histogram(values, edges)
    lows, highs = [-np.inf, *edges], [*edges, np.inf]
    for count, low, high in zip(found, lows, highs, strict=True):
        assert count == sum(low <= value < high for value in values)


@given(values_and_edges(NARROW))
def test_narrow_values_fall_where_wide_ones_do(drawn: tuple[list[float], list[float]]) -> None:
    values = np.array(drawn[0], np.float32)
    assert histograms.count_values(values, drawn[1]) == histograms.count_values(
        values.astype(np.float64), drawn[1]
    )


@pytest.mark.parametrize("edge", evaluation.PROBABILITY_EDGES)
def test_a_probability_at_an_edge(edge: float) -> None:
    # As float32, 0.9 is a little less than 0.9, and 0.6 a little more.
    at = np.float32(edge)
    values = np.array([np.nextafter(at, np.float32(0)), at, np.nextafter(at, np.float32(1))])
    expected = evaluation.histogram(values, (edge,)).counts
    assert histograms.count_values(values, (edge,)) == expected


def test_no_values_and_no_edges() -> None:
    assert histograms.count_values(np.empty(0), [1.0, 2.0]) == (0, 0, 0)
    assert histograms.count_values(np.array([3.0, 4.0]), []) == (2,)
    assert histograms.count_values(np.array([-np.inf, np.inf]), [0.0]) == (1, 1)


@given(st.lists(st.tuples(*[st.integers(0, 10**12)] * 3), min_size=1, max_size=6), st.randoms())
def test_sums_do_not_know_the_order(counts: list[Counts], random: Any) -> None:
    total = tuple(map(sum, zip(*counts, strict=True)))
    random.shuffle(counts)
    split = random.randint(0, len(counts))
    assert add_up(counts) == total
    halves = [add_up(counts[:split]), add_up(counts[split:])]
    assert add_up(halves) == total


def test_sums_of_numbers_and_of_nothing() -> None:
    assert add_up([1, 0, 41]) == 42
    assert add_up([]) == 0
    parts: list[int | Counts] = [(1, 2), 0, (3, 4)]
    assert add_up(iter(parts)) == (4, 6)


@pytest.mark.parametrize("mixed", [[(1, 2), 7], [7, (1, 2)]])
def test_numbers_are_not_added_to_histograms(mixed: list[int | Counts]) -> None:
    with pytest.raises(TypeError, match="both a number and a tuple"):
        add_up(mixed)


def test_histograms_of_other_bins_are_not_added() -> None:
    with pytest.raises(ValueError, match="shorter"):
        add_up([(1, 2), (3,)])


def toy_reference(card: ModelCard) -> Reference:
    return Reference(
        features={
            name: Histogram(edges=(1.0, 2.0), counts=(5, 6, 7)) for name in card.feature_names
        },
        classes=dict.fromkeys(card.classes, 3),
        probability=Histogram(edges=(0.5,), counts=(8, 9)),
    )


def test_a_run_gives_its_histograms_back() -> None:
    card = toy_card(features=3, classes=2)
    card = dataclasses.replace(card, reference=toy_reference(card))
    assert card.reference is not None
    columns = [np.array([0.0, 1.0, 1.5]), np.array([2.0, 3.0, 1.0]), np.array([0.0, 0.5, 0.0])]
    counted = histograms.count_features(columns, card.features, card.reference)
    assert counted == {"Girth": (1, 2, 0), "LeafLength": (0, 1, 2), "MeanFrost": (3, 0, 0)}
    figures: dict[tuple[str, str], int | Counts] = {
        ("totals", "rows_scored"): 3,
        (histograms.CLASSES, "Ash"): 2,
        (histograms.GROUP, "LeafLength"): counted["LeafLength"],
        (histograms.GROUP, histograms.PROBABILITY): (1, 2),
    }
    found = histograms.of_run(figures, card)
    assert found is not None
    assert found.features["LeafLength"] == Histogram(edges=(1.0, 2.0), counts=(0, 1, 2))
    assert found.features["MeanFrost"].counts == (0, 0, 0)
    assert found.classes == {"Ash": 2, "Birch": 0}
    assert found.probability.counts == (1, 2)


def test_a_card_without_a_reference_has_no_histograms() -> None:
    assert histograms.of_run({(histograms.CLASSES, "Ash"): 2}, toy_card()) is None


@given(cards())
def test_the_manifest_keeps_them(card: ModelCard) -> None:
    if card.reference is not None:
        written = json.loads(json.dumps(dataclasses.asdict(card.reference)))
        assert histograms.from_json(written) == card.reference


@given(st.lists(st.integers(0, 4), max_size=50))
def test_codes_are_counted_by_text(codes: list[int]) -> None:
    place = Category(name="place", categories=tuple("abcde"))
    values = np.array(codes, np.float64)
    found = histograms.count_codes(values, place)
    assert found == tuple(map(codes.count, range(5)))
    assert Histogram(edges=place.edges, counts=found) == evaluation.histogram_by_code(values, place)
