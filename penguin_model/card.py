"""The model card: what a model expects, what it returns and how it was made.

The card is a JSON file beside the model file. It drives both training and scoring: features in
order with unit, scale and plausible range or vocabulary, classes in order, and the SHA-256 of the
model file that it describes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from penguin_model import card_json
from penguin_model.errors import CardError, ModelError
from penguin_model.names import find_control, fold

FORMAT = 1
CARD_SUFFIX = ".card.json"
ONNX_SUFFIX = ".onnx"
# A card of a thousand features has about a megabyte.
MOST_CARD_BYTES = 10_000_000
# Columns of the predictions that have the same name whatever the card.
_OUTPUT_COLUMNS = ("source_file", "source_row", "probability", "novelty", "out_of_distribution")
# The folder of a run's predictions, which readers take for a column, and the classes' columns.
_PARTITION, _PROBABILITIES = "run_id", "probability_"
# What `penguin-predict --json` says besides.
_ANSWERS = ("probabilities", "observation", "model_sha256", "novelty_limit", "coverage")
# Integers up to here are exact in every JSON reader (RFC 8259, section 6).
MOST_COUNT = 2**53
_MOST_FLOAT32 = 3.4e38
# Numbers that commands and reports show and compute with: object, name, kind, largest value.
_KNOWN_NUMBERS: tuple[tuple[str, str, type, float], ...] = (
    ("metrics", "accuracy", float, 1),
    ("metrics", "log_loss", float, math.inf),
    ("metrics", "train_rows", int, MOST_COUNT),
    ("metrics", "test_rows", int, MOST_COUNT),
    ("data", "train_rows", int, MOST_COUNT),
    ("data", "test_rows", int, MOST_COUNT),
)
# The column of the predicted classes, unless a card names another.
PREDICTION_COLUMN = "species"
# What to do about a file that a card describes, and that is missing or another one.
RESTORE = "restore the file, or train or register the model again"
# Where training writes, in the folder that it's started in; see `default_model`.
DEFAULT_MODEL = "models/penguin-classifier.keras"
DEFAULT_MODEL_HELP = f"default: {DEFAULT_MODEL} in the working folder, or else the one shipped"
_HERE = os.path.dirname(os.path.abspath(__file__))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feature:
    """A number that the network gets, ``(raw value - offset) / scale``.

    Attributes:
      name: the column in the observation files.
      unit: the raw unit, for people (``mm``, ``g``).
      scale: raw units per network unit.
      minimum, maximum: the plausible range in raw units, both ends included.
      aliases: other names of the column in the same unit; case and spaces make no difference.
      offset: the raw value that is 0 to the network.
    """

    name: str
    unit: str
    scale: float
    minimum: float
    maximum: float
    aliases: tuple[str, ...] = ()
    offset: float = 0.0

    width: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _check_name("name", self.name)
        _check_text("unit", self.unit)
        if not math.isfinite(self.offset):
            raise CardError(f"offset: {self.offset!r} must be finite")
        if not (math.isfinite(self.scale) and self.scale != 0):
            raise CardError(f"scale: {self.scale!r} must be finite and not 0")
        if not (self.minimum < self.maximum and math.isfinite(self.maximum - self.minimum)):
            raise CardError(
                f"maximum: {self.minimum!r} to {self.maximum!r} isn't a plausible range"
            )
        largest = max(abs(self.minimum - self.offset), abs(self.maximum - self.offset))
        if largest > _MOST_FLOAT32 * abs(self.scale):
            raise CardError(
                f"scale: {largest!r} divided by {self.scale!r} is too large for float32"
            )

    @property
    def plausible(self) -> str:
        """The plausible range with its unit, for people."""
        return f"{self.minimum:g} to {self.maximum:g} {self.unit}".rstrip()

    @property
    def meaning(self) -> str:
        """What the network gets, for people."""
        value = f"(value - {self.offset:g})" if self.offset else "value"
        return value if self.scale == 1 else f"{value} / {self.scale:g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Category:
    """A text that the network gets as a number, or as one number for each text of a vocabulary.

    Everywhere between a file and the network, its values are codes: the places of the texts in the
    vocabulary, as float64. So its plausible range is that of the codes.

    Attributes:
      name: the column in the observation files.
      categories: the vocabulary, in the network's order.
      one_hot: whether the network gets a 1 at the text's place and 0 elsewhere; otherwise, it gets
        the code.
      out_of_vocabulary: the code of a text that isn't in the vocabulary; None rejects its row.
      aliases: other names of the column; case and spaces make no difference.
    """

    name: str
    categories: tuple[str, ...]
    one_hot: bool = True
    out_of_vocabulary: int | None = None
    aliases: tuple[str, ...] = ()

    unit: ClassVar[str] = ""
    scale: ClassVar[float] = 1.0
    offset: ClassVar[float] = 0.0
    minimum: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        _check_name("name", self.name)
        if len(self.categories) < 2:
            raise CardError("categories: there must be at least two")
        for place, text in enumerate(self.categories):
            _check_name(f"categories[{place}]", text)
        _refuse_repeats("categories", self.categories, [text.strip() for text in self.categories])
        code = self.out_of_vocabulary
        if code is not None and not 0 <= code < len(self.categories):
            raise CardError(
                f"out_of_vocabulary: {code} must be a place in the vocabulary, from 0 to "
                f"{len(self.categories) - 1}"
            )

    @property
    def maximum(self) -> float:
        """The last code."""
        return float(len(self.categories) - 1)

    @property
    def width(self) -> int:
        """How many numbers the network gets."""
        return len(self.categories) if self.one_hot else 1

    @property
    def meaning(self) -> str:
        """What the network gets, for people."""
        how = "one number for each text"
        if not self.one_hot:
            how = f"the text's place, from 0 to {self.maximum:g}"
        if self.out_of_vocabulary is None:
            return how
        return f"{how}; other texts are as {self.categories[self.out_of_vocabulary]}"

    @property
    def edges(self) -> tuple[float, ...]:
        """The edges of a histogram with a bin for each text of the vocabulary."""
        return tuple(code + 0.5 for code in range(len(self.categories) - 1))


Input = Feature | Category


@dataclasses.dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts between ascending edges; the first and the last bin are open-ended.

    ``len(counts) == len(edges) + 1``: ``counts[i]`` holds the values in ``[edges[i-1], edges[i])``.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.edges) + 1:
            raise CardError(
                f"counts: a histogram of {len(self.edges)} edges has {len(self.edges) + 1} counts, "
                f"not {len(self.counts)}"
            )
        for place, edge in enumerate(self.edges):
            if not math.isfinite(edge):
                raise CardError(f"edges[{place}]: {edge!r} is not a finite number")
        for place, (low, high) in enumerate(itertools.pairwise(self.edges), start=1):
            if low >= high:
                raise CardError(f"edges[{place}]: {high!r} doesn't exceed {low!r}; edges ascend")
        for place, count in enumerate(self.counts):
            _check_range(f"counts[{place}]", count, MOST_COUNT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """The training data and the model's answers to rows held out, for comparison with new data.

    Attributes:
      features: a histogram of each feature: a number's in raw units, with bins between training
        quantiles; a category's with the bins of `Category.edges`.
      classes: held-out rows by predicted class.
      probability: a histogram of the winning probability on held-out rows.
      novelty: a histogram of the distance from the training data, see `Trust`; None without one.
    """

    features: Mapping[str, Histogram]
    classes: Mapping[str, int]
    probability: Histogram
    novelty: Histogram | None = None

    def __post_init__(self) -> None:
        for name, count in self.classes.items():
            _check_range(card_json.join("classes", name), count, MOST_COUNT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trust:
    """Numbers that show how far to trust a single prediction.

    Attributes:
      means: ``[classes][features]``, of the known rows of each class, normalized.
      covariances: ``[classes][features][features]``, likewise, positive definite.
      novelty_limit: the 99.5 % quantile of the known rows' distances, each from the others; a row
        beyond it is out of distribution.
      scores: the conformal scores of held-out rows, 1 less the probability of the true class,
        ascending; a representative sample of very many.
    """

    means: tuple[tuple[float, ...], ...]
    covariances: tuple[tuple[tuple[float, ...], ...], ...]
    novelty_limit: float
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.novelty_limit) and self.novelty_limit > 0):
            raise CardError(f"novelty_limit: {self.novelty_limit!r} must be finite and above 0")
        for place, score in enumerate(self.scores):
            _check_range(f"scores[{place}]", score, 1)
        for place, (low, high) in enumerate(itertools.pairwise(self.scores), start=1):
            if low > high:
                raise CardError(f"scores[{place}]: {high!r} is less than {low!r}; scores ascend")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """How often predictions are right, by their probability, on rows not trained on.

    Attributes:
      probability: ascending probabilities of the predicted class, from 0 to 1.
      accuracy: the expected accuracy at each of them; in between, it is interpolated linearly.
      rows: how many held-out predictions it was measured on.
    """

    probability: tuple[float, ...]
    accuracy: tuple[float, ...]
    rows: int

    def __post_init__(self) -> None:
        if len(self.probability) != len(self.accuracy) or len(self.probability) < 2:
            raise CardError("accuracy: there must be one for each probability, and at least two")
        if self.probability[0] != 0 or self.probability[-1] != 1:
            raise CardError("probability: they must range from 0 to 1")
        for place, (low, high) in enumerate(itertools.pairwise(self.probability), start=1):
            if not low < high:
                raise CardError(f"probability[{place}]: {high!r} doesn't exceed {low!r}")
        for place, share in enumerate(self.accuracy):
            _check_range(f"accuracy[{place}]", share, 1)
        _check_range("rows", self.rows, MOST_COUNT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Onnx:
    """The same network for ONNX Runtime, in a file beside the model: see `onnx_path`.

    Attributes:
      sha256: hexadecimal SHA-256 of the file's bytes.
      opset: the version of ONNX' operators that it needs.
      largest_difference: the largest difference of a probability from Keras' answer.
      rows: how many rows that was measured on.
    """

    sha256: str
    opset: int
    largest_difference: float
    rows: int

    def __post_init__(self) -> None:
        _check_sha256("sha256", self.sha256)
        _check_range("opset", self.opset, MOST_COUNT)
        _check_range("largest_difference", self.largest_difference, 1)
        _check_range("rows", self.rows, MOST_COUNT)


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
      label_aliases: other names of that column.
      class_aliases: other spellings of a class in it, by class.
      training, data, metrics, versions: how the model was made, for people (JSON values).
      reference: histograms of the training data, or None if the card has none.
      trust: numbers that show how far to trust a single prediction, or None.
      calibration: how often predictions are right, by their probability, or None.
      onnx: the same network for ONNX Runtime, or None if the model has no file for it.
      prediction_column: the column of the predicted classes in the predictions.
      intended_use, license: for people.
      limits: what the model isn't for, one sentence each.
    """

    name: str
    model_file: str
    sha256: str
    features: tuple[Input, ...]
    classes: tuple[str, ...]
    label: str = "Species"
    label_aliases: tuple[str, ...] = ()
    class_aliases: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reference: Reference | None = None
    trust: Trust | None = None
    calibration: Calibration | None = None
    onnx: Onnx | None = None
    prediction_column: str = PREDICTION_COLUMN
    intended_use: str = ""
    license: str = ""
    limits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_name("name", self.name)
        _check_name("label", self.label)
        _check_name("prediction_column", self.prediction_column)
        if not self.features:
            raise CardError("features: there must be at least one")
        # Files may spell a column's name in another case and with spaces around it.
        _refuse_repeats("features", self.feature_names, list(map(fold, self.feature_names)))
        if len(self.classes) < 2:
            raise CardError("classes: there must be at least two")
        for place, name in enumerate(self.classes):
            _check_name(f"classes[{place}]", name)
        # So may labels; folded names also have columns that differ in more than their case.
        _refuse_repeats("classes", self.classes, list(map(fold, self.classes)))
        self._check_outputs()
        self._check_records()
        if self.reference is not None:
            self._check_reference(self.reference)
        if self.trust is not None:
            self._check_trust(self.trust)
        for name in ("intended_use", "license"):
            _check_text(name, getattr(self, name))
        for place, limit in enumerate(self.limits):
            _check_text(f"limits[{place}]", limit)
        self._check_aliases()

    def _check_outputs(self) -> None:
        """Refuses names that two columns of the predictions would have, or nearly so.

        A feature may be passed through, and some readers ignore case.
        """
        if is_taken(self.prediction_column):
            raise CardError(
                f"prediction_column: {self.prediction_column!r} is the name of another column of "
                "the predictions, or of a field that penguin-predict --json writes"
            )
        taken = {*_OUTPUT_COLUMNS, fold(self.prediction_column), fold(self.set_column)}
        for place, name in enumerate(self.feature_names):
            if fold(name) in taken:
                raise CardError(
                    f"features[{place}].name: feature {name!r} has the name of a column of the "
                    "predictions"
                )

    def _check_aliases(self) -> None:
        """Refuses an alias that could mean two things."""
        label = [(self.label, "label_aliases", self.label_aliases)]
        _refuse_shared(
            [
                (feature.name, f"features[{place}].aliases", feature.aliases)
                for place, feature in enumerate(self.features)
            ]
            + label
        )
        for name in self.class_aliases:
            if name not in self.classes:
                field = card_json.join("class_aliases", name)
                raise CardError(f"{field}: isn't among the card's classes")
        _refuse_shared(
            [
                (name, card_json.join("class_aliases", name), self.class_aliases.get(name, ()))
                for name in self.classes
            ]
        )

    def _check_records(self) -> None:
        """Checks what others show and compute with; the rest is any JSON."""
        for field, name, kind, most in _KNOWN_NUMBERS:
            path = f"{field}.{name}"
            number = card_json.decode(kind | None, getattr(self, field).get(name), path)
            _check_range(path, number, most)
        recalls = self.metrics.get("recall")
        recalls = card_json.decode(Mapping[str, float | None] | None, recalls, "metrics.recall")
        for name, recall in (recalls or {}).items():
            _check_range(card_json.join("metrics.recall", name), recall, 1)
        counts, path = self.metrics.get("confusion"), "metrics.confusion"
        card_json.decode(tuple[tuple[int, ...], ...] | None, counts, path)
        size = len(self.classes)
        if counts is not None and _shape(counts) != (size, size):
            raise CardError(f"{path}: must have {size} rows of {size} counts")
        for place, row in enumerate(counts or ()):
            for column, count in enumerate(row):
                _check_range(f"{path}[{place}][{column}]", count, MOST_COUNT)
        card_json.decode(str | None, self.data.get("citation"), "data.citation")

    def _check_reference(self, reference: Reference) -> None:
        _check_names("reference.features", reference.features, self.feature_names)
        _check_names("reference.classes", reference.classes, self.classes)
        for feature in self.features:
            edges = reference.features[feature.name].edges
            if isinstance(feature, Category) and edges != feature.edges:
                field = card_json.join("reference.features", feature.name)
                raise CardError(
                    f"{field}.edges: must be the {len(feature.edges)} between the categories' "
                    "codes: 0.5, 1.5 and so on"
                )
        for place, edge in enumerate(reference.probability.edges):
            _check_range(f"reference.probability.edges[{place}]", edge, 1)

    def _check_trust(self, trust: Trust) -> None:
        classes, features = len(self.classes), self.width
        if _shape(trust.means) != (classes, features):
            raise CardError(f"trust.means: must have {classes} rows of {features} numbers")
        if _shape(trust.covariances) != (classes, features, features):
            raise CardError(
                f"trust.covariances: must have {classes} matrices of {features} times {features}"
            )
        for place, matrix in enumerate(np.array(trust.covariances)):
            if not (np.array_equal(matrix, matrix.T) and _is_positive(matrix)):
                raise CardError(
                    f"trust.covariances[{place}]: isn't a symmetric, positive definite matrix"
                )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The feature columns, in the network's order."""
        return tuple(feature.name for feature in self.features)

    @property
    def width(self) -> int:
        """The width of the network's input."""
        return sum(feature.width for feature in self.features)

    @property
    def meaning_sha256(self) -> str:
        """Identifies what the network's numbers mean, since a corrected card has the same file."""
        numbers = [
            (each.name, each.categories, each.one_hot, each.out_of_vocabulary)
            if isinstance(each, Category)
            else (each.name, each.scale, each.offset)
            for each in self.features
        ]
        return hashlib.sha256(json.dumps([numbers, self.classes]).encode()).hexdigest()

    @property
    def is_held_out(self) -> bool:
        """Whether the metrics are from held-out rows: registered networks may have seen theirs."""
        return self.metrics.get("held_out") is not False

    @property
    def measured_on(self) -> str:
        """What the metrics are from, for people."""
        return "held-out rows" if self.is_held_out else "rows perhaps seen before"

    @property
    def set_column(self) -> str:
        """Output column name of the classes that can't be ruled out, see `Trust`."""
        return set_column(self.prediction_column)

    @property
    def probability_columns(self) -> tuple[str, ...]:
        """Output column names of the class probabilities, in the network's order."""
        return tuple(f"{_PROBABILITIES}{name.lower()}" for name in self.classes)

    def to_json(self) -> str:
        """The card as indented JSON text."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, content: bytes | str) -> ModelCard:
        """Reads a card.

        Raises:
          CardError: it isn't JSON, or isn't a card of this format; the message names the field.
        """
        if len(content) > MOST_CARD_BYTES:
            raise CardError(f"is larger than {MOST_CARD_BYTES:,} bytes")
        fields = card_json.parse(content)
        if not isinstance(fields, dict) or "format" not in fields:
            raise CardError("is not a model card: it isn't an object with a format")
        number = fields.pop("format")
        if type(number) is not int or number != FORMAT:
            raise CardError(
                f"format: {card_json.show(number)} is not {FORMAT}, the only format of a model "
                "card that this release reads"
            )
        card: ModelCard = card_json.decode(cls, fields)
        _check_name("model_file", card.model_file)
        if re.search(r"[/\\]", card.model_file) or card.model_file in {".", ".."}:
            raise CardError(
                f"model_file: {card_json.show(card.model_file)} is not the name of a file beside "
                "the card"
            )
        _check_sha256("sha256", card.sha256)
        return card


def is_taken(name: str) -> bool:
    """Whether another column of the predictions has this name, or a field of an answer in JSON."""
    taken = {*_OUTPUT_COLUMNS, _PARTITION, *_ANSWERS}
    return fold(name) in taken or fold(name).startswith(_PROBABILITIES)


def set_column(prediction_column: str) -> str:
    """The column beside the predicted classes with those that can't be ruled out."""
    return f"{prediction_column}_set"


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


