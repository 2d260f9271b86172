"""Hypothesis strategies that several test modules share."""

from typing import Any

from hypothesis import strategies as st

from penguin_model.card import Feature, Histogram, ModelCard, Reference
from pipelines.datasets.schemas import RESERVED_COLUMNS

NAMES = st.text(min_size=1, max_size=12).filter(lambda name: name not in RESERVED_COLUMNS)
NUMBERS = st.floats(-1e9, 1e9)
SCALES = st.floats(1e-3, 1e6) | st.floats(-1e6, -1e-3)
JSON = st.dictionaries(
    st.text(max_size=8),
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text() | st.lists(NUMBERS),
    max_size=3,
)


@st.composite
def features(draw: Any, name: st.SearchStrategy[str] = NAMES) -> Feature:
    low, high = sorted(draw(st.tuples(NUMBERS, NUMBERS).filter(lambda pair: pair[0] != pair[1])))
    return Feature(
        name=draw(name), unit=draw(st.text(max_size=5)), scale=draw(SCALES),
        minimum=low, maximum=high,
    )  # fmt: skip


@st.composite
def histograms(draw: Any) -> Histogram:
    edges = sorted(draw(st.sets(NUMBERS, max_size=6)))
    size = len(edges) + 1
    counts = draw(st.lists(st.integers(0, 10**12), min_size=size, max_size=size))
    return Histogram(edges=tuple(edges), counts=tuple(counts))


@st.composite
def cards(draw: Any) -> ModelCard:
    named = draw(st.lists(features(), min_size=1, max_size=6, unique_by=lambda each: each.name))
    classes = draw(st.lists(NAMES, min_size=2, max_size=5, unique_by=str.lower))
    reference = Reference(
        features={each.name: draw(histograms()) for each in named},
        classes={name: draw(st.integers(0, 10**12)) for name in classes},
        probability=draw(histograms()),
    )
    return ModelCard(
        name=draw(st.text()), model_file=draw(st.text()), sha256=draw(st.text("0123456789abcdef")),
        features=tuple(named), classes=tuple(classes), label=draw(st.text()),
        training=draw(JSON), data=draw(JSON), metrics=draw(JSON), versions=draw(JSON),
        reference=draw(st.sampled_from([None, reference])),
    )  # fmt: skip
