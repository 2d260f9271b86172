"""Any change to a model card: it's refused by name, or everything that uses cards can use it."""

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_model import card_page, describe, model_checks, predict, trust
from penguin_model.card import ModelCard, card_path
from penguin_model.errors import CardError
from pipelines.datasets import schemas
from pipelines.monitoring import drift, histograms
from pipelines.report import page
from pipelines.report.data import Report
from pipelines.runs.manifest import Manifest, from_json
from tests.support import mixed, reports

SHIPPED = json.loads(Path(card_path(str(reports.MODEL))).read_text())
_TEXTS = st.sampled_from(["", " ", "a\nb", "\x00", "\ud800", "Adelie", "probability", "<b>&", "ß"])
_NUMBERS = st.sampled_from(
    [0, 1, -1, 0.0, 0.5, -0.5, 1e-320, 1e308, -1e308, 2**53, 2**63, 10**40, math.nan, math.inf]
)  # fmt: skip
_SAME_KIND = {
    str: st.text(),
    int: st.integers(0, 2**60) | st.integers(0, 9),
    float: st.floats(allow_nan=False, allow_infinity=False) | st.floats(-9, 9) | st.integers(0, 9),
}
LEAVES = st.none() | st.booleans() | _NUMBERS | _TEXTS | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value, with every key or index."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from parts(each)


# Answers of no network.
_ANSWERS = np.random.default_rng(0).dirichlet(np.full(3, 0.3), 300).astype(np.float32)
MIXED = json.loads(mixed.mixed_card(_ANSWERS, prediction_column="tree").to_json())


@st.composite
def changed(draw: Any) -> Any:
    """A card with one to three changes: a value replaced, removed, repeated or added."""
    card = copy.deepcopy(draw(st.sampled_from([SHIPPED, MIXED])))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        found = list(parts(card))
        holder, key = found[draw(st.integers(0, len(found) - 1))]
        changes = ["replace", "leaf", "same kind", "same kind", "remove", "add", "copy"]
        change = draw(st.sampled_from(changes))
        if change == "same kind" and type(holder[key]) in _SAME_KIND:
            holder[key] = draw(_SAME_KIND[type(holder[key])])
        elif change == "remove":
            del holder[key]
        elif change == "add" and isinstance(holder, dict):
            holder[draw(st.text(max_size=5) | _TEXTS)] = draw(VALUES)
        elif change == "add":
            holder.insert(key, draw(VALUES))
        elif change == "copy":
            other, place = found[draw(st.integers(0, len(found) - 1))]
            holder[key] = copy.deepcopy(other[place])
        else:
            holder[key] = draw(LEAVES if change == "leaf" else VALUES)
    return card


def this_run() -> Manifest:
    found = reports.measured(reports.manifest("night", rows=200))
    return from_json(json.loads(json.dumps(reports.labelled(found, wrong=9))))


MANIFEST = this_run()


def use(card: ModelCard) -> None:
    """Does what the commands do with a card, without the model."""
    assert ModelCard.from_json(card.to_json()) == card
    "\n".join(describe.card_lines(card)).encode()
    card_page.render(card).encode()
    if card.trust is not None:
        trust.TrustScorer(card)
    predict.build_parser(card).format_help().encode()
    assert len(set(predict.flag_names(card.features))) == len(card.features)
    model_checks.probe(lambda matrix: softmax(matrix, len(card.classes)), card)
    names = schemas.predictions((), card).names
    assert any(name.startswith("probability_") for name in names)
    page.render(Report(manifest=MANIFEST, card=card)).encode()
    if card.reference is not None:
        columns = [np.array([each.minimum, each.maximum]) for each in card.features]
        histograms.count_features(columns, card.features, card.reference)
        ours = histograms.of_run({}, card)
        assert ours is not None
        drift.measure(card.reference, card.reference, baseline={"before": ours}).to_json()


def softmax(matrix: Any, classes: int) -> Any:
    assert np.isfinite(matrix).all()
    return np.full((len(matrix), classes), 1 / classes, np.float32)


@settings(max_examples=100, deadline=None)
@given(changed())
def test_a_changed_card_is_refused_or_works(fields: Any) -> None:
    refusal, card = "", None
    try:
        card = ModelCard.from_json(json.dumps(fields))
    except CardError as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert len(refusal) < 1000
    if card is not None:
        use(card)


@pytest.mark.parametrize("fields", [SHIPPED, MIXED], ids=["shipped", "mixed"])
def test_an_unchanged_card_works(fields: Any) -> None:
    use(ModelCard.from_json(json.dumps(fields)))
