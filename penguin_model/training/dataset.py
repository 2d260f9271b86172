"""The training data: read, split and only then oversampled, so the test part stays unseen."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from penguin_model.card import Feature
from penguin_model.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

# Column, raw unit, scale: the lab divides flipper lengths by 10 and masses by 100, so that all four
# inputs are between about 13 and 63.
MEASUREMENTS = (
    ("CulmenLength", "mm", 1.0),
    ("CulmenDepth", "mm", 1.0),
    ("FlipperLength", "mm", 10.0),
    ("BodyMass", "g", 100.0),
)
LABEL = "Species"
CLASSES = ("Adelie", "Gentoo", "Chinstrap")
# The same columns in the same unit, as the published tables of these birds name them: R's
# palmerpenguins (and R 4.5's `penguins`), seaborn, Kaggle, the raw data of the field station, and
# the raw data as R's `read.csv` and janitor rename it.
ALIASES = {
    "CulmenLength": (
        "bill_length_mm", "culmen_length_mm", "bill_len", "Culmen Length (mm)", "Bill Length (mm)",
        "Culmen.Length..mm.", "Culmen Length", "Bill Length", "culmen_length", "bill_length",
        "BillLength",
    ),
    "CulmenDepth": (
        "bill_depth_mm", "culmen_depth_mm", "bill_dep", "Culmen Depth (mm)", "Bill Depth (mm)",
        "Culmen.Depth..mm.", "Culmen Depth", "Bill Depth", "culmen_depth", "bill_depth",
        "BillDepth",
    ),
    "FlipperLength": (
        "flipper_length_mm", "flipper_len", "Flipper Length (mm)", "Flipper.Length..mm.",
        "Flipper Length", "flipper_length",
    ),
    "BodyMass": (
        "body_mass_g", "body_mass", "Body Mass (g)", "Body.Mass..g.", "Body Mass",
    ),
}  # fmt: skip
LABEL_ALIASES = ("species_name", "Species Name")
CLASS_ALIASES = {
    "Adelie": (
        "Adélie", "Adelie Penguin", "Adélie Penguin", "Adelie Penguin (Pygoscelis adeliae)",
        "Adélie Penguin (Pygoscelis adeliae)", "Pygoscelis adeliae", "P. adeliae",
    ),
    "Gentoo": (
        "Gentoo penguin", "Gentoo penguin (Pygoscelis papua)", "Pygoscelis papua", "P. papua",
    ),
    "Chinstrap": (
        "Chinstrap penguin", "Chinstrap penguin (Pygoscelis antarctica)",
        "Chinstrap penguin (Pygoscelis antarcticus)", "Pygoscelis antarctica",
        "Pygoscelis antarcticus", "P. antarctica", "P. antarcticus",
    ),
}  # fmt: skip
LICENSE = "CC0-1.0"
TEST_SHARE = 0.3
SPLIT_SEED = 0
DOUBLINGS = 2
CITATION = (
    "Gorman KB, Williams TD, Fraser WR (2014) Ecological sexual dimorphism and environmental "
    "variability within a community of Antarctic penguins (genus Pygoscelis). PLoS ONE 9(3): "
    "e90081; by way of Horst AM, Hill AP, Gorman KB (2020) palmerpenguins; CC0"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Birds:
    """Complete observations with their species.

    Attributes:
      raw: float64 ``[n, features]`` in raw units (mm, g), columns as in MEASUREMENTS.
      labels: int64 ``[n]``, indices into CLASSES.
    """

    raw: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: npt.NDArray[np.int64]) -> Birds:
        """Some of the birds, by their places."""
        return Birds(raw=self.raw[places], labels=self.labels[places])


def read(path: str) -> pd.DataFrame:
    """Reads all rows of the CSV as numbers, in the columns that training needs.

    Raises:
      UsageError: the file is missing, isn't a CSV, lacks a column, or has a value that isn't a
        number or a species.
    """
    import pandas as pd

    wanted = [name for name, _, _ in MEASUREMENTS] + [LABEL]
    try:
        frame = pd.read_csv(path)
    except OSError as error:
        raise UsageError(f"data {path}: {error.strerror or error}") from error
    # ParserError, EmptyDataError and UnicodeDecodeError are all of this kind.
    except ValueError as error:
        raise UsageError(f"data {path}: is not a CSV table: {error}") from error
    absent = [name for name in wanted if name not in frame.columns]
    if absent:
        raise UsageError(f"data {path}: has no column {', '.join(absent)}")
    try:
        frame = frame[wanted].apply(pd.to_numeric).replace([np.inf, -np.inf], np.nan)
    except ValueError as error:
        raise UsageError(f"data {path}: {error}") from error
    unknown = frame[~frame[LABEL].isin(range(len(CLASSES)))]
    if len(unknown):
        raise UsageError(
            f"data {path}: {LABEL} is {unknown[LABEL].iloc[0]} in data row {unknown.index[0]}; "
            f"it must be 0 to {len(CLASSES) - 1} for {', '.join(CLASSES)}"
        )
    return frame.astype({LABEL: np.int64})


def with_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Replaces the species' codes by their names, for people to read."""
    return frame.assign(**{LABEL: [CLASSES[code] for code in frame[LABEL]]})


