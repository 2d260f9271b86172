"""Labels: the true classes in a column of a table, read the same way for training and every night.

A label is the name of a class (in any case), another spelling that the card knows, or its index
unless one of the names is a number itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from penguin_model import validate
from penguin_model.arrow_text import as_text, is_bytes, is_text
from penguin_model.names import fold

# The codes of a missing label, and of one that isn't a class of the model.
MISSING, UNKNOWN = -1, -2

Codes = npt.NDArray[np.int32]

_NO_ALIASES: Mapping[str, Sequence[str]] = {}


def to_codes(
    array: pa.Array, classes: Sequence[str], aliases: Mapping[str, Sequence[str]] = _NO_ALIASES
) -> Codes:
    """Converts a label column of any type to class indices.

    Args:
      array: names or indices; case and spaces around text or bytes don't matter.
      classes: the card's classes.
      aliases: other spellings of a class, by class.

    Returns:
      int32 ``[n]``: the index of the class, MISSING or UNKNOWN.
    """
    spelled = spellings(classes, aliases)
    if is_text(array.type) or is_bytes(array.type):
        return _text_to_codes(array, len(classes), spelled)
    if not validate.may_hold_numbers(array.type):
        return _text_to_codes(as_text(array), len(classes), spelled)
    return _numbers_to_codes(validate.to_numbers(array), len(classes), spelled)


def spellings(classes: Sequence[str], aliases: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The index of each class, by its name and its other spellings."""
    spelled = {name: code for code, name in enumerate(classes)}
    return spelled | {alias: spelled[name] for name, others in aliases.items() for alias in others}


def _numbers_to_codes(column: validate.Column, classes: int, spelled: Mapping[str, int]) -> Codes:
    values = column.values
    with np.errstate(invalid="ignore"):  # casts of what isn't an int32 give other values
        codes = values.astype(np.int32)
    known = (codes == values) & (codes >= 0) & (codes < classes)
    names = named_numbers(spelled)
    if names:
        known[:] = False
        for number, code in names.items():
            here = values == number
            codes[here], known[here] = code, True
    if not known.all():
        missing = np.isnan(values)
        if column.unparsed is not None:
            missing &= ~column.unparsed
        codes = np.where(known, codes, np.where(missing, MISSING, UNKNOWN)).astype(np.int32)
    return codes


def named_numbers(spelled: Mapping[str, int]) -> dict[float, int]:
    """The numbers among the spellings of classes, with the index of each.

    If there are any, a number means the class of that name and is never an index: of the classes 1,
    2 and 3, none is meant by 0.
    """
    numbers = validate.to_numbers(pa.array(list(spelled), pa.string())).values.tolist()
    return {
        number: code
        for number, code in zip(numbers, spelled.values(), strict=True)
        if not math.isnan(number)
    }


def _text_to_codes(array: pa.Array, classes: int, spelled: Mapping[str, int]) -> Codes:
    # Each spelling is converted once, however many rows have it; as bytes, it may not be UTF-8.
    if not pa.types.is_dictionary(array.type):
        array = _encode(array.cast(pa.large_binary()), [*spelled, *map(str, range(classes))])
    spellings = array.dictionary.cast(pa.large_binary()).to_pylist()
    # Nulls point to an extra entry at the end.
    texts = [(each or b"").decode("utf-8", "replace").strip() for each in [*spellings, None]]
    numbers = validate.to_numbers(pa.array(texts, pa.large_string()))
    codes = _numbers_to_codes(numbers, classes, spelled)
    known = {fold(name): code for name, code in spelled.items()}
    for place, text in enumerate(texts):
        if codes[place] != MISSING:
            codes[place] = known.get(fold(text), codes[place])
    indices = array.indices.cast(pa.int64()).fill_null(len(spellings))
    places: npt.NDArray[np.int64] = indices.to_numpy(zero_copy_only=False)
    return codes[places]


def _encode(array: pa.Array, usual: Sequence[str]) -> pa.DictionaryArray:
    # If all spellings are usual, looking them up takes half as long as encoding the column.
    spellings = pa.array([*usual, "", None], pa.large_string()).cast(pa.large_binary())
    places = pc.index_in(array, value_set=spellings)
    if places.null_count:
        return array.dictionary_encode()
    return pa.DictionaryArray.from_arrays(places, spellings, safe=False)
