"""The shipped model, with a card that has `trust` or lacks it."""

import dataclasses
import shutil
from pathlib import Path

from penguin_model import bundle
from penguin_model.card import ModelCard, card_path, read_card
from penguin_model.training import dataset, fitting
from penguin_model.training.trusting import add_trust
from tests.support.running import PROJECT
from tests.support.samples import MODEL


def trusted_card() -> ModelCard:
    """The shipped card with its numbers fitted to the birds."""
    data = dataset.load(str(PROJECT / "data/penguins.csv"))
    card = read_card(str(MODEL))
    classifier = bundle.load_with_card(str(MODEL), card)
    answers = classifier.predict(fitting.matrix(data.test, card.features))
    return add_trust(card, data.rows, data.test, answers)


def untrusted_card() -> ModelCard:
    """The shipped card as an earlier release trained it."""
    card = read_card(str(MODEL))
    reference = card.reference and dataclasses.replace(card.reference, novelty=None)
    return dataclasses.replace(card, trust=None, reference=reference)


def copy_model(folder: Path, card: ModelCard) -> Path:
    """Copies the shipped model beside another card; returns the path."""
    path = folder / "model.keras"
    shutil.copy(MODEL, path)
    Path(card_path(str(path))).write_text(card.to_json())
    return path
