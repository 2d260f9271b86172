"""Registers a network that was trained elsewhere: makes its card by a labelled table."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from penguin_model import assignments, bundle, model_checks, model_files
from penguin_model.card import Category, Input, ModelCard, card_path, onnx_path
from penguin_model.errors import CardError, ModelError, UsageError
from penguin_model.features import normalize
from penguin_model.formatting import listed
from penguin_model.names import fold
from penguin_model.training import (
    calibration,
    dataset,
    encodings,
    evaluation,
    logits,
    onnx_export,
    table,
)
from penguin_model.training.fitting import library_versions
from penguin_model.training.penguins import LAB
from penguin_model.training.recipe import column_for
from penguin_model.training.table import Rows
from penguin_model.training.trusting import add_trust

if TYPE_CHECKING:
    import keras

# Plausible rows, besides the data, to tell logits from probabilities by.
_MADE_UP = 1000
_ENCODINGS = {encodings.ONE_HOT: True, encodings.INTEGER: False}
SEEN = (
    "Its accuracy, its probabilities' calibration and its prediction sets were measured on rows "
    "that it may have been trained on, so they look better than they are."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Registration:
    """What a user says about a network; lists and assignments as on the command line.

    Attributes:
      model: the model file.
      data: the labelled table, CSV or Parquet.
      label: the column of the classes.
      held_out: a table of labelled rows that the network wasn't trained on, or None.
      features, classes: in the network's order, or None to find them out.
      units, scales, offsets, ranges, encoding, out_of_vocabulary: NAME=VALUE, by feature.
      vocabulary: a category's NAME=TEXTS.
      logits: whether the network ends in logits.
      replace: whether to replace a card that exists.
      prediction_column, name, intended_use, license: for the card, or None.
      limits: for the card.
    """

    model: str
    data: str
    label: str
    held_out: str | None = None
    features: str | None = None
    classes: str | None = None
    units: Sequence[str] = ()
    scales: Sequence[str] = ()
    offsets: Sequence[str] = ()
    ranges: Sequence[str] = ()
    vocabulary: Sequence[str] = ()
    encoding: Sequence[str] = ()
    out_of_vocabulary: Sequence[str] = ()
    logits: bool = False
    replace: bool = False
    prediction_column: str | None = None
    name: str | None = None
    intended_use: str | None = None
    license: str | None = None
    limits: Sequence[str] = ()

    @property
    def target(self) -> str:
        """The model file that the card is beside."""
        return logits.path_of(self.model) if self.logits else self.model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Registered:
    """What became of it.

    Attributes:
      card: as written.
      files: what was written, in order.
      notes: what couldn't be written, a line each.
      rows: of the data, how many and how many are complete.
      share: of the commonest class in the rows that the metrics are from.
      order: the classes in an order in which the network would be right more often, or None, and
        its accuracy then.
    """

    card: ModelCard
    files: Sequence[str]
    notes: Sequence[str]
    rows: tuple[int, int]
    share: float
    order: tuple[tuple[str, ...], float] | None


def register(given: Registration) -> Registered:
    """Makes the card of a network and writes it beside the model.

    Raises:
      UsageError: the table, the network or what is said about it doesn't fit; nothing is written.
      OutputError: the card can't be written.
    """
    model_files.check(given.model)
    target = given.target
    written = [card_path(target), onnx_path(target), *([target] if given.logits else [])]
    _refuse_existing(written, given.replace)
    data = table.read(given.data)
    with table.naming(f"data {given.data}"):
        label = table.find_column(data, given.label)
        names = table.choose_features(data, label, _split("--features", given.features))
        classes = table.learn_classes(data, label, _split("--classes", given.classes))
        features = _describe(data, names, given)
    one_hot = _one_hot(given.encoding, features)
    content = model_files.read(given.model)
    with _naming(given.model):
        model = bundle.load_network(content, given.model)
        widths = model_checks.measure(model)
        if not given.logits:
            model_checks.check_last_layer(model)
        features = encodings.fit(features, widths.inputs, one_hot)
        _check_classes(widths.outputs, classes, label)
    with table.naming(f"data {given.data}"):
        rows, _ = table.complete(data, features, label, classes)
        _check_rows(rows, classes, label)
    held_out, record = rows, None
    if given.held_out is not None:
        held_out, record = _read_held_out(given, features, label, classes)
    card = _first_card(given, features, classes, label)
    with _naming(given.model):
        if given.logits:
            content, model = _append(model, target, card, rows)
        predict = bundle.compile_checked(model, card)
        probabilities = predict(_matrix(held_out, features))
        _refuse_improper(card, probabilities)

    found = evaluation.metrics(probabilities, held_out.labels, classes)
    reference = evaluation.reference(rows.raw, probabilities, features, classes)
    right = probabilities.argmax(axis=1) == held_out.labels
    card = dataclasses.replace(
        card,
        model_file=os.path.basename(target),
        sha256=hashlib.sha256(content).hexdigest(),
        training={"how": "trained elsewhere, and registered with penguin-register"}
        | ({"logits": f"of {os.path.basename(given.model)}"} if given.logits else {}),
        data=_record(given.data, data.num_rows, rows) | ({"held_out": record} if record else {}),
        metrics={
            "held_out": record is not None,
            "test_rows": len(held_out),
            **found,
            "calibration": evaluation.reliability(probabilities, held_out.labels),
        },
        versions=library_versions(),
        reference=reference,
        calibration=calibration.fit_curve(probabilities.max(axis=1), right, rows=len(held_out)),
    )
    card = add_trust(card, rows, held_out, probabilities)
    notes: list[str] = []
    known = _matrix(rows, features)
    exported = onnx_export.try_export(model, card, known, say=notes.append)
    network, card_record = exported or (None, None)
    card = dataclasses.replace(card, onnx=card_record)
    files = {onnx_path(target): network, card_path(target): bundle.write_card(card, target)}
    if given.logits:
        files = {target: content, **files}
    bundle.replace(files)
    return Registered(
        card=card,
        files=tuple(path for path, each in files.items() if each is not None),
        notes=notes,
        rows=(data.num_rows, len(rows)),
        share=float(np.bincount(held_out.labels).max() / len(held_out)),
        order=better_order(np.array(found["confusion"]), classes),
    )


def better_order(
    confusion: npt.NDArray[np.int64], classes: Sequence[str]
) -> tuple[tuple[str, ...], float] | None:
    """The order of the classes in which most rows would be right, if it isn't the one given.

    Args:
      confusion: counts ``[classes, classes]``, true classes by row.
      classes: in the order given.

    Returns:
      The order and its accuracy; None if no other has more rows right.
    """
    from scipy.optimize import linear_sum_assignment

    outputs, places = linear_sum_assignment(confusion.T, maximize=True)
    right = confusion[places, outputs].sum()
    if right <= np.trace(confusion):
        return None
    return tuple(classes[place] for place in places), float(right / confusion.sum())


def _describe(data: Any, names: Sequence[str], given: Registration) -> tuple[Input, ...]:
    """The features as the data and the flags describe them; encodings are decided later."""
    units = assignments.by_name("--units", given.units, names)
    scales, offsets = (
        assignments.numbers(flag, assignments.by_name(flag, texts, names))
        for flag, texts in (("--scales", given.scales), ("--offsets", given.offsets))
    )
    ranges = assignments.ranges("--ranges", assignments.by_name("--ranges", given.ranges, names))
    vocabularies = assignments.lists_by_name("--vocabulary", given.vocabulary, names)
    others = assignments.by_name("--out_of_vocabulary", given.out_of_vocabulary, names)
    found = table.learn_inputs(
        data, names, units=units, scales=scales, ranges=ranges, vocabularies=vocabularies
    )
    return tuple(
        _as_said(feature, others, offsets=offsets, ranges=ranges, units=units, scales=scales)
        for feature in found
    )


def _as_said(
    feature: Input,
    others: Mapping[str, str],
    *,
    offsets: Mapping[str, float],
    **numeric: Mapping[str, Any],
) -> Input:
    """A feature with what the flags say about it, besides what it was learned with.

    Args:
      feature: as learned.
      others: --out_of_vocabulary.
      offsets: --offsets.
      numeric: the other flags for numbers, by name.

    Raises:
      UsageError: a flag is for the other kind of feature, or its value can't be.
    """
    name = feature.name
    try:
        if isinstance(feature, Category):
            numeric |= {"offsets": offsets}
            if wrong := [flag for flag, values in numeric.items() if name in values]:
                raise UsageError(f"--{wrong[0]}: {name} is a category, not a number")
            if name in others:
                return dataclasses.replace(feature, out_of_vocabulary=_code(feature, others[name]))
            return feature
        if name in others:
            raise UsageError(f"--out_of_vocabulary: {name} is a number, not a category")
        return dataclasses.replace(feature, offset=offsets.get(name, 0.0))
    except CardError as error:
        raise UsageError(f"{name}: {error}") from error


def _code(feature: Category, text: str) -> int:
    """A code, given as such or as its text."""
    if text in feature.categories:
        return feature.categories.index(text)
    if not text.isdecimal():
        raise UsageError(
            f"--out_of_vocabulary {feature.name}={text}: must be a code from 0 to "
            f"{len(feature.categories) - 1}, or one of {listed(feature.categories)}"
        )
    return int(text)


def _one_hot(texts: Sequence[str], features: Sequence[Input]) -> dict[str, bool]:
    """Which categories are one-hot: one word for all of them, or NAME=WORD."""
    categories = [each.name for each in features if isinstance(each, Category)]
    if len(texts) == 1 and texts[0] in _ENCODINGS:
        return dict.fromkeys(categories, _ENCODINGS[texts[0]])
    if texts and not categories:
        raise UsageError(f"{encodings.FLAG}: none of the features is a category")
    found = assignments.by_name(encodings.FLAG, texts, categories or [""])
    for name, word in found.items():
        if word not in _ENCODINGS:
            raise UsageError(f"{encodings.FLAG} {name}={word}: must be {' or '.join(_ENCODINGS)}")
    return {name: _ENCODINGS[word] for name, word in found.items()}


def _check_classes(outputs: int, classes: Sequence[str], label: str) -> None:
    """Refuses classes that aren't as many as the network answers; a single answer is for two."""
    answers = max(outputs, 2)
    if len(classes) != answers:
        single = "a single answer, so it has" * (outputs == 1) or f"{outputs} answers, so it has"
        raise ModelError(
            f"gives {single} {answers} classes, but {label} has {len(classes)}: "
            f"{listed(classes)}; name those of the network with --classes, in its order"
        )


