"""What a card must be for the pipeline, beyond what makes it a model card."""

import dataclasses
import hashlib
from pathlib import Path

import pytest

from penguin_model.card import card_path, read_card
from pipelines.datasets import schemas
from pipelines.errors import CardError
from pipelines.monitoring import histograms
from pipelines.scoring import model_file
from tests.support.trusted import trusted_card


def test_output_columns_are_reserved(shipped_model: Path) -> None:
    columns = schemas.predictions((), read_card(str(shipped_model))).names
    assert set(columns) >= schemas.RESERVED_COLUMNS


@pytest.mark.parametrize("name", sorted(schemas.RESERVED_COLUMNS | histograms.OWN_NAMES))
def test_a_feature_cannot_have_the_name_of_an_output_column(
    name: str, tmp_path: Path, shipped_model: Path
) -> None:
    # Whether or not this card's predictions have it: the next one's may.
    assert name in schemas.predictions((), trusted_card()).names
    card = read_card(str(shipped_model))
    first = dataclasses.replace(card.features[0], name=name)
    other = dataclasses.replace(
        card,
        features=(first, *card.features[1:]),
        sha256=hashlib.sha256(b"").hexdigest(),
        reference=None,
    )
    model = tmp_path / "model.keras"
    model.touch()
    Path(card_path(str(model))).write_text(other.to_json())
    with pytest.raises(CardError, match=f"feature '{name}' has the name of a column") as caught:
        model_file.read_card(str(model))
    assert caught.value.exit_code == 2
