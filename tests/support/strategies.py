"""Hypothesis strategies that several test modules share."""

from typing import Any

from hypothesis import strategies as st

from penguin_model.card import Feature, Histogram, ModelCard, Reference
from penguin_model.names import fold

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)
# Columns of the predictions, which no feature may have, and fields of a card that have a type.
TAKEN = (
    "source_file", "source_row", "probability", "novelty", "out_of_distribution", "species",
    "species_set",
)  # fmt: skip
KNOWN = ("accuracy", "log_loss", "train_rows", "test_rows", "recall", "confusion", "citation")
NAMES = TEXT.filter(lambda name: bool(name.strip()) and fold(name) not in TAKEN)
NUMBERS = st.floats(-1e9, 1e9)
SCALES = st.floats(1e-3, 1e6) | st.floats(-1e6, -1e-3)
JSON = st.dictionaries(
    st.text(max_size=8).filter(lambda name: name not in KNOWN),
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text() | st.lists(NUMBERS),
    max_size=3,
)


@st.composite
def features(draw: Any, name: st.SearchStrategy[str] = NAMES) -> Feature:
    low, high = sorted(draw(st.tuples(NUMBERS, NUMBERS).filter(lambda pair: pair[0] != pair[1])))
    return Feature(
        name=draw(name), unit=draw(TEXT), scale=draw(SCALES),
        minimum=low, maximum=high,
    )  # fmt: skip


@st.composite
def histograms(draw: Any, edges: st.SearchStrategy[float] = NUMBERS) -> Histogram:
    found = sorted(draw(st.sets(edges, max_size=6)))
    size = len(found) + 1
    counts = draw(st.lists(st.integers(0, 10**12), min_size=size, max_size=size))
    return Histogram(edges=tuple(found), counts=tuple(counts))


@st.composite
def cards(draw: Any) -> ModelCard:
    named = draw(
        st.lists(features(), min_size=1, max_size=6, unique_by=lambda each: fold(each.name))
    )
    classes = draw(st.lists(NAMES, min_size=2, max_size=5, unique_by=str.lower))
    reference = Reference(
        features={each.name: draw(histograms()) for each in named},
        classes={name: draw(st.integers(0, 10**12)) for name in classes},
        probability=draw(histograms(st.floats(0, 1))),
    )
    return ModelCard(
        name=draw(NAMES), model_file="model.keras",
        sha256=draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        features=tuple(named), classes=tuple(classes), label=draw(NAMES),
        training=draw(JSON), data=draw(JSON), metrics=draw(JSON), versions=draw(JSON),
        reference=draw(st.sampled_from([None, reference])),
    )  # fmt: skip
