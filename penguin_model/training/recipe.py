"""A recipe: what training has to know about a kind of data, besides the settings of a run."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import pyarrow as pa

from penguin_model.card import is_taken, set_column
from penguin_model.names import fold
from penguin_model.training import table
from penguin_model.training.table import Scale


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What training has to know about a kind of data.

    Attributes:
      label: the column of the classes.
      features: the columns that the network gets, in order.
      classes: in the order of the network's outputs.
      prediction_column: the column of the predicted classes in the predictions.
      units, scales: of features that are numbers; see `table.learn_inputs`.
      aliases: other names of a feature's column.
      label_aliases: other names of the label's column.
      class_aliases: other spellings of a class.
      scale: how other numbers are scaled, unless a run says so.
      stratified: whether the held-out part has the same share of every class.
      doublings: how often the training part is doubled.
      things, kind: what a row and a class are called.
      new_row: an observation to try the model on, raw units; None takes a held-out row.
      model: the model file to write, unless a run names one.
      citation, data_license: of the data.
      intended_use, license, limits: what people write into a card.
    """

    label: str
    features: tuple[str, ...]
    classes: tuple[str, ...]
    prediction_column: str
    units: Mapping[str, str] = dataclasses.field(default_factory=dict)
    scales: Mapping[str, float] = dataclasses.field(default_factory=dict)
    aliases: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    label_aliases: tuple[str, ...] = ()
    class_aliases: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    scale: Scale = "standard"
    stratified: bool = True
    doublings: int = 0
    things: str = "rows"
    kind: str = "class"
    new_row: tuple[float, ...] | None = None
    model: str = ""
    citation: str = ""
    data_license: str = ""
    intended_use: str = ""
    license: str = ""
    limits: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Other names of each column that it needs, by name; the label comes last."""
        features = {name: tuple(self.aliases.get(name, ())) for name in self.features}
        return {**features, self.label: self.label_aliases}


def of_table(found: pa.Table, label: str, features: Sequence[str] | None = None) -> Recipe:
    """The recipe for any labelled table.

    Args:
      found: the table.
      label: the column of the classes.
      features: the columns that the network gets; None takes those that have numbers.

    Raises:
      UsageError: a column is missing or can't be used.
    """
    label = table.find_column(found, label)
    chosen = table.choose_features(found, label, features)
    classes = table.learn_classes(found, label)
    return Recipe(
        label=label,
        features=chosen,
        classes=classes,
        prediction_column=column_for(label, chosen),
        limits=(
            f"It knows {len(classes)} classes: a row of any other gets one of their names, often "
            "with a high probability.",
        ),
    )


def column_for(label: str, features: Sequence[str]) -> str:
    """The label's name made fit for a column of predictions: lower-case words with underscores."""
    name = re.sub(r"\W+", "_", fold(label)).strip("_") or "prediction"
    if is_taken(name) or {name, set_column(name)} & set(map(fold, features)):
        name = f"predicted_{name}"
    return name
