"""The model card: what a model expects, what it returns and how it was made.

The card is a JSON file beside the model file. It drives both training and scoring: features in
order with unit, scale and plausible range, classes in order, and the SHA-256 of the model file
that it describes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from penguin_model.errors import CardError, ModelError

FORMAT = 1
CARD_SUFFIX = ".card.json"
# Where training writes, in the folder that it's started in; see `default_model`.
DEFAULT_MODEL = "models/penguin-classifier.keras"
DEFAULT_MODEL_HELP = f"default: {DEFAULT_MODEL} in the working folder, or else the one shipped"
_HERE = os.path.dirname(os.path.abspath(__file__))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feature:
    """One input of the network.

    Attributes:
      name: the column in the observation files.
      unit: the raw unit, for people (``mm``, ``g``).
      scale: raw units per network unit; a raw value is divided by it.
      minimum, maximum: the plausible range in raw units, both ends included.
    """

    name: str
    unit: str
    scale: float
    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        if not self.name:
            raise CardError("a feature has no name")
        if not (math.isfinite(self.scale) and self.scale != 0):
            raise CardError(f"feature {self.name}: scale {self.scale!r} must be finite and not 0")
        if not (self.minimum < self.maximum and math.isfinite(self.maximum - self.minimum)):
            raise CardError(
                f"feature {self.name}: {self.minimum!r} to {self.maximum!r} isn't a plausible range"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts between ascending edges; the first and the last bin are open-ended.

    ``len(counts) == len(edges) + 1``: ``counts[i]`` holds the values in ``[edges[i-1], edges[i])``.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.edges) + 1:
            raise CardError("a histogram needs one more count than edges")
        if any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise CardError("the edges of a histogram must ascend")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """The training data and the model's answers to it, for comparison with new data.

    Attributes:
      features: a histogram of each feature in raw units, with bins between training quantiles.
      classes: rows by predicted class.
      probability: a histogram of the winning probability.
    """

    features: Mapping[str, Histogram]
    classes: Mapping[str, int]
    probability: Histogram


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything that is known about a model; see the module's docstring.

    Attributes:
      name: the model's name.
      model_file: file name of the model beside the card.
      sha256: hexadecimal SHA-256 of the model file's bytes.
      features: the network's inputs, in order.
      classes: the network's outputs, in order; a label column holds their indices or names.
      label: the column of the labels in the training data.
      training, data, metrics, versions: how the model was made, for people (JSON values).
      reference: histograms of the training data, or None if the card has none.
    """

    name: str
    model_file: str
    sha256: str
    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    label: str = "Species"
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reference: Reference | None = None

    def __post_init__(self) -> None:
        if not self.features:
            raise CardError("a card needs at least one feature")
        _refuse_repeats("feature", self.feature_names)
        if len(self.classes) < 2 or not all(self.classes):
            raise CardError("a card needs at least two classes, each with a name")
        _refuse_repeats("class (in lower case)", self.probability_columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The feature columns, in the network's order."""
        return tuple(feature.name for feature in self.features)

    @property
    def probability_columns(self) -> tuple[str, ...]:
        """Output column names of the class probabilities, in the network's order."""
        return tuple(f"probability_{name.lower()}" for name in self.classes)

    def to_json(self) -> str:
        """The card as indented JSON text."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Reads a card.

        Raises:
          CardError: the text isn't JSON, or isn't a card of this format.
        """
        try:
            fields = json.loads(text)
            if fields.pop("format", None) != FORMAT:
                raise CardError(f"is not a model card of format {FORMAT}")
            fields["features"] = tuple(Feature(**feature) for feature in fields["features"])
            fields["classes"] = tuple(str(name) for name in fields["classes"])
            if fields.get("reference") is not None:
                fields["reference"] = _reference(fields["reference"])
            return cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CardError(f"is not a model card: {error}") from error


def default_model() -> str:
    """The model that a command without ``--model`` loads.

    Returns:
      `DEFAULT_MODEL` in the working folder if it's there, otherwise the model that is shipped: in
      the installed package, or in ``models/`` beside the packages of a checkout.
    """
    shipped = (os.path.join(folder, DEFAULT_MODEL) for folder in (_HERE, os.path.dirname(_HERE)))
    return next((path for path in (DEFAULT_MODEL, *shipped) if os.path.isfile(path)), DEFAULT_MODEL)


def card_path(model_path: str) -> str:
    """The card's path, beside its model: ``x.keras`` has ``x.keras.card.json``."""
    return model_path + CARD_SUFFIX


def read_card(model_path: str) -> ModelCard:
    """Reads the card beside a local model file, without looking at the model.

    Raises:
      CardError: the card is missing or malformed.
    """
    path = card_path(model_path)
    try:
        with open(path, encoding="utf-8") as file:
            return ModelCard.from_json(file.read())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise CardError(f"model card {path}: {reason}; train the model again") from error
    except CardError as error:
        raise CardError(f"model card {path}: {error}") from error


def read_verified_model(card: ModelCard, model_path: str) -> bytes:
    """Reads a local model file and checks that it is the one its card describes.

    Raises:
      ModelError: the file is missing, unreadable or has another SHA-256.
    """
    try:
        with open(model_path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ModelError(f"model {model_path}: {error.strerror}") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != card.sha256:
        raise ModelError(
            f"model {model_path} does not fit its card: SHA-256 is {actual[:12]}…, "
            f"the card says {card.sha256[:12]}…; restore the file or train again"
        )
    return content


def read_verified(model_path: str) -> ModelCard:
    """Reads the card beside a local model and checks that the model is the one it describes.

    Raises:
      CardError, ModelError: either is missing, or they do not belong together.
    """
    if not os.path.isfile(model_path):
        raise ModelError(
            f"model {model_path}: no such file; train one or name another with --model"
        )
    card = read_card(model_path)
    read_verified_model(card, model_path)
    return card


def _reference(fields: dict[str, Any]) -> Reference:
    return Reference(
        features={name: _histogram(value) for name, value in fields["features"].items()},
        classes={name: int(count) for name, count in fields["classes"].items()},
        probability=_histogram(fields["probability"]),
    )


def _histogram(fields: dict[str, Any]) -> Histogram:
    return Histogram(edges=tuple(fields["edges"]), counts=tuple(fields["counts"]))


def _refuse_repeats(what: str, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise CardError(f"{what} {repeated[0]!r} appears twice")
