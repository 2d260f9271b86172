"""What a card must be for the pipeline, beyond what makes it a model card."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from penguin_model.card import card_path, read_card
from pipelines.datasets import schemas
from pipelines.errors import CardError
from pipelines.scoring import model_file
from tests.support.samples import MODEL
from tests.support.trusted import trusted_card

FIXED = ("source_file", "source_row", "probability", "novelty", "out_of_distribution")


def test_the_fixed_columns_are_those_of_the_predictions() -> None:
    card = trusted_card()
    own = {card.prediction_column, card.set_column, *card.probability_columns}
    assert set(schemas.predictions((), card).names) == {*FIXED, *own}


@pytest.mark.parametrize("name", [*FIXED, "tree", "tree_set", " Tree", "NOVELTY"])
def test_a_feature_cannot_have_the_name_of_an_output_column(name: str) -> None:
    # Whether or not this card's predictions have it: the next one's may.
    card = read_card(str(MODEL))
    first = dataclasses.replace(card.features[0], name=name)
    features = (first, *card.features[1:])
    with pytest.raises(CardError, match=f"feature '{name}' has the name of a column"):
        dataclasses.replace(card, features=features, reference=None, prediction_column="tree")


@pytest.mark.parametrize(
    "name", [*FIXED, "run_id", "Probability ", "probability_of", "RUN_ID", "coverage"]
)
def test_a_prediction_column_cannot_have_the_name_of_another(name: str) -> None:
    card = read_card(str(MODEL))
    with pytest.raises(CardError, match=r"prediction_column: .* is the name of another column"):
        dataclasses.replace(card, prediction_column=name)
    for free in ("tree", "class", "Species", "novelty_set"):
        dataclasses.replace(card, prediction_column=free)


def test_a_card_on_disk_is_refused_by_its_path(tmp_path: Path) -> None:
    fields = json.loads(read_card(str(MODEL)).to_json())
    fields["prediction_column"] = "probability"
    model = tmp_path / "model.keras"
    shutil.copy(MODEL, model)
    Path(card_path(str(model))).write_text(json.dumps(fields))
    with pytest.raises(CardError, match=r"model\.keras\.card\.json: prediction_column: ") as caught:
        model_file.read_card(str(model))
    assert caught.value.exit_code == 2
