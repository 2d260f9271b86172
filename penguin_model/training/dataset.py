"""The data of a training run: a table read by a recipe, split, and only then oversampled.

So the held-out part stays unseen: no copy of its rows is trained on.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from penguin_model.card import Category, Input
from penguin_model.errors import UsageError
from penguin_model.formatting import listed
from penguin_model.labels import UNKNOWN, to_codes
from penguin_model.names import fold
from penguin_model.training import recipe as recipes
from penguin_model.training import table
from penguin_model.training.penguins import LAB
from penguin_model.training.recipe import Recipe
from penguin_model.training.table import Rows

TEST_SHARE = 0.3
SPLIT_SEED = 0
_LEAST_ROWS = 10
# How many columns a sample shows.
_SHOWN = 9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """A table ready to be trained on.

    Attributes:
      recipe: what is known about the data.
      features: the network's inputs, as the card describes them.
      table: all rows, with the recipe's names of the columns.
      rows: the complete rows.
      training, test: the two parts of them.
    """

    recipe: Recipe
    features: tuple[Input, ...]
    table: pa.Table
    rows: Rows
    training: Rows
    test: Rows

    def sample(self, rows: int = 5, *, seed: int) -> str:
        """Some complete rows at random as text, with the names of their classes."""
        import pandas as pd

        columns = dict(zip(self.recipe.features, self.rows.raw.T, strict=True))
        for feature in self.features:
            if isinstance(feature, Category):
                codes = columns[feature.name].astype(int)
                columns[feature.name] = np.array(feature.categories)[codes]
        columns[self.recipe.label] = np.array(self.recipe.classes)[self.rows.labels]
        frame = pd.DataFrame(columns, index=self.rows.numbers)
        chosen = frame.sample(rows, random_state=seed).sort_index()
        return str(chosen.to_string(max_cols=_SHOWN))


def load(path: str, *, label: str = "", features: Sequence[str] = ()) -> Dataset:
    """Reads a table and splits its complete rows, always the same way.

    Args:
      path: of a CSV or Parquet file.
      label: the column of the classes; empty for the penguins'.
      features: the columns that the network gets; if there are none, the recipe's.

    Raises:
      UsageError: the table can't be read or used; names it.
    """
    found = table.read(path)
    with table.naming(f"data {path}"):
        return prepare(found, choose_recipe(found, label, features))


def choose_recipe(found: pa.Table, label: str = "", features: Sequence[str] = ()) -> Recipe:
    """The lab's recipe for a table of its penguins, otherwise the one for any table.

    Without a label, the table must be the lab's; with one, penguins of other species may be in it.

    Raises:
      UsageError: no label is given, and the table isn't the penguins'; or a column can't be used.
    """
    of_lab = not label or fold(label) in map(fold, (LAB.label, *LAB.label_aliases))
    if of_lab and not features:
        lacking = [
            name for name, aliases in LAB.columns.items() if not table.match(found, name, aliases)
        ]
        if not lacking and (not label or _has_lab_classes(found)):
            return LAB
        if not label:
            raise UsageError(
                f"has no column {', '.join(lacking)}, so it isn't the penguins'; for other data, "
                "name the column of the classes with --label: the columns are "
                f"{listed(found.column_names)}"
            )
    return recipes.of_table(found, label or LAB.label, features or None)


def _has_lab_classes(found: pa.Table) -> bool:
    """Whether the lab's network can answer every label: others may measure other penguins."""
    column = found.column(table.find_column(found, LAB.label, LAB.label_aliases))
    codes = (to_codes(chunk, LAB.classes, LAB.class_aliases) for chunk in column.chunks)
    return not any((each == UNKNOWN).any() for each in codes)


def prepare(found: pa.Table, recipe: Recipe) -> Dataset:
    """Reads a table by a recipe, and splits its complete rows.

    Raises:
      UsageError: a column can't be used, or there are too few rows.
    """
    if found.num_rows < _LEAST_ROWS:
        raise UsageError(f"{found.num_rows} rows are too few to train on")
    found = table.rename(found, recipe.columns)
    features = tuple(
        dataclasses.replace(each, aliases=tuple(recipe.aliases.get(each.name, ())))
        for each in table.learn_inputs(
            found, recipe.features, units=recipe.units, scales=recipe.scales
        )
    )
    rows, _ = table.complete(found, features, recipe.label, recipe.classes, recipe.class_aliases)
    training, test = split(rows, recipe)
    return Dataset(
        recipe=recipe, features=features, table=found, rows=rows, training=training, test=test
    )


def split(rows: Rows, recipe: Recipe) -> tuple[Rows, Rows]:
    """Splits complete rows into a training and a test part, always the same way.

    Raises:
      UsageError: too few rows, or a class that a part would lack.
    """
    from sklearn.model_selection import train_test_split

    if len(rows) < _LEAST_ROWS:
        raise UsageError(f"{len(rows)} complete rows are too few to train on")
    counts = np.bincount(rows.labels, minlength=len(recipe.classes))
    if recipe.stratified:
        for name, count in zip(recipe.classes, counts.tolist(), strict=True):
            if count < 2:
                raise UsageError(
                    f"{recipe.label} {name} has {count or 'no'} complete row{'s' * (not count)}; "
                    "each class needs two, one of them to hold out"
                )
        return hold_out(rows, TEST_SHARE)
    places = train_test_split(np.arange(len(rows)), test_size=TEST_SHARE, random_state=SPLIT_SEED)
    training, test = map(rows.take, places)
    absent = sorted(set(range(len(recipe.classes))) - set(training.labels.tolist()))
    if absent:
        names = ", ".join(recipe.classes[index] for index in absent)
        raise UsageError(f"no {names} in the training part")
    return training, test


def hold_out(rows: Rows, share: float) -> tuple[Rows, Rows]:
    """Splits off a share of each class at random, always the same; never all of its rows.

    A class of two rows or more has at least one in either part.
    """
    random = np.random.default_rng(SPLIT_SEED)
    held = np.zeros(len(rows), np.bool_)
    for label in np.unique(rows.labels):
        mine = random.permutation(np.flatnonzero(rows.labels == label))
        held[mine[: min(len(mine) - 1, max(1, round(share * len(mine))))]] = True
    return rows.take(np.flatnonzero(~held)), rows.take(np.flatnonzero(held))


def oversample(rows: Rows, doublings: int) -> Rows:
    """Doubles rows so many times.

    The lab doubles before it splits, which puts copies of the same bird into both parts. Call this
    after :func:`split`, on the training part only, so that no test row is trained on.
    """
    return rows.take(np.tile(np.arange(len(rows)), 2**doublings))


def one_hot(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """Encodes indices ``[n]`` as float32 ``[n, classes]``, with a 1 at each row's index."""
    return np.eye(classes, dtype=np.float32)[labels]


def fingerprint(path: str) -> str:
    """Hexadecimal SHA-256 of the file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
