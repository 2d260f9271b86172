"""A model that has nothing in common with penguins: different features, scales and classes."""

from pathlib import Path

from penguin_model import bundle
from penguin_model.card import Feature, ModelCard

# Name, unit, scale, plausible range; one may be negative, one name isn't an identifier.
_FEATURES = (
    ("Girth", "cm", 50.0, 5.0, 400.0),
    ("LeafLength", "mm", 20.0, 10.0, 90.0),
    ("MeanFrost", "°C", 4.0, -40.0, 10.0),
    ("Moisture", "%", 0.5, 0.0, 1.0),
    ("ring width", "mm", 2.5, 0.1, 9.5),
)
_CLASSES = ("Ash", "Birch", "Cedar", "Dogwood")


def toy_card(features: int = 5, classes: int = 4) -> ModelCard:
    """The toy's card before saving; extra features or classes get numbered names."""
    named = [
        Feature(name=name, unit=unit, scale=scale, minimum=minimum, maximum=maximum)
        for name, unit, scale, minimum, maximum in _FEATURES
    ]
    named += [
        Feature(name=f"Extra{n}", unit="m", scale=2.0, minimum=0.0, maximum=10.0)
        for n in range(len(named), features)
    ]
    names = [*_CLASSES, *(f"Tree{n}" for n in range(len(_CLASSES), classes))]
    return ModelCard(
        name="toy", model_file="", sha256="", label="Tree",
        features=tuple(named[:features]), classes=tuple(names[:classes]),
    )  # fmt: skip


def toy_bundle(folder: Path, features: int = 5, classes: int = 4, suffix: str = ".keras") -> str:
    """Saves an untrained network with seeded random weights and its card; returns the path."""
    import keras

    def dense(units: int, activation: str, seed: int) -> keras.layers.Layer:
        weights = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
        return keras.layers.Dense(units, activation, kernel_initializer=weights)

    model = keras.Sequential(
        [keras.Input((features,)), dense(7, "tanh", 6), dense(classes, "softmax", 2)]
    )
    path = str(Path(folder) / f"toy{suffix}")
    bundle.save(model, path, toy_card(features, classes))
    return path
