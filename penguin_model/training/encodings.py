"""How a network gets each category, one-hot or as a code: found out from the width of its input."""

from __future__ import annotations

import dataclasses
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence

from penguin_model import assignments
from penguin_model.card import Category, Input
from penguin_model.errors import UsageError
from penguin_model.formatting import listed

ONE_HOT, INTEGER = "one_hot", "integer"
FLAG = "--encoding"

# Two ways to fit are too many, whatever the others are.
_ENOUGH = 2


def fit(features: Sequence[Input], width: int, given: Mapping[str, bool]) -> tuple[Input, ...]:
    """Encodes the categories so that a row has as many numbers as the network takes.

    Args:
      features: in the network's order.
      width: of the network's input.
      given: whether a category is one-hot, by name, as far as that is known.

    Returns:
      The features, with `Category.one_hot` as it has to be.

    Raises:
      UsageError: no encodings have this width, or several have; says without naming the model what
        it takes, what there is, and which flag decides.
    """
    # The choices, up to two of them, by how many numbers they make of a row.
    found: Mapping[int, list[tuple[Input, ...]]] = {0: [()]}
    for feature in features:
        following: dict[int, list[tuple[Input, ...]]] = defaultdict(list)
        for total, before in found.items():
            for choice in _choices(feature, given):
                following[total + choice.width] += [(*each, choice) for each in before]
        found = {total: fits[:_ENOUGH] for total, fits in following.items()}
    fits = found.get(width, [])
    if len(fits) == 1:
        return fits[0]
    categories = [each.name for each in features if isinstance(each, Category)]
    if fits:
        undecided = [name for name in categories if name not in given]
        example = shlex.quote(assignments.join(f"{name}={ONE_HOT}" for name in undecided))
        raise UsageError(
            f"takes {width} numbers, which several encodings of {listed(undecided)} would make; "
            f"say which are {ONE_HOT} and which {INTEGER}, such as {FLAG} {example}"
        )
    names = listed([each.name for each in features])
    widths = sorted(found)
    made = f"make {widths[0]}" if len(widths) == 1 else f"make {widths[0]} to {widths[-1]}"
    advice = "name the features that it was trained on with --features, in its order"
    if categories:
        advice += f", the texts of a category with --vocabulary, and its encoding with {FLAG}"
    raise UsageError(
        f"takes {width} numbers for each row, but the features {made}: {names}; {advice}"
    )


def _choices(feature: Input, given: Mapping[str, bool]) -> list[Input]:
    if not isinstance(feature, Category):
        return [feature]
    known = given.get(feature.name)
    return [
        dataclasses.replace(feature, one_hot=one_hot)
        for one_hot in (True, False)
        if known in (None, one_hot)
    ]
