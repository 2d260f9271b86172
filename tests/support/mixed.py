"""A model of numbers and categories: penguins by island, sex and measurements, made up."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penguin_model import bundle, trust
from penguin_model.card import Category, Feature, ModelCard
from penguin_model.features import normalize
from penguin_model.training import evaluation

ISLAND = Category(name="island", categories=("Torgersen", "Biscoe", "Dream"), aliases=("isle",))
LENGTH = Feature(name="CulmenLength", unit="mm", scale=5.0, offset=44.0, minimum=20.0, maximum=80.0)
SEX = Category(name="sex", categories=("female", "male"), one_hot=False)
MASS = Feature(name="BodyMass", unit="g", scale=1000.0, minimum=1500.0, maximum=9000.0)
FEATURES = (ISLAND, LENGTH, SEX, MASS)
CLASSES = ("Adelie", "Gentoo", "Chinstrap")
# By class: the shares of the islands, mean culmen length and mean mass.
_KINDS = (((0.4, 0.3, 0.3), 39.0, 3700.0), ((0, 1, 0), 47.5, 5000.0), ((0, 0, 1), 49.0, 3700.0))

Floats = npt.NDArray[np.float64]


def birds(rows: int, seed: int = 0) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Made-up birds: the features' values ``[rows, 4]`` and their classes."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % len(CLASSES)
    columns = np.empty((rows, len(FEATURES)))
    for row, label in enumerate(labels):
        shares, length, mass = _KINDS[label]
        sex = random.integers(2)
        columns[row] = (
            random.choice(3, p=np.array(shares)), round(random.normal(length + 2 * sex, 2), 1),
            sex, round(random.normal(mass + 400 * sex, 250)),
        )  # fmt: skip
    return columns, labels


def texts(raw: Floats) -> list[dict[str, Any]]:
    """Birds as people write them down."""
    return [
        {
            "island": ISLAND.categories[int(island)], "CulmenLength": float(length),
            "sex": SEX.categories[int(sex)], "BodyMass": int(mass),
        }
        for island, length, sex, mass in raw
    ]  # fmt: skip


def matrix_of(rows: list[dict[str, Any]]) -> npt.NDArray[np.float32]:
    """What the network gets for birds, in plain Python."""
    made = [
        [
            *(1.0 if row["island"] == name else 0.0 for name in ("Torgersen", "Biscoe", "Dream")),
            (row["CulmenLength"] - 44.0) / 5.0,
            {"female": 0.0, "male": 1.0}[row["sex"]],
            row["BodyMass"] / 1000.0,
        ]
        for row in rows
    ]
    return np.array(made, np.float64).astype(np.float32)


def mixed_card(answers: npt.NDArray[np.float32], **changes: Any) -> ModelCard:
    """A card with everything that has to do with features, given the answers to `birds(300)`."""
    raw, labels = birds(300)
    wide = normalize(list(raw.T), FEATURES).astype(np.float64)
    reference = evaluation.reference(raw, answers, FEATURES, CLASSES)
    distances = trust.held_out_distances(wide, labels, FEATURES)
    return ModelCard(
        name="mixed", model_file="mixed.keras", sha256="0" * 64, features=FEATURES,
        classes=CLASSES,
        trust=trust.fit(
            wide, labels, held_out_labels=labels, probabilities=answers, features=FEATURES
        ),
        reference=dataclasses.replace(
            reference, novelty=evaluation.histogram_by_deciles(distances)
        ),
        metrics=evaluation.metrics(answers, labels, CLASSES) | {"test_rows": len(labels)},
        **changes,
    )  # fmt: skip


def mixed_bundle(folder: Path, **changes: Any) -> str:
    """Fits a small network and saves it with a full card; returns the path."""
    import keras

    raw, labels = birds(300)
    matrix = np.ascontiguousarray(normalize(list(raw.T), FEATURES))
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((matrix.shape[1],)),
            keras.layers.Dense(12, "tanh"),
            keras.layers.Dense(len(CLASSES), "softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(matrix, labels, epochs=20, batch_size=30, verbose=0)
    path = str(Path(folder) / "mixed.keras")
    bundle.save(model, path, mixed_card(model.predict(matrix, verbose=0), **changes))
    return path