def complete(frame: pd.DataFrame) -> Birds:
    """Keeps the rows of :func:`read` that have every measurement."""
    kept = frame.dropna()
    raw = kept[[name for name, _, _ in MEASUREMENTS]].to_numpy(np.float64)
    return Birds(raw=raw, labels=kept[LABEL].to_numpy(np.int64))


def split(birds: Birds) -> tuple[Birds, Birds]:
    """Splits into a training and a test part, always the same way (scikit-learn, seed 0).

    Raises:
      UsageError: too few rows, or a species that the training part lacks.
    """
    from sklearn.model_selection import train_test_split

    if len(birds) < 10:
        raise UsageError(f"data: {len(birds)} complete rows are too few to train on")
    raw_train, raw_test, train, test = train_test_split(
        birds.raw, birds.labels, test_size=TEST_SHARE, random_state=SPLIT_SEED
    )
    absent = [name for index, name in enumerate(CLASSES) if index not in train]
    if absent:
        raise UsageError(f"data: no {', '.join(absent)} in the training part")
    return Birds(raw=raw_train, labels=train), Birds(raw=raw_test, labels=test)


def oversample(birds: Birds) -> Birds:
    """Doubles the rows DOUBLINGS times.

    The lab doubles before it splits, which puts copies of the same bird into both parts. Call this
    after :func:`split`, on the training part only, so that no test bird is trained on.
    """
    copies = 2**DOUBLINGS
    return Birds(raw=np.tile(birds.raw, (copies, 1)), labels=np.tile(birds.labels, copies))


def one_hot(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """Encodes indices ``[n]`` as float32 ``[n, classes]``, with a 1 at each row's index."""
    return np.eye(classes, dtype=np.float32)[labels]


def features(birds: Birds) -> tuple[Feature, ...]:
    """Derives the card's features and their plausible ranges from the data.

    A range is the observed one, widened by half its width on each side and rounded outwards to
    whole units: a larger bird passes, a mass in kilograms doesn't.
    """
    found = []
    for (name, unit, scale), column in zip(MEASUREMENTS, birds.raw.T, strict=True):
        low, high = float(column.min()), float(column.max())
        margin = (high - low) / 2
        minimum, maximum = float(math.floor(low - margin)), float(math.ceil(high + margin))
        feature = Feature(
            name=name, unit=unit, scale=scale, minimum=minimum, maximum=maximum,
            aliases=ALIASES[name],
        )  # fmt: skip
        found.append(feature)
    return tuple(found)


def columns(birds: Birds) -> list[npt.NDArray[np.float64]]:
    """Splits into one raw array per feature, as `features.normalize` takes them."""
    return list(birds.raw.T)


def fingerprint(path: str) -> str:
    """Hexadecimal SHA-256 of the file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