def _check_rows(rows: Rows, classes: Sequence[str], label: str) -> None:
    if not len(rows):
        raise UsageError("no row has a label and a plausible value of every feature")
    counts = np.bincount(rows.labels, minlength=len(classes))
    absent = [name for name, count in zip(classes, counts.tolist(), strict=True) if not count]
    if absent:
        raise UsageError(f"no complete row has the {label} {listed(absent)}; each class needs one")


def _read_held_out(
    given: Registration, features: Sequence[Input], label: str, classes: Sequence[str]
) -> tuple[Rows, Mapping[str, Any]]:
    path = given.held_out or ""
    found = table.read(path)
    if dataset.fingerprint(path) == dataset.fingerprint(given.data):
        raise UsageError(f"--held_out {path}: has the same content as --data {given.data}")
    with table.naming(f"data {path}"):
        rows, _ = table.complete(found, features, label, classes)
        if not len(rows):
            raise UsageError("no row has a label and a plausible value of every feature")
    return rows, _record(path, found.num_rows, rows)


def _record(path: str, rows: int, complete: Rows) -> dict[str, Any]:
    return {
        "file": os.path.basename(path),
        "sha256": dataset.fingerprint(path),
        "rows": rows,
        "complete_rows": len(complete),
    }


def _first_card(
    given: Registration, features: Sequence[Input], classes: Sequence[str], label: str
) -> ModelCard:
    """The card before anything is measured."""
    name = given.name or os.path.splitext(os.path.basename(given.model))[0]
    try:
        return ModelCard(
            name=name,
            model_file="",
            sha256="",
            features=tuple(features),
            classes=tuple(classes),
            label=label,
            prediction_column=given.prediction_column
            or default_column(label, [each.name for each in features], classes),
            intended_use=given.intended_use or "",
            license=given.license or "",
            limits=(*given.limits, *([] if given.held_out else [SEEN])),
        )
    except CardError as error:
        is_column = str(error).startswith(("prediction_column", "features"))
        advice = "; rename it, or name another column of the predicted class, with "
        raise UsageError(
            f"the card would have a bad {error}{f'{advice}--prediction_column' * is_column}"
        ) from error


