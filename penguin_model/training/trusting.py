"""Adds the numbers to a card that show how far to trust a single prediction."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from penguin_model import trust
from penguin_model.card import ModelCard
from penguin_model.features import normalize
from penguin_model.training import evaluation
from penguin_model.training.table import Rows

# In the covariances of a card, each of which has about 25 bytes.
MOST_NUMBERS = 200_000


def add_trust(
    card: ModelCard,
    rows: Rows,
    held_out: Rows,
    probabilities: npt.NDArray[np.float32],
) -> ModelCard:
    """Returns the card with its `trust`, and the histogram of novelty in its `reference`, if any.

    A network that takes so many numbers that the covariances wouldn't fit into a card gets none.

    Args:
      card: of a new model.
      rows: all complete rows, those trained on and those held out, each once.
      held_out: the rows that the model wasn't trained on.
      probabilities: ``[m, classes]``, the model's answers to them.
    """
    if len(card.classes) * card.width**2 > MOST_NUMBERS:
        return card
    matrix = normalize(list(rows.raw.T), card.features).astype(np.float64)
    fitted = trust.fit(
        matrix,
        rows.labels,
        held_out_labels=held_out.labels,
        probabilities=probabilities,
        features=card.features,
    )
    distances = trust.held_out_distances(matrix, rows.labels, card.features)
    reference = card.reference and dataclasses.replace(
        card.reference, novelty=evaluation.histogram_by_deciles(distances)
    )
    return dataclasses.replace(card, trust=fitted, reference=reference)