def onnx_path(model_path: str) -> str:
    """The path of the same network for ONNX Runtime: ``x.keras`` has ``x.keras.onnx``."""
    return model_path + ONNX_SUFFIX


def read_card(model_path: str) -> ModelCard:
    """Reads the card beside a local model file, without looking at the model.

    Raises:
      CardError: the card is missing or malformed.
    """
    path = card_path(model_path)
    # Reading a named pipe would block for ever.
    if os.path.exists(path) and not os.path.isfile(path):
        raise CardError(f"model card {path}: is not a file")
    try:
        with open(path, "rb") as file:
            return ModelCard.from_json(file.read(MOST_CARD_BYTES + 1))
    except OSError as error:
        advice = "make one with penguin-register, or train the model again"
        if model_path.endswith(ONNX_SUFFIX):
            # The card is beside the model itself.
            advice = f"give --engine onnx and --model {model_path.removesuffix(ONNX_SUFFIX)}"
        raise CardError(f"model card {path}: {error.strerror}; {advice}") from error
    except CardError as error:
        raise CardError(f"model card {path}: {error}") from error


def read_verified_file(path: str, sha256: str, shown: str) -> bytes:
    """Reads a local file and checks that it is the one that a card describes.

    Args:
      path: of the file.
      sha256: hexadecimal, as the card says.
      shown: the file's name in messages.

    Raises:
      ModelError: the file is missing, unreadable or has another SHA-256.
    """
    # Reading a named pipe would block for ever.
    if os.path.exists(path) and not os.path.isfile(path):
        raise ModelError(f"model {shown}: is not a file")
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ModelError(f"model {shown}: {error.strerror}; {RESTORE}") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise ModelError(
            f"model {shown} does not fit its card: SHA-256 is {actual[:12]}…, "
            f"the card says {sha256[:12]}…; {RESTORE}"
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
    read_verified_file(model_path, card.sha256, model_path)
    return card


def _check_sha256(field: str, text: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise CardError(f"{field}: {card_json.show(text)} is not 64 lower-case hexadecimal digits")


def _check_text(field: str, text: str) -> None:
    """Refuses text that would break a line."""
    character = find_control(text)
    if character is not None:
        raise CardError(f"{field}: {text!r} has the control character {character!a}")


def _check_name(field: str, name: str) -> None:
    """Refuses blank names, too."""
    _check_text(field, name)
    if not name.strip():
        raise CardError(f"{field}: {name!r} is blank")


def _check_names(field: str, found: Collection[str], names: Sequence[str]) -> None:
    """Refuses an object that doesn't have exactly these names."""
    for name in names:
        if name not in found:
            raise CardError(f"{card_json.join(field, name)}: is missing")
    for name in found:
        if name not in names:
            raise CardError(f"{card_json.join(field, name)}: isn't among the card's names")


def _check_range(field: str, number: float | None, most: float) -> None:
    if number is not None and not 0 <= number <= most:
        limits = "0 or more" if number < 0 else f"{most:g} or less"
        raise CardError(f"{field}: {number!r} must be {limits}")


def _shape(nested: Sequence[Any]) -> tuple[int, ...] | None:
    """The shape of nested sequences; None if they are ragged."""
    try:
        return np.shape(nested)
    except ValueError:
        return None


def _is_positive(matrix: Any) -> bool:
    """Whether a symmetric matrix is positive definite."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def _refuse_repeats(field: str, names: Sequence[str], keys: Sequence[str]) -> None:
    for place, (name, key) in enumerate(zip(names, keys, strict=True)):
        if key in keys[:place]:
            first = names[keys.index(key)]
            raise CardError(f"{field}[{place}]: {name!r} is the same name as {first!r}")


def _refuse_shared(named: Sequence[tuple[str, str, Sequence[str]]]) -> None:
    """Refuses an alias that is blank, another name, or another's alias: name, field, aliases."""
    owners = {fold(name): name for name, _, _ in named}
    for name, field, aliases in named:
        for place, alias in enumerate(aliases):
            _check_name(f"{field}[{place}]", alias)
            owner = owners.setdefault(fold(alias), name)
            if owner != name:
                raise CardError(f"{field}[{place}]: {alias!r} also means {owner!r}")