def default_column(label: str, features: Sequence[str], classes: Sequence[str]) -> str:
    """The column of the predicted classes: the penguins' own, otherwise as for training."""
    if {fold(name) for name in classes} <= {fold(name) for name in LAB.classes}:
        label = LAB.prediction_column
    return column_for(label, features)


def _append(
    model: keras.Model, target: str, card: ModelCard, rows: Rows
) -> tuple[bytes, keras.Model]:
    """The file of a network of logits with probabilities at its end, and what is loaded from it."""
    appended = logits.append(model)
    raw = np.concatenate([rows.raw, model_checks.plausible_rows(card, _MADE_UP)])
    matrix = np.ascontiguousarray(normalize(list(raw.T), card.features))
    try:
        answers = bundle.run(model, matrix)
    # Layers may raise anything when they are run.
    except Exception as error:
        raise model_checks.fails(error) from error
    logits.refuse_probabilities(np.asarray(answers, np.float32))
    content = bundle.serialize(appended, target)
    return content, bundle.load_network(content, target)


def _refuse_improper(card: ModelCard, probabilities: npt.NDArray[np.float32]) -> None:
    row = model_checks.find_improper(list(np.ascontiguousarray(probabilities.T)))
    if row is not None:
        raise ModelError(
            f"answers {model_checks.show_answer(card, probabilities[row])} for a row of the data; "
            f"{model_checks.PROBABILITIES}"
        )


def _matrix(rows: Rows, features: Sequence[Input]) -> npt.NDArray[np.float32]:
    return normalize(list(rows.raw.T), features)


def _split(flag: str, text: str | None) -> tuple[str, ...] | None:
    return None if text is None else assignments.split(flag, text)


def _refuse_existing(paths: Sequence[str], replace: bool) -> None:
    for path in paths:
        if os.path.lexists(path) and not replace:
            raise UsageError(f"{path} exists; --replace replaces it")


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Puts the model's name before the messages of what looks into it."""
    try:
        yield
    except UsageError as error:
        raise ModelError(f"model {path} {error}") from error
